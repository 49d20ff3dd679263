"""Who reaches whom: published ports, isolation, spoofing; on the real kernel, each test on a host of its own."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from minidock.database import Database
from minidock.errors import MinidockError
from minidock.messages import Ipam, IpamPool, NetworkCreate
from minidock.networks import Ask, Network, Publication, Wish, options, ports, watch
from minidock.networks.filter import find_nft
from minidock.networks.sandbox import inside
from tests.kernel.hosts import Bridge, Spawn, ip, listening, world
from tests.peers import dockerd

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("host")]

DROPPED = 0.3
"""Seconds after which a packet that was to be dropped has been dropped."""
PATIENCE = 5.0
"""Seconds for one that should arrive."""


@pytest.fixture(params=["0", "1"], ids=["frames alone", "frames through the packet filter"])
def bridged_frames(request: pytest.FixtureRequest) -> str:
    """With and without br_netfilter, which shows frames on a bridge to the packet filter too; hosts differ."""
    setting = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not setting.exists() and request.param == "1":
        pytest.skip("no br_netfilter: modprobe br_netfilter")
    for name in ("iptables", "ip6tables"):
        if setting.exists():
            setting.with_name(f"bridge-nf-call-{name}").write_text(request.param)
    return str(request.param)


def publication(host_ip: str = "0.0.0.0", host_port: int = 8080, port: int = 80, protocol: str = "tcp") -> Publication:
    """What ``-p`` asks for."""
    return Publication(host_ip=host_ip, host_port=host_port, port=port, protocol=protocol)


def create(networks: Bridge, name: str, *subnets: str, **more: object) -> Network:
    """A user-defined network."""
    ipam = Ipam(config=[IpamPool(subnet=subnet) for subnet in subnets])
    return networks.create(NetworkCreate(name=name, ipam=ipam, **more))  # type: ignore[arg-type]


def says(server: socket.socket, caller: int | None, address: str, port: int, patience: float = PATIENCE) -> str | None:
    """From ``caller`` (None: the host itself) to ``address``: whom the server saw; None when nothing came through."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def call() -> socket.socket:
        client = socket.socket(family, server.type)
        client.settimeout(patience)
        client.connect((address, port))
        client.send(b"hello")
        return client

    try:
        client = call() if caller is None else inside(caller, call)
    except OSError:
        return None
    server.settimeout(patience)
    with client:
        try:
            if server.type == socket.SOCK_STREAM:
                connection, seen = server.accept()
                connection.settimeout(patience)
                with connection:
                    connection.sendall(connection.recv(5)[::-1])
            else:
                data, seen = server.recvfrom(100)
                server.sendto(data[::-1], seen)
            return str(seen[0]) if client.recv(5) == b"olleh" else None
        except TimeoutError:
            return None


def is_deaf(server: socket.socket, caller: int | None, address: str, port: int) -> bool:
    """Nothing comes through."""
    return says(server, caller, address, port, DROPPED) is None


