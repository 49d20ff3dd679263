"""A program's three standard streams, between its pipes or terminal, its log, and the clients attached to it.

Backpressure. Each client may have about 1 MiB that it has not read yet; then the program's output is not read any
more, its pipe fills, and it waits: as with Docker, and as with any pipe. Input is the same in the other direction.
A client that leaves is forgotten, and the program goes on.
"""

from __future__ import annotations

import fcntl
import os
import termios
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial

from minidock.containers.logs import LogWriter
from minidock.containers.poller import CHUNK, HUP, IN, OUT, Connection, Poller
from minidock.containers.runtime import Stdio
from minidock.containers.streams import STDERR, STDOUT, header
from minidock.containers.wire import Streams
from minidock.errors import Conflict

OUTPUT_LIMIT = 1024 * 1024
INPUT_LIMIT = 64 * 1024


@dataclass
class Pipes:
    """The pipes to a program without a terminal: ``child`` is the program's side, ``stdin`` … ours.

    ``stdin`` is None when the program's input is /dev/null.
    """

    child: Stdio
    stdin: int | None
    outputs: dict[int, int]

    @classmethod
    def make(cls, with_stdin: bool) -> Pipes:
        """New pipes; ``outputs`` maps our descriptors to the numbers of the streams that come out of them."""
        child_in, stdin = os.pipe() if with_stdin else (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), None)
        out, child_out = os.pipe()
        err, child_err = os.pipe()
        for fd in (out, err):
            # The fewer times the program and we have to wait for each other, the faster. Pages are taken when used.
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CHUNK)
        return cls(Stdio(child_in, child_out, child_err), stdin, {out: STDOUT, err: STDERR})

    def close_child(self) -> None:
        """The program has its side; without this, its output would never end."""
        for fd in (self.child.stdin, self.child.stdout, self.child.stderr):
            os.close(fd)

    def close(self) -> None:
        """The program did not start."""
        for fd in (*self.outputs, *([] if self.stdin is None else [self.stdin])):
            os.close(fd)


@dataclass(eq=False)
class Client:
    """A connection that is attached to a program."""

    connection: Connection
    streams: Streams
    closes_stdin: bool


@dataclass(eq=False)
class Pump:
    """Moves the bytes of one program. ``framed`` is False when it has a terminal."""

    poller: Poller
    log: LogWriter | None
    framed: bool
    stdin: int | None
    outputs: dict[int, int]
    clients: list[Client] = field(default_factory=list)
    _input: deque[bytes] = field(default_factory=deque)
    _input_size: int = 0
    _input_ends: bool = False
    _hurry: bool = False

    @classmethod
    def of_pipes(cls, poller: Poller, log: LogWriter | None, pipes: Pipes) -> Pump:
        """The pump of a program without a terminal."""
        return cls(poller, log, True, pipes.stdin, dict(pipes.outputs))

    @classmethod
    def of_terminal(cls, poller: Poller, log: LogWriter | None, console: int) -> Pump:
        """The pump of a program with a terminal, whose master side is ``console``."""
        # Two descriptors, because reading and writing wait for different things.
        return cls(poller, log, False, os.dup(console), {console: STDOUT})

    def __post_init__(self) -> None:
        for fd in (*self.outputs, *([] if self.stdin is None else [self.stdin])):
            os.set_blocking(fd, False)
        self._regulate()
        self._watch_input()

    @property
    def drained(self) -> bool:
        """Has all output been read, up to its end?"""
        return not self.outputs

    # --- clients ---------------------------------------------------------------------------------------------------

    def attach(self, connection: Connection, streams: Streams, closes_stdin: bool) -> None:
        """From now on ``connection`` is a stream of this program.

        ``closes_stdin``: when its input ends, so does the program's.
        """
        client = Client(connection, streams, closes_stdin and streams.stdin)
        self.clients.append(client)
        connection.receive = lambda data: self._receive(client, data)
        connection.flushed = self._regulate
        connection.gone = lambda: self._leave(client)
        connection.read(streams.stdin)
        if not connection.open:
            self._leave(client)

    def hurry(self) -> None:
        """The program has ended: read what it left, without waiting for anybody to read it from us."""
        self._hurry = True
        self._regulate()

    def resize(self, height: int, width: int) -> None:
        """Give the terminal a new size, in characters; its foreground programs get SIGWINCH. Raises Conflict."""
        if self.framed:
            raise Conflict("cannot resize: the program has no terminal")
        if self.stdin is not None:
            termios.tcsetwinsize(self.stdin, (height, width))

    def release(self) -> None:
        """Let every client go, once it has read what there is."""
        for client in list(self.clients):
            client.connection.finish()

    def _leave(self, client: Client) -> None:
        self.clients.remove(client)
        self._regulate()
        if client.closes_stdin:
            self._input_ends = True
            self._write_input()

    # --- output ----------------------------------------------------------------------------------------------------

    def _regulate(self) -> None:
        """Read output while every client keeps up."""
        flows = self._hurry or all(client.connection.queued < OUTPUT_LIMIT for client in self.clients)
        for fd in self.outputs:
            if flows:
                self.poller.watch(fd, IN, partial(self._read_output, fd))
            else:
                # Not watched at all: a mere mask of 0 would still report, without end, that the program has gone.
                self.poller.forget(fd)

    def _read_output(self, fd: int, events: int) -> None:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal that nobody has open any more answers EIO
        stream = self.outputs[fd]
        if data:
            self._deliver(stream, data)
        else:
            self.close_output(fd)

    def _deliver(self, stream: int, data: bytes) -> None:
        if self.log:
            self.log.write(stream, data, time.time_ns())
        for client in list(self.clients):
            if client.streams.stdout if stream == STDOUT else client.streams.stderr:
                client.connection.send(*([header(stream, len(data)), data] if self.framed else [data]))
        if self.clients:
            self._regulate()

    def close_output(self, fd: int) -> None:
        """This output has ended, or is given up."""
        self.poller.forget(fd)
        os.close(fd)
        stream = self.outputs.pop(fd)
        if self.log:
            self.log.finish(stream, time.time_ns())

    # --- input -----------------------------------------------------------------------------------------------------

    def _receive(self, client: Client, data: bytes) -> None:
        if data and client.streams.stdin and self.stdin is not None and not self._input_ends:
            self._input.append(data)
            self._input_size += len(data)
        elif not data and client.closes_stdin:
            self._input_ends = True
        self._write_input()

    def _write_input(self) -> None:
        while self.stdin is not None and self._input:
            data = self._input.popleft()
            try:
                written = os.write(self.stdin, data)
            except BlockingIOError:
                written = 0
            except OSError:
                self.close_input()  # nobody reads it any more
                break
            self._input_size -= written
            if written < len(data):
                self._input.appendleft(data[written:])
                break
        if self._input_ends and not self._input:
            self.close_input()
        self._watch_input()

    def _watch_input(self) -> None:
        if self.stdin is not None:
            self.poller.watch(self.stdin, OUT if self._input else 0, self._handle_input)
        for client in self.clients:
            client.connection.read(client.streams.stdin and self._input_size < INPUT_LIMIT)

    def _handle_input(self, events: int) -> None:
        if events & HUP:
            self.close_input()
            self._watch_input()
        else:
            self._write_input()

    def close_input(self) -> None:
        """No more input: the program reads the end of its file."""
        if self.stdin is not None:
            self.poller.forget(self.stdin)
            os.close(self.stdin)
            self.stdin = None
        self._input.clear()
        self._input_size = 0
