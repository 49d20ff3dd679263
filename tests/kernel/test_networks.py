"""Networks on the real kernel: every test has a network namespace of its own as "the host"."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from textwrap import indent

import pytest

from minidock.database import Database
from minidock.errors import Conflict, KernelFeatureMissing, MinidockError, SystemCallFailed
from minidock.kernel import syscalls
from minidock.kernel.announce import Call, listen
from minidock.messages import Ipam, IpamPool, NetworkCreate
from minidock.networks import Wish, filter
from minidock.networks.netlink import Netlink
from minidock.networks.sandbox import inside
from tests.kernel.hosts import Bridge, Spawn, address, ip, links, listening, tables, talk, world

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("host")]

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def test_a_container_has_an_address_and_a_gateway(bridge: Bridge, spawn: Spawn) -> None:
    """As Docker would give them, IPv6 off, and the gateway answers."""
    pid = spawn()
    end = bridge.join("a", pid)
    assert (end.ipv4, end.gateway4) == ("172.17.0.2/16", "172.17.0.1")
    assert end.mac == "02:42:ac:11:00:02"
    shown = inside(pid, partial(ip, "-o", "addr"))
    assert "inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0" in shown
    assert "inet6 fe80" not in shown
    assert end.mac in inside(pid, partial(ip, "link", "show", "eth0"))
    assert inside(pid, partial(ip, "route")).startswith("default via 172.17.0.1 dev eth0")
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert talk(pid, server, str(bridge.gateway)) == "172.17.0.2"


def test_no_router_may_announce_itself(bridge: Bridge, spawn: Spawn) -> None:
    """Neither to the container nor to the host."""
    pid = spawn()
    bridge.join("a", pid)
    conf = Path("/proc/sys/net/ipv6/conf")
    assert (conf / "minidock0/accept_ra").read_text() == "0\n"
    assert inside(pid, (conf / "eth0/accept_ra").read_text) == "0\n"
    assert inside(pid, (conf / "eth0/disable_ipv6").read_text) == "1\n"


def test_two_containers_reach_each_other(bridge: Bridge, spawn: Spawn) -> None:
    """Through the bridge, under their own addresses."""
    one, other = spawn(), spawn()
    bridge.join("a", one)
    end = bridge.join("b", other)
    with listening(other) as server:
        assert talk(one, server, str(address(end))) == "172.17.0.2"


def test_the_way_out_wears_the_hosts_address(bridge: Bridge, spawn: Spawn) -> None:
    """The world sees the host, and its answers find back."""
    outside, pid = world(spawn), spawn()
    bridge.join("a", pid)
    with listening(outside) as server:
        assert talk(pid, server, "198.51.100.2") == "198.51.100.1"


def test_the_world_cannot_come_in(bridge: Bridge, spawn: Spawn) -> None:
    """Even when it knows the way; and it is our rule that stops it."""
    outside, pid = world(spawn), spawn()
    end = bridge.join("a", pid)
    inside(outside, partial(ip, "route", "add", str(bridge.subnet), "via", "198.51.100.1"))
    with listening(pid) as server:
        with pytest.raises(TimeoutError):
            talk(outside, server, str(address(end)), timeout=0.3)
        subprocess.run(["nft", "flush", "chain", "inet", "minidock0", "forward"], check=True)
        talk(outside, server, str(address(end)))


def test_a_subnet_in_use_is_avoided(database: Database) -> None:
    """An address of the host in 172.17 and a route to 172.18 leave 172.19."""
    ip("addr", "add", "172.17.5.1/24", "dev", "lo")
    ip("route", "add", "172.18.0.0/17", "dev", "lo")
    bridge = Bridge(database, "minidock0")
    bridge.open()
    assert str(bridge.subnet) == "172.19.0.0/16"
    bridge.close()


def test_eight_at_once(bridge: Bridge, spawn: Spawn) -> None:
    """Eight threads connect eight containers: eight addresses, and no thread, process or descriptor remains."""
    bridge.join("first", spawn())
    pids = [spawn() for _ in range(8)]
    descriptors, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda pid: bridge.join(str(pid), pid), pids))
    assert sorted(address(end) for end in ends) == [IPv4Address(f"172.17.0.{number}") for number in range(3, 11)]
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert threading.active_count() == threads


def test_disconnected_is_unreachable_and_its_address_free(bridge: Bridge, spawn: Spawn) -> None:
    """At once, though the namespace and its end of the cable live on; a second time is no error."""
    old, neighbour, new, visitor = spawn(), spawn(), spawn(), spawn()
    end = bridge.join("old", old)
    bridge.join("neighbour", neighbour)
    bridge.leave("old")
    bridge.leave("old")
    with listening(old) as server, pytest.raises(OSError, match=r"timed out|No route"):
        talk(neighbour, server, str(address(end)), timeout=0.2)
    assert address(bridge.join("new", new)) == address(end)
    # By somebody who did not just learn that nobody answers there: the neighbour asks again only after a second.
    bridge.join("visitor", visitor)
    with listening(new) as server:
        talk(visitor, server, str(address(end)))


def test_the_cable_goes_with_the_namespace(bridge: Bridge) -> None:
    """When nobody is left in the namespace the kernel removes both ends by itself."""
    with subprocess.Popen(["sleep", "1000"], preexec_fn=partial(syscalls.unshare, syscalls.CLONE_NEWNET)) as init:
        bridge.join("a", init.pid)
        init.kill()
    bridge.leave("a")
    deadline = time.monotonic() + 10
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as events:
        events.bind((0, 1))  # RTMGRP_LINK: the kernel tells of every change of a link
        events.settimeout(0.2)
        while links() != ["lo", "minidock0"] and time.monotonic() < deadline:
            try:
                events.recv(65536)
            except TimeoutError:
                continue  # it was told before we listened
    assert links() == ["lo", "minidock0"]


def test_a_failed_connect_leaves_nothing(bridge: Bridge, spawn: Spawn) -> None:
    """The container died meanwhile."""
    with subprocess.Popen(["true"]) as dead:
        pass
    with pytest.raises(SystemCallFailed, match="RTM_NEWLINK"):
        bridge.join("a", dead.pid)
    assert links() == ["lo", "minidock0"]
    assert str(address(bridge.join("b", spawn()))) == "172.17.0.2"


def test_a_second_eth0_is_refused_and_its_cable_removed(bridge: Bridge, spawn: Spawn) -> None:
    """A namespace that has an eth0 already keeps it."""
    pid = spawn()
    first = bridge.join("a", pid)
    with pytest.raises(SystemCallFailed, match="File exists"):
        bridge.join("b", pid)
    assert len(links()) == 3
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert talk(pid, server, str(bridge.gateway)) == str(address(first))


def test_the_next_daemon_finds_everything(bridge: Bridge, database: Database, spawn: Spawn) -> None:
    """After a crash: who lives stays connected, who is dead is swept, and so is a cable that nobody leases."""
    alive, dead, third = spawn(), spawn(), spawn()
    kept = bridge.join("alive", alive)
    bridge.join("dead", dead)
    with Netlink() as kernel:
        kernel.add_veth("vethlost", "minidock0", "eth0", third, "02:42:ac:11:00:09")
    ip("link", "add", "tap0", "type", "veth", "peer", "tap1")
    ip("link", "set", "tap0", "master", "minidock0")
    successor = Bridge(database, "minidock0")
    successor.open()
    successor.sweep({"alive": ["bridge"]})
    remaining = links()
    assert "vethlost" not in remaining
    assert "tap0" in remaining  # not ours
    assert len([name for name in remaining if name.startswith("veth")]) == 1
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert talk(alive, server, str(successor.gateway)) == str(address(kept))
    assert str(address(successor.join("new", third))) == "172.17.0.3"
    ip("link", "del", "tap0")


def test_killed_at_any_moment(bridge: Bridge, database: Database, tmp_path: Path, spawn: Spawn) -> None:
    """A process that connects and disconnects as fast as it can is killed; the next one sweeps and goes on."""
    pid = spawn()
    for attempt in range(6):
        child = os.fork()
        if child == 0:
            try:
                own = Bridge(Database(tmp_path / "minidock.db"), "minidock0")
                while True:
                    own.join("a", pid)
                    own.leave("a")
                    inside(pid, partial(ip, "link", "del", "eth0"))
            finally:
                os._exit(1)
        time.sleep(random.Random(attempt).uniform(0.005, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        successor = Bridge(database, "minidock0")
        successor.open()
        successor.sweep({})
        assert [name for name in links() if name.startswith("veth")] == []
        assert str(address(successor.join("b", pid))) == "172.17.0.2"
        successor.leave("b")
        successor.sweep({})


def test_close_leaves_nothing(database: Database, spawn: Spawn) -> None:
    """No link, no packet filter, forwarding as before, though a container is still connected."""
    bridge = Bridge(database, "minidock0")
    bridge.open()
    assert IP_FORWARD.read_text() == "1\n"
    bridge.join("a", spawn())
    bridge.close()
    bridge.close()
    assert links() == ["lo"]
    assert tables() == ""
    assert IP_FORWARD.read_text() == "0\n"


def test_close_without_nft(
    database: Database, spawn: Spawn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Removed meanwhile: its tables stay, which is told; links and forwarding go, and the next daemon has it all."""
    bridge = Bridge(database, "minidock0")
    bridge.open()
    network = bridge.create(NetworkCreate(name="other"))
    bridge.join("a", spawn())
    bridge.connect("b", spawn(), [Wish(network=network)])
    with monkeypatch.context() as patched:
        patched.setattr(filter, "MORE_PLACES", "")
        patched.setenv("PATH", "")
        bridge.close()
    assert "the tables minidock0 of nft may be left: " in caplog.text and "apt install nftables" in caplog.text
    assert links() == ["lo"] and "minidock0" in tables()
    assert IP_FORWARD.read_text() == "0\n"
    assert not bridge.endpoints("a") and not bridge.endpoints("b")
    bridge.open()
    assert str(address(bridge.join("c", spawn()))) == "172.17.0.2"
    bridge.close()
    assert links() == ["lo"] and tables() == ""


