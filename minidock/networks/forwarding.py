"""Whether this host forwards packets at all: two settings that have to be 1, and were perhaps 0 before.

The old values must outlive the daemon, but not the host's next start, and several daemons with bridges of their own
must agree on them. So they are noted where all that holds by itself: in the bridges' aliases, which ``ip link`` shows.
"""

from __future__ import annotations

from pathlib import Path

from minidock.kernel.syscalls import write_file
from minidock.networks.netlink import Netlink

_SETTINGS = {
    "ip_forward": Path("/proc/sys/net/ipv4/ip_forward"),
    "ipv6_forwarding": Path("/proc/sys/net/ipv6/conf/all/forwarding"),
}
_NOTE = "minidock: "


def enable(kernel: Netlink, bridge: str, ipv6: bool) -> None:
    """Note at ``bridge`` what the settings were before the first bridge of ours, and make them 1.

    That of IPv6 only when it is needed: a host that forwards no longer believes its own router's announcements.
    """
    known = {name: value for note in _notes(kernel).values() for name, value in note.items()}
    note = {name: known.get(name, _read(name)) for name in _wanted(ipv6)}
    kernel.set_alias(bridge, _NOTE + ", ".join(f"{name} was {value}" for name, value in note.items()))
    for name in note:
        if _read(name) != "1":
            write_file(_SETTINGS[name], "1")


def restore(kernel: Netlink, bridge: str) -> None:
    """What no other bridge of ours needs becomes again what it was."""
    notes = _notes(kernel)
    own = notes.pop(bridge, {})
    needed = {name for note in notes.values() for name in note}
    for name, value in own.items():
        if name not in needed and value != "1":
            write_file(_SETTINGS[name], value)


def _wanted(ipv6: bool) -> list[str]:
    return [name for name, path in _SETTINGS.items() if (name == "ip_forward" or ipv6) and path.exists()]


def _read(name: str) -> str:
    return _SETTINGS[name].read_text().strip()


def _notes(kernel: Netlink) -> dict[str, dict[str, str]]:
    """What is noted at each of our bridges: ``{"minidock0": {"ip_forward": "0"}}``."""
    found: dict[str, dict[str, str]] = {}
    for link in kernel.bridges():
        if link.alias.startswith(_NOTE):
            entries = link.alias.removeprefix(_NOTE).split(", ")
            found[link.name] = dict(entry.split(" was ") for entry in entries)
    return found