def server_in(pid: int, port: int = 80, kind: int = socket.SOCK_STREAM, address: str = "0.0.0.0") -> socket.socket:
    """A socket that waits inside."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if kind == socket.SOCK_STREAM:
            made.listen()
        return made

    return inside(pid, make)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_a_published_port_is_reached_from_everywhere(
    bridge: Bridge, spawn: Spawn, bridged_frames: str, kind: socket.SocketKind
) -> None:
    """From the world, the host, its 127.0.0.1, a neighbour, another network, and the container itself."""
    outside, pid, neighbour, stranger = world(spawn), spawn(), spawn(), spawn()
    other = create(bridge, "other", "10.66.0.0/24")
    protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
    published = [publication(protocol=protocol)]
    bridge.connect("a", pid, [Wish(network=bridge.default)], published)
    bridge.join("b", neighbour)
    bridge.connect("c", stranger, [Wish(network=other)])
    with server_in(pid, kind=kind) as server:
        assert says(server, outside, "198.51.100.1", 8080) == "198.51.100.2"  # who calls is still known
        assert says(server, None, "198.51.100.1", 8080) == "198.51.100.1"
        assert says(server, None, "127.0.0.1", 8080) == "172.17.0.1"
        assert says(server, neighbour, "172.17.0.1", 8080) == "172.17.0.1"
        assert says(server, pid, "172.17.0.1", 8080) is not None
        assert says(server, stranger, "198.51.100.1", 8080) is not None
        assert is_deaf(server, stranger, "172.17.0.2", 80)
        bridge.leave("a")
        assert is_deaf(server, outside, "198.51.100.1", 8080)


def test_published_by_ipv6(bridge: Bridge, spawn: Spawn, bridged_frames: str) -> None:
    """The world and a neighbour reach it; not published, they do not."""
    outside, pid, neighbour = world(spawn), spawn(), spawn()
    join_world_by_ipv6(outside)
    six = create(bridge, "six", "10.66.0.0/24", "fd66::/64", enable_ipv6=True)
    bridge.connect("a", pid, [Wish(network=six)], [publication("::")])
    bridge.connect("b", neighbour, [Wish(network=six)])
    with server_in(pid, address="::") as server:
        assert says(server, outside, "fd99::1", 8080) == "fd99::2"
        assert says(server, neighbour, "fd66::1", 8080) is not None
        assert says(server, neighbour, "fd66::2", 80) == "fd66::3"
        assert is_deaf(server, outside, "fd66::2", 80)


def test_a_port_on_127_0_0_1_is_the_hosts_alone(bridge: Bridge, spawn: Spawn, bridged_frames: str) -> None:
    """Not the world's, nor a neighbour's, not even when they send us packets *to* 127.0.0.1."""
    outside, pid, neighbour = world(spawn), spawn(), spawn()
    bridge.connect("a", pid, [Wish(network=bridge.default)], [publication("127.0.0.1")])
    bridge.join("b", neighbour)
    for who, gateway in ((outside, "198.51.100.1"), (neighbour, "172.17.0.1")):
        inside(who, partial(_route_loopback, gateway))
    # Somebody else may have set this for their own ends, and the daemon's own socket would answer there.
    Path("/proc/sys/net/ipv4/conf/uplink/route_localnet").write_text("1")
    with server_in(pid) as server, socket.create_server(("127.0.0.1", 9999)) as of_the_host:
        assert says(server, None, "127.0.0.1", 8080) == "172.17.0.1"
        for who in (outside, neighbour):
            for address in ("198.51.100.1", "172.17.0.1", "127.0.0.1"):
                assert is_deaf(server, who, address, 8080)
            assert is_deaf(of_the_host, who, "127.0.0.1", 9999)
        # It is our rule that guards the host's own 127.0.0.1, now that the kernel would route to it.
        assert Path("/proc/sys/net/ipv4/conf/minidock0/route_localnet").read_text() == "1\n"
        subprocess.run(["nft", "flush", "chain", "inet", "minidock0", "loopback"], check=True)
        assert says(of_the_host, neighbour, "127.0.0.1", 9999) is not None
        assert says(of_the_host, outside, "127.0.0.1", 9999) is not None


def _route_loopback(gateway: str) -> None:
    """Whoever does this sends packets for 127.0.0.1 over the wire."""
    link = "eth0"
    Path(f"/proc/sys/net/ipv4/conf/{link}/route_localnet").write_text("1")
    ip("route", "flush", "table", "local", "127.0.0.0/8")
    ip("route", "add", "127.0.0.1/32", "via", gateway, "dev", link)


def test_a_caller_by_udp_follows_the_port(bridge: Bridge, spawn: Spawn) -> None:
    """The same caller, from the same port, reaches the container that has the port now."""
    outside, one, other = world(spawn), spawn(), spawn()
    published = [publication(protocol="udp")]
    bridge.connect("a", one, [Wish(network=bridge.default)], published)
    client = inside(outside, partial(socket.socket, socket.AF_INET, socket.SOCK_DGRAM))
    with client, server_in(one, kind=socket.SOCK_DGRAM) as first, server_in(other, kind=socket.SOCK_DGRAM) as second:
        first.settimeout(PATIENCE)
        second.settimeout(PATIENCE)
        client.sendto(b"one", ("198.51.100.1", 8080))
        assert first.recv(10) == b"one"
        # The next container has another address: the old one is still somebody's.
        bridge.connect("b", other, [Wish(network=bridge.default)], [])
        bridge.leave("a")
        bridge.leave("b")
        inside(other, partial(ip, "link", "del", "eth0"))
        neighbour = bridge.join("c", spawn())
        assert neighbour.ipv4 == "172.17.0.2/16"
        bridge.connect("b", other, [Wish(network=bridge.default)], published)
        client.sendto(b"two", ("198.51.100.1", 8080))
        assert second.recv(10) == b"two"


def test_only_the_published_address(bridge: Bridge, spawn: Spawn) -> None:
    """Two containers may have one port, on two addresses of the host."""
    outside, one, other = world(spawn), spawn(), spawn()
    ip("addr", "add", "198.51.100.3/24", "dev", "uplink")
    bridge.connect("a", one, [Wish(network=bridge.default)], [publication("198.51.100.1")])
    bridge.connect("b", other, [Wish(network=bridge.default)], [publication("198.51.100.3")])
    with server_in(one) as first, server_in(other) as second:
        assert says(first, outside, "198.51.100.1", 8080) is not None
        assert says(second, outside, "198.51.100.3", 8080) is not None
        assert is_deaf(first, None, "127.0.0.1", 8080)


def test_the_port_follows_the_way_out(bridge: Bridge, spawn: Spawn) -> None:
    """A container that leaves its first network is reached through the next."""
    outside, pid = world(spawn), spawn()
    other = create(bridge, "other", "10.66.0.0/24")
    bridge.connect("a", pid, [Wish(network=bridge.default), Wish(network=other)], [publication()])
    with server_in(pid) as server:
        assert says(server, outside, "198.51.100.1", 8080) == "198.51.100.2"
        bridge.disconnect("a", bridge.default, pid)
        assert says(server, outside, "198.51.100.1", 8080) == "198.51.100.2"
        assert inside(pid, partial(ip, "route", "show", "default")).startswith("default via 10.66.0.1 dev eth1")


def test_networks_do_not_see_each_other(bridge: Bridge, spawn: Spawn, bridged_frames: str) -> None:
    """Nor with a route; who is in both speaks with both."""
    one, other, both = spawn(), spawn(), spawn()
    second = create(bridge, "second", "10.66.0.0/24")
    bridge.join("a", one)
    bridge.connect("b", other, [Wish(network=second)])
    bridge.connect("c", both, [Wish(network=bridge.default), Wish(network=second)])
    with server_in(other) as server:
        assert is_deaf(server, one, "10.66.0.2", 80)
        assert says(server, both, "10.66.0.2", 80) == "10.66.0.3"
    with server_in(one) as server:
        assert says(server, both, "172.17.0.2", 80) == "172.17.0.3"


def test_internal_means_inside(bridge: Bridge, spawn: Spawn, bridged_frames: str) -> None:
    """No way out and none in, not even for a container that makes itself a route; neighbours are reached."""
    outside, pid, neighbour = world(spawn), spawn(), spawn()
    internal = create(bridge, "internal", "10.66.0.0/24", internal=True)
    bridge.connect("a", pid, [Wish(network=internal)], free=True)
    bridge.connect("b", neighbour, [Wish(network=internal)])
    assert inside(pid, partial(ip, "route", "show", "default")) == ""
    inside(pid, partial(ip, "route", "add", "default", "via", "10.66.0.1"))
    inside(outside, partial(ip, "route", "add", "10.66.0.0/24", "via", "198.51.100.1"))
    with listening(outside) as server:
        assert is_deaf(server, pid, "198.51.100.2", server.getsockname()[1])
    with socket.create_server(("0.0.0.0", 9999)) as of_the_host:
        assert is_deaf(of_the_host, pid, "198.51.100.1", 9999)
        assert says(of_the_host, pid, "10.66.0.1", 9999) is not None
    with server_in(neighbour) as server:
        assert says(server, pid, "10.66.0.3", 80) == "10.66.0.2"
        assert is_deaf(server, outside, "10.66.0.3", 80)


def test_internal_means_inside_by_ipv6_too(bridge: Bridge, spawn: Spawn, bridged_frames: str) -> None:
    """No way out and none in, whatever routes somebody makes."""
    outside, pid, neighbour = world(spawn), spawn(), spawn()
    join_world_by_ipv6(outside)
    inside(outside, partial(ip, "-6", "route", "add", "fd66::/64", "via", "fd99::1"))
    internal = create(bridge, "internal", "10.66.0.0/24", "fd66::/64", enable_ipv6=True, internal=True)
    bridge.connect("a", pid, [Wish(network=internal)], free=True)
    bridge.connect("b", neighbour, [Wish(network=internal)])
    assert inside(pid, partial(ip, "-6", "route", "show", "default")) == ""
    inside(pid, partial(ip, "-6", "route", "add", "default", "via", "fd66::1"))
    with server_in(outside, address="::") as server:
        assert is_deaf(server, pid, "fd99::2", 80)
    with server_in(neighbour, address="::") as server:
        assert says(server, pid, "fd66::3", 80) == "fd66::2"
        assert is_deaf(server, outside, "fd66::3", 80)
    with socket.create_server(("::", 9999), family=socket.AF_INET6) as of_the_host:
        assert is_deaf(of_the_host, pid, "fd99::1", 9999)
        assert says(of_the_host, pid, "fd66::1", 9999) == "fd66::2"


def test_internal_reaches_nothing_through_the_host(bridge: Bridge, spawn: Spawn, bridged_frames: str) -> None:
    """Neither what others publish, by a rule or by the daemon's own socket, nor a name server, which would go on."""
    pid, stranger = spawn(), spawn()
    internal = create(bridge, "internal", "10.66.0.0/24", "fd66::/64", enable_ipv6=True, internal=True)
    bridge.connect("a", pid, [Wish(network=internal)])
    published = [publication(), publication("::", 8081)]
    bridge.connect("b", stranger, [Wish(network=bridge.default)], published)
    with contextlib.ExitStack() as opened:
        for item in published:
            opened.enter_context(ports.bind(item))
        opened.enter_context(server_in(stranger))
        opened.enter_context(server_in(os.getpid(), 53, address="::"))
        names = opened.enter_context(server_in(os.getpid(), 53, socket.SOCK_DGRAM, "::"))
        for address, taken in (("10.66.0.1", 8080), ("fd66::1", 8081)):
            assert says(names, None, address, 53) is not None
            assert is_deaf(names, pid, address, 53)
            for port in (53, taken):
                socket.create_connection((address, port), PATIENCE).close()
                with pytest.raises(TimeoutError):
                    inside(pid, partial(socket.create_connection, (address, port), DROPPED))


