"""A HTTP connection that becomes a terminal: Docker's *hijacking*, for attach and exec.

The client asks with ``Connection: Upgrade`` and ``Upgrade: tcp``. We answer ``101 UPGRADED`` by hand, and from then on
the connection carries the program's bytes: framed (:mod:`minidock.containers.streams`) unless there is a terminal. A
client that does not ask for the upgrade gets 200 and the same stream. Either way a client sends nothing before it has
read our answer, so that no byte of its input can be lost between aiohttp and us.

Two ends look alike on a socket: *I have no more input* (the client shuts down its writing side; Docker's does so at
once when it has no stdin) and *I am gone*. Both read as end of file. Only the first leaves the other direction open;
the second is also a hang-up (``EPOLLHUP``), which epoll_ctl(2) reports even to those who asked for no event at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator

from aiohttp import web

from minidock.daemon.api import answers, parameters
from minidock.daemon.container import Stream
from minidock.errors import InvalidInput

CHUNK = 64 * 1024
RAW = "application/vnd.docker.raw-stream"
FRAMED = "application/vnd.docker.multiplexed-stream"
DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"


class Finished(web.StreamResponse):
    """What the handler of a hijacked connection returns: everything has been said already."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send no headers: the stream has ended."""
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Send no end either."""


class _Client(asyncio.StreamReaderProtocol):
    """The client's end after the upgrade. (Its ``eof_received`` keeps the connection open, as it must.)"""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.is_lost = False

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        super().connection_lost(error)


@contextlib.asynccontextmanager
async def upgraded(request: web.Request, is_asked: bool, framed: bool) -> AsyncIterator[Stream]:
    """The client's stream, taken from aiohttp. Afterwards the connection is closed."""
    transport, handler = request.transport, request.protocol
    if transport is None:
        raise ConnectionResetError("the client is gone")
    await request.read()
    reader = asyncio.StreamReader(limit=CHUNK)
    protocol = _Client(reader)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    transport.resume_reading()
    writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    writer.write(_head(request, is_asked, framed))
    try:
        yield reader, writer
        with contextlib.suppress(ConnectionError):
            await writer.drain()
    finally:
        if protocol.is_lost:
            # aiohttp counts its connections, and was not told.
            handler.connection_lost(None)
        else:
            transport.set_protocol(handler)


def _head(request: web.Request, upgrade: bool, framed: bool) -> bytes:
    kind = FRAMED if framed and parameters.version(request) >= (1, 42) else RAW
    first, then = ("101 UPGRADED", "Upgrade\r\nUpgrade: tcp") if upgrade else ("200 OK", "close")
    ours = "".join(f"{name}: {value}\r\n" for name, value in answers.OURS.items())
    return f"HTTP/1.1 {first}\r\nContent-Type: {kind}\r\nConnection: {then}\r\n{ours}\r\n".encode()


async def relay(client: Stream, program: Stream, detach: DetachKeys | None) -> bool:
    """Copy both ways until the program's stream ends. True when the client detached (or went away) before."""
    output = asyncio.create_task(_copy(program[0], client[1]))
    input_ = asyncio.create_task(_copy_input(client[0], program[1], detach))
    gone = asyncio.create_task(_hang_up(client[1]))
    try:
        await asyncio.wait([output, gone, *([input_] if detach else [])], return_when=asyncio.FIRST_COMPLETED)
        if not output.done() and not gone.done() and not input_.result():
            # The input ended without the keys: the output goes on.
            await asyncio.wait([output, gone], return_when=asyncio.FIRST_COMPLETED)
        return not output.done()
    finally:
        for task in (output, input_, gone):
            task.cancel()
        await asyncio.gather(output, input_, gone, return_exceptions=True)
        program[1].close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK):
        target.write(data)
        await target.drain()


async def _copy_input(source: asyncio.StreamReader, target: asyncio.StreamWriter, keys: DetachKeys | None) -> bool:
    """The client's bytes to the program, then the end of its input. True when the detach keys came."""
    while data := await source.read(CHUNK):
        if keys is not None:
            data = keys.filter(data)
        target.write(data)
        await target.drain()
        if keys is not None and keys.seen:
            return True
    if target.can_write_eof():
        target.write_eof()
    return False


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Wait until the client is gone altogether."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    socket = writer.get_extra_info("socket")
    with select.epoll() as epoll:
        # No event is asked for: hang-up and error are reported anyhow. An epoll can itself be polled.
        epoll.register(socket.fileno(), 0)
        loop.add_reader(epoll.fileno(), gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(epoll.fileno())


class DetachKeys:
    """Looks for the keys that mean "leave it running", in what a user types. They never reach the program.

    ``keys`` is a list such as ``ctrl-p,ctrl-q`` or ``a,b``. Raises InvalidInput.
    """

    def __init__(self, keys: str, called: str = "detach keys") -> None:
        try:
            self._sequence = bytes(_key(key) for key in keys.split(","))
        except ValueError:
            raise InvalidInput(f"Invalid {called} ({keys}) provided") from None
        self._held = b""
        self.seen = False

    def filter(self, data: bytes) -> bytes:
        """What of ``data`` is for the program; a beginning of the sequence is held back until it is clear."""
        passed = bytearray()
        for byte in data:
            self._held += bytes([byte])
            if self._held == self._sequence:
                self.seen = True
                break
            while self._held and not self._sequence.startswith(self._held):
                passed.append(self._held[0])
                self._held = self._held[1:]
        return bytes(passed)


def _key(name: str) -> int:
    if len(name) == 1 and name.isascii():
        return ord(name)
    letter = name.removeprefix("ctrl-")
    if name.startswith("ctrl-") and len(letter) == 1 and letter in "abcdefghijklmnopqrstuvwxyz@[\\]^_":
        return ord(letter.upper()) - ord("@")
    raise ValueError(name)
