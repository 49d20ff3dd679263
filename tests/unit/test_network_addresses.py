"""Leases against a model, and the choice of a free subnet."""

from __future__ import annotations

import tempfile
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minidock.database import Database
from minidock.errors import Conflict, InvalidInput, KernelFeatureMissing
from minidock.networks.addresses import Leases, choose_pool, pools
from minidock.networks.bridge import Bridge, parse_gateway
from minidock.networks.sandbox import mac_of

containers = st.sampled_from("abcdefghij")
gateways = st.sampled_from(["10.0.0.1/29", "10.0.0.6/29", "10.0.0.3/29", "10.9.0.1/30"]).map(IPv4Interface)


class LeasesAgainstAModel(RuleBasedStateMachine):
    """Small networks that fill up, a daemon that is killed, a subnet that changes; the model is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "minidock.db"
        self.gateway = IPv4Interface("10.0.0.1/29")
        self.model: dict[str, IPv4Address] = {}
        self._open()
        self.leases.use(self.gateway)

    def _open(self) -> None:
        self.database = Database(self.path)
        self.leases = Leases(self.database, "b0")

    def _free(self) -> list[IPv4Address]:
        taken = {self.gateway.ip, *self.model.values()}
        return [address for address in self.gateway.network.hosts() if address not in taken]

    @rule(container=containers)
    def take(self, container: str) -> None:
        """The lowest free address, or Conflict when there is none."""
        if container in self.model:
            return
        free = self._free()
        if free:
            assert self.leases.take(container, f"veth{container}") == free[0]
            self.model[container] = free[0]
        else:
            with pytest.raises(Conflict, match="no free address"):
                self.leases.take(container, "veth")

    @rule(container=containers)
    def release(self, container: str) -> None:
        """Idempotent."""
        self.leases.release(container)
        self.model.pop(container, None)

    @rule(gateway=gateways)
    def use(self, gateway: IPv4Interface) -> None:
        """Leases outside the new network, or on its gateway's address, are dropped."""
        self.leases.use(gateway)
        self.gateway = gateway
        hosts = set(gateway.network.hosts()) - {gateway.ip}
        self.model = {name: address for name, address in self.model.items() if address in hosts}

    @precondition(lambda self: self.model)
    @rule()
    def kill_the_daemon(self) -> None:
        """Nothing is closed; another opens the same file."""
        self._open()

    @invariant()
    def agree(self) -> None:
        """What is listed is what the model says, in order, and another bridge's leases are not ours."""
        expected = sorted((address, name) for name, address in self.model.items())
        assert [(lease.address, lease.container) for lease in self.leases.all()] == expected
        assert self.leases.gateway == self.gateway
        assert all(lease.link == f"veth{lease.container}" for lease in self.leases.all())

    def teardown(self) -> None:
        """Close the last connection."""
        self.database.close()
        self.directory.cleanup()


LeasesAgainstAModel.TestCase.settings = settings(max_examples=20, stateful_step_count=25)
TestLeases = LeasesAgainstAModel.TestCase


def test_two_bridges_do_not_share_addresses(tmp_path: Path) -> None:
    """One file, two networks: each has all of its addresses."""
    database = Database(tmp_path / "db")
    one, other = Leases(database, "b0"), Leases(database, "b1")
    one.use(IPv4Interface("10.0.0.1/24"))
    other.use(IPv4Interface("10.0.0.1/24"))
    assert one.take("a", "v") == other.take("a", "v") == IPv4Address("10.0.0.2")
    assert [lease.container for lease in other.all()] == ["a"]
    assert one.find("b") is None


networks = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False),
    st.integers(int(IPv4Address("172.16.0.0")), int(IPv4Address("172.20.255.255"))),
    st.integers(12, 32),
)


@given(st.lists(networks, max_size=6))
def test_the_chosen_pool_overlaps_nothing(in_use: list[IPv4Network]) -> None:
    """It is the first of Docker's pools that is free, and its first address is the gateway."""
    chosen = choose_pool(in_use)
    assert not any(chosen.network.overlaps(network) for network in in_use)
    before = [pool for pool in pools() if pool < chosen.network]
    assert all(any(pool.overlaps(network) for network in in_use) for pool in before)
    assert chosen.ip == next(chosen.network.hosts())


def test_dockers_order() -> None:
    """172.17 first; the small ones last."""
    assert str(choose_pool([])) == "172.17.0.1/16"
    assert str(choose_pool([IPv4Network("172.16.0.0/12")])) == "192.168.0.1/20"


def test_no_pool_is_free() -> None:
    """The error says what to do."""
    with pytest.raises(KernelFeatureMissing, match="--bip"):
        choose_pool([IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16")])


def test_the_mac_comes_from_the_address() -> None:
    """As Docker derives it."""
    assert mac_of(IPv4Address("172.17.0.2")) == "02:42:ac:11:00:02"


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


@pytest.mark.parametrize("name", ["", "a/b", "..", "0bridge", "a" * 16, "a b", 'a"', "a\n"])
def test_a_name_that_no_bridge_can_have(tmp_path: Path, name: str) -> None:
    """It becomes a link, a path in /proc/sys and a word of a packet filter's script."""
    with pytest.raises(InvalidInput):
        Bridge(Database(tmp_path / "db"), name)