def test_a_relayed_port_stays_closed_to_internal_networks(bridge: Bridge, spawn: Spawn) -> None:
    """Two containers without IPv6 have one port at two addresses: when the first ends, the second's is as before."""
    pid = spawn()
    internal = create(bridge, "internal", "10.66.0.0/24", "fd66::/64", enable_ipv6=True, internal=True)
    bridge.connect("a", pid, [Wish(network=internal)])
    ip("-6", "addr", "add", "fd66::99/64", "dev", internal.bridge, "nodad")
    first, second = publication("fd66::1"), publication("fd66::99")
    bridge.connect("b", spawn(), [Wish(network=bridge.default)], [first])
    bridge.connect("c", spawn(), [Wish(network=bridge.default)], [second])
    with ports.bind(first), ports.bind(second):
        for item in (first, second):
            with pytest.raises(TimeoutError):
                inside(pid, partial(socket.create_connection, (item.host_ip, 8080), DROPPED))
        bridge.leave("b")
        inside(pid, partial(socket.create_connection, ("fd66::1", 8080), PATIENCE)).close()  # the host's own again
        with pytest.raises(TimeoutError):
            inside(pid, partial(socket.create_connection, ("fd66::99", 8080), DROPPED))


def join_world_by_ipv6(outside: int) -> None:
    """fd99::1 and fd99::2."""
    for words in ("addr add fd99::2/64 dev eth0 nodad", "-6 route add default via fd99::1"):
        inside(outside, partial(ip, *words.split()))
    ip("addr", "add", "fd99::1/64", "dev", "uplink", "nodad")