def test_forwarding_lasts_as_long_as_the_last_bridge(database: Database, tmp_path: Path) -> None:
    """Two daemons: the first to go does not take it away from the second."""
    one, other = Bridge(database, "minidock0"), Bridge(Database(tmp_path / "other.db"), "minidock1", "10.77.0.1/24")
    one.open()
    other.open()
    one.close()
    assert IP_FORWARD.read_text() == "1\n"
    other.close()
    assert IP_FORWARD.read_text() == "0\n"


def test_opening_again_mends_what_is_missing(bridge: Bridge, spawn: Spawn) -> None:
    """Somebody flushed the packet filter and took the address; whoever is connected stays so."""
    pid, outside = spawn(), world(spawn)
    bridge.join("a", pid)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    ip("addr", "flush", "dev", "minidock0")
    bridge.open()
    with listening(outside) as server:
        assert talk(pid, server, "198.51.100.2") == "198.51.100.1"


def test_another_subnet(bridge: Bridge, database: Database, spawn: Spawn) -> None:
    """With --bip changed, the next containers are in the new network."""
    moved = Bridge(database, "minidock0", "10.66.0.0/24")
    moved.open()
    assert "inet 10.66.0.1/24" in ip("addr", "show", "minidock0")
    assert "172.17" not in ip("addr", "show", "minidock0")
    assert str(address(moved.join("a", spawn()))) == "10.66.0.2"
    reopened = Bridge(database, "minidock0")
    reopened.open()
    assert str(reopened.gateway) == "10.66.0.1"


