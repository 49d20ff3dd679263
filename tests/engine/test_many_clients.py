"""Many clients at one container, clients that go away, clients that do not read: the others notice nothing of them."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.engine.harness import Daemon, wait_for

pytestmark = pytest.mark.root

COUNTING = 'i=0; while [ $i -lt {} ]; do echo "line $i"; i=$((i+1)); done'


def started(daemon: Daemon, name: str, *command: str, **more: Any) -> None:
    """A container that runs."""
    wanted = {"Image": "tiny", "Cmd": command, "HostConfig": {"NetworkMode": "none"}, "StopSignal": "KILL"} | more
    daemon.json("POST", f"/containers/create?name={name}", wanted)
    daemon.json("POST", f"/containers/{name}/start")


def opened(daemon: Daemon, method: str, path: str, body: bytes = b"", version: str = "1.1") -> socket.socket:
    """A connection with a request on its way."""
    connection = daemon.connection()
    head = f"{method} {path} HTTP/{version}\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


class Use(NamedTuple):
    """What a daemon holds."""

    descriptors: int
    tasks: int
    threads: int
    of_the_shim: int


def use(daemon: Daemon, keeper: int) -> Use:
    """Now; ``keeper`` is the shim."""
    info = daemon.json("GET", "/info")
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    threads = int(status.partition("Threads:")[2].split()[0])
    return Use(info["NFd"], info["NGoroutines"], threads, len([*Path(f"/proc/{keeper}/fd").iterdir()]))


@pytest.mark.timeout(300)
def test_two_thousand_aborted_attaches_and_execs_leave_nothing(daemon: Daemon) -> None:
    """Descriptors (the shim's too), tasks and threads return to what they were."""
    started(daemon, "busy", "sh", "-c", "while :; do echo here; sleep 0.1; done", OpenStdin=True)
    pid = daemon.inspect("busy")["State"]["Pid"]
    keeper = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

    def attach(number: int) -> None:
        wanted = "attach?stream=1&stdin=1&stdout=1" + "&logs=1" * (number % 2)
        method, path = ("GET", "logs?follow=1&stdout=1") if number % 8 == 0 else ("POST", wanted)
        with opened(daemon, method, f"/containers/busy/{path}") as connection:
            if number % 3:
                connection.recv(10)
            if number % 5 == 0:
                connection.shutdown(socket.SHUT_WR)

    def execute(number: int) -> None:
        wanted = {"Cmd": ["true"], "AttachStdout": True, "AttachStdin": number % 2 == 0, "Tty": number % 3 == 0}
        made = daemon.json("POST", "/containers/busy/exec", wanted)
        with opened(daemon, "POST", f"/exec/{made['Id']}/start", b'{"Detach": false}') as connection:
            if number % 5:
                connection.recv(10)

    def abort(count: int) -> None:
        with ThreadPoolExecutor(8) as many:
            [*many.map(lambda number: (execute if number % 5 == 0 else attach)(number), range(count))]

    def is_as_before() -> bool:
        now = use(daemon, keeper)
        # A task more: the question's own may be seen beside one that just ends.
        return all(after <= earlier + 1 for after, earlier in zip(now, before, strict=True))

    abort(100)  # the pool of threads is full, every module is loaded
    wait_for(lambda: daemon.inspect("busy")["ExecIDs"] is None, "the execs to end")
    before = use(daemon, keeper)
    abort(2000)
    wait_for(lambda: daemon.inspect("busy")["ExecIDs"] is None, "the execs to end")
    wait_for(is_as_before, f"{use(daemon, keeper)} to be {before}")


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes. (HTTP/1.0: an answer of unknown length ends so.)"""
    connection.settimeout(60)
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def do(daemon: Daemon, container: str, command: str) -> None:
    """Run a command in it."""
    made = daemon.json("POST", f"/containers/{container}/exec", {"Cmd": ["sh", "-c", command]})
    daemon.request("POST", f"/exec/{made['Id']}/start", b"{}")


def test_fifty_followers_of_one_log_see_the_same(daemon: Daemon) -> None:
    """Half of them come before it is written, half meanwhile; all see every line once, in order, and then the end."""
    wait = "while [ ! -e /{} ]; do sleep 0.05; done"
    started(
        daemon, "writer", "sh", "-c", f"{wait.format('go')}; {COUNTING.format(3000)}; {wait.format('end')}", Tty=True
    )
    path = "/containers/writer/logs?follow=1&stdout=1"
    early = [opened(daemon, "GET", path, version="1.0") for _ in range(25)]
    heads = [connection.recv(15) for connection in early]
    do(daemon, "writer", ": > /go")
    late = [opened(daemon, "GET", path, version="1.0") for _ in range(25)]
    with ThreadPoolExecutor(50) as many:
        answers = [many.submit(rest_of, connection) for connection in early + late]
        wait_for(
            lambda: b"line 2999" in daemon.request("GET", "/containers/writer/logs?stdout=1&tail=1")[1], "the lines"
        )
        do(daemon, "writer", ": > /end")
    assert {head[9:] for head in heads} == {b"200 OK"}
    bodies = {answer.result().partition(b"\r\n\r\n")[2] for answer in answers}
    assert bodies == {b"".join(b"line %d\r\n" % number for number in range(3000))}


def test_who_does_not_read_a_log_keeps_nobody_waiting(daemon: Daemon) -> None:
    """The program goes on to its end, and the daemon does not keep for the client what is in the log anyhow."""

    def memory() -> int:
        return int(Path(f"/proc/{daemon.pid}/status").read_text().partition("VmRSS:")[2].split()[0])

    long = COUNTING.format(20_000).replace("line $i", "line $i $x")
    started(daemon, "writer", "sh", "-c", f"x={'x' * 1000}; sleep 0.3; {long}")
    before = memory()
    with opened(daemon, "GET", "/containers/writer/logs?follow=1&stdout=1", version="1.0") as idle:
        idle.recv(10)
        assert daemon.json("POST", "/containers/writer/wait")["StatusCode"] == 0
        assert memory() < before + 16 * 1024  # KiB; the log is 20 MB
        answer = rest_of(idle)
    assert answer.count(b"\n") > 20_000 and b"line 19999 x" in answer[-1200:]


RACES: list[tuple[str, str, dict[str, Any], set[int], set[int]]] = [
    ("stop", "start", {}, {204, 304}, {204, 304}),
    ("stop", "exec", {"Cmd": ["true"]}, {204}, {201, 409}),
    ("stop", "kill", {}, {204, 304}, {204, 409}),
    ("restart", "stop", {}, {204}, {204, 304}),
    ("pause", "stop", {}, {204, 409}, {204}),
]


@pytest.mark.parametrize("race", RACES, ids=lambda race: f"{race[0]}-{race[1]}")
def test_two_who_want_different_things(
    daemon: Daemon, race: tuple[str, str, dict[str, Any], set[int], set[int]]
) -> None:
    """At the same moment: each gets an answer of Docker's, and afterwards the container can be used."""
    first, second, body, firsts, seconds = race
    started(daemon, "wanted", "sleep", "1000")
    with ThreadPoolExecutor(2) as two:
        for _ in range(10):
            one = two.submit(daemon.request, "POST", f"/containers/wanted/{first}")
            other = two.submit(daemon.request, "POST", f"/containers/wanted/{second}", json.dumps(body).encode())
            assert one.result()[0] in firsts and other.result()[0] in seconds, (one.result(), other.result())
            daemon.request("POST", "/containers/wanted/unpause")
            assert daemon.request("POST", "/containers/wanted/start")[0] in (204, 304)
            assert daemon.inspect("wanted")["State"]["Running"]


def test_rm_while_run_rm_ends(daemon: Daemon) -> None:
    """Both want it gone: it goes, once, and ``run`` knows its exit code."""
    for number in range(5):
        running = daemon.popen("run", "--rm", "--network", "none", "--name", f"r{number}", "tiny", "sleep", "1000")
        wait_for(lambda: daemon.request("GET", f"/containers/r{number}/json")[0] == 200, "it to be there")  # noqa: B023
        wait_for(lambda: daemon.inspect(f"r{number}")["State"]["Running"], "it to run")  # noqa: B023
        assert daemon.request("DELETE", f"/containers/r{number}?force=1")[0] == 204
        assert running.wait(30) == 137
        assert daemon.request("GET", f"/containers/r{number}/json")[0] == 404


def test_a_pause_while_programs_enter(daemon: Daemon) -> None:
    """None freezes on its way in, where the shim would wait for it for ever: each is in, or is told of the pause."""
    with ThreadPoolExecutor(8) as many:
        for number in range(5):
            name = f"full{number}"
            started(daemon, name, "sleep", "1000")
            made = [daemon.json("POST", f"/containers/{name}/exec", {"Cmd": ["true"]})["Id"] for _ in range(16)]
            paths = [f"/exec/{one}/start" for one in made]
            answers = many.map(lambda path: daemon.request("POST", path, b'{"Detach": true}'), paths)
            statuses = [next(answers)[0]]
            assert daemon.request("POST", f"/containers/{name}/pause")[0] == 204
            statuses += [status for status, _ in answers]
            assert daemon.request("DELETE", f"/containers/{name}?force=1")[0] == 204
            assert statuses[0] == 200 and set(statuses) <= {200, 409}, statuses