def test_without_icc_neighbours_are_strangers(bridge: Bridge, spawn: Spawn, bridged_frames: str) -> None:
    """Each still has the world."""
    outside, pid, neighbour = world(spawn), spawn(), spawn()
    apart = create(bridge, "apart", "10.66.0.0/24", options={options.ICC: "false"})
    bridge.connect("a", pid, [Wish(network=apart)])
    bridge.connect("b", neighbour, [Wish(network=apart)])
    with server_in(neighbour) as server:
        assert is_deaf(server, pid, "10.66.0.3", 80)
    with listening(outside) as server:
        assert says(server, pid, "198.51.100.2", server.getsockname()[1]) == "198.51.100.1"


def test_without_masquerade_the_world_sees_the_container(bridge: Bridge, spawn: Spawn) -> None:
    """If it knows the way back."""
    outside, pid = world(spawn), spawn()
    routed = create(bridge, "routed", "10.66.0.0/24", options={options.MASQUERADE: "false", options.MTU: "1400"})
    bridge.connect("a", pid, [Wish(network=routed)])
    inside(outside, partial(ip, "route", "add", "10.66.0.0/24", "via", "198.51.100.1"))
    with listening(outside) as server:
        assert says(server, pid, "198.51.100.2", server.getsockname()[1]) == "10.66.0.2"
    assert "mtu 1400" in inside(pid, partial(ip, "link", "show", "eth0"))