@pytest.mark.parametrize("kind", ["veth", "bridge"])
def test_somebody_elses_link(database: Database, kind: str) -> None:
    """It is not touched."""
    ip("link", "add", "minidock0", "type", kind)
    before = ip("link", "show", "minidock0")
    with pytest.raises(Conflict, match="--bridge"):
        Bridge(database, "minidock0").open()
    assert ip("link", "show", "minidock0") == before
    assert tables() == ""


def test_without_nft(database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says how to get it, and nothing was made."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(filter, "MORE_PLACES", "")
    with pytest.raises(KernelFeatureMissing, match="apt install nftables"):
        Bridge(database, "minidock0").open()
    assert links() == ["lo"]


def test_a_listener_knows_for_whom(bridge: Bridge, spawn: Spawn) -> None:
    """Two connects at once in two threads: a context variable tells their calls apart, inside the namespaces too."""
    container: ContextVar[str] = ContextVar("container")
    told: dict[str, list[str]] = {"a": [], "b": []}
    pids = [spawn(), spawn()]

    def connect(name: str, pid: int) -> None:
        container.set(name)
        bridge.join(name, pid)

    with listen(lambda call: told[container.get()].append(call.name)), ThreadPoolExecutor(2) as pool:
        list(pool.map(connect, "ab", pids))
    made = [name for name in told["a"] if name.startswith("RTM_")]
    assert made == ["RTM_NEWLINK", "RTM_SETLINK", "RTM_NEWADDR", "RTM_NEWLINK", "RTM_NEWROUTE"]
    assert told["a"] == told["b"]


def test_what_is_announced_does_the_same_in_a_shell(database: Database, spawn: Spawn) -> None:
    """Every command that --explain would show, typed into another host's shell, gives the same addresses and rules."""
    calls: list[Call] = []
    pid, twin, twin_host = spawn(), spawn(), spawn()
    inside(twin_host, partial(ip, "link", "set", "lo", "up"))
    bridge = Bridge(database, "minidock0")
    with listen(calls.append):
        bridge.open()
        bridge.join("a", pid)
    here = next(number for number, call in enumerate(calls) if call.name == "setns")
    for number, call in enumerate(calls):
        where = twin_host if number < here else twin
        command = indent(call.shell, "    ").replace(f"netns {pid}", f"netns {twin}")  # as it is printed
        subprocess.run(["nsenter", "-n", "-t", str(where), "sh", "-ec", command or "true"], check=True)
    for original, copy in ((None, twin_host), (pid, twin)):
        for words in (["addr", "show", "scope", "global"], ["-4", "route"]):
            show = partial(ip, "-br", *words) if words[0] == "addr" else partial(ip, *words)
            expected = inside(original, show) if original else show()
            assert sorted(inside(copy, show).replace(" proto static", "").splitlines()) == sorted(
                expected.replace(" proto static", "").splitlines()
            )
    rules = ["nft", "list", "ruleset"]
    copied = subprocess.run(["nsenter", "-n", "-t", str(twin_host), *rules], capture_output=True, check=True).stdout
    assert copied == subprocess.run(rules, capture_output=True, check=True).stdout
    bridge.close()


def kernel_has(kind: str) -> bool:
    """Asked in a network namespace of the moment."""
    script = f"ip link add x type veth peer y && ip link add link x name z type {kind}"
    return subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True).returncode == 0


