"""One blob on its way from the disk to the registry: mounted, or sent, and continued where it broke off.

::

    HEAD  blobs/DIGEST                    it may be there already
    POST  blobs/uploads/?mount=&from=     or in another repository of the same registry: 201, and nothing is sent
          202 and a Location: where to send
    PATCH Location   Content-Range: 0-N   the bytes, in one piece or several; each answer has the next Location
    GET   Location                        after a break: 204 and how much is there
    PUT   Location&digest=DIGEST          done; the registry compares. A small blob goes along with this request

The Location is the registry's choice. It may lead to another host, which never sees our credentials, but not to where
we would not go by ourselves.

Source: distribution-spec, "Pushing blobs".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import BinaryIO

import aiohttp
from yarl import URL

from minidock.errors import RegistryError
from minidock.oci.image import Descriptor
from minidock.registry.client import Registry
from minidock.registry.download import PROGRESS
from minidock.registry.retry import Retry, Unavailable
from minidock.registry.transport import resolve

#: bytes up to which a blob is sent with one request
SMALL = 1 << 20
#: bytes that are read from the disk at a time
PIECE = 1 << 20

_BINARY = {"Content-Type": "application/octet-stream"}


@dataclass
class Upload:
    """A blob that is being uploaded. ``watch`` is told how many bytes are over, ``waiting`` about each delay."""

    registry: Registry
    descriptor: Descriptor
    open: Callable[[], BinaryIO]
    retry: Retry
    executor: Executor
    watch: Callable[[int], None]
    waiting: Callable[[float], None]
    offset: int = 0
    mounted: bool = False
    _location: URL | None = None

    async def run(self, mount_from: str = "") -> None:
        """Upload the blob, or have it mounted from the repository ``mount_from``; when this returns it is there.

        :raises RegistryError: the registry does not take it
        """
        last = 0

        def made_progress() -> bool:
            nonlocal last
            before, last = last, max(last, self.offset)
            return last - before >= PROGRESS

        await self.retry.run(lambda: self._attempt(mount_from), made_progress, self.waiting)

    async def _attempt(self, mount_from: str) -> None:
        if self._location is None or not await self._can_go_on():
            if self.offset and await self.registry.has_blob(self.descriptor):
                return  # only the answer to the last request was lost
            await self._begin(mount_from)
        if self.mounted:
            return
        size = self.descriptor.size
        if size <= SMALL:
            await self._finish(0)
            return
        while self.offset < size:
            await self._send(size)
        await self._finish(size)

    async def _begin(self, mount_from: str) -> None:
        self._location, self.offset = None, 0
        url = self.registry.url("blobs/uploads/")
        if mount_from:
            url = url.with_query({"mount": self.descriptor.digest, "from": mount_from})
        async with await self.registry.exchange("POST", url) as response:
            if response.status == 201 and mount_from:
                self.mounted = True
                return
            if response.status != 202:
                raise await self.registry.refused(response, "push")
            self._follow(response)

    async def _can_go_on(self) -> bool:
        """After a break: how much is there? Not a small blob's business, and not every registry can say."""
        location, self._location = self._location, None
        if location is None or self.descriptor.size <= SMALL:
            return False
        async with await self.registry.exchange("GET", location) as response:
            there = received(response.headers.get("Range", ""))
            if response.status not in (202, 204) or not 0 < there <= self.descriptor.size:
                return False
            self._location, self.offset = location, there
            if "Location" in response.headers:
                self._follow(response)
        return True

    async def _send(self, size: int) -> None:
        """The next piece, or all that is left."""
        start = self.offset
        end = min(size, start + (self.registry.transport.settings.upload_chunk or size))
        headers = _BINARY | {"Content-Length": str(end - start), "Content-Range": f"{start}-{end - 1}"}
        body = lambda: self._bytes(start, end)  # noqa: E731  # what a second try of the same request begins with
        async with await self.registry.exchange("PATCH", self._there(), headers, body) as response:
            if response.status == 416:
                raise Unavailable(
                    f"{response.url.authority} has other bytes of {self.descriptor.digest} than we thought"
                )
            if response.status not in (201, 202, 204):
                self._location = None  # this upload is no more: whoever tries again, begins anew
                raise await self.registry.refused(response, "push")
            self._follow(response)
            self.offset = received(response.headers["Range"]) if "Range" in response.headers else end
            if not start < self.offset <= end:
                raise RegistryError(f"{response.url.authority} took {self.offset} bytes where {end} were sent")

    async def _finish(self, start: int) -> None:
        """What is left from ``start`` on, and the digest that all of it must have."""
        location, size = self._there(), self.descriptor.size
        separator = "&" if location.raw_query_string else "?"
        url = URL(f"{location}{separator}digest={self.descriptor.digest.replace(':', '%3A')}", encoded=True)
        headers = _BINARY | {"Content-Length": str(size - start)}
        async with await self.registry.exchange("PUT", url, headers, lambda: self._bytes(start, size)) as response:
            if response.status not in (201, 204):
                raise await self.registry.refused(response, "push")
        self.offset = size

    async def _bytes(self, start: int, end: int) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        with self.open() as file:
            file.seek(start)
            while start < end:
                piece = await loop.run_in_executor(self.executor, file.read, min(PIECE, end - start))
                if not piece:
                    raise RegistryError(
                        f"content {self.descriptor.digest} is damaged on the disk: pull the image again"
                    )
                start += len(piece)
                yield piece
                self.watch(start)

    def _there(self) -> URL:
        assert self._location is not None
        return self._location

    def _follow(self, response: aiohttp.ClientResponse) -> None:
        """Where to go on: never down to http, nor to where we would not have gone ourselves."""
        there = resolve(response.url, response.headers.get("Location", ""))
        if "Location" not in response.headers or not self.registry.transport.may_follow(self.registry.base, there):
            host = there.authority if there.host else "nowhere"
            raise RegistryError(f"{self.registry.base.origin()} sends an upload to {host}, which is not safe to follow")
        self._location = there


def received(text: str) -> int:
    """How many bytes the registry has when it says ``Range: text``: 0-N, N included; 0 when it says nothing clear.

    0-0 is what many registries say of an empty upload, too: it counts as none.
    """
    found = re.fullmatch(r"(?:bytes=)?0-([0-9]+)", text)
    return int(found[1]) + 1 if found and found[1] != "0" else 0
