"""One blob on its way from the registry to the disk: checked, and continued where it broke off.

The event loop reads from the network while a thread writes and hashes the piece before (both let go of Python's
lock), so that the slower of the two sets the pace. At most one piece waits: a slow disk slows the network down
instead of filling the memory.

Trust: a blob never takes more bytes than its descriptor says, and the sink's ``commit`` compares the digest of all of
them. What broke off stays in the sink and the next attempt, or the next pull, asks for the rest. Bytes that turn out
wrong at the end are thrown away, all of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import aiohttp

from minidock.errors import CorruptContent
from minidock.oci.image import Descriptor
from minidock.registry.client import Registry
from minidock.registry.retry import Retry, Unavailable

T = TypeVar("T")

#: bytes that must have come before a failure is held against the line rather than the registry
PROGRESS = 1 << 20


class Ingest(Protocol):
    """A blob on its way into a sink."""

    #: bytes that are there, those of an earlier try included
    offset: int

    def write(self, data: bytes) -> None:
        """Append."""

    def commit(self) -> object:
        """All is there: check it and make it a blob. Raises CorruptContent; then nothing is left."""

    def abort(self) -> None:
        """Give up, and leave nothing."""

    def close(self) -> None:
        """Pause: what is there will be gone on with. Of no effect after commit or abort."""


class Sink(Protocol):
    """Where blobs go. The image store is one. Its methods may block: they are called in threads."""

    def has(self, descriptor: Descriptor) -> bool:
        """Is the blob there, whole and checked?"""

    def read(self, descriptor: Descriptor) -> bytes:
        """The content of a small blob."""

    def ingest(self, descriptor: Descriptor) -> Ingest:
        """Start, or go on, bringing a blob in."""


@dataclass
class Download:
    """A blob that is being downloaded. ``watch`` is told how many bytes are there, ``waiting`` about each delay."""

    registry: Registry
    descriptor: Descriptor
    retry: Retry
    executor: Executor
    watch: Callable[[int], None]
    waiting: Callable[[float], None]

    async def into(self, sink: Sink, verifying: Callable[[], None]) -> None:
        """Download the blob; when this returns it is in the sink.

        :raises CorruptContent: the registry sends something else than the descriptor says
        """
        ingest = await self._thread(sink.ingest, self.descriptor, undo=lambda ingest: ingest.close())
        resumed = ingest.offset > 0
        try:
            await self._fill(ingest)
            verifying()
            await self._thread(ingest.commit)
        except CorruptContent:
            if not resumed:
                raise
        else:
            return
        finally:
            await self._thread(ingest.close)
        # The wrong bytes may have been those of an earlier pull: they are gone, and the registry gets a second chance.
        await self.into(sink, verifying)

    async def _fill(self, ingest: Ingest) -> None:
        """Attempt after attempt, until every byte is there."""
        last = ingest.offset

        def made_progress() -> bool:
            nonlocal last
            before, last = last, ingest.offset
            return last - before >= PROGRESS

        try:
            await self.retry.run(lambda: self._attempt(ingest), made_progress, self.waiting)
        except CorruptContent:
            await self._thread(ingest.abort)
            raise

    async def _attempt(self, ingest: Ingest) -> None:
        offset, size = ingest.offset, self.descriptor.size
        if offset == size:
            return
        async with await self.registry.blob(self.descriptor.digest, offset) as response:
            start = _start(response, offset)
            self._check_length(response.content_length, size - start)
            await self._copy(response, ingest, skip=offset - start)
        if ingest.offset < size:
            raise CorruptContent(f"blob {self.descriptor.digest} ends after {ingest.offset} of {size} bytes")

    def _check_length(self, announced: int | None, expected: int) -> None:
        if announced is not None and announced != expected:
            digest = self.descriptor.digest
            raise CorruptContent(f"blob {digest}: the registry sends {announced} bytes where {expected} are wanted")

    async def _copy(self, response: aiohttp.ClientResponse, ingest: Ingest, skip: int) -> None:
        """From the network into the sink: while a piece is written, the next one arrives."""
        missing = self.descriptor.size - ingest.offset
        writing: asyncio.Future[object] | None = None
        try:
            async for received in _pieces(response):
                piece = received[skip:]
                skip -= len(received) - len(piece)
                missing -= len(piece)
                if missing < 0:
                    size = self.descriptor.size
                    raise CorruptContent(f"blob {self.descriptor.digest} goes on after its {size} bytes")
                if writing is not None:
                    await _ended(writing)
                    writing.result()
                    self.watch(ingest.offset)
                writing = asyncio.get_running_loop().run_in_executor(self.executor, ingest.write, piece)
        finally:
            # Whatever happens, nobody touches the ingest before the thread is done.
            if writing is not None:
                await _ended(writing)
                writing.result()

    async def _thread(
        self, function: Callable[..., T], *arguments: object, undo: Callable[[T], object] = lambda result: None
    ) -> T:
        """The result of a call in a thread. A task that is cancelled waits for it all the same, to ``undo`` it."""
        call = asyncio.get_running_loop().run_in_executor(self.executor, function, *arguments)
        try:
            await _ended(call)
        except asyncio.CancelledError:
            if call.exception() is None:
                undo(call.result())
            raise
        return call.result()


async def _ended(call: asyncio.Future[T]) -> None:
    """Wait for a thread. It cannot be cancelled, so a task that is (once or more often) waits too, and ends then."""
    cancelled: asyncio.CancelledError | None = None
    while not call.done():
        try:
            await asyncio.wait([call])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body, in pieces as large as have come together."""
    received = 0
    try:
        async for piece in response.content.iter_any():
            received += len(piece)
            yield piece
    except (aiohttp.ClientError, OSError) as error:
        raise Unavailable(f"{response.url.authority}: the connection broke off after {received} bytes") from error


def _start(response: aiohttp.ClientResponse, offset: int) -> int:
    """The position in the blob at which this answer begins: not every server can do ranges."""
    if response.status != 206:
        return 0
    content_range = response.headers.get("Content-Range", "")
    if not re.match(rf"bytes {offset}-", content_range):
        raise CorruptContent(
            f"{response.url.authority} was asked for bytes from {offset} on and sent {content_range!r}"
        )
    return offset
