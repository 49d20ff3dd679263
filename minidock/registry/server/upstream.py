"""A registry as the cache of another one: what is asked for and not here is fetched, kept and sent.

Content never changes under its digest, so that what is here is never asked for again. A tag may move: it is looked up
each time, with a question (HEAD) that Docker Hub does not count; when nobody answers there, what is here still serves.

Whoever asks for a blob while it is on its way waits for the same download.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from yarl import URL

from minidock.errors import InvalidSpec, MinidockError, NotFound, RegistryUnreachable, Unauthorized
from minidock.oci.image import Descriptor
from minidock.oci.reference import Reference
from minidock.registry import client
from minidock.registry.credentials import Credentials
from minidock.registry.download import Download
from minidock.registry.retry import Retry
from minidock.registry.server.refusals import Refusal
from minidock.registry.server.store import Store
from minidock.registry.settings import Settings
from minidock.registry.transport import Transport


class Upstream:
    """The registry at ``base``, seen from its cache ``store``. To be used as a context manager."""

    def __init__(self, base: URL, store: Store, credentials: Credentials, settings: Settings) -> None:
        self._base, self._store = base, store
        self._credentials = credentials
        self._transport = Transport(settings)
        self._executor = ThreadPoolExecutor(os.cpu_count(), "upstream")
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Upstream:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        await self._transport.__aexit__(None, None, None)
        self._executor.shutdown()

    async def bring_manifest(self, repository: str, wanted: str) -> None:
        """Have the manifest with this tag or digest here, if there is one. Raises Refusal."""
        here = await self._here(repository, wanted)
        if here is not None and ":" in wanted:
            return
        try:
            registry = await self._connect(repository)
            if here is not None:
                there = await registry.head(wanted)
                if there is None or there.digest == here:
                    return
            manifest = await registry.manifest(wanted)
            found, tag = manifest.descriptor, None if ":" in wanted else wanted
            arguments = (repository, manifest.content, found.media_type, found.digest, tag)
            await asyncio.to_thread(self._store.put_manifest, *arguments, complete=False)
        except MinidockError as error:
            if here is None:
                raise _refusal(error, "MANIFEST_UNKNOWN") from error

    async def bring_blob(self, repository: str, digest: str) -> None:
        """Have the blob here, if a manifest told of it. Raises Refusal."""
        with suppress(Refusal):
            await asyncio.to_thread(self._store.blob, repository, digest)
            return
        size = await asyncio.to_thread(self._store.size_of_part, repository, digest)
        if size is None:
            raise Refusal("BLOB_UNKNOWN", f"no manifest of {repository} that was asked for here has a blob {digest}")
        task = self._under_way.get(digest)
        if task is None:
            task = self._under_way[digest] = asyncio.create_task(self._download(repository, digest, size))
            task.add_done_callback(lambda _: self._under_way.pop(digest, None))
        try:
            await asyncio.shield(task)
        except MinidockError as error:
            raise _refusal(error, "BLOB_UNKNOWN") from error
        await asyncio.to_thread(self._store.link, repository, digest)

    async def _download(self, repository: str, digest: str, size: int) -> None:
        descriptor = Descriptor(media_type="application/octet-stream", digest=digest, size=size)
        if self._store.content.has(descriptor):
            return
        registry = await self._connect(repository)
        download = Download(registry, descriptor, Retry(), self._executor, lambda _: None, lambda _: None)
        await download.into(self._store.content, lambda: None)

    async def _connect(self, repository: str) -> client.Registry:
        reference = Reference(self._base.authority, repository)
        return await client.Registry.connect(self._transport, [self._base], reference, self._credentials)

    async def _here(self, repository: str, wanted: str) -> str | None:
        with suppress(Refusal):
            return (await asyncio.to_thread(self._store.manifest, repository, wanted)).digest
        return None


def _refusal(error: MinidockError, unknown: str) -> Refusal:
    """What our client is told when the other registry has refused us."""
    if isinstance(error, NotFound | InvalidSpec):
        return Refusal(unknown, f"upstream: {error}")
    if isinstance(error, RegistryUnreachable):
        return Refusal("UNAVAILABLE", f"upstream: {error}")
    return Refusal("DENIED" if isinstance(error, Unauthorized) else "UNAVAILABLE", f"upstream: {error}")
