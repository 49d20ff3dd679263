"""How the API answers: one JSON document, nothing, or a stream of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from minidock import messages

#: bytes that are handed to the network at a time
PIECE = 256 * 1024


def document(message: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """One JSON document."""
    body = messages.encode(message) + b"\n"
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def nothing() -> web.Response:
    """Done, and there is nothing to say."""
    return web.Response(status=204)


async def begin(request: web.Request, content_type: str = "application/json") -> web.StreamResponse:
    """Headers now, the rest as it happens."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    return response


async def stream(
    request: web.Request, produce: Callable[[Callable[[bytes], None]], None], content_type: str = "application/x-tar"
) -> web.StreamResponse:
    """What ``produce``, in a thread, writes through the function that it is given: a client that is slow slows it down.

    An error in the middle breaks the connection off, so that nobody takes a part for the whole.
    """
    response = await begin(request, content_type)
    loop = asyncio.get_running_loop()
    buffer = bytearray()

    def flush() -> None:
        asyncio.run_coroutine_threadsafe(response.write(bytes(buffer)), loop).result()
        buffer.clear()

    def write(data: bytes) -> None:
        buffer.extend(data)
        if len(buffer) >= PIECE:
            flush()

    await asyncio.to_thread(produce, write)
    await asyncio.to_thread(flush)
    await response.write_eof()
    return response
