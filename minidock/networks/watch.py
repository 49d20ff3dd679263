"""Has somebody taken our rules away? The kernel tells of every change of the packet filter.

A firewall that is loaded anew often begins with ``flush ruleset``, which means everybody's. One that starts after us
(Docker, ufw, firewalld) may bring a chain that drops what passes through the host. All other changes, as Docker's for
each of its containers, are no reason to look. Sources: nfnetlink, group NFNLGRP_NFTABLES
(linux/netfilter/nfnetlink.h); messages and attributes in linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from minidock.networks.filter import FORWARD_CHAINS

_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7
_NFNL_SUBSYS_NFTABLES = 10
_NEWCHAIN, _DELCHAIN, _NEWRULE, _DELRULE = (_NFNL_SUBSYS_NFTABLES << 8 | message for message in (3, 5, 6, 8))
_NFTA_CHAIN_NAME, _NFTA_RULE_CHAIN = 3, 2
_CHAIN_IN = {
    _NEWCHAIN: _NFTA_CHAIN_NAME,
    _DELCHAIN: _NFTA_CHAIN_NAME,
    _NEWRULE: _NFTA_RULE_CHAIN,
    _DELRULE: _NFTA_RULE_CHAIN,
}
"""Messages about chains and rules, and the attribute that names the chain. A table's end is told for each chain."""
_OTHERS = {tuple(chain.split()[1:]) for chain in FORWARD_CHAINS}
_NFTA_TABLE = 1
"""The table's name, in all of them."""
_HEADERS = 16 + 4
"""struct nlmsghdr, struct nfgenmsg."""


def open_socket() -> socket.socket:
    """A socket that can be read when the packet filter of this network namespace has changed."""
    told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    told.bind((0, 1 << (_NFNLGRP_NFTABLES - 1)))
    told.setblocking(False)
    return told


def concerns_us(told: socket.socket, table: str) -> bool:
    """Read all that there is: did anything go from our ``table``, or change where others judge what passes?

    When too much came at once: perhaps.
    """
    found = False
    while True:
        try:
            data = told.recv(1 << 16)
        except BlockingIOError:
            return found
        except OSError:  # ENOBUFS: messages were lost
            found = True
            continue
        for kind, place in _changes(data):
            gone = kind in (_DELCHAIN, _DELRULE)
            found = found or (gone and place[0] == table) or place in _OTHERS


def _changes(data: bytes) -> Iterator[tuple[int, tuple[str, str]]]:
    """The kinds of the messages about chains and rules, each with the table and the chain."""
    while len(data) >= _HEADERS:
        length, kind = struct.unpack_from("=IH", data)
        if kind in _CHAIN_IN:
            attributes = dict(_attributes(data[_HEADERS:length]))
            yield kind, (_text(attributes.get(_NFTA_TABLE)), _text(attributes.get(_CHAIN_IN[kind])))
        data = data[max(16, (length + 3) & ~3) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """netlink(7): a length with its own header, a kind, and the value, up to the next multiple of four."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[max(4, (length + 3) & ~3) :]


def _text(value: bytes | None) -> str:
    return (value or b"").rstrip(b"\0").decode(errors="replace")
