"""The networks of one daemon: made, joined, left, removed; and after a crash made right again.

What survives a crash where: networks and endpoints are in the database, links and the packet filter in the kernel. The
kernel's side is not believed: :meth:`Networks.open` makes it as the records say, whatever it finds, and
:meth:`Networks.sweep` drops what belongs to no living container.

Every method is synchronous and may be called from several threads at once.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv6Network
from itertools import count

from minidock.database import Database
from minidock.errors import Conflict, Forbidden, InvalidInput, MinidockError, NoSuchNetwork
from minidock.kernel import syscalls
from minidock.messages import Ipam, IpamPool, NetworkCreate
from minidock.networks import bridge, child, filter, flows, options, planning, ports, sandbox, stages
from minidock.networks.addresses import (
    DOCKERS_POOLS,
    Subnet,
    choose,
    local_pool,
    parse_gateway,
    parse_pools,
    parse_subnet6,
    pool_of,
)
from minidock.networks.filter import Element, Filter
from minidock.networks.netlink import Netlink
from minidock.networks.store import BUILT_IN, Endpoint, Network, Publication, Store, Wish

log = logging.getLogger(__name__)


class Networks:
    """All networks. ``default_bridge`` is the link of the default one; None when there is to be none. ``bip`` is its
    address, ``ipv6`` its subnet of IPv6: "" for none, ``auto`` for a free one.

    ``seed`` is what makes this daemon another than its neighbours. Raises InvalidInput.
    """

    def __init__(
        self,
        database: Database,
        seed: str,
        default_bridge: str | None = "minidock0",
        bip: str = "",
        pools: Sequence[str] = (),
        ipv6: str = "",
    ) -> None:
        self.store = Store(database)
        self._seed = seed
        self._default_bridge = default_bridge
        self._bip = parse_gateway(bip) if bip else None
        self._ipv6 = ipv6 if ipv6 in ("", "auto") else parse_subnet6(ipv6)
        self._pools = [*parse_pools(pools or DOCKERS_POOLS), local_pool(seed)]
        if default_bridge is not None:
            options.check_link_name(default_bridge)
        self.filter = Filter(default_bridge or f"minidock-{hashlib.sha256(seed.encode()).hexdigest()[:6]}")
        self._publications: dict[str, list[Publication]] = {}
        self._lock = threading.RLock()

    # ------------------------------------------------------------------------------------- the daemon's start and end

    def open(self) -> None:
        """Make every network, or mend what is left of it; containers that are connected stay so.

        Raises Conflict when the default bridge's link is somebody else's, and KernelFeatureMissing.
        """
        with self._lock, Netlink() as kernel:
            self._save_built_in(kernel)
            self._publications = self.store.publications()
            self._load_filter()
            for name in self.store.leaving():
                bridge.unmake(kernel, name)
                self.store.left(name)
            for network in self._bridged():
                try:
                    bridge.make(kernel, network)
                except MinidockError as error:
                    if network.is_default:
                        self.filter.unload()
                        raise
                    log.warning("network %s: %s", network.name, error)

    def _save_built_in(self, kernel: Netlink) -> None:
        known = {network.name: network for network in self.store.networks()}
        for name, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null")):
            identity = hashlib.sha256(f"{self._seed}:{name}".encode()).hexdigest()
            network = known.get(name) or Network(id=identity, name=name, driver=driver, created_ns=time.time_ns())
            if name == "bridge":
                self._describe_default(network, kernel)
            self.store.save(network)

    def _describe_default(self, network: Network, kernel: Netlink) -> None:
        network.bridge = self._default_bridge or ""
        if not network.bridge:
            network.pools, network.options = [], {}
            return
        filter.find_nft()  # before anything is made
        if self._bip is not None:
            network.pools = [IpamPool(subnet=str(self._bip.network), gateway=str(self._bip.ip))]
        elif not network.pools:
            network.pools = [self._free_pool(kernel, 4)]
        self._describe_ipv6(network, kernel)
        network.options = {
            "com.docker.network.bridge.default_bridge": "true",
            options.ICC: "true",
            options.MASQUERADE: "true",
            options.HOST_BINDING: "0.0.0.0",
            options.BRIDGE_NAME: network.bridge,
            options.MTU: "1500",
        }

    def _describe_ipv6(self, network: Network, kernel: Netlink) -> None:
        before = network.pools[1:]
        network.enable_ipv6 = bool(self._ipv6)
        if isinstance(self._ipv6, IPv6Network):
            pools = [IpamPool(subnet=str(self._ipv6), gateway=str(self._ipv6[1]))]
        else:
            pools = (before or [self._free_pool(kernel, 6)]) if self._ipv6 else []
        network.pools = [*network.pools[:1], *pools]

    def _bridged(self) -> list[Network]:
        return [network for network in self.store.networks() if network.bridge]

    def sweep(self, live: Mapping[str, Collection[str]]) -> None:
        """After a crash: release every endpoint but those of ``live`` (container: names of its networks); stray cables
        are deleted."""
        names = {network.id: network.name for network in self.store.networks()}
        unfinished = self.store.unfinished()
        for endpoint in self.store.endpoints():
            lives = names[endpoint.network] in live.get(endpoint.container, ())
            if not lives or endpoint in unfinished:
                self._release([endpoint])
        with self._lock, Netlink() as kernel:
            leased = {endpoint.link for endpoint in self.store.endpoints()}
            for network in self._bridged():
                if kernel.find(network.bridge) is not None:
                    bridge.delete_cables(kernel, set(kernel.ports(network.bridge)) - leased)

    def close(self) -> None:
        """Leave the host as it was: no link, no packet filter, forwarding as before. Containers lose the network.

        The networks are still on record: the next :meth:`open` makes them again. What cannot be taken away (nft was
        removed meanwhile) is told in the log, and all else goes.
        """
        endpoints = self.store.endpoints()
        with self._lock, Netlink() as kernel:
            self._unplug(kernel, endpoints)
            if self._bridged():
                self._part_from_iptables([])
                with _going_on(f"the tables {self.filter.name} of nft may be left"):
                    self.filter.unload()
            for network in self._bridged():
                with _going_on(f"the link {network.bridge} may be left"):
                    bridge.unmake(kernel, network.bridge)
        self._forget(endpoints)

    # --------------------------------------------------------------------------------------------------- packet filter

    def mend_filter(self) -> bool:
        """After a firewall's reload, or the start of another Docker: load our rules again if they were taken away, and
        say to iptables what it has to know. True when something was missing."""
        with self._lock:
            if not self._bridged():
                return False
            if not self.filter.damaged():
                return self._befriend_iptables()
            self._load_filter()
            return True

    def _load_filter(self) -> None:
        if not self._bridged():
            return
        elements = [element for network in self._bridged() for element in filter.of_network(network)]
        by_container: dict[str, list[Endpoint]] = {}
        for endpoint in self.store.endpoints():
            by_container.setdefault(endpoint.container, []).append(endpoint)
        for container, endpoints in by_container.items():
            elements += self._elements(endpoints, self._publications.get(container, []))
        self.filter.load(elements)
        self._befriend_iptables()

    def _befriend_iptables(self) -> bool:
        return self.filter.befriend_iptables(network.bridge for network in self._bridged())

    def _part_from_iptables(self, remaining: Iterable[str]) -> None:
        """Of our rules there, those of the ``remaining`` bridges stay."""
        with _going_on("rules of ours may be left in the chain FORWARD of iptables"):
            self.filter.befriend_iptables(remaining)

    def _elements(self, endpoints: Sequence[Endpoint], publications: Sequence[Publication]) -> list[Element]:
        found = [element for endpoint in endpoints for element in filter.of_endpoint(endpoint)]
        target = sandbox.way_out(endpoints)
        return [*found, *ports.elements(publications, target), *ports.relayed(publications, target)]

    def _change_filter(self, before: Sequence[Element], after: Sequence[Element]) -> None:
        gone = [element for element in before if element not in after]
        new = [element for element in after if element not in before]
        if gone or new:
            self.filter.change(gone, new)

    # -------------------------------------------------------------------------------------------------------- networks

    def all(self) -> list[Network]:
        """Every network, the oldest first."""
        return self.store.networks()

    def get(self, name: str) -> Network:
        """By name, id, or the beginning of an id. Raises NoSuchNetwork, InvalidInput (several begin so)."""
        networks = self.store.networks()
        for network in networks:
            if name in (network.name, network.id):
                return network
        found = [network for network in networks if name and network.id.startswith(name)]
        if len(found) > 1:
            raise InvalidInput(f"network {name} is ambiguous ({len(found)} matches found based on ID prefix)")
        if not found:
            raise NoSuchNetwork(name)
        return found[0]

    @property
    def default(self) -> Network:
        """The network of whoever asks for none."""
        return self.get("bridge")

    def create(self, asked: NetworkCreate) -> Network:
        """A new network. Raises InvalidInput, Conflict, Forbidden and NotFound in Docker's words."""
        network = planning.check(asked)
        with self._lock, Netlink() as kernel:
            if any(network.name == other.name for other in self.store.networks()):
                raise Conflict(f"network with name {network.name} already exists")
            if network.driver == "bridge":
                filter.find_nft()
                network.bridge = network.options.get(options.BRIDGE_NAME) or f"br-{network.id[:12]}"
                if kernel.find(network.bridge) is not None:
                    raise Conflict(f"a link {network.bridge} exists: choose another name")
            else:
                child.check(kernel, network)
            free = partial(self._free_pool, kernel)
            network.pools = planning.pools_for(network, asked.ipam or Ipam(), self._taken(), free)
            self.store.save(network)
            try:
                self._make(kernel, network)
            except BaseException:
                self._unmake(kernel, network)
                raise
        return network

    def _taken(self) -> list[Subnet]:
        return [pool_of(pool).subnet for network in self.store.networks() for pool in network.pools]

    def _free_pool(self, kernel: Netlink, version: int) -> IpamPool:
        ours = [network.bridge for network in self._bridged()]
        here = kernel.networks(without=[*ours, self._default_bridge or ""])
        subnet = choose(self._pools, [*here, *self._taken()], version)
        return IpamPool(subnet=str(subnet), gateway=str(subnet[1]))

    def _make(self, kernel: Netlink, network: Network) -> None:
        if network.bridge:
            if not self.filter.loaded:
                self._load_filter()
            self.filter.change((), filter.of_network(network))
            self._befriend_iptables()
            bridge.make(kernel, network)

    def _unmake(self, kernel: Netlink, network: Network) -> None:
        self.store.delete(network)
        if network.bridge:
            bridge.unmake(kernel, network.bridge)
            self.store.left(network.bridge)
            if self.filter.loaded:
                self.filter.change(filter.of_network(network), ())
            self._part_from_iptables(network.bridge for network in self._bridged())
            if not self._bridged():
                self.filter.unload()

    def remove(self, network: Network) -> None:
        """Away with it. Raises Forbidden when containers are in it, or when it is one of the three."""
        if network.name in BUILT_IN:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        with self._lock, Netlink() as kernel:
            self._unmake(kernel, network)

    # ------------------------------------------------------------------------------------------------------- endpoints

    def endpoints(self, container: str) -> list[Endpoint]:
        """A container's places, in the order of joining."""
        return self.store.endpoints(container=container, ready=True)

    def members(self, network: Network) -> list[Endpoint]:
        """Who is in a network."""
        return self.store.endpoints(network=network.id, ready=True)

    def connect(
        self,
        container: str,
        pid: int,
        wishes: Sequence[Wish],
        publications: Iterable[Publication] | None = None,
        free: bool = False,
        tell: stages.Tell = stages.nobody,
    ) -> list[Endpoint]:
        """Give the network namespace of process ``pid`` an interface in each of these networks. All of it, or nothing.

        ``publications`` replace those that the container has; ``free``: it may send under any address; ``tell`` hears
        of each stage before its system calls. Raises Forbidden, InvalidInput (an address that cannot be had),
        MinidockError (none is free), SystemCallFailed.
        """
        before = self.endpoints(container)
        self._check_new(before, wishes)
        made: list[Endpoint] = []
        try:
            with Netlink() as kernel:
                for wish, interface in zip(wishes, _interfaces(before), strict=False):
                    made.append(self.store.take(container, wish, interface, bool(wish.network.bridge), free))
                    driver = bridge if wish.network.bridge else child
                    tell(stages.Plugging(wish.network, made[-1]))
                    driver.plug(kernel, wish.network, made[-1], pid)
            with self._lock:
                old = self._elements(before, self._publications.get(container, []))
                if publications is not None:
                    self._publications[container] = list(publications)
                    self.store.publish(container, self._publications[container])
                published = self._publications.get(container, [])
                everyone = [*before, *made]
                new = self._elements(everyone, published)
                if new != old:
                    held = any(filter.of_endpoint(endpoint) for endpoint in made)
                    tell(stages.Filtering(held, sandbox.way_out(everyone), tuple(published)))
                self._open_loopback(container, everyone)
                self._change_filter(old, new)
                flows.forget(published)
            tell(stages.Addressing(tuple(made), sandbox.way_out(everyone)))
            sysctls = {end.interface: wish.sysctls for end, wish in zip(made, wishes, strict=True)}
            sandbox.inside(pid, partial(sandbox.configure, made, everyone, sysctls))
            for endpoint in made:
                self.store.ready(endpoint)
        except BaseException:
            self._release(made)
            raise
        return made

    def _check_new(self, before: Sequence[Endpoint], wishes: Sequence[Wish]) -> None:
        there = {endpoint.network for endpoint in before}
        for wish in wishes:
            if wish.network.id in there:
                raise Forbidden(f"the container is in network {wish.network.name} already")

    def _open_loopback(self, container: str, endpoints: Sequence[Endpoint]) -> None:
        """The host's own 127.0.0.1 may lead over this bridge; what guards that is in the packet filter."""
        target = sandbox.way_out(endpoints)
        if target is None or not target.link or not ports.reaches_loopback(self._publications.get(container, [])):
            return
        link = self.store.network(target.network).bridge
        syscalls.write_file(f"/proc/sys/net/ipv4/conf/{link}/route_localnet", "1")

    def disconnect(self, container: str, network: Network, pid: int | None) -> None:
        """Unplug the container from one network, while it runs (``pid``) or not; its address is free."""
        all_of_it = self.endpoints(container)
        gone = [endpoint for endpoint in all_of_it if endpoint.network == network.id]
        others = [endpoint for endpoint in all_of_it if endpoint not in gone]
        self._release(gone)
        for endpoint in gone if pid is not None else ():
            sandbox.inside(pid, partial(sandbox.unplug, endpoint.interface, others))  # type: ignore[arg-type]

    def leave(self, container: str) -> None:
        """The container has ended: its cables, addresses and ports are nobody's. No error when it has none."""
        self._release(self.store.endpoints(container=container))

    def publications(self) -> dict[str, list[Publication]]:
        """By container."""
        with self._lock:
            return dict(self._publications)

    def _release(self, gone: Sequence[Endpoint]) -> None:
        """In this order: nobody may get an address while the old owner can still use it."""
        if not gone:
            return
        with Netlink() as kernel:
            self._unplug(kernel, gone)
        self._forget(gone)

    def _forget(self, gone: Sequence[Endpoint]) -> None:
        """Their addresses and ports are free again."""
        with self._lock:
            for container in {endpoint.container for endpoint in gone}:
                before = self.store.endpoints(container=container)
                after = [endpoint for endpoint in before if endpoint not in gone]
                published = self._publications.get(container, [])
                for endpoint in gone:
                    self.store.release(endpoint)
                if not after and published:
                    self._publications.pop(container, None)
                    self.store.publish(container, [])
                if self.filter.loaded:
                    self._change_filter(self._elements(before, published), self._elements(after, published))

    def _unplug(self, kernel: Netlink, gone: Sequence[Endpoint]) -> None:
        for endpoint in gone:
            if endpoint.link:
                bridge.unplug(kernel, endpoint)


@contextmanager
def _going_on(left: str) -> Iterator[None]:
    """A failure does not stop what is taken down: the log says what is ``left``."""
    try:
        yield
    except MinidockError as error:
        log.warning("%s: %s", left, error)


def _interfaces(before: Sequence[Endpoint]) -> Iterable[str]:
    taken = {endpoint.interface for endpoint in before}
    return (name for name in (f"eth{number}" for number in count()) if name not in taken)
