"""A published port where no rule of the packet filter can help: bytes are read here and written there.

The kernel changes addresses, not protocols: a caller by IPv6 cannot be led to a container that has IPv4 only, and what
the host sends to its own ``::1`` never leaves it. Docker has a process for each such port (docker-proxy); here the
daemon does it, on the socket that reserves the port anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import cast

Target = Callable[[], tuple[str, int] | None]
"""Where to, at this moment: a container may change networks. None: nowhere."""

_CHUNK = 256 * 1024
_SILENCE = 90.0
"""Seconds after which a caller by UDP, who never says goodbye, is forgotten."""
_MOST_CALLERS = 1000


async def tcp(listener: socket.socket, target: Target) -> asyncio.Server:
    """Answer on a listening socket until the server is closed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = target()
        with contextlib.closing(writer), contextlib.suppress(OSError):
            if place is None:
                return
            there_reader, there_writer = await asyncio.open_connection(*place, limit=_CHUNK)
            with contextlib.closing(there_writer):
                await asyncio.gather(_pour(reader, there_writer), _pour(there_reader, writer))

    return await asyncio.start_server(answer, sock=listener, limit=_CHUNK)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All of it, and then the end: each direction has its own."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


class _Udp(asyncio.DatagramProtocol):
    """The socket that callers know; each caller has a socket of its own towards the container."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._callers: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        known = self._callers.get(address)
        if known is not None:
            known.sendto(data)
        elif len(self._callers) < _MOST_CALLERS:
            task = asyncio.get_running_loop().create_task(self._first(data, address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _first(self, data: bytes, address: tuple[str, int]) -> None:
        place = self._target()
        if place is None:
            return
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            made, _ = await loop.create_datagram_endpoint(lambda: _Answers(self, address), remote_addr=place)
            self._callers[address] = made
            made.sendto(data)

    def forget(self, address: tuple[str, int]) -> None:
        """A caller has been silent."""
        gone = self._callers.pop(address, None)
        if gone is not None:
            gone.close()

    def connection_lost(self, error: Exception | None) -> None:
        for address in list(self._callers):
            self.forget(address)


class _Answers(asyncio.DatagramProtocol):
    def __init__(self, back: _Udp, address: tuple[str, int]) -> None:
        self._back, self._address = back, address
        self._clock = asyncio.get_running_loop().call_later(_SILENCE, back.forget, address)

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        self._back.transport.sendto(data, self._address)
        self._clock.cancel()
        self._clock = asyncio.get_running_loop().call_later(_SILENCE, self._back.forget, self._address)

    def connection_lost(self, error: Exception | None) -> None:
        self._clock.cancel()


async def udp(bound: socket.socket, target: Target) -> asyncio.DatagramTransport:
    """Answer on a bound socket until the transport is closed."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Udp(target), sock=bound)
    return transport
