"""What is remembered: the networks, and every container's place in one (its endpoint), as rows of SQLite.

A row comes before the kernel's part and goes after it. So after a crash there may be a row too many, never a link that
nobody knows of. The columns with addresses make a collision impossible, whatever else goes wrong.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_interface

import msgspec

from minidock.database import Database
from minidock.errors import Conflict, Forbidden, MinidockError, NoSuchNetwork
from minidock.messages import IpamPool
from minidock.networks.addresses import Address, Interface, Pool, mac_of, pool_of

SCHEMA = """
create table if not exists networks (
    id       text primary key,
    name     text not null unique,
    document text not null            -- minidock.networks.store.Network as JSON
);
create table if not exists endpoints (
    network   text not null references networks (id),   -- who has endpoints cannot be deleted
    container text not null,
    ipv4      blob,                   -- as it is in packets: 4 and 16 bytes
    ipv6      blob,
    ready     integer not null,       -- 0 while the kernel's part is being made
    document  text not null,          -- minidock.networks.store.Endpoint as JSON
    primary key (network, container),
    unique (network, ipv4),           -- never two with one address
    unique (network, ipv6)
);
create table if not exists leaving (
    bridge text primary key           -- of a network that is on record no more, while it is being taken away
);
create table if not exists publications (
    container text primary key,
    document  text not null           -- its published ports, minidock.networks.store.Publication, as JSON
);
"""

BUILT_IN = ("bridge", "host", "none")


class Network(msgspec.Struct, kw_only=True):
    """One network. ``bridge`` is the host's link that stands for it, or "" ."""

    id: str
    name: str
    driver: str
    created_ns: int = 0
    pools: list[IpamPool] = []
    """As inspect shows them: at most one of IPv4 and one of IPv6."""
    user_pools: bool = False
    """Only in a subnet that the user chose may the user choose addresses."""
    internal: bool = False
    attachable: bool = False
    enable_ipv6: bool = False
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    bridge: str = ""

    def pool(self, version: int) -> Pool | None:
        """The addresses of IPv4 or IPv6."""
        found = (pool_of(pool) for pool in self.pools)
        return next((pool for pool in found if pool.subnet.version == version), None)

    @property
    def is_default(self) -> bool:
        """The network of whoever asks for none: it has no names, and other peculiarities."""
        return self.name == "bridge"


class Endpoint(msgspec.Struct, kw_only=True, frozen=True):
    """A container's place in a network: addresses with the network's length, gateways without."""

    network: str
    container: str
    link: str
    """The host's end of the cable; "" where there is none (macvlan)."""
    interface: str
    """The container's end."""
    mac: str
    ipv4: str = ""
    gateway4: str = ""
    ipv6: str = ""
    gateway6: str = ""
    priority: int = 0
    free: bool = False
    """It may configure its network (NET_ADMIN), so it is not held to its addresses."""

    @property
    def id(self) -> str:
        """64 hex digits."""
        return endpoint_id(self.container, self.network)

    @property
    def addresses(self) -> list[Interface]:
        """What the interface gets."""
        return [ip_interface(text) for text in (self.ipv4, self.ipv6) if text]


class Wish(msgspec.Struct, kw_only=True):
    """A network that a container is to join, and what it wants there; "" is whatever is free."""

    network: Network
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    priority: int = 0
    sysctls: dict[str, str] = {}
    """Settings of its interface there, which is called IFNAME: ``{"net.ipv4.conf.IFNAME.rp_filter": "2"}``."""


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One port of the host at one address (``0.0.0.0`` and ``::`` are all), and the container's port behind it."""

    host_ip: str
    host_port: int
    protocol: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        return f"{host}:{self.host_port}"


def endpoint_id(container: str, network: str) -> str:
    """Known before there is an endpoint, so that an error can name it."""
    return hashlib.sha256(f"{container}:{network}".encode()).hexdigest()


