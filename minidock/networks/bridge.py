"""The default network: a bridge with a gateway address, and the cables from it to the containers.

What survives a crash where: leases are in the database, links and the packet filter in the kernel. Neither is believed:
:meth:`Bridge.open` makes the kernel's side as it should be, whatever it finds, and :meth:`Bridge.sweep` drops what
belongs to no living container.

Every method is synchronous and may be called from several threads at once.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass
from errno import ENODEV
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_interface
from re import fullmatch

from minidock.database import Database
from minidock.errors import Conflict, InvalidInput, SystemCallFailed
from minidock.networks import forwarding, nat, sandbox
from minidock.networks.addresses import Leases, choose_pool, first_host
from minidock.networks.netlink import Netlink
from minidock.networks.sandbox import mac_of

_LINK_PREFIX = "veth"


@dataclass(frozen=True)
class Endpoint:
    """A container's place in a network; ``prefix`` is the network's length in bits."""

    address: IPv4Address
    prefix: int
    gateway: IPv4Address
    mac: str


class Bridge:
    """The network behind the bridge ``name``.

    ``subnet`` is the bridge's own address with the network's length (``172.20.0.1/16``; of a bare network the first
    address is taken). Without it the network of the last time stays, or a free one is chosen when first opened. Raises
    ``InvalidInput``.
    """

    def __init__(self, database: Database, name: str, subnet: str | None = None) -> None:
        if not fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", name):
            raise InvalidInput(f"{name!r} is no name for a bridge: at most 15 letters, digits, '_', '.' or '-'")
        self.name = name
        self._wanted = parse_gateway(subnet) if subnet else None
        self._leases = Leases(database, name)
        self._lock = threading.Lock()

    @property
    def gateway(self) -> IPv4Address | None:
        """The bridge's own address; None before it was opened for the first time."""
        return self._leases.gateway.ip if self._leases.gateway else None

    @property
    def subnet(self) -> IPv4Network | None:
        """The containers' network; None before it was opened for the first time."""
        return self._leases.gateway.network if self._leases.gateway else None

    def open(self) -> None:
        """Make the bridge, its packet filter and forwarding, or mend what is left of them.

        Containers that are connected stay so. Raises ``Conflict`` when a link of this name is somebody else's, and
        ``KernelFeatureMissing``.
        """
        nat.find_nft()  # before anything is made
        with self._lock, Netlink() as kernel:
            gateway = self._wanted or self._leases.gateway or choose_pool(kernel.networks(without=self.name))
            self._open_link(kernel)
            for address in kernel.addresses(self.name):
                if address != gateway:
                    kernel.delete_address(self.name, address)
            if gateway not in kernel.addresses(self.name):
                kernel.add_address(self.name, gateway)
            forwarding.enable(kernel, self.name)
            nat.load(self.name, gateway.network)
            self._leases.use(gateway)

    def _open_link(self, kernel: Netlink) -> None:
        found = kernel.find(self.name)
        if found is None:
            kernel.add_bridge(self.name, self._mac())
        elif found.kind != "bridge" or found.mac != self._mac():
            raise Conflict(f"a link {self.name} exists that is not ours: choose another name with --bridge")
        sandbox.ignore_router_announcements(self.name)

    def _mac(self) -> str:
        """Made of the name, so that we know our bridge again from the first moment that it exists."""
        return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + hashlib.sha256(self.name.encode()).digest()[:4])

    def connect(self, container_id: str, pid: int) -> Endpoint:
        """Give the network namespace of process ``pid`` an ``eth0`` on this network. All of it, or nothing.

        Raises ``Conflict`` when no address is free, and ``SystemCallFailed``.
        """
        gateway = self._leases.gateway
        assert gateway is not None, "connect needs an open bridge"
        self.disconnect(container_id)
        # A name of its own for every cable: the last one may not be quite gone yet.
        link = _LINK_PREFIX + secrets.token_hex(4)
        address = self._leases.take(container_id, link)
        try:
            with Netlink() as kernel:
                kernel.add_veth(link, self.name, sandbox.INTERFACE, pid, mac_of(address))
            own = IPv4Interface((address, gateway.network.prefixlen))
            sandbox.inside(pid, partial(sandbox.configure, own, gateway.ip))
        except BaseException:
            self.disconnect(container_id)
            raise
        return Endpoint(address, gateway.network.prefixlen, gateway.ip, mac_of(address))

    def disconnect(self, container_id: str) -> None:
        """Unplug the container and free its address. No error when it is not connected.

        The cable is only switched off, which takes well under a millisecond. The kernel removes it together with the
        container's network namespace; where others keep that alive (``--network container:``), :meth:`sweep` does.
        """
        lease = self._leases.find(container_id)
        if lease is None:
            return
        # In this order: nobody may get the address while the old owner can still use it.
        try:
            with Netlink() as kernel:
                kernel.set_down(lease.link)
        except SystemCallFailed as failure:
            if failure.errno != ENODEV:
                raise
        self._leases.release(container_id)

    def sweep(self, live_ids: set[str]) -> None:
        """After a crash: unplug every container that is not in ``live_ids``, and delete cables that nobody leases."""
        for lease in self._leases.all():
            if lease.container not in live_ids:
                self.disconnect(lease.container)
        with self._lock, Netlink() as kernel:
            leased = {lease.link for lease in self._leases.all()}
            if kernel.find(self.name) is not None:
                _delete(kernel, set(kernel.ports(self.name)) - leased)

    def close(self) -> None:
        """Leave the host as it was: no link, no packet filter, forwarding as before. Containers lose the network."""
        for lease in self._leases.all():
            self.disconnect(lease.container)
        with self._lock, Netlink() as kernel:
            nat.unload(self.name)
            if kernel.find(self.name) is not None:
                _delete(kernel, set(kernel.ports(self.name)))
                forwarding.restore(kernel, self.name)
                kernel.delete(self.name)


def _delete(kernel: Netlink, links: set[str]) -> None:
    """Delete cables of ours. One that vanishes first, with its namespace, is no error."""
    for link in sorted(links):
        if not link.startswith(_LINK_PREFIX):
            continue
        try:
            kernel.delete(link)
        except SystemCallFailed as failure:
            if failure.errno != ENODEV:
                raise


def parse_gateway(text: str) -> IPv4Interface:
    """``172.20.0.1/16``, or a network, of which the first address is taken. Raises ``InvalidInput``."""
    try:
        gateway = ip_interface(text)
    except ValueError:
        raise InvalidInput(f"invalid subnet {text!r}: write an IPv4 address and a length, like 172.20.0.1/16") from None
    if not isinstance(gateway, IPv4Interface) or not 8 <= gateway.network.prefixlen <= 30:
        raise InvalidInput(f"invalid subnet {text!r}: it must be IPv4 and have a length from 8 to 30")
    return first_host(gateway.network) if gateway.ip == gateway.network.network_address else gateway