@pytest.fixture
def liar(bridge: Bridge, spawn: Spawn) -> Iterator[tuple[int, socket.socket]]:
    """A container and a neighbour's ear: whatever arrives there."""
    pid, neighbour = spawn(), spawn()
    six = create(bridge, "six", "10.66.0.0/24", "fd66::/64", enable_ipv6=True)
    for name, who in (("a", pid), ("b", neighbour)):
        bridge.connect(name, who, [Wish(network=six)])
    ear = inside(neighbour, partial(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)))
    ear.settimeout(DROPPED)
    with ear:
        yield pid, ear


def frame(source: str, kind: int, payload: bytes) -> bytes:
    """An ethernet frame to the neighbour."""
    return bytes.fromhex("02420a420003" + source.replace(":", "")) + struct.pack("!H", kind) + payload


def ipv4(source: str) -> bytes:
    """A UDP datagram "spoofed" to the neighbour, from whomever one likes."""
    udp = struct.pack("!HHHH", 1, 9, 8 + 7, 0) + b"spoofed"
    ends = socket.inet_aton(source) + socket.inet_aton("10.66.0.3")
    words = struct.unpack("!10H", struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ends)
    total = sum(words)
    checksum = 0xFFFF - (total & 0xFFFF) - (total >> 16)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, checksum) + ends + udp


