"""A program's streams, between its pipes or terminal, the log and the clients. Real programs, no container."""

from __future__ import annotations

import gc
import os
import pty
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minidock.containers.logread import Selection, read
from minidock.containers.logs import LogWriter
from minidock.containers.poller import CHUNK, Connection, Poller
from minidock.containers.pump import OUTPUT_LIMIT, Pipes, Pump
from minidock.containers.streams import STDERR, STDOUT, Unframer
from minidock.containers.wire import Streams
from minidock.errors import Conflict

OUTPUT = Streams(stdout=True, stderr=True)
ALL = Streams(stdin=True, stdout=True, stderr=True)


def descriptors() -> int:
    """How many files this process has open. Those of the tests before are closed with their objects."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


class Bench:
    """A program with its pump, and clients, one end of whose connections the test holds."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.poller = Poller()
        self.writer = LogWriter(log)
        self.programs: list[subprocess.Popen[bytes]] = []
        self.sockets: list[socket.socket] = []
        self.pumps: list[Pump] = []

    def pipes(self, script: str, stdin: bool = False) -> Pump:
        """Run a shell script with pipes."""
        pipes = Pipes.make(stdin)
        child = pipes.child
        self.programs.append(
            subprocess.Popen(["sh", "-c", script], stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
        )
        pipes.close_child()
        return self.keep(Pump.of_pipes(self.poller, self.writer, pipes))

    def terminal(self, script: str) -> Pump:
        """Run a shell script with a terminal."""
        master, slave = pty.openpty()
        self.programs.append(
            subprocess.Popen(["setsid", "-c", "sh", "-c", script], stdin=slave, stdout=slave, stderr=slave)
        )
        os.close(slave)
        return self.keep(Pump.of_terminal(self.poller, self.writer, master))

    def keep(self, pump: Pump) -> Pump:
        """Remember to close this pump."""
        self.pumps.append(pump)
        return pump

    def attach(self, pump: Pump, streams: Streams, closes_stdin: bool = True) -> socket.socket:
        """A new client's own end."""
        ours, theirs = socket.socketpair()
        pump.attach(Connection(self.poller, theirs), streams, closes_stdin)
        ours.setblocking(False)
        self.sockets.append(ours)
        return ours

    def until(self, condition: Callable[[], bool]) -> None:
        """Turn the loop until ``condition`` holds."""
        while not condition():
            self.poller.turn(0.01)

    def collect(self, client: socket.socket, wanted: Callable[[bytes], bool] = lambda data: False) -> bytes:
        """What the client gets until it is ``wanted``, or until the end."""
        data = b""
        while not wanted(data):
            self.poller.turn(0.01)
            try:
                piece = client.recv(CHUNK)
            except BlockingIOError:
                continue
            if not piece:
                break
            data += piece
        return data

    def logged(self) -> bytes:
        """What is in the log."""
        return b"".join(entry.data for entry in read(self.log, Selection()))

    def close(self) -> None:
        """End everything."""
        for program in self.programs:
            program.kill()
            program.wait()
        for client in self.sockets:
            client.close()
        for pump in self.pumps:
            pump.close_input()
            for fd in list(pump.outputs):
                pump.close_output(fd)
        self.writer.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A place to run programs."""
    bench = Bench(tmp_path / "log.json")
    yield bench
    bench.close()


def test_output_reaches_log_and_clients(bench: Bench) -> None:
    """Each stream is logged under its name, and sent in frames to those who asked for it."""
    pump = bench.pipes("read x; echo out; echo err >&2", stdin=True)
    both, errors = bench.attach(pump, ALL), bench.attach(pump, Streams(stderr=True))
    both.send(b"go\n")
    bench.until(lambda: pump.drained)
    pump.release()
    assert sorted(Unframer().feed(bench.collect(both))) == [(STDOUT, b"out\n"), (STDERR, b"err\n")]
    assert Unframer().feed(bench.collect(errors)) == [(STDERR, b"err\n")]
    assert sorted((entry.stream, entry.data) for entry in read(bench.log, Selection())) == [
        (STDOUT, b"out\n"),
        (STDERR, b"err\n"),
    ]


def test_end_of_input_is_passed_on(bench: Bench) -> None:
    """The client's half-close ends the program's input, and the client still gets all output."""
    pump = bench.pipes("wc -c", stdin=True)
    client = bench.attach(pump, ALL)
    sent = 0
    while sent < 300_000:
        try:
            sent += client.send(bytes(min(CHUNK, 300_000 - sent)))
        except BlockingIOError:
            bench.poller.turn(0.01)
    client.shutdown(socket.SHUT_WR)
    bench.until(lambda: pump.drained)
    pump.release()
    assert Unframer().feed(bench.collect(client)) == [(STDOUT, b"300000\n")]


def test_end_of_input_is_kept_from_a_program_whose_stdin_stays_open(bench: Bench) -> None:
    """Without stdin_once the next client may go on where the last one ended."""
    pump = bench.pipes("cat", stdin=True)
    with bench.attach(pump, ALL, closes_stdin=False) as first:
        first.send(b"one ")
    bench.until(lambda: not pump.clients)
    bench.attach(pump, ALL, closes_stdin=True).send(b"two\n")
    bench.until(lambda: b"\n" in bench.logged())
    assert bench.logged() == b"one two\n"


def test_input_of_a_client_that_has_left_already_arrives(bench: Bench) -> None:
    """Write, close, gone: what was written before is input all the same."""
    pump = bench.pipes("cat", stdin=True)
    with bench.attach(pump, ALL) as client:
        client.send(b"parting words\n")
    bench.until(lambda: pump.drained)
    assert bench.logged() == b"parting words\n"


def test_a_client_without_stdin_cannot_type(bench: Bench) -> None:
    """Only who attached standard input can write to it, or end it."""
    pump = bench.pipes("cat", stdin=True)
    watcher = bench.attach(pump, OUTPUT)
    watcher.send(b"forbidden\n")
    watcher.shutdown(socket.SHUT_WR)
    typist = bench.attach(pump, ALL)
    typist.send(b"allowed\n")
    typist.shutdown(socket.SHUT_WR)
    bench.until(lambda: pump.drained)
    assert bench.logged() == b"allowed\n"


def test_a_client_that_does_not_read_stalls_the_program_and_loses_nothing(bench: Bench) -> None:
    """About 1 MiB is kept for it; the rest stays in the program until it reads on. Then all is there."""
    size = 8 * OUTPUT_LIMIT
    pump = bench.pipes(f"head -c {size} /dev/zero")
    client = bench.attach(pump, OUTPUT)
    connection = pump.clients[0].connection
    bench.until(lambda: connection.queued >= OUTPUT_LIMIT)
    for _ in range(20):
        bench.poller.turn(0.005)
    assert connection.queued < OUTPUT_LIMIT + 2 * CHUNK and not pump.drained
    data = bench.collect(client, lambda data: pump.drained and not connection.queued)
    pump.release()
    assert sum(len(piece) for _, piece in Unframer().feed(data + bench.collect(client))) == size


def test_a_stalled_client_that_leaves_lets_the_program_go_on(bench: Bench) -> None:
    """When nobody is attached any more the program runs to its end, and its log is complete."""
    pump = bench.pipes(f"head -c {4 * OUTPUT_LIMIT} /dev/zero; echo; echo end")
    client = bench.attach(pump, OUTPUT)
    connection = pump.clients[0].connection
    bench.until(lambda: connection.queued >= OUTPUT_LIMIT)
    client.close()
    bench.until(lambda: pump.drained)
    assert bench.logged().endswith(b"\nend\n")
    assert pump.clients == []


def test_what_a_dead_program_left_is_read_without_waiting(bench: Bench) -> None:
    """After the program's end a client that does not read cannot keep its last words out of the log."""
    pump = bench.pipes(f"head -c {2 * OUTPUT_LIMIT} /dev/zero; echo; echo end")
    client = bench.attach(pump, OUTPUT)
    connection = pump.clients[0].connection
    bench.until(lambda: connection.queued >= OUTPUT_LIMIT)
    pump.hurry()
    bench.until(lambda: pump.drained)
    assert bench.logged().endswith(b"\nend\n")
    pump.release()
    assert sum(len(data) for _, data in Unframer().feed(bench.collect(client))) == 2 * OUTPUT_LIMIT + 5


def test_a_program_that_closes_its_input_does_not_disturb(bench: Bench) -> None:
    """Input that nobody reads is thrown away, and the loop does not spin on the closed pipe."""
    pump = bench.pipes("exec <&-; echo closed; read x; exec sleep 1000", stdin=True)
    client = bench.attach(pump, ALL)
    bench.collect(client, lambda data: b"closed" in data)
    client.send(b"nobody reads this\n")
    bench.until(lambda: pump.stdin is None)
    assert pump.clients[0].connection.open


def test_a_terminal_is_raw_and_has_a_size(bench: Bench) -> None:
    """With a terminal the bytes come as they are, and a new size is seen by the program."""
    pump = bench.terminal("trap 'stty size; exit' WINCH; echo ready; while :; do read x; done")
    client = bench.attach(pump, ALL, closes_stdin=False)
    assert bench.collect(client, lambda data: b"ready" in data) == b"ready\r\n"
    pump.resize(33, 77)
    client.send(b"\n")
    assert b"33 77\r\n" in bench.collect(client, lambda data: b"77" in data and data.endswith(b"\n"))
    bench.until(lambda: pump.drained)


def test_pipes_have_no_size(bench: Bench) -> None:
    """Resizing what is no terminal is an error that says so."""
    with pytest.raises(Conflict, match="no terminal"):
        bench.pipes("true").resize(1, 1)


def test_clients_that_come_and_go_leave_nothing(bench: Bench) -> None:
    """Two hundred clients, some of which never read or write: as many descriptors as before."""
    pump = bench.pipes("read x; exec sleep 1000", stdin=True)
    before = descriptors()
    for number in range(200):
        client = bench.attach(pump, ALL if number % 2 else OUTPUT, closes_stdin=False)
        if number % 3 == 0:
            client.send(b"x")
        client.close()
    bench.until(lambda: not pump.clients)
    bench.sockets.clear()
    assert descriptors() == before
