"""Addresses against a model, the choice of a free subnet, and what cannot be meant."""

from __future__ import annotations

import tempfile
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from minidock.database import Database
from minidock.errors import Conflict, Forbidden, InvalidInput, MinidockError, NoSuchNetwork, NotFound
from minidock.messages import IpamPool
from minidock.networks import Network, Wish
from minidock.networks.addresses import (
    DOCKERS_POOLS,
    Address,
    check_mac,
    choose,
    local_pool,
    mac_of,
    parse_gateway,
    parse_pools,
    pool_of,
)
from minidock.networks.store import Store

containers = st.sampled_from("abcdefghij")
POOLS = {
    "small": [IpamPool(subnet="10.0.0.0/29"), IpamPool(subnet="fd00::/125")],
    "part": [
        IpamPool(
            subnet="10.1.0.0/24", ip_range="10.1.0.8/30", gateway="10.1.0.9", auxiliary_addresses={"a": "10.1.0.8"}
        )
    ],
    "six": [IpamPool(subnet="fd01::/126")],
}
wanted = st.sampled_from(["", "", "10.0.0.3", "10.1.0.77", "10.1.0.9", "10.1.0.8", "10.9.9.9", "10.0.0.7"])


class LeasesAgainstAModel(RuleBasedStateMachine):
    """Small networks that fill up, and a daemon that is killed; the model is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "minidock.db"
        self.model: dict[tuple[str, str], tuple[str, str]] = {}
        self.networks = {name: Network(id=name, name=name, driver="bridge", pools=POOLS[name]) for name in POOLS}
        self._open()
        for network in self.networks.values():
            self.store.save(network)

    def _open(self) -> None:
        self.database = Database(self.path)
        self.store = Store(self.database)

    def _free(self, network: Network, version: int) -> list[Address]:
        pool = network.pool(version)
        if pool is None:
            return []
        first = 1 if pool.part[0] == pool.subnet[0] else 0
        last = 1 if version == 4 and pool.part[-1] == pool.subnet[-1] else 0
        inside = [pool.part[index] for index in range(first, pool.part.num_addresses - last)]
        held = {
            ip_interface(text).ip
            for (name, _), pair in self.model.items()
            if name == network.name
            for text in pair
            if text
        }
        return [address for address in inside if address not in {pool.gateway.ip, *pool.reserved, *held}]

    @rule(name=st.sampled_from(sorted(POOLS)), container=containers, ipv4=wanted)
    def take(self, name: str, container: str, ipv4: str) -> None:
        """The lowest free address, or the one that is wished for, or an error and nothing changed."""
        network = self.networks[name]
        pool4 = network.pool(4)
        if (name, container) in self.model or (ipv4 and pool4 is None):
            return
        held = {ip_interface(pair[0]).ip for (other, _), pair in self.model.items() if other == name and pair[0]}
        free4, free6 = self._free(network, 4), self._free(network, 6)
        expected: list[Address | None] = [free4[0] if free4 else None, free6[0] if free6 else None]
        refused: type[MinidockError] | None = None
        if ipv4 and pool4 is not None:
            expected[0] = ip_address(ipv4)
            if expected[0] not in pool4.subnet:
                refused = InvalidInput
            elif expected[0] in {*held, *pool4.reserved, pool4.gateway.ip}:
                refused = Forbidden
        if refused is None and any(network.pool(v) and not expected[i] for i, v in enumerate((4, 6))):
            refused = MinidockError
        wish = Wish(network=network, ipv4=ipv4)
        if refused is not None:
            with pytest.raises(refused):
                self.store.take(container, wish, "eth0", True, False)
            return
        endpoint = self.store.take(container, wish, "eth0", True, False)
        assert [str(ip_interface(text).ip) if text else None for text in (endpoint.ipv4, endpoint.ipv6)] == [
            str(address) if address else None for address in expected
        ]
        self.model[name, container] = (endpoint.ipv4, endpoint.ipv6)

    @rule(container=containers)
    def release(self, container: str) -> None:
        """Idempotent."""
        for endpoint in self.store.endpoints(container=container):
            self.store.release(endpoint)
            self.store.release(endpoint)
        self.model = {key: pair for key, pair in self.model.items() if key[1] != container}

    @rule()
    def kill_the_daemon(self) -> None:
        """Nothing is closed; another opens the same file."""
        self._open()

    @rule(name=st.sampled_from(sorted(POOLS)))
    def remove_the_network(self, name: str) -> None:
        """Only when nobody is in it; then it can be made again."""
        if any(key[0] == name for key in self.model):
            with pytest.raises(Forbidden, match="has active endpoints"):
                self.store.delete(self.networks[name])
        else:
            self.store.delete(self.networks[name])
            with pytest.raises(NoSuchNetwork):
                self.store.take("z", Wish(network=self.networks[name]), "eth0", True, False)
            self.store.save(self.networks[name])

    @invariant()
    def agree(self) -> None:
        """What is listed is what the model says."""
        listed = {(end.network, end.container): (end.ipv4, end.ipv6) for end in self.store.endpoints()}
        assert listed == self.model

    def teardown(self) -> None:
        """Close the last connection."""
        self.database.close()
        self.directory.cleanup()


LeasesAgainstAModel.TestCase.settings = settings(max_examples=20, stateful_step_count=25)
TestLeases = LeasesAgainstAModel.TestCase


def test_one_name_one_network(tmp_path: Path) -> None:
    """The database itself refuses a second."""
    store = Store(Database(tmp_path / "db"))
    store.save(Network(id="1", name="a", driver="bridge"))
    with pytest.raises(Conflict, match="network with name a already exists"):
        store.save(Network(id="2", name="a", driver="bridge"))


networks = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False),
    st.integers(int(IPv4Address("172.16.0.0")), int(IPv4Address("172.20.255.255"))),
    st.integers(12, 32),
)


@given(st.lists(networks, max_size=6))
def test_the_chosen_pool_overlaps_nothing(in_use: list[IPv4Network]) -> None:
    """It is the first of Docker's pools that is free."""
    pools = parse_pools(DOCKERS_POOLS)
    chosen = choose(pools, in_use)
    assert isinstance(chosen, IPv4Network)
    assert not any(chosen.overlaps(network) for network in in_use)
    before = [base for base, size in pools if base.prefixlen == size and int(base[0]) < int(chosen[0])]
    assert all(any(base.overlaps(network) for network in in_use) for base in before)


