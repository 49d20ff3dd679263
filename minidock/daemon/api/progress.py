"""What takes long: a body that a thread reads, and the lines that tell the client how it goes."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from aiohttp import web

from minidock import messages
from minidock.daemon import pulling
from minidock.daemon.api import answers
from minidock.errors import MinidockError
from minidock.messages import ErrorDetail, Progress

READ_AHEAD = 256 * 1024


def opened(content: aiohttp.StreamReader) -> io.BufferedReader:
    """A body as a file, for a thread (of its own: clients may be slow) that reads an archive from it."""
    return io.BufferedReader(_Body(content), READ_AHEAD)


class _Body(io.RawIOBase):
    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content
        self._loop = asyncio.get_running_loop()

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait, in this thread, until the event loop has some more."""
        data = asyncio.run_coroutine_threadsafe(self._content.read(len(buffer)), self._loop).result()
        buffer[: len(data)] = data
        return len(data)


async def tell(request: web.Request, work: Callable[[pulling.Tell], Coroutine[Any, Any, None]]) -> web.StreamResponse:
    """Do the work and stream its progress. An error before the first line is an ordinary answer; later, a line."""
    lines: asyncio.Queue[Progress | None] = asyncio.Queue()
    task = asyncio.create_task(work(lines.put_nowait))
    task.add_done_callback(lambda _: lines.put_nowait(None))
    response: web.StreamResponse | None = None
    try:
        while (line := await lines.get()) is not None:
            response = response or await answers.begin(request)
            await response.write(messages.encode(line) + b"\r\n")
        await task
    except MinidockError as error:
        if response is None:
            raise
        line = Progress(error=error.message, error_detail=ErrorDetail(message=error.message))
        await response.write(messages.encode(line) + b"\r\n")
    finally:
        task.cancel()
    response = response or await answers.begin(request)
    await response.write_eof()
    return response