# Not every kernel has ipvlan; that of the guest has.
@pytest.mark.parametrize("driver", [kind for kind in ("macvlan", "ipvlan") if kind == "macvlan" or kernel_has(kind)])
def test_a_neighbour_in_the_hosts_own_network(bridge: Bridge, spawn: Spawn, driver: str) -> None:
    """The world sees the container under its own address; it goes with its namespace."""
    outside, pid = world(spawn), spawn()
    ipam = Ipam(config=[IpamPool(subnet="198.51.100.0/24", gateway="198.51.100.2")])
    asked = NetworkCreate(name="mv", driver=driver, options={"parent": "uplink"}, ipam=ipam)
    network = bridge.create(asked)
    end = bridge.connect("a", pid, [Wish(network=network, ipv4="198.51.100.7")])[0]
    with listening(outside) as server:
        assert talk(pid, server, "198.51.100.2") == "198.51.100.7"
    assert driver in inside(pid, partial(ip, "-d", "link", "show", "eth0"))
    assert (end.mac in inside(pid, partial(ip, "link", "show", "eth0"))) == (driver == "macvlan")
    assert inside(pid, partial(ip, "route", "show", "default")).startswith("default via 198.51.100.2")
    bridge.leave("a")
    bridge.remove(network)


@pytest.mark.parametrize(
    ("driver", "parent", "message"),
    [
        ("macvlan", "lo", "loopback interface is not a valid macvlan parent link"),
        ("macvlan", "nosuch0", "there is no such link"),
        ("macvlan", "", "name one with --opt parent=LINK"),
    ],
)
def test_a_parent_that_cannot_be(bridge: Bridge, driver: str, parent: str, message: str) -> None:
    """And nothing is on record."""
    asked = NetworkCreate(name="mv", driver=driver, options={"parent": parent} if parent else None)
    with pytest.raises(MinidockError) as caught:
        bridge.create(asked)
    assert message in str(caught.value)
    assert [network.name for network in bridge.all()] == ["bridge", "host", "none"]


def test_a_network_of_a_given_bridge_name(bridge: Bridge) -> None:
    """A link that is there already is not touched; IPv6 forwarding is on as long as it is needed."""
    forwarding = Path("/proc/sys/net/ipv6/conf/all/forwarding")
    before = forwarding.read_text()
    ip("link", "add", "mine", "type", "veth")
    with pytest.raises(Conflict, match="a link mine exists"):
        bridge.create(NetworkCreate(name="a", options={"com.docker.network.bridge.name": "mine"}))
    asked = NetworkCreate(name="a", enable_ipv6=True, options={"com.docker.network.bridge.name": "ours"})
    network = bridge.create(asked)
    assert "ours" in links() and forwarding.read_text() == "1\n"
    bridge.remove(network)
    assert "ours" not in links() and forwarding.read_text() == before
