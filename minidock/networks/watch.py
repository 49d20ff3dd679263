"""Has somebody taken our rules away? The kernel tells of every change of the packet filter, and by whom it was made.

A firewall that is loaded anew often begins with ``flush ruleset``, which means everybody's. Source: nfnetlink, group
NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h).
"""

from __future__ import annotations

import socket
import struct

_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7
_NFNL_SUBSYS_NFTABLES = 10
_DELETIONS = {_NFNL_SUBSYS_NFTABLES << 8 | message for message in (2, 5, 8, 11)}
"""NFT_MSG_DELTABLE, DELCHAIN, DELRULE, DELSET."""


def open_socket() -> socket.socket:
    """A socket that can be read when the packet filter of this network namespace has changed."""
    told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    told.bind((0, 1 << (_NFNLGRP_NFTABLES - 1)))
    told.setblocking(False)
    return told


def something_went(told: socket.socket) -> bool:
    """Read all that there is: was a table, chain, rule or set deleted? When too much came at once: perhaps."""
    found = False
    while True:
        try:
            data = told.recv(1 << 16)
        except BlockingIOError:
            return found
        except OSError:  # ENOBUFS: messages were lost
            found = True
            continue
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            found = found or kind in _DELETIONS
            data = data[max(16, (length + 3) & ~3) :]
