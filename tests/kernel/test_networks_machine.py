"""Networks, containers and crashes in any order, on the real kernel: links equal records, nothing leaks or collides."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from minidock.database import Database
from minidock.errors import MinidockError, NoSuchNetwork
from minidock.kernel import announce, syscalls
from minidock.messages import Ipam, IpamPool, NetworkCreate
from minidock.networks import Endpoint, Networks, Publication, Wish
from minidock.networks.sandbox import inside

pytestmark = pytest.mark.root

CONTAINERS = ["a", "b", "c"]
SUBNETS = {
    "bridge": "10.1.0.0/29",
    "red": "10.2.0.0/29",
    "blue": "10.3.0.0/30",
    "overlap": "10.2.0.0/28",
    "six": "10.4.0.0/24",
}
names = st.sampled_from(sorted(SUBNETS))
containers = st.sampled_from(CONTAINERS)
wanted = st.sampled_from(["", "", "10.2.0.3", "10.2.0.9"])


class NetworksAgainstTheKernel(RuleBasedStateMachine):
    """One host, one daemon that is killed and comes again, three containers."""

    def __init__(self) -> None:
        super().__init__()
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        syscalls.unshare(syscalls.CLONE_NEWNET)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.directory = tempfile.TemporaryDirectory()
        self.processes = {name: self._process() for name in CONTAINERS}
        self.numbers = count(8000)
        self.networks = self._daemon()
        self.networks.open()

    def _process(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "1000"], preexec_fn=partial(syscalls.unshare, syscalls.CLONE_NEWNET))

    def _daemon(self) -> Networks:
        self.database = Database(Path(self.directory.name) / "db")
        return Networks(self.database, "machine", "md0", "10.1.0.1/29")

    def _create(self, networks: Networks, name: str) -> None:
        pools = [IpamPool(subnet=SUBNETS[name])] + ([IpamPool(subnet="fd04::/120")] if name == "six" else [])
        networks.create(NetworkCreate(name=name, ipam=Ipam(config=pools), enable_ipv6=name == "six"))

    def _connect(self, networks: Networks, container: str, name: str, ipv4: str = "") -> None:
        ports = [Publication(host_ip="0.0.0.0", host_port=next(self.numbers), protocol="tcp", port=80)]
        wish = Wish(network=networks.get(name), ipv4=ipv4 if name == "red" else "")
        networks.connect(container, self.processes[container].pid, [wish], ports)

    def _disconnect(self, networks: Networks, container: str, name: str) -> None:
        networks.disconnect(container, networks.get(name), self.processes[container].pid)

    @rule(name=names)
    def create(self, name: str) -> None:
        """Made, or refused: it exists, or it overlaps another."""
        there = {network.name for network in self.networks.all()}
        overlaps = {"red": "overlap", "overlap": "red"}.get(name) in there
        try:
            self._create(self.networks, name)
            assert name not in there and not overlaps
        except MinidockError:
            assert name in there or overlaps or name == "bridge"

    @rule(name=names)
    def remove(self, name: str) -> None:
        """Gone, or refused: somebody is in it, or it is the default."""
        with contextlib.suppress(NoSuchNetwork):
            network = self.networks.get(name)
            used = bool(self.networks.members(network)) or name == "bridge"
            try:
                self.networks.remove(network)
                assert not used
            except MinidockError:
                assert used

    @rule(container=containers, name=names, ipv4=wanted)
    def connect(self, container: str, name: str, ipv4: str) -> None:
        """In it afterwards; or refused, and as before."""
        before = self.networks.store.endpoints()
        try:
            self._connect(self.networks, container, name, ipv4)
            assert len(self.networks.store.endpoints()) == len(before) + 1
        except MinidockError:
            assert self.networks.store.endpoints() == before

    @rule(container=containers, name=names)
    def disconnect(self, container: str, name: str) -> None:
        """Not in it afterwards, whether it was or not."""
        with contextlib.suppress(NoSuchNetwork):
            self._disconnect(self.networks, container, name)
            assert name not in [self._name(end) for end in self.networks.endpoints(container)]

    def _name(self, endpoint: Endpoint) -> str:
        return self.networks.store.network(endpoint.network).name

    @rule(container=containers)
    def end(self, container: str) -> None:
        """The container ends, and another begins."""
        self.processes[container].kill()
        self.processes[container].wait()
        self.networks.leave(container)
        assert self.networks.store.endpoints(container=container) == []
        self.processes[container] = self._process()

    @rule(
        after=st.integers(0, 6),
        what=st.sampled_from(["create", "connect", "disconnect", "remove"]),
        container=containers,
        name=names,
    )
    def crash(self, after: int, what: str, container: str, name: str) -> None:
        """The daemon is killed after so many of its requests to the kernel; the next one makes it right."""
        before = set(self.networks.store.endpoints())
        self._die(after, what, container, name)
        self.networks = self._daemon()
        self.networks.open()
        everywhere = [network.name for network in self.networks.all()]
        self.networks.sweep(dict.fromkeys(CONTAINERS, everywhere))
        changed = set(self.networks.store.endpoints()) ^ before
        assert {(end.container, self._name(end)) for end in changed} <= {(container, name)}
        # What was taken away half-way is taken away whole inside the container too, as its record would ask for.
        for end in before - set(self.networks.store.endpoints()):
            inside(self.processes[container].pid, partial(_delete, end.interface))

    def _die(self, after: int, what: str, container: str, name: str) -> None:
        child = os.fork()
        if child == 0:
            try:
                calls = count()
                networks = self._daemon()
                networks.open()
                operation: dict[str, Callable[[], None]] = {
                    "create": lambda: self._create(networks, name),
                    "connect": lambda: self._connect(networks, container, name),
                    "disconnect": lambda: self._disconnect(networks, container, name),
                    "remove": lambda: networks.remove(networks.get(name)),
                }
                with announce.listen(lambda _: os._exit(1) if next(calls) >= after else None):
                    operation[what]()
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    def _end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.networks.close()
        assert {link["ifname"] for link in _links() if "UP" in link["flags"]} == {"lo"}
        assert subprocess.run(["nft", "list", "tables"], capture_output=True).stdout == b""
        assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "0\n"
        self.database.close()

    @rule()
    def restart(self) -> None:
        """The daemon is told to end, and every container with it: nothing is left; the next one makes the networks."""
        known = self.networks.all()
        self._end()
        self.processes = {name: self._process() for name in CONTAINERS}
        self.networks = self._daemon()
        self.networks.open()
        assert self.networks.all() == known
        assert self.networks.store.endpoints() == []

    @rule()
    def somebody_flushes_the_rules(self) -> None:
        """They are put back."""
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        assert self.networks.mend_filter()

    @invariant()
    def links_equal_records(self) -> None:
        """On the host a bridge a network and a cable an endpoint; inside, the interfaces with their addresses."""
        networks = {network.id: network for network in self.networks.all() if network.bridge}
        endpoints = self.networks.store.endpoints()
        shown = _links()
        cables = {link["ifname"]: link.get("master") for link in shown if link["ifname"].startswith("veth")}
        up = {name for name, link in ((link["ifname"], link) for link in shown) if "UP" in link["flags"]}
        # One that is switched off goes with the container's namespace.
        assert {name: bridge for name, bridge in cables.items() if name in up} == {
            end.link: networks[end.network].bridge for end in endpoints
        }
        bridges = {link["ifname"] for link in shown if link.get("linkinfo", {}).get("info_kind") == "bridge"}
        assert bridges == {network.bridge for network in networks.values()}
        for container in CONTAINERS:
            expected = {
                end.interface: sorted(str(address) for address in end.addresses)
                for end in endpoints
                if end.container == container
            }
            assert inside(self.processes[container].pid, _interfaces) == expected

    @invariant()
    def rules_equal_records(self) -> None:
        """The packet filter knows exactly those that are there."""
        known = {(link, address) for link, address in _elements("bridge", "genuine4")}
        endpoints = self.networks.store.endpoints()
        assert known == {(end.link, end.ipv4.partition("/")[0]) for end in endpoints}
        published = [item["concat"][1] for item, _ in _elements("inet", "everywhere4")]
        assert len(published) == len({end.container for end in endpoints})

    def teardown(self) -> None:
        """Everything goes; the host is as it was."""
        self._end()
        self.directory.cleanup()
        syscalls.setns(self.before, syscalls.CLONE_NEWNET)
        os.close(self.before)


def _links() -> list[dict[str, Any]]:
    shown = subprocess.run(["ip", "-j", "-d", "link"], check=True, capture_output=True)
    links: list[dict[str, Any]] = json.loads(shown.stdout)
    return links


def _interfaces() -> dict[str, list[str]]:
    shown = json.loads(subprocess.run(["ip", "-j", "addr"], check=True, capture_output=True).stdout)
    return {
        link["ifname"]: sorted(
            f"{address['local']}/{address['prefixlen']}" for address in link["addr_info"] if address["scope"] != "link"
        )
        for link in shown
        if link["ifname"] != "lo"
    }


def _elements(family: str, name: str) -> list[tuple[Any, ...]]:
    words = ["nft", "-j", "list", "set" if name.startswith("genuine") else "map", family, "md0", name]
    document = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    kind = "set" if name.startswith("genuine") else "map"
    found = next(item[kind] for item in document["nftables"] if kind in item).get("elem", [])
    return [tuple(item["concat"]) if isinstance(item, dict) else tuple(item) for item in found]


def _delete(interface: str) -> None:
    subprocess.run(["ip", "link", "del", interface], capture_output=True)


def test_networks_against_the_kernel() -> None:
    """Whatever happens, in whatever order."""
    run_state_machine_as_test(NetworksAgainstTheKernel, settings=settings(max_examples=8, stateful_step_count=20))
