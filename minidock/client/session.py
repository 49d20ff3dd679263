"""A person, or a pipe, at one end; a container's streams at the other.

One loop waits for everything that can happen: something typed, something printed, room in the socket for what was
typed, a signal, the container's end. One thread and no locks, and each event is a short function. Input is read only
when the last piece has been taken: a container that does not read cannot make its own output wait.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from minidock.client import terminal
from minidock.client.connection import Hijacked, Response
from minidock.client.http1 import PIECE
from minidock.client.streams import Frames, Raw
from minidock.errors import MinidockError

# Those that mean something to this process itself, or that no program can catch.
_NOT_FORWARDED = {signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGKILL, signal.SIGSTOP, signal.SIGWINCH}
# The two that ask a program to end.
ENDING = (int(signal.SIGINT), int(signal.SIGTERM))
# Who sends so many of them to a client that stays means the client itself.
PERSISTENT = 3


class Detached(MinidockError):
    """The user typed the detach keys: the container goes on alone."""

    exit_code = 1


class Signals:
    """Signals as something to ``poll`` for: Python writes each one's number into a pipe. signal(7), "self-pipe"."""

    def __init__(self, numbers: set[int]) -> None:
        self.numbers = numbers
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, lambda *_: None) for number in self.numbers}
        self._wakeup = signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.reader)
        os.close(self.writer)

    def arrived(self) -> bytes:
        """The numbers of the signals that came since the last time."""
        try:
            return os.read(self.reader, 4096)
        except BlockingIOError:
            return b""


def forwardable() -> set[int]:
    """Every signal that is passed on to the container."""
    return {int(number) for number in signal.valid_signals() if number < 32} - _NOT_FORWARDED


class Session:
    """Joins the terminal to a hijacked stream, until the stream ends or the user detaches.

    ``on_signal(number)`` and ``on_resize(rows, columns)`` tell the daemon. Without ``on_signal``, SIGINT and SIGTERM
    end the client as they end any program, unless it ``stays`` to show what the container prints
    (``--sig-proxy=false``).

    ``tty`` is whether the container has a terminal of its own; then, if the user is at one as well, it is raw while
    ``run`` runs.
    """

    def __init__(
        self,
        stream: Hijacked,
        *,
        tty: bool,
        stdin: bool,
        detach: str = "",
        on_signal: Callable[[int], None] | None = None,
        on_resize: Callable[[int, int], None] | None = None,
        stays: bool = False,
    ) -> None:
        self.stream = stream
        self.output: Raw | Frames = Raw(terminal.STDOUT) if tty else Frames()
        self.stdin = stdin
        self.raw = tty and stdin and terminal.is_terminal(terminal.STDIN)
        self.keys = terminal.DetachKeys(terminal.detach_keys(detach)) if tty else None
        self.on_signal = on_signal
        self.stays = stays
        self.on_resize = on_resize if tty and terminal.is_terminal(terminal.STDOUT) else None
        self.pending = b""
        self.endings = 0
        # A terminal has to be put right before the end; else what a signal does is the caller's to say.
        ending = {*(ENDING if stays or self.raw else ()), *([int(signal.SIGHUP)] if self.raw else ())}
        numbers = forwardable() if on_signal else ending
        if self.on_resize:
            numbers.add(int(signal.SIGWINCH))
        self.signals = Signals(numbers)

    @contextmanager
    def open(self) -> Iterator[Session]:
        """Catch signals and make the terminal raw, from now until the end of the ``with`` block."""
        with self.signals, terminal.raw() if self.raw else nullcontext(), self.stream.socket:
            self.stream.socket.setblocking(False)
            yield self

    def resize(self) -> None:
        """Tell the container how large the terminal is."""
        if self.on_resize:
            rows, columns = terminal.size()
            if rows and columns:
                self.on_resize(rows, columns)

    def run(self) -> None:
        """Copy until the container's output ends. Raises Detached."""
        self.output.feed(self.stream.early)
        if not self.stdin:
            self._end_of_input()
        while True:
            for fd, _ in self._poll():
                if fd == self.signals.reader:
                    self._signals()
                elif fd == terminal.STDIN and self.stdin and not self.pending:
                    self._read_input()
                elif fd == self.stream.socket.fileno() and not self._stream_ready():
                    return

    def wait(self, response: Response) -> Any:
        """The JSON that ``response`` brings, minutes or days from now. Signals are still passed on."""
        poller = select.poll()
        poller.register(response.fileno(), select.POLLIN)
        poller.register(self.signals.reader, select.POLLIN)
        while not response.ready():
            if response.fileno() in dict(poller.poll()):
                response.receive()
            self._signals()
        return response.json()

    def _poll(self) -> list[tuple[int, int]]:
        poller = select.poll()
        poller.register(self.signals.reader, select.POLLIN)
        poller.register(self.stream.socket, select.POLLIN | (select.POLLOUT if self.pending else 0))
        if self.stdin and not self.pending:
            poller.register(terminal.STDIN, select.POLLIN)
        return poller.poll()

    def _signals(self) -> None:
        for number in self.signals.arrived():
            if number == signal.SIGWINCH:
                self.resize()
            elif self.on_signal:
                self.on_signal(number)
            elif not (self.stays and number in ENDING):
                raise SystemExit(128 + number)  # not ours to pass on; but the terminal must be put right first
            self.endings += number in ENDING
            if self.endings == PERSISTENT:
                print(f"\ngot {PERSISTENT} SIGTERM/SIGINTs, forcefully exiting", file=sys.stderr)
                raise SystemExit(1)

    def _read_input(self) -> None:
        try:
            data = os.read(terminal.STDIN, PIECE)
        except OSError:  # EIO: the terminal has hung up
            data = b""
        if not data:
            self.stdin = False
            self._end_of_input()
            return
        detached = False
        if self.keys:
            data, detached = self.keys.feed(data)
        self.pending = data
        self._write()
        if detached:
            raise Detached("read escape sequence")

    def _end_of_input(self) -> None:
        """Half-close: the container sees the end of its input; its output goes on. shutdown(2)."""
        try:
            self.stream.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.pending = b""  # the container has gone; its last output may still be in the socket

    def _stream_ready(self) -> bool:
        """Move bytes; False at the end of the container's output."""
        if self.pending:
            self._write()
        try:
            data = self.stream.socket.recv(PIECE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.output.feed(data)
        return bool(data)

    def _write(self) -> None:
        try:
            self.pending = self.pending[self.stream.socket.send(self.pending) :]
        except BlockingIOError:
            pass
        except OSError:
            self.pending, self.stdin = b"", False