def arp(mac: str, address: str) -> bytes:
    """ "``address`` is at ``mac``"."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + bytes.fromhex(mac.replace(":", "")) + socket.inet_aton(address)
    return head + bytes.fromhex("02420a420003") + socket.inet_aton("10.66.0.3") + b"spoofed"


def icmpv6(source: str, target: str, message: bytes) -> bytes:
    """An ICMPv6 message in an IPv6 packet with the hop limit 255, as neighbours send them (RFC 4861)."""
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    summed = ends + struct.pack("!II", len(message), socket.IPPROTO_ICMPV6) + message
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    total = (total & 0xFFFF) + (total >> 16)
    message = message[:2] + struct.pack("!H", 0xFFFF - (total & 0xFFFF) - (total >> 16)) + message[4:]
    return struct.pack("!IHBB", 6 << 28, len(message), socket.IPPROTO_ICMPV6, 255) + ends + message


def advert(address: str, source: str = "") -> bytes:
    """ "``address`` is at my MAC": believed over what was known before (the flags solicited and override)."""
    message = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + socket.inet_pton(socket.AF_INET6, address)
    return icmpv6(source or address, "fd66::3", message + b"\x02\x01spoofd")


def router(lifetime: int = 1800) -> bytes:
    """ "I am the way out"."""
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0) + b"\x01\x01spoofd"
    return icmpv6("fe80::1", "ff02::1", message)


OWN = "02:42:0a:42:00:02"
ECHO = struct.pack("!BBHHH", 128, 0, 0, 1, 1) + b"spoofed!"


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        (frame(OWN, 0x0800, ipv4("10.66.0.2")), True),
        (frame(OWN, 0x0800, ipv4("10.66.0.9")), False),
        (frame(OWN, 0x0800, ipv4("8.8.8.8")), False),
        (frame("02:42:0a:42:00:09", 0x0800, ipv4("10.66.0.2")), False),
        (frame(OWN, 0x0806, arp(OWN, "10.66.0.2")), True),
        (frame(OWN, 0x0806, arp(OWN, "10.66.0.1")), False),
        (frame(OWN, 0x0806, arp("02:42:0a:42:00:09", "10.66.0.2")), False),
        (frame(OWN, 0x86DD, icmpv6("fd66::2", "fd66::3", ECHO)), True),
        (frame(OWN, 0x86DD, advert("fd66::2")), True),
        (frame(OWN, 0x86DD, advert("fe80::42:aff:fe42:2")), True),
        (frame(OWN, 0x86DD, icmpv6("fd66::9", "fd66::3", ECHO)), False),
        (frame(OWN, 0x86DD, icmpv6("2001:db8::1", "fd66::3", ECHO)), False),
        (frame(OWN, 0x86DD, advert("fd66::3")), False),
        (frame(OWN, 0x86DD, advert("fd66::1", "fd66::2")), False),
        (frame(OWN, 0x86DD, advert("fd66::1", "fe80::42:aff:fe42:2")), False),
        (frame(OWN, 0x86DD, router()), False),
    ],
    ids=[
        "honest",
        "a neighbour's address",
        "the world's",
        "another MAC",
        "honest ARP",
        "the gateway's ARP",
        "ARP's MAC",
        "honest IPv6",
        "an honest neighbour",
        "its own link's address",
        "a neighbour's IPv6",
        "the world's IPv6",
        "a false neighbour",
        "a false gateway",
        "the gateway, by link",
        "a router",
    ],
)
def test_nobody_speaks_in_anothers_name(liar: tuple[int, socket.socket], sent: bytes, arrives: bool) -> None:
    """CAP_NET_RAW, which every container has, is enough to send such frames; the bridge does not take them."""
    pid, ear = liar
    shout(pid, sent)
    heard = False
    try:
        while not heard:
            heard = b"spoofed" in ear.recv(2000).replace(b"spoofd", b"spoofed")
    except TimeoutError:
        pass
    assert heard == arrives


def shout(pid: int, sent: bytes) -> None:
    """Send a frame, whatever it is."""
    with inside(pid, partial(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)) as mouth:
        mouth.bind(("eth0", 0))
        mouth.send(sent)


def test_a_router_that_announces_itself_is_nobodys(bridge: Bridge, spawn: Spawn) -> None:
    """With NET_ADMIN such a message may be sent (CVE-2020-13401): neither neighbours nor the host believe it."""
    pid, neighbour = spawn(), spawn()
    six = create(bridge, "six", "10.66.0.0/24", "fd66::/64", enable_ipv6=True, internal=True)
    mine, _ = [
        bridge.connect(name, who, [Wish(network=six)], free=True)[0] for name, who in (("a", pid), ("b", neighbour))
    ]
    before = ip("-6", "route")
    ear = inside(neighbour, partial(socket.socket, socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6))
    ear.settimeout(PATIENCE)
    with ear:

        def announce() -> str:
            shout(pid, bytes.fromhex("333300000001" + mine.mac.replace(":", "")) + struct.pack("!H", 0x86DD) + router())
            while ear.recv(2000)[0] != 134:
                continue  # a report of groups, or so
            return inside(neighbour, partial(ip, "-6", "route", "show", "default"))

        assert announce() == ""
        assert ip("-6", "route") == before
        # It is the setting that guards them.
        inside(neighbour, partial(Path("/proc/sys/net/ipv6/conf/eth0/accept_ra").write_text, "2"))
        assert "via fe80::1" in announce()


def test_who_may_configure_the_network_is_free(bridge: Bridge, spawn: Spawn) -> None:
    """A container with NET_ADMIN may take another address, as keepalived does."""
    pid, neighbour = spawn(), spawn()
    bridge.connect("a", pid, [Wish(network=bridge.default)], free=True)
    bridge.join("b", neighbour)
    inside(pid, partial(ip, "addr", "add", "172.17.0.77/16", "dev", "eth0"))
    with server_in(pid) as server:
        assert says(server, neighbour, "172.17.0.77", 80) == "172.17.0.3"


def test_after_a_firewalls_reload(bridge: Bridge, spawn: Spawn) -> None:
    """``flush ruleset`` is noticed, and everything is there again: rules, networks, published ports.

    What happens in tables of others, or is our own doing, is not.
    """
    outside, pid = world(spawn), spawn()
    bridge.connect("a", pid, [Wish(network=bridge.default)], [publication()])
    with watch.open_socket() as told:
        bridge.connect("b", spawn(), [Wish(network=bridge.default)])
        subprocess.run(["nft", "add table ip x { chain y { counter accept; }; }; delete table ip x"], check=True)
        assert not watch.concerns_us(told, bridge.filter.name)
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        assert watch.concerns_us(told, bridge.filter.name)
        with server_in(pid) as server:
            assert is_deaf(server, outside, "198.51.100.1", 8080)
            assert bridge.mend_filter()
            assert says(server, outside, "198.51.100.1", 8080) == "198.51.100.2"
        assert not bridge.mend_filter()


def test_the_rules_do_not_grow(bridge: Bridge, spawn: Spawn) -> None:
    """As many rules for nine containers with ports as for none."""

    def rules() -> int:
        shown = subprocess.run(
            ["nft", "-s", "-t", "list", "ruleset"], check=True, capture_output=True, text=True
        ).stdout
        return len(shown.splitlines())

    before = rules()
    for number in range(9):
        bridge.connect(str(number), spawn(), [Wish(network=bridge.default)], [publication(host_port=8000 + number)])
    assert rules() == before


def test_beside_docker(database: Database, spawn: Spawn) -> None:
    """Docker's FORWARD chain drops what it does not know: it is told of our bridges, as long as they are there."""
    if shutil.which("dockerd") is None:
        pytest.skip("needs dockerd: apt install docker.io")
    with dockerd(inside=["env"]):  # in this thread's own network namespace, which does not forward yet
        before = iptables("-S")
        assert "-P FORWARD DROP" in before
        own = Bridge(database, "minidock0")
        own.open()
        outside, pid, stranger = world(spawn), spawn(), spawn()
        own.connect("a", pid, [Wish(network=own.default)], [publication()])
        other = create(own, "other", "10.66.0.0/24")
        own.connect("b", stranger, [Wish(network=other)])
        with server_in(pid) as server, listening(outside) as far:
            assert says(server, outside, "198.51.100.1", 8080) == "198.51.100.2"
            assert says(far, stranger, "198.51.100.2", far.getsockname()[1]) == "198.51.100.1"
            own.filter.befriend_iptables([])
            assert is_deaf(server, outside, "198.51.100.1", 8080)
        own.leave("a")
        own.leave("b")
        own.remove(other)
        own.close()
        assert iptables("-S") == before


