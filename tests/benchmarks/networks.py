"""Networks: bytes and questions through a published port, what the bridge adds to ``run``, a hundred on one bridge."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from minidock.networks.sandbox import inside
from tests.benchmarks.pair import both
from tests.benchmarks.report import Row, timed
from tests.engine.outside import HERE, THERE

Docker = Callable[..., subprocess.CompletedProcess[Any]]
"""Docker's client, with one of the two daemons behind it."""

SECONDS = 3
QUESTIONS = 300
RUNS = 10
CONTAINERS = 100
CLIENTS = 8


def measure() -> list[Row]:
    """From another host and from the host's own 127.0.0.1, as the peers are asked."""
    with both() as (ours, peer), ExitStack() as worlds:
        mine = worlds.enter_context(_world(ours.pid, ours.docker))
        theirs = worlds.enter_context(_world(peer.pid, peer.docker))
        rows = [
            Row("a published port from another host", mine.throughput(), theirs.throughput(), "Gb/s", 1.0, True),
            Row("the same through 127.0.0.1", mine.throughput(True), theirs.throughput(True), "Gb/s", 1.0, True),
            Row("connect, ask, answer, by a published port", mine.question(), theirs.question(), "ms", 1.0),
            _bridge(ours.docker, peer.docker),
        ]
        rows += _hundred(ours.docker, peer.docker)
        return rows


class _World:
    """A server in a container with published ports, and callers."""

    def __init__(self, host: int, caller: int, server: int) -> None:
        self._host, self._caller, self._server = host, caller, server

    def throughput(self, loopback: bool = False) -> float:
        """Gigabits a second, by iperf3."""
        where, pid = ("127.0.0.1", self._host) if loopback else (HERE, self._caller)
        words = ["nsenter", "-n", "-t", str(pid), "iperf3", "-c", where, "-p", "5201", "-t", str(SECONDS), "-J"]
        report = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
        return float(report["end"]["sum_received"]["bits_per_second"]) / 1e9

    def question(self) -> float:
        """Milliseconds of one small connection, the median."""
        server = inside(self._server, lambda: socket.create_server(("0.0.0.0", 80)))

        def ask() -> None:
            with inside(self._caller, lambda: socket.create_connection((HERE, 8080))) as client:
                connection, _ = server.accept()
                with connection:
                    client.sendall(b"?")
                    connection.sendall(connection.recv(1))
                    client.recv(1)

        with server:
            return statistics.median(timed(ask) for _ in range(QUESTIONS)) * 1000


@contextmanager
def _world(host: int, docker: Docker) -> Iterator[_World]:
    """Another host, joined to the one where process ``host`` lives, and a container there with iperf3's server."""
    docker("run", "-d", "--name", "served", "-p", "5201:5201", "-p", "8080:80", "tiny", "sleep", "1000")
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", "served").stdout)
    script = "ip link set lo up; echo; exec sleep 1000"
    caller = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE)
    assert caller.stdout is not None
    caller.stdout.readline()
    server = subprocess.Popen(["nsenter", "-n", "-t", str(pid), "iperf3", "-s"], stdout=subprocess.DEVNULL)
    try:
        _ip(host, f"link add uplink type veth peer eth0 netns {caller.pid}")
        for process, link, own in ((host, "uplink", HERE), (caller.pid, "eth0", THERE)):
            _ip(process, f"addr add {own}/24 dev {link}")
            _ip(process, f"link set {link} up")
        yield _World(host, caller.pid, pid)
    finally:
        for started in (server, caller):
            started.kill()
            started.wait()
        docker("rm", "-f", "served")


def _ip(pid: int, words: str) -> None:
    subprocess.run(["nsenter", "-n", "-t", str(pid), "ip", *words.split()], check=True)


def _bridge(ours: Docker, peer: Docker) -> Row:
    """``run`` with the bridge less ``run`` without a network, each right after the other."""

    def added(docker: Docker) -> float:
        with_bridge = timed(lambda: docker("run", "--rm", "tiny", "true"))
        return with_bridge - timed(lambda: docker("run", "--rm", "--network", "none", "tiny", "true"))

    pairs = [(added(ours), added(peer)) for _ in range(RUNS)]
    mine, theirs = (statistics.median(values) * 1000 for values in zip(*pairs, strict=True))
    return Row("what the bridge adds to run", mine, theirs, "ms", 0.5)


def _hundred(ours: Docker, peer: Docker) -> list[Row]:
    """A hundred containers in one user-defined network, with names, eight clients at a time."""
    rows = []
    for what, action, budget in (
        ("started", _start, 0.5),
        ("looked up by name", _look_up, 3.0),
        ("removed", _remove, 0.7),
    ):
        mine, theirs = (timed(partial(action, docker)) for docker in (ours, peer))
        rows.append(Row(f"{CONTAINERS} in one network {what}", mine, theirs, "s", budget))
    return rows


def _start(docker: Docker) -> None:
    docker("network", "create", "crowd")
    with ThreadPoolExecutor(CLIENTS) as pool:
        run = partial(docker, "run", "-d", "--network", "crowd", "--name")
        list(pool.map(lambda number: run(f"c{number}", "tiny", "sleep", "1000"), range(CONTAINERS)))


def _look_up(docker: Docker) -> None:
    script = f"for n in $(seq 0 {CONTAINERS - 1}); do nslookup c$n || exit; done"
    docker("exec", "c0", "sh", "-c", script).check_returncode()


def _remove(docker: Docker) -> None:
    docker("rm", "-f", *(f"c{number}" for number in range(CONTAINERS)))
    docker("network", "rm", "crowd")
