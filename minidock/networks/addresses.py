"""Which container has which address: a table of leases, and the choice of a subnet that is free on this host."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from minidock.database import Database
from minidock.errors import Conflict, KernelFeatureMissing

SCHEMA = """
create table if not exists subnets (
    bridge  text primary key,
    gateway text not null           -- with the prefix: 172.17.0.1/16
);
create table if not exists leases (
    bridge    text not null,
    container text not null,
    address   integer not null,
    link      text not null,        -- the host's end of the container's cable
    primary key (bridge, container),
    unique (bridge, address)        -- whatever else goes wrong: never two with one address
);
"""


@dataclass(frozen=True)
class Lease:
    """A container's address, and the name of its link on the host."""

    container: str
    address: IPv4Address
    link: str


class Leases:
    """The addresses of one bridge's network. Threads may share it: every change is one transaction.

    A lease need not survive a power cut: no container does.
    """

    def __init__(self, database: Database, bridge: str) -> None:
        self._database = database
        self._bridge = bridge
        database.create(SCHEMA)

    @property
    def gateway(self) -> IPv4Interface | None:
        """The bridge's own address with the network's prefix; None before one was chosen."""
        rows = self._database.query("select gateway from subnets where bridge = ?", self._bridge)
        return IPv4Interface(rows[0]["gateway"]) if rows else None

    def use(self, gateway: IPv4Interface) -> None:
        """From now on this is the network. Leases that do not fit in it are dropped."""
        with self._database.transaction() as connection:
            connection.execute("insert or replace into subnets values (?, ?)", (self._bridge, str(gateway)))
            first, last = int(gateway.network.network_address), int(gateway.network.broadcast_address)
            connection.execute(
                "delete from leases where bridge = ? and (address not between ? and ? or address = ?)",
                (self._bridge, first + 1, last - 1, int(gateway.ip)),
            )

    def take(self, container: str, link: str) -> IPv4Address:
        """Lease the lowest free address, as Docker does. Raises ``Conflict`` when there is none.

        The container must have no lease yet.
        """
        gateway = self.gateway
        assert gateway is not None, "the network has no subnet yet"
        with self._database.transaction(durable=False) as connection:
            address = _lowest_free(gateway, self._taken(connection))
            if address is None:
                raise Conflict(f"no free address in {gateway.network}: remove a container, or choose a larger --bip")
            connection.execute("insert into leases values (?, ?, ?, ?)", (self._bridge, container, int(address), link))
        return address

    def _taken(self, connection: sqlite3.Connection) -> Iterator[int]:
        rows = connection.execute("select address from leases where bridge = ? order by address", (self._bridge,))
        return (row["address"] for row in rows)

    def find(self, container: str) -> Lease | None:
        """The container's lease."""
        return next((lease for lease in self.all() if lease.container == container), None)

    def all(self) -> list[Lease]:
        """Every lease of this bridge, the lowest address first."""
        rows = self._database.query("select * from leases where bridge = ? order by address", self._bridge)
        return [Lease(row["container"], IPv4Address(row["address"]), row["link"]) for row in rows]

    def release(self, container: str) -> None:
        """Give the address back. No error when there is none."""
        with self._database.transaction(durable=False) as connection:
            connection.execute("delete from leases where bridge = ? and container = ?", (self._bridge, container))


def _lowest_free(gateway: IPv4Interface, taken: Iterable[int]) -> IPv4Address | None:
    """The lowest address of the network that is neither in ``taken`` (ascending) nor the gateway's."""
    candidate, last = int(gateway.network.network_address) + 1, int(gateway.network.broadcast_address) - 1
    for address in sorted([*taken, int(gateway.ip)]):
        if address > candidate:
            break
        candidate = max(candidate, address + 1)
    return IPv4Address(candidate) if candidate <= last else None


def pools() -> Iterator[IPv4Network]:
    """Docker's own order: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 and on."""
    for second in range(17, 32):
        yield IPv4Network(f"172.{second}.0.0/16")
    yield from IPv4Network("192.168.0.0/16").subnets(new_prefix=20)


def choose_pool(in_use: Iterable[IPv4Network]) -> IPv4Interface:
    """The gateway of the first pool that overlaps nothing that is ``in_use`` (routes and addresses of the host).

    Raises ``KernelFeatureMissing`` when all of them are taken.
    """
    in_use = list(in_use)
    for pool in pools():
        if not any(pool.overlaps(network) for network in in_use):
            return first_host(pool)
    raise KernelFeatureMissing("every private subnet overlaps a route of this host: choose one with --bip")


def first_host(network: IPv4Network) -> IPv4Interface:
    """The network's first address: by custom, the gateway's."""
    return IPv4Interface((int(network.network_address) + 1, network.prefixlen))
