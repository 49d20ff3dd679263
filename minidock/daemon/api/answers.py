"""How the API answers: one JSON document, nothing, or a stream of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web

from minidock import messages
from minidock.daemon.description import ENGINE_VERSION
from minidock.daemon.own_thread import in_own_thread

#: bytes that are handed to the network at a time
PIECE = 256 * 1024
TAR = "application/x-tar"
OURS = {
    "Api-Version": messages.API_VERSION,
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"minidock/{ENGINE_VERSION} (linux)",
}
"""The headers of every answer: they tell a client which version to speak, and with whom."""


def document(message: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """One JSON document."""
    body = messages.encode(message) + b"\n"
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def nothing() -> web.Response:
    """Done, and there is nothing to say."""
    return web.Response(status=204)


async def begin(
    request: web.Request, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Headers now, the rest as it happens."""
    response = web.StreamResponse(headers={"Content-Type": content_type, **(headers or {})})
    await response.prepare(request)
    return response


class Outlet:
    """An answer's body, for a thread that writes it. Nothing is sent before the first piece is full, or the end.

    So what fails early is an ordinary error; later the connection breaks off, and the client sees that the archive is
    not whole.
    """

    def __init__(self, request: web.Request, content_type: str = TAR) -> None:
        self._loop = asyncio.get_running_loop()
        self._request, self._content_type = request, content_type
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._response: web.StreamResponse | None = None
        self.headers: Mapping[str, str] = {}

    def write(self, data: bytes) -> None:
        """In the thread: take a piece; wait while the client is slow. Raises ConnectionError when it has gone."""
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= PIECE:
            asyncio.run_coroutine_threadsafe(self._send(), self._loop).result()

    async def _send(self) -> None:
        if self._response is None:
            self._response = await begin(self._request, self._content_type, self.headers)
        data, self._pieces, self._waiting = b"".join(self._pieces), [], 0
        await self._response.write(data)

    async def filled_by(self, work: Callable[[], Awaitable[None]]) -> web.StreamResponse:
        """The whole answer, which ``work`` writes. Raises what it raises, if nothing was sent by then."""
        try:
            await work()
            await self._send()
        except Exception:
            if self._response is None:
                raise
            if self._request.transport is not None:
                self._request.transport.abort()
        assert self._response is not None
        return self._response


async def stream(
    request: web.Request, produce: Callable[[Callable[[bytes], None]], None], content_type: str = TAR
) -> web.StreamResponse:
    """What ``produce``, in a thread, writes through the function it is given. Raises as :meth:`Outlet.filled_by`."""
    outlet = Outlet(request, content_type)
    return await outlet.filled_by(lambda: in_own_thread(partial(produce, outlet.write)))
