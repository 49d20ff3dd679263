"""Networks with Docker's own command line: names, published ports, isolation; the world is another host on a cable."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.harness import BRIDGE, Daemon, running_daemon, wait_for
from tests.engine.outside import HERE, THERE, Outside, firewalld, on_the_host, outside, services_archive
from tests.peers import dockerd

pytestmark = pytest.mark.root

SERVER = ["tiny", "nc", "-ll", "-p", "80", "-e", "echo", "hello"]
SLEEP = ["tiny", "sleep", "1000"]


@pytest.fixture(scope="module")
def own_daemon() -> Iterator[Daemon]:
    """A daemon for this module."""
    with running_daemon() as daemon:
        yield daemon


@pytest.fixture
def daemon(own_daemon: Daemon) -> Iterator[Daemon]:
    """Without containers and networks afterwards."""
    yield own_daemon
    for container in own_daemon.json("GET", "/containers/json?all=1"):
        own_daemon.request("DELETE", f"/containers/{container['Id']}?force=1")
    own_daemon.json("POST", "/networks/prune")


@pytest.fixture
def world(daemon: Daemon) -> Iterator[Outside]:
    """The other host."""
    with outside(daemon) as other:
        yield other


def address(daemon: Daemon, container: str, network: str) -> str:
    """A container's."""
    return str(daemon.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"])


def test_the_world_reaches_what_is_published_and_nothing_else(daemon: Daemon, world: Outside) -> None:
    """Not what is only exposed, not an internal network, not what is published on 127.0.0.1."""
    daemon.ok("network", "create", "--internal", "inner")
    daemon.ok("run", "-d", "--name", "public", "-p", "8080:80", *SERVER)
    daemon.ok("run", "-d", "--name", "private", "-p", "127.0.0.1:8081:80", *SERVER)
    daemon.ok("run", "-d", "--name", "inside", "--network", "inner", "-p", "8082:80", *SERVER)
    wait_for(lambda: world.get(HERE, 8080) == "hello", "the server")
    assert on_the_host(daemon, "busybox", "nc", "-w", "5", "127.0.0.1", "8081").stdout == "hello\n"
    assert world.get(HERE, 8081, 1) == ""
    assert world.get(HERE, 8082, 1) == ""
    for container, network in (("public", "bridge"), ("inside", "inner")):
        target = address(daemon, container, network)
        world.run("ip", "route", "add", target, "via", HERE)
        assert world.get(target, 80, 1) == ""
    assert daemon.docker("exec", "inside", "nc", "-w", "1", THERE, "1").returncode != 0
    assert "Network is unreachable" in daemon.docker("exec", "inside", "nc", "-w", "1", THERE, "1").stderr


def test_every_form_of_publishing(daemon: Daemon, world: Outside) -> None:
    """Ranges, a protocol, an address, any port, all exposed ports; shown by ps, port and inspect."""
    daemon.ok("run", "-d", "--name", "aa", "-p", f"{HERE}:7000-7001:80-81", "-p", "5353:53/udp", "-p", "80", *SERVER)
    # As Docker 26 wrote it; docker 20.10 sorts nothing.
    ports = sorted(daemon.ok("port", "aa").replace(":::", "[::]:").splitlines())
    random = next(line.rpartition(":")[2] for line in ports if line.startswith("80/tcp -> 0.0.0.0:"))
    assert ports == [
        "53/udp -> 0.0.0.0:5353",
        "53/udp -> [::]:5353",
        *sorted([f"80/tcp -> {HERE}:7000", f"80/tcp -> 0.0.0.0:{random}", f"80/tcp -> [::]:{random}"]),
        f"81/tcp -> {HERE}:7001",
    ]
    wait_for(lambda: world.get(HERE, 7000) == "hello", "the server")
    assert world.get(HERE, int(random)) == "hello"
    shown = daemon.ok("ps", "--format", "{{.Ports}}").replace(":::", "[::]:")
    assert f"{HERE}:7000->80/tcp" in shown and "0.0.0.0:5353->53/udp, [::]:5353->53/udp" in shown
    assert daemon.inspect("aa")["NetworkSettings"]["Ports"]["81/tcp"] == [{"HostIp": HERE, "HostPort": "7001"}]
    daemon.ok("run", "-d", "--name", "bb", "-P", "--expose", "80", "--expose", "90-91/udp", *SERVER)
    assert set(daemon.inspect("bb")["NetworkSettings"]["Ports"]) == {"80/tcp", "90/udp", "91/udp"}
    port = int(daemon.ok("port", "bb", "80/tcp").splitlines()[0].rpartition(":")[2])
    wait_for(lambda: world.get(HERE, port) == "hello", "the server")


def test_by_ipv6_to_a_container_that_has_none(daemon: Daemon) -> None:
    """Where no rule can help the daemon carries the bytes: ``[::1]``, tcp and udp; and a large answer is whole."""
    script = "while true; do head -c 3000000 /dev/zero | nc -l -p 80; done"
    daemon.ok("run", "-d", "--name", "four", "-p", "8080:80", "-p", "5353:53/udp", "tiny", "sh", "-c", script)
    # It never says that it has no more to say: busybox's nc would take that for the end and not send the rest.
    read = "import socket; s = socket.create_connection(('::1', 8080), 5); "
    read += "print(sum(map(len, iter(lambda: s.recv(65536), b''))))"
    wait_for(lambda: on_the_host(daemon, sys.executable, "-c", read).stdout == "3000000\n", "all of the bytes")
    pid = str(daemon.inspect("four")["State"]["Pid"])
    echo = "import socket; s = socket.socket(type=2); s.bind(('', 53)); print('ready', flush=True)\n"
    echo += "while True: data, who = s.recvfrom(100); s.sendto(data[::-1], who)"
    with subprocess.Popen(["nsenter", "-n", "-t", pid, sys.executable, "-c", echo], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        ask = "import socket; s = socket.socket(10, 2); s.settimeout(5); s.connect(('::1', 5353))\n"
        ask += "for word in (b'one', b'two'): s.send(word); print(s.recv(100).decode())"
        assert on_the_host(daemon, sys.executable, "-c", ask).stdout == "eno\nowt\n"
        server.kill()


def test_another_host_by_ipv6(daemon: Daemon, world: Outside) -> None:
    """Reaches what is published: by a rule where the container has IPv6, by the daemon where it has IPv4 only."""
    assert world.run("ip", "addr", "add", "fd99::2/64", "dev", "eth0", "nodad").returncode == 0
    assert on_the_host(daemon, "ip", "addr", "add", "fd99::1/64", "dev", "uplink", "nodad").returncode == 0
    daemon.ok("network", "create", "--ipv6", "--subnet", "fd77::/64", "six")
    daemon.ok("run", "-d", "--name", "four", "-p", "8080:80", *SERVER)
    daemon.ok("run", "-d", "--name", "both", "--network", "six", "-p", "8081:80", "-p", "[fd99::1]:8082:80", *SERVER)
    daemon.ok("run", "-d", "--name", "private", "--network", "six", "-p", "[::1]:8083:80", *SERVER)
    for port in (8080, 8081, 8082):
        wait_for(lambda port=port: world.get("fd99::1", port) == "hello", "the server")
    assert on_the_host(daemon, "busybox", "nc", "-w", "5", "::1", "8083").stdout == "hello\n"
    target = daemon.inspect("both")["NetworkSettings"]["Networks"]["six"]["GlobalIPv6Address"]
    assert world.run("ip", "-6", "route", "add", "fd77::/64", "via", "fd99::1").returncode == 0
    for address, port in (("fd99::1", 8083), (target, 80)):
        assert world.get(address, port, 1) == ""


def test_the_default_network_may_have_ipv6() -> None:
    """``--ipv6``: addresses of the subnet that was asked for, from container to container and through a port."""
    with running_daemon("--ipv6", "--fixed-cidr-v6", "fd66:77::/64") as daemon:
        daemon.ok("run", "-d", "--name", "server", "-p", "[::1]:8080:80", *SERVER)
        address = daemon.inspect("server")["NetworkSettings"]["GlobalIPv6Address"]
        assert address.startswith("fd66:77::")
        wait_for(lambda: daemon.docker("run", "--rm", "tiny", "nc", address, "80").stdout == "hello\n", "an answer")
        assert on_the_host(daemon, "busybox", "nc", "-w", "5", "::1", "8080").stdout == "hello\n"
        assert daemon.json("GET", "/networks/bridge")["EnableIPv6"] is True


def test_a_taken_port_is_an_error_before_anything_is_created(daemon: Daemon) -> None:
    """In Docker's words, and what was got before it is given back."""
    daemon.ok("run", "-d", "--name", "first", "-p", "8080:80", *SLEEP)
    done = daemon.docker("run", "-d", "--name", "second", "-p", "8090:80", "-p", "8080:80", *SLEEP)
    assert done.returncode == 125
    assert "driver failed programming external connectivity on endpoint second (" in done.stderr
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in done.stderr
    assert not (daemon.root / "exec" / "containers" / daemon.inspect("second")["Id"]).exists()
    daemon.ok("run", "-d", "-p", "8090:80", *SLEEP)
    daemon.ok("rm", "-f", "first")
    daemon.ok("run", "-d", "-p", "8080:80", *SLEEP)


def test_names(daemon: Daemon) -> None:
    """Name, alias, short id, ``name.network``; several have one alias in turn; PTR; UDP and TCP: asked by dig."""
    daemon.ok("network", "create", "net")
    one = daemon.ok("run", "-d", "--name", "one", "--network", "net", "--network-alias", "web", *SLEEP)
    daemon.ok("run", "-d", "--name", "two", "--network", "net", "--network-alias", "web", *SLEEP)
    first, second = address(daemon, "one", "net"), address(daemon, "two", "net")
    for name in ("one", "ONE", one[:12], "one.net"):
        assert dig(daemon, "two", name) == [first]
        assert dig(daemon, "two", "+tcp", name) == [first]
    answers = [dig(daemon, "one", "web") for _ in range(30)]
    assert all(sorted(answer) == sorted([first, second]) for answer in answers)
    assert {answer[0] for answer in answers} == {first, second}
    assert dig(daemon, "one", "-x", second) == ["two.net."]
    assert dig(daemon, "one", "two", "AAAA") == []
    assert "status: NOERROR" in dig_all(daemon, "one", "two", "AAAA")
    # As programs of musl and busybox ask: both kinds at once.
    assert f"Address: {second}" in daemon.ok("exec", "one", "nslookup", "two")
    daemon.ok("rm", "-f", "two")
    assert dig(daemon, "one", "web") == [first]


def dig_all(daemon: Daemon, container: str, *words: str) -> str:
    """dig's whole answer, from inside a container."""
    pid = str(daemon.inspect(container)["State"]["Pid"])
    options = ["+tries=1", "+time=5", "@127.0.0.11"]
    done = subprocess.run(["nsenter", "-n", "-t", pid, "dig", *options, *words], capture_output=True, text=True)
    return done.stdout


def dig(daemon: Daemon, container: str, *words: str) -> list[str]:
    """Only what was asked for."""
    return [line for line in dig_all(daemon, container, "+short", *words).splitlines() if not line.startswith(";")]


def test_everybody_else_is_asked_of_the_users_server(daemon: Daemon) -> None:
    """By UDP and TCP; not for a container in internal networks only."""
    expected = ["192.0.2.77"]
    server = [*daemon.inside(), sys.executable, "-c", UPSTREAM, expected[0]]
    with subprocess.Popen(server, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        try:
            daemon.ok("network", "create", "net")
            daemon.ok("network", "create", "--internal", "inner")
            daemon.ok("run", "-d", "--name", "open", "--network", "net", "--dns", "127.0.0.1", *SLEEP)
            daemon.ok("run", "-d", "--name", "closed", "--network", "inner", "--dns", "127.0.0.1", *SLEEP)
            assert dig(daemon, "open", "faraway.example") == expected
            assert dig(daemon, "open", "+tcp", "faraway.example") == expected
            assert "Truncated, retrying in TCP" in dig_all(daemon, "open", "large.example")
            assert sorted(dig(daemon, "open", "large.example")) == sorted(f"10.9.{n}.1" for n in range(200))
            for words in (["faraway.example"], ["+tcp", "faraway.example"], ["-x", "192.0.2.77"]):
                assert "status: NXDOMAIN" in dig_all(daemon, "closed", *words)
            daemon.ok("network", "connect", "net", "closed")
            assert dig(daemon, "closed", "faraway.example") == expected
        finally:
            process.kill()


UPSTREAM = """
import socket, sys, threading
import dns.message, dns.rrset
def answer(wire, most):
    answered = dns.message.make_response(query := dns.message.from_wire(wire), recursion_available=True)
    name = query.question[0].name
    addresses = [f'10.9.{n}.1' for n in range(200)] if 'large' in str(name) else [sys.argv[1]]
    answered.answer = [dns.rrset.from_text(name, 60, 'IN', 'A', *addresses)]
    return answered.to_wire(max_size=most, prefer_truncation=True)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('127.0.0.1', 53))
tcp = socket.create_server(('127.0.0.1', 53))
def serve():
    while True:
        connection, _ = tcp.accept()
        with connection:
            a = answer(connection.recv(4096)[2:], 65535)
            connection.sendall(len(a).to_bytes(2, 'big') + a)
threading.Thread(target=serve, daemon=True).start()
print('ready', flush=True)
while True:
    q, who = udp.recvfrom(4096)
    udp.sendto(answer(q, 512), who)
"""


def test_resolv_conf_and_hosts(daemon: Daemon) -> None:
    """As Docker writes them."""
    daemon.ok("network", "create", "net")
    options = ["--dns", "192.0.2.1", "--dns-search", "example.org", "--dns-option", "ndots:3"]
    shown = daemon.ok("run", "--rm", "--network", "net", *options, "tiny", "cat", "/etc/resolv.conf")
    assert sorted(shown.splitlines()) == ["nameserver 127.0.0.11", "options ndots:3", "search example.org"]
    shown = daemon.ok("run", "--rm", *options, "tiny", "cat", "/etc/resolv.conf")
    assert sorted(shown.splitlines()) == ["nameserver 192.0.2.1", "options ndots:3", "search example.org"]
    shown = daemon.ok("run", "--rm", "--add-host", "up:host-gateway", "tiny", "cat", "/etc/hosts")
    assert "10.213.0.1\tup" in shown


def test_links(daemon: Daemon) -> None:
    """In the default network a name, an alias and variables; in others the name server knows the alias."""
    daemon.ok("run", "-d", "--name", "db", "--expose", "6379", "-e", "PASSWORD=x", *SLEEP)
    where = address(daemon, "db", "bridge")
    shown = daemon.ok("run", "--rm", "--link", "db:store", "tiny", "sh", "-c", "cat /etc/hosts; env")
    for line in (f"{where}\tstore ", " db\n", "STORE_ENV_PASSWORD=x", f"STORE_PORT_6379_TCP=tcp://{where}:6379"):
        assert line in shown
    daemon.ok("network", "create", "net")
    daemon.ok("network", "connect", "net", "db")
    shown = daemon.ok("run", "--rm", "--network", "net", "--link", "db:store", "tiny", "nslookup", "store")
    assert address(daemon, "db", "net") in shown


def test_several_networks_in_one_create(daemon: Daemon) -> None:
    """As compose does from API 1.44 on; addresses, aliases and MACs are each network's own; the priority decides."""
    daemon.ok("network", "create", "--subnet", "10.77.1.0/24", "one")
    daemon.ok("network", "create", "--subnet", "10.77.2.0/24", "--subnet", "fd77::/64", "--ipv6", "two")
    endpoints = {
        "one": {"IPAMConfig": {"IPv4Address": "10.77.1.9"}, "MacAddress": "02:42:00:00:00:09"},
        "two": {"IPAMConfig": {"IPv6Address": "fd77::99"}, "Aliases": ["second"], "GwPriority": 7},
    }
    body = {
        "Image": "tiny",
        "Cmd": ["sleep", "1000"],
        "HostConfig": {"NetworkMode": "one"},
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    }
    daemon.json("POST", "/v1.44/containers/create?name=both", body)
    daemon.ok("start", "both")
    shown = daemon.inspect("both")["NetworkSettings"]["Networks"]
    assert (shown["one"]["IPAddress"], shown["one"]["MacAddress"]) == ("10.77.1.9", "02:42:00:00:00:09")
    assert (shown["two"]["IPAddress"], shown["two"]["GlobalIPv6Address"]) == ("10.77.2.2", "fd77::99")
    assert daemon.ok("exec", "both", "ip", "route").splitlines()[0] == "default via 10.77.2.1 dev eth1 "
    assert "10.77.2.2" in daemon.ok("run", "--rm", "--network", "two", "tiny", "nslookup", "second")
    daemon.ok("restart", "-t", "0", "both")
    assert address(daemon, "both", "one") == "10.77.1.9"
    assert daemon.inspect("both")["NetworkSettings"]["Networks"]["one"]["MacAddress"] == "02:42:00:00:00:09"


def test_sysctls_of_one_interface(daemon: Daemon) -> None:
    """By the interface's name, or by the network whose it is; and at the next start again. A path is none."""
    daemon.ok("network", "create", "one")
    daemon.ok("network", "create", "two")
    option = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.rp_filter=2,net.ipv4.conf.IFNAME.log_martians=1"
    first, second = "net.ipv4.conf.eth0.rp_filter=1", "net.ipv4.neigh.eth1.ucast_solicit=7"
    networks = ["--network", "one", "--network", f'name=two,"driver-opt={option}"']
    daemon.ok("run", "-d", "--name", "aa", *networks, "--sysctl", first, "--sysctl", second, *SLEEP)
    files = ["conf/eth0/rp_filter", "conf/eth1/rp_filter", "conf/eth1/log_martians", "neigh/eth1/ucast_solicit"]
    show = ["exec", "aa", "cat", *(f"/proc/sys/net/ipv4/{file}" for file in files)]
    assert daemon.ok(*show).split() == ["1", "2", "1", "7"]
    daemon.ok("restart", "-t", "0", "aa")
    assert daemon.ok(*show).split() == ["1", "2", "1", "7"]
    refused = daemon.docker("run", "--rm", "--sysctl", "net.ipv4.conf.eth1.rp_filter=1", "tiny", "true")
    assert refused.returncode == 125 and "the container has no interface eth1" in refused.stderr
    daemon.ok("run", "-d", "--name", "bb", *SLEEP)
    option = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME/../../../../kernel/panic=1"
    refused = daemon.docker("network", "connect", "--driver-opt", option, "one", "bb")
    assert refused.returncode == 1 and "invalid endpoint sysctl" in refused.stderr


@pytest.mark.parametrize("alias", ["a\nb", "a b", "", "-", "a\0", "a/b"])
def test_an_alias_that_is_no_name(daemon: Daemon, alias: str) -> None:
    """A newline in it would be a line of a file, or of a message."""
    daemon.ok("network", "create", "net")
    body = {"Image": "tiny", "Cmd": ["true"], "HostConfig": {"NetworkMode": "net"}}
    body |= {"NetworkingConfig": {"EndpointsConfig": {"net": {"Aliases": [alias]}}}}
    status, answer = daemon.request(
        "POST", "/containers/create", json.dumps(body).encode(), Content_Type="application/json"
    )
    assert status == 400 and b"invalid alias" in answer
    name = {"Name": f"x{alias}"} if "\n" in alias or "\0" in alias else {"Name": ""}
    assert daemon.request("POST", "/networks/create", json.dumps(name).encode())[0] == 400


def test_connect_and_disconnect_while_it_runs(daemon: Daemon) -> None:
    """Interface, way out, names, files; and at the next start again."""
    network = daemon.ok("network", "create", "net")
    daemon.ok("run", "-d", "--name", "aa", *SLEEP)
    daemon.ok("exec", "aa", "sh", "-c", "printf '192.0.2.1 mine # form\\ffeed\\r\\n' >> /etc/hosts")
    daemon.ok("network", "connect", "--alias", "other", "net", "aa")
    here, there = address(daemon, "aa", "bridge"), address(daemon, "aa", "net")
    assert dig(daemon, "aa", "other") == [there]
    assert "nameserver 127.0.0.11" in daemon.ok("exec", "aa", "cat", "/etc/resolv.conf")
    assert [line.split()[0] for line in daemon.ok("exec", "aa", "cat", "/etc/hosts").split("\n")[-3:]] == [
        here,
        "192.0.2.1",
        there,
    ]
    daemon.ok("exec", "aa", "sh", "-c", "echo nameserver 192.0.2.2 > /etc/resolv.conf")
    daemon.ok("network", "disconnect", "bridge", "aa")
    names = [line.split()[0] for line in daemon.ok("exec", "aa", "cat", "/etc/hosts").split("\n")]
    assert names[-2:] == ["192.0.2.1", there] and here not in names
    assert "192.0.2.1 mine # form\ffeed\r\n" in Path(daemon.inspect("aa")["HostsPath"]).read_bytes().decode()
    assert daemon.ok("exec", "aa", "cat", "/etc/resolv.conf") == "nameserver 192.0.2.2"
    assert re.fullmatch(r"default via \S+ dev eth1 ", daemon.ok("exec", "aa", "ip", "route").splitlines()[0])
    daemon.ok("restart", "-t", "0", "aa")
    assert list(daemon.inspect("aa")["NetworkSettings"]["Networks"]) == ["net"]
    assert "eth0" in daemon.ok("exec", "aa", "ip", "link")
    # The client asks for events until the last whole second.
    expected = ["create", "connect", "disconnect", "connect"]
    wait_for(lambda: [event["Action"] for event in events(daemon, network)] == expected, "the events")


def test_connect_and_disconnect_before_the_start(daemon: Daemon) -> None:
    """As docker-compose does it: out of the only network, in again with its own settings; and out of ``none``."""
    daemon.ok("network", "create", "net")
    daemon.ok("create", "--name", "aa", "--network", "net", *SLEEP)
    daemon.ok("network", "disconnect", "net", "aa")
    assert daemon.inspect("aa")["NetworkSettings"]["Networks"] == {}
    daemon.ok("network", "connect", "--alias", "other", "net", "aa")
    daemon.ok("start", "aa")
    assert dig(daemon, "aa", "other") == [address(daemon, "aa", "net")]
    daemon.ok("create", "--name", "alone", "--network", "none", *SLEEP)
    assert "one of the networks in private (none) mode" in daemon.docker("network", "connect", "net", "alone").stderr
    daemon.ok("network", "disconnect", "none", "alone")
    daemon.ok("network", "connect", "net", "alone")
    daemon.ok("start", "alone")
    assert dig(daemon, "alone", "other") == [address(daemon, "aa", "net")]


def events(daemon: Daemon, network: str) -> list[dict[str, object]]:
    """The events about a network."""
    shown = daemon.ok("events", "--since", "1h", "--until", "0s", "-f", f"network={network}", "--format", "{{json .}}")
    return [json.loads(line) for line in shown.splitlines()]


def test_after_a_crash_and_a_restart_everything_answers(daemon: Daemon, world: Outside) -> None:
    """While no daemon lives the published port still does; the next one answers for names again."""
    daemon.ok("network", "create", "net")
    daemon.ok("run", "-d", "--name", "web", "--network", "net", "-p", "8080:80", *SERVER)
    daemon.ok("run", "-d", "--name", "bb", "--network", "net", *SLEEP)
    wait_for(lambda: world.get(HERE, 8080) == "hello", "the server")
    daemon.kill()
    assert world.get(HERE, 8080) == "hello"
    daemon.start()
    assert world.get(HERE, 8080) == "hello"
    assert dig(daemon, "bb", "web") == [address(daemon, "web", "net")]
    assert "8080->80/tcp" in daemon.ok("ps", "--format", "{{.Ports}}", "--filter", "name=web")
    assert daemon.docker("run", "--rm", "-p", "8080:80", "tiny", "true").returncode == 125
    daemon.ok("rm", "-f", "web")
    assert daemon.docker("run", "--rm", "-p", "8080:80", "tiny", "true").returncode == 0


def test_a_firewalls_reload_is_noticed(daemon: Daemon, world: Outside) -> None:
    """``nft flush ruleset``, and the published port is there again, by itself."""
    daemon.ok("run", "-d", "-p", f"{HERE}:8080:80", *SERVER)
    wait_for(lambda: world.get(HERE, 8080) == "hello", "the server")
    assert on_the_host(daemon, "nft", "flush", "ruleset").returncode == 0
    wait_for(lambda: "everywhere4" in on_the_host(daemon, "nft", "list", "ruleset").stdout, "the rules to be back")
    assert world.get(HERE, 8080) == "hello"


def test_a_docker_that_starts_later(daemon: Daemon, world: Outside) -> None:
    """Its FORWARD chain drops what it does not know: it is told, without our doing anything; after its restart, too,
    and after a firewall's reload between the two."""
    if shutil.which("dockerd") is None:
        pytest.skip("needs dockerd: apt install docker.io")
    daemon.ok("run", "-d", "-p", f"{HERE}:8080:80", *SERVER)
    wait_for(lambda: world.get(HERE, 8080) == "hello", "the server")
    try:
        for _ in range(2):
            # Docker lets nothing unknown pass where it has to make the host forward, as after somebody's `sysctl`.
            forget = "echo 0 > /proc/sys/net/ipv4/ip_forward"
            assert on_the_host(daemon, "sh", "-c", forget).returncode == 0
            with dockerd(inside=daemon.inside()) as docker:
                assert docker.docker("network", "create", "another").returncode == 0
                assert on_the_host(daemon, "iptables", "-S", "FORWARD").stdout.startswith("-P FORWARD DROP\n")
                wait_for(lambda: world.get(HERE, 8080, 1) == "hello", "the port, beside Docker")
            assert world.get(HERE, 8080) == "hello"
            assert on_the_host(daemon, "nft", "flush", "ruleset").returncode == 0
            wait_for(lambda: world.get(HERE, 8080, 1) == "hello", "the port, after a firewall's reload")
    finally:
        for link in {link for link in daemon.links() if link == "docker0" or link.startswith("br-")}:
            on_the_host(daemon, "ip", "link", "del", link)
        for family, table in (("ip", "filter"), ("ip", "nat"), ("ip6", "filter")):
            on_the_host(daemon, "nft", "delete", "table", family, table)


@pytest.mark.timeout(400)  # the first time, Debian's root is made
def test_beside_firewalld(daemon: Daemon, world: Outside) -> None:
    """It rejects what it does not know: it is told, when it starts and after its reload; and it is left as it was.

    From 2.1 on (Debian 13) its table is its own, and it has to be told as the chapter says.
    """
    if shutil.which("mmdebstrap") is None:
        pytest.skip("needs mmdebstrap: apt install mmdebstrap")
    daemon.ok("run", "-d", "--name", "server", "-p", f"{HERE}:8080:80", *SERVER)
    chain = ["nft", "list", "chain", "inet", "firewalld", "filter_FORWARD"]
    reached = ["exec", "server", "ping", "-c", "1", "-W", "1", THERE]
    with firewalld(daemon) as firewall:
        owned = "flags owner" in on_the_host(daemon, "nft", "list", "table", "inet", "firewalld").stdout
        for order in ("--state", "--reload"):
            assert firewall(order) in ("running", "success")
            assert not owned or firewall(f"--zone=trusted --add-interface={BRIDGE}") == "success"
            wait_for(lambda: daemon.docker(*reached).returncode == 0, "the way out, past firewalld")
            assert world.get(HERE, 8080) == "hello"
        daemon.ok("network", "create", "-o", "com.docker.network.bridge.name=other0", "other")
        assert owned or "other0" in on_the_host(daemon, *chain).stdout
        daemon.ok("network", "rm", "other")
        assert "other0" not in on_the_host(daemon, *chain).stdout
    assert on_the_host(daemon, *chain).returncode != 0
    assert world.get(HERE, 8080) == "hello"


def test_the_watch_survives_what_it_cannot_do(daemon: Daemon, world: Outside) -> None:
    """Without a file descriptor to be had no rules are loaded: that is logged, and tried again."""
    daemon.ok("run", "-d", "-p", f"{HERE}:8080:80", *SERVER)
    wait_for(lambda: world.get(HERE, 8080) == "hello", "the server")
    before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    told = daemon.log.count("the packet filter could not be mended")
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        on_the_host(daemon, "nft", "flush", "ruleset")
        wait_for(lambda: daemon.log.count("the packet filter could not be mended") > told, "the failure")
    finally:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
    wait_for(lambda: "everywhere4" in on_the_host(daemon, "nft", "list", "ruleset").stdout, "the rules to be back")
    assert world.get(HERE, 8080) == "hello"


def test_real_services_find_each_other(daemon: Daemon, world: Outside) -> None:
    """Debian's nginx and redis: the world asks nginx, which asks its neighbour by name; redis is inside alone."""
    nginx, redis, cli = (shutil.which(name) for name in ("nginx", "redis-server", "redis-cli"))
    if not (nginx and redis and cli):
        pytest.skip("needs nginx and redis: apt install nginx-light redis-server")
    daemon.ok("import", "-", "services", input=services_archive(nginx, redis, cli))
    daemon.ok("network", "create", "front")
    daemon.ok("network", "create", "--internal", "back")
    daemon.ok("run", "-d", "--name", "db", "--network", "back", "services", "redis-server", "--protected-mode", "no")
    serve = "listen 80; location / { return 200 'from the back'; }"
    run_nginx(daemon, "app", "front", serve)
    daemon.ok("network", "connect", "back", "app")
    run_nginx(daemon, "web", "front", "listen 80; location / { proxy_pass http://app/; }", "-p", "8080:80")
    fetch = ["busybox", "wget", "-q", "-O", "-", f"http://{HERE}:8080/"]
    wait_for(lambda: world.run(*fetch).stdout == "from the back", "nginx, through nginx")
    wait_for(lambda: daemon.docker("exec", "app", "redis-cli", "-h", "db", "ping").stdout == "PONG\n", "redis by name")
    assert daemon.docker("exec", "web", "redis-cli", "-h", "db", "ping").returncode != 0
    daemon.ok("rm", "-f", "db", "app", "web")
    daemon.ok("rmi", "services")


def run_nginx(daemon: Daemon, name: str, network: str, server: str, *options: str) -> None:
    """An nginx with one server."""
    config = "daemon off; user root; error_log stderr; pid /tmp/pid; events {} "
    config += f"http {{ access_log off; server {{ {server} }} }}"
    start = f'echo "{config}" > /tmp/conf; exec nginx -c /tmp/conf'
    daemon.ok("run", "-d", "--name", name, "--network", network, *options, "services", "sh", "-c", start)


def test_explain_tells_of_links_rules_and_names(daemon: Daemon) -> None:
    """The story of a start has the cable, the addresses, the way out, the elements of the filter, the name server."""
    daemon.ok("network", "create", "net")
    created = daemon.json(
        "POST",
        "/containers/create?explain=1",
        {
            "Image": "tiny",
            "Cmd": ["true"],
            "HostConfig": {"NetworkMode": "net", "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}},
        },
    )
    _, story = daemon.request("POST", f"/containers/{created['Id']}/start?explain=full")
    told = story.decode()
    for part in (
        "Plug eth0 into the bridge br-",
        "(network net)",
        "Lead port 8080/tcp of the host to ",
        "Give eth0 the address ",
        " as the way out",
        "Answer for names at 127.0.0.11",
        "type veth peer eth0",
        "ip route replace default via",
        "everywhere4 { tcp . 8080 : ",
        "genuine4 {",
        "ip daddr 127.0.0.11 udp dport 53 dnat to",
    ):
        assert part in told, told
    privileged = {"Image": "tiny", "Cmd": ["true"], "HostConfig": {"Privileged": True}}
    free = daemon.json("POST", "/containers/create?explain=1", privileged)
    _, story = daemon.request("POST", f"/containers/{free['Id']}/start?explain=compact")
    assert b"Plug eth0 into" in story and b"Hold the cable" not in story
