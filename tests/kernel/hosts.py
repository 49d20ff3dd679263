"""Hosts for tests of networks: each a network namespace, with nothing of the machine's in it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, ip_interface

from minidock.database import Database
from minidock.networks import Endpoint, Networks, Wish
from minidock.networks.sandbox import inside

Spawn = Callable[[], int]
"""Starts a process with an empty network namespace, like a container's init, and returns its pid."""


class Bridge(Networks):
    """The networks of a daemon, as seen by a container in the default one."""

    def __init__(self, database: Database, name: str, bip: str = "") -> None:
        super().__init__(database, name, name, bip)

    def join(self, container: str, pid: int) -> Endpoint:
        """Connect to the default network."""
        self.leave(container)
        return self.connect(container, pid, [Wish(network=self.default)])[0]

    @property
    def gateway(self) -> str:
        """The bridge's own address."""
        return self.default.pools[0].gateway

    @property
    def subnet(self) -> str:
        """The default network's."""
        return self.default.pools[0].subnet


def address(end: Endpoint) -> IPv4Address:
    """A container's."""
    return IPv4Address(ip_interface(end.ipv4).ip)


def ip(*words: str) -> str:
    """iproute2, in the host of this test."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def links() -> list[str]:
    """The names of this host's links."""
    return sorted(name for _, name in socket.if_nameindex())


def tables() -> str:
    """nft's tables."""
    return subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout


def listening(pid: int) -> socket.socket:
    """A TCP socket that listens inside."""
    return inside(pid, partial(socket.create_server, ("0.0.0.0", 0)))


def talk(pid: int, server: socket.socket, address: str, timeout: float = 2) -> str:
    """Connect from inside ``pid`` to ``server`` under ``address``; returns whom the server saw."""
    port = server.getsockname()[1]
    with inside(pid, partial(socket.create_connection, (address, port), timeout)) as client:
        connection, (seen, _) = server.accept()
        with connection:
            connection.sendall(b"hello")
            assert client.recv(5) == b"hello"
    return str(seen)


def world(spawn: Spawn) -> int:
    """A host outside, 198.51.100.2, beyond our uplink 198.51.100.1. It knows no way back to a container."""
    pid = spawn()
    ip("link", "add", "uplink", "type", "veth", "peer", "eth0", "netns", str(pid))
    ip("addr", "add", "198.51.100.1/24", "dev", "uplink")
    ip("link", "set", "uplink", "up")
    for words in ("addr add 198.51.100.2/24 dev eth0", "link set eth0 up"):
        inside(pid, partial(ip, *words.split()))
    return pid