def test_rules_that_iptables_does_not_give_back(
    bridge: Bridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Said in the log; the network and its own rules go all the same."""
    other = create(bridge, "other", "10.66.0.0/24", options={options.BRIDGE_NAME: "other0"})
    subprocess.run(["iptables", "-P", "FORWARD", "DROP"], check=True)
    assert bridge.mend_filter()
    refuses = tmp_path / "nft"
    refuses.write_text(
        f"""#!/bin/sh
[ "$1" = -f ] || exec {find_nft()} "$@"
script=$(cat)
case $script in *"delete rule"*) echo "Error: Device or resource busy" >&2; exit 1;; esac
echo "$script" | exec {find_nft()} -f -
"""
    )
    refuses.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        bridge.remove(other)
    assert "rules of ours may be left in the chain FORWARD of iptables" in caplog.text
    assert (
        "other0"
        not in ip("link")
        + subprocess.run(["nft", "list", "set", "inet", "minidock0", "bridges"], capture_output=True, text=True).stdout
    )
    assert "-i other0 " in iptables("-S")
    assert bridge.mend_filter()
    assert "other0" not in iptables("-S")


def iptables(*words: str) -> str:
    """In the host of this test."""
    done = subprocess.run(["iptables", *words], check=True, capture_output=True, text=True, errors="replace")
    return done.stdout


@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_a_firewall_that_comes_later_is_told_once(bridge: Bridge, program: str) -> None:
    """A policy of iptables that drops, as ufw's: noticed, mended; and what we do about it is no reason to do it again.

    Rules that iptables-restore put back are known again: they lose in nft's eyes the comment that said whose they are.
    """
    with watch.open_socket() as told:
        subprocess.run([program, "-P", "FORWARD", "DROP"], check=True)
        assert watch.concerns_us(told, bridge.filter.name)
        assert bridge.mend_filter()
        assert not bridge.mend_filter()
        rules = subprocess.run([program, "-S", "FORWARD"], check=True, capture_output=True, text=True).stdout
        assert rules.count("-i minidock0 ") == rules.count("-o minidock0 ") == 1, rules
        saved = subprocess.run([f"{program}-save"], check=True, capture_output=True).stdout
        subprocess.run([f"{program}-restore"], input=saved, check=True)
        assert watch.concerns_us(told, bridge.filter.name)
        assert not bridge.mend_filter()
        subprocess.run([program, "-D", "FORWARD", "1"], check=True)
        assert bridge.mend_filter()


def test_a_table_that_is_somebodys_own_is_let_be(bridge: Bridge) -> None:
    """As that of a newer firewalld: nobody else may change it, and that is no error of ours."""
    script = "add table inet firewalld { flags owner; }\nadd chain inet firewalld filter_FORWARD\n"
    with subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as owner:
        assert owner.stdin is not None
        with watch.open_socket() as told:
            owner.stdin.write(script.encode())
            owner.stdin.flush()
            while not watch.concerns_us(told, bridge.filter.name):
                assert select.select([told], [], [], PATIENCE)[0]
        assert not bridge.mend_filter()
        refused = ["nft", "add", "rule", "inet", "firewalld", "filter_FORWARD", "accept"]
        assert b"Operation not permitted" in subprocess.run(refused, capture_output=True).stderr


def test_other_peoples_rules_are_not_taken_for_ours(bridge: Bridge) -> None:
    """One that accepts less than ours is not ours; a comment may be any bytes."""
    subprocess.run(["iptables", "-P", "FORWARD", "DROP"], check=True)
    subprocess.run(["iptables", "-A", "FORWARD", "-s", "10.1.0.0/16", "-i", "minidock0", "-j", "ACCEPT"], check=True)
    subprocess.run(["iptables", "-A", "FORWARD", "-i", "eth0", "-o", "minidock0", "-j", "ACCEPT"], check=True)
    rule = b'add rule ip filter FORWARD counter comment "caf\xe9"'
    subprocess.run(["nft", "-f", "-"], input=rule, check=True)
    assert bridge.mend_filter()
    rules = iptables("-S", "FORWARD").splitlines()
    for end in ("-i", "-o"):
        assert any(rule.startswith(f"-A FORWARD {end} minidock0 ") and "10.1" not in rule for rule in rules), rules


def test_ports_are_reserved_all_or_none() -> None:
    """One is taken: none of the others is held; the words are Docker's."""
    with socket.create_server(("0.0.0.0", 8081)):
        asks = [Ask(port=80, first=8080, last=8080), Ask(port=81, first=8081, last=8081)]
        with pytest.raises(MinidockError, match=r"listen tcp4 0\.0\.0\.0:8081: bind: address already in use"):
            ports.reserve(asks, "0.0.0.0", lambda _: False)
    reserved = ports.reserve(asks, "0.0.0.0", lambda _: False)
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("0.0.0.0", 8080))
    for _, held in reserved:
        held.close()
    with pytest.raises(MinidockError, match=r"Bind for 0\.0\.0\.0:8080 failed: port is already allocated"):
        ports.reserve(asks, "0.0.0.0", lambda item: item.host_port == 8080)


def test_of_a_range_the_first_that_is_free() -> None:
    """And one number for IPv4 and IPv6."""
    with socket.create_server(("0.0.0.0", 8080)), socket.create_server(("::", 8081), family=socket.AF_INET6):
        reserved = ports.reserve([Ask(port=80, first=8080, last=8089)], "0.0.0.0", lambda _: False)
    assert [str(item) for item, _ in reserved] == ["0.0.0.0:8082", "[::]:8082"]
    for _, held in reserved:
        held.close()
