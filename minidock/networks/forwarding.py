"""Whether this host forwards packets at all: ``net.ipv4.ip_forward``, which has to be 1, and was perhaps 0 before.

The old value must outlive the daemon, but not the host's next start, and several daemons with bridges of their own must
agree on it. So it is noted where all that holds by itself: in the alias of the bridge, which ``ip link`` shows.
"""

from __future__ import annotations

from pathlib import Path

from minidock.kernel.syscalls import write_file
from minidock.networks.netlink import Netlink

_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_NOTE = "minidock: ip_forward was "


def enable(kernel: Netlink, bridge: str) -> None:
    """Note at ``bridge`` what the value was before the first bridge of ours, and make it 1."""
    now = _IP_FORWARD.read_text().strip()
    notes = [link.alias for link in kernel.bridges() if link.alias.startswith(_NOTE)]
    own = kernel.find(bridge)
    if own is not None and not own.alias.startswith(_NOTE):
        kernel.set_alias(bridge, notes[0] if notes else _NOTE + now)
    if now != "1":
        write_file(_IP_FORWARD, "1")


def restore(kernel: Netlink, bridge: str) -> None:
    """When ``bridge`` is the last one of ours, the value becomes again what it was."""
    notes = {link.name: link.alias.removeprefix(_NOTE) for link in kernel.bridges() if link.alias.startswith(_NOTE)}
    before = notes.pop(bridge, "1")
    if not notes and before != "1":
        write_file(_IP_FORWARD, before)
