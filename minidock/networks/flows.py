"""Flows that outlive their rule: the kernel looks a flow up in the packet filter's maps once, at its first packet.

UDP has no end, so a caller who goes on calling would go on being led to where a container was. When a published UDP
port changes hands its flows are forgotten. (A TCP flow breaks by itself: the new container does not know it.)
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

from minidock.networks.store import Publication


def forget(publications: Iterable[Publication]) -> None:
    """The next packet to these ports is a first one again. Source: conntrack(8), nfnetlink."""
    ports = {item.host_port for item in publications if item.protocol == "udp"}
    if not ports:
        return
    from pyroute2 import Conntrack
    from pyroute2.netlink.exceptions import NetlinkError

    with Conntrack() as kernel:
        for flow in list(kernel.dump_entries()):
            first = flow.tuple_orig
            if first.proto == socket.IPPROTO_UDP and first.dport in ports:
                with contextlib.suppress(NetlinkError):  # it has just ended by itself
                    kernel.entry("del", tuple_orig=first)