class Store:
    """The two tables. Threads may share it: every change is one transaction.

    Endpoints need not survive a power cut: no container does.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.RLock()
        self._endpoints: list[tuple[Endpoint, bool]] | None = None
        """What was read last, until something is written: a name server asks often."""
        database.create(SCHEMA)

    @contextmanager
    def _writing(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._endpoints = None
            with self._database.transaction(durable) as connection:
                yield connection

    def networks(self) -> list[Network]:
        """All of them, the oldest first."""
        rows = self._database.query("select document from networks order by rowid")
        return [msgspec.json.decode(row["document"], type=Network) for row in rows]

    def network(self, network_id: str) -> Network:
        """By its full id. Raises NoSuchNetwork."""
        rows = self._database.query("select document from networks where id = ?", network_id)
        if not rows:
            raise NoSuchNetwork(network_id)
        return msgspec.json.decode(rows[0]["document"], type=Network)

    def save(self, network: Network) -> None:
        """Add a network, or change it. Raises Conflict when another has its name."""
        document = msgspec.json.encode(network).decode()
        sql = "insert into networks values (?, ?, ?) on conflict (id) do update set document = excluded.document"
        try:
            with self._writing(durable=True) as connection:
                connection.execute(sql, (network.id, network.name, document))
        except sqlite3.IntegrityError:
            raise Conflict(f"network with name {network.name} already exists") from None

    def delete(self, network: Network) -> None:
        """Forget a network, but for its bridge (see :meth:`left`). Raises Forbidden when containers are in it."""
        try:
            with self._writing(durable=True) as connection:
                connection.execute("delete from networks where id = ?", (network.id,))
                if network.bridge:
                    connection.execute("insert or replace into leaving values (?)", (network.bridge,))
        except sqlite3.IntegrityError:
            raise Forbidden(
                f"error while removing network: network {network.name} id {network.id} has active endpoints"
            ) from None

    def leaving(self) -> list[str]:
        """Bridges whose network is on record no more."""
        return [row["bridge"] for row in self._database.query("select bridge from leaving")]

    def left(self, bridge: str) -> None:
        """It is gone."""
        with self._writing() as connection:
            connection.execute("delete from leaving where bridge = ?", (bridge,))

    def take(self, container: str, wish: Wish, interface: str, cable: bool, free: bool) -> Endpoint:
        """Lease addresses, the lowest free ones as Docker does, or those that are wished for. Not ready yet.

        Raises Forbidden, InvalidInput (an address that cannot be had), MinidockError (none is free).
        """
        network = wish.network
        with self._writing() as connection:
            ipv4 = _lease(connection, network, 4, wish.ipv4)
            ipv6 = _lease(connection, network, 6, wish.ipv6)
            pool4, pool6 = network.pool(4), network.pool(6)
            endpoint = Endpoint(
                network=network.id,
                container=container,
                # A name of its own for every cable: the last one may not be quite gone yet.
                link=f"veth{secrets.token_hex(4)}" if cable else "",
                interface=interface,
                mac=wish.mac or mac_of(ipv4),
                ipv4=f"{ipv4}/{pool4.subnet.prefixlen}" if pool4 and ipv4 else "",
                gateway4=str(pool4.gateway.ip) if pool4 and not network.internal else "",
                ipv6=f"{ipv6}/{pool6.subnet.prefixlen}" if pool6 and ipv6 else "",
                gateway6=str(pool6.gateway.ip) if pool6 and not network.internal else "",
                priority=wish.priority,
                free=free,
            )
            packed = [address.packed if address else None for address in (ipv4, ipv6)]
            document = msgspec.json.encode(endpoint).decode()
            row = (network.id, container, *packed, 0, document)
            try:
                connection.execute("insert into endpoints values (?, ?, ?, ?, ?, ?)", row)
            except sqlite3.IntegrityError as error:
                if "FOREIGN KEY" in str(error):  # removed in this very moment
                    raise NoSuchNetwork(network.name) from None
                raise
        return endpoint

    def ready(self, endpoint: Endpoint) -> None:
        """The kernel's part is there."""
        with self._writing() as connection:
            connection.execute(
                "update endpoints set ready = 1 where network = ? and container = ?",
                (endpoint.network, endpoint.container),
            )

    def release(self, endpoint: Endpoint) -> None:
        """Give the addresses back. No error when there are none."""
        with self._writing() as connection:
            connection.execute(
                "delete from endpoints where network = ? and container = ?", (endpoint.network, endpoint.container)
            )

    def endpoints(self, *, container: str = "", network: str = "", ready: bool = False) -> list[Endpoint]:
        """Those of a container, of a network, or all; in the order in which they were made."""
        return [
            endpoint
            for endpoint, is_ready in self._all()
            if container in ("", endpoint.container) and network in ("", endpoint.network) and is_ready >= ready
        ]

    def unfinished(self) -> list[Endpoint]:
        """Those that a daemon was killed over."""
        return [endpoint for endpoint, is_ready in self._all() if not is_ready]

    def _all(self) -> list[tuple[Endpoint, bool]]:
        with self._lock:
            if self._endpoints is None:
                rows = self._database.query("select document, ready from endpoints order by rowid")
                self._endpoints = [
                    (msgspec.json.decode(row["document"], type=Endpoint), bool(row["ready"])) for row in rows
                ]
            return self._endpoints

    def publications(self) -> dict[str, list[Publication]]:
        """Which ports are published, by container."""
        rows = self._database.query("select * from publications")
        return {row["container"]: msgspec.json.decode(row["document"], type=list[Publication]) for row in rows}

    def publish(self, container: str, publications: list[Publication]) -> None:
        """From now on these are the container's."""
        document = msgspec.json.encode(publications).decode()
        with self._writing() as connection:
            connection.execute("delete from publications where container = ?", (container,))
            if publications:
                connection.execute("insert into publications values (?, ?)", (container, document))


def _lease(connection: sqlite3.Connection, network: Network, version: int, wanted: str) -> Address | None:
    pool = network.pool(version)
    if pool is None:
        return None
    taken = _taken(connection, network.id, version)
    if wanted:
        address = ip_address(wanted)
        pool.check(address, list(taken))
        return address
    lowest = pool.lowest_free(taken)
    if lowest is None:
        raise MinidockError(
            f"no available IPv{version} addresses on this network's address pools: {network.name} ({network.id})"
        )
    return lowest


def _taken(connection: sqlite3.Connection, network: str, version: int) -> Iterator[Address]:
    column = f"ipv{version}"
    rows = connection.execute(f"select {column} from endpoints where network = ? and {column} not null", (network,))
    return (ip_address(row[column]) for row in rows)