def test_dockers_order() -> None:
    """172.17 first; the small ones last; a large base is cut into networks of the size."""
    assert str(choose(parse_pools(DOCKERS_POOLS), [])) == "172.17.0.0/16"
    assert str(choose(parse_pools(DOCKERS_POOLS), [ip_network("172.16.0.0/12")])) == "192.168.0.0/20"
    assert str(choose(parse_pools(["base=10.9.0.0/16,size=24"]), [ip_network("10.9.0.0/24")])) == "10.9.1.0/24"


def test_no_pool_is_free() -> None:
    """In Docker's words."""
    with pytest.raises(NotFound, match="could not find an available, non-overlapping IPv4 address pool"):
        choose(parse_pools(DOCKERS_POOLS), [ip_network("172.16.0.0/12"), ip_network("192.168.0.0/16")])


def test_ipv6_without_a_subnet_is_local_and_the_hosts_own() -> None:
    """RFC 4193: fd and 40 bits that another host will not have."""
    here, there = (choose([local_pool(seed)], [], 6) for seed in ("/var/lib/a", "/var/lib/b"))
    assert here != there
    assert here.subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]
    assert here.prefixlen == 64


@pytest.mark.parametrize("text", ["", "base=10.0.0.0/8", "base=10.0.0.0/24,size=16", "base=x,size=24", "10.0.0.0/8"])
def test_a_pool_that_is_none(text: str) -> None:
    """The error shows how."""
    with pytest.raises(InvalidInput, match="invalid default-address-pool"):
        parse_pools([text])


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (IpamPool(subnet="10.51.0.0"), "Invalid subnet 10.51.0.0 : invalid CIDR address: 10.51.0.0"),
        (IpamPool(gateway="10.60.0.1"), "Invalid subnet  : invalid CIDR address: "),
        (IpamPool(subnet="10.1.0.0/24", gateway="10.2.0.1"), "failed to allocate gateway (10.2.0.1): Requested"),
        (IpamPool(subnet="10.1.0.0/24", gateway="x"), "invalid gateway address x in Ipam configuration"),
        (IpamPool(subnet="10.1.0.0/24", ip_range="10.2.0.0/25"), "no matching subnet for range 10.2.0.0/25"),
        (IpamPool(subnet="10.1.0.0/31"), "No available addresses on this pool"),
        (IpamPool(subnet="10.1.0.0/24", auxiliary_addresses={"a": "10.9.0.1"}), "must belong to the master pool"),
        (IpamPool(subnet="10.1.0.0/24", auxiliary_addresses={"a": "10.1.0.1"}), "(a:10.1.0.1): Address already in use"),
    ],
)
def test_a_subnet_that_cannot_be(pool: IpamPool, message: str) -> None:
    """In Docker's words."""
    with pytest.raises(MinidockError) as caught:
        pool_of(pool)
    assert message in str(caught.value)


def test_the_mac_comes_from_the_address() -> None:
    """As Docker derives it."""
    assert mac_of(IPv4Address("172.17.0.2")) == "02:42:ac:11:00:02"


@pytest.mark.parametrize("text", ["", "02:42", "01:42:ac:11:00:02", "02:42:ac:11:00:0g", "02:42:ac:11:00:02\n"])
def test_a_mac_that_is_none(text: str) -> None:
    """Too short, of a group, no number."""
    with pytest.raises(InvalidInput, match="invalid MAC address"):
        check_mac(text)


@pytest.mark.parametrize(
    ("text", "gateway"),
    [("172.20.0.5/16", "172.20.0.5/16"), ("172.20.0.0/16", "172.20.0.1/16"), ("10.0.0.0/30", "10.0.0.1/30")],
)
def test_bip(text: str, gateway: str) -> None:
    """An address is the bridge's; of a network it is the first."""
    assert str(parse_gateway(text)) == gateway


@pytest.mark.parametrize("text", ["", "172.20.0.1", "172.20.0.1/31", "fd00::1/64", "300.0.0.1/16", "172.20.0.1/4", "x"])
def test_a_bip_that_is_none(text: str) -> None:
    """Without a length, too long, too short, IPv6, nonsense."""
    with pytest.raises(InvalidInput, match="invalid subnet"):
        parse_gateway(text)
