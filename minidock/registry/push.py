"""From the content store to an image's name in a registry.

The order is that of a pull, turned round: first the blobs, side by side, then the manifests, those that others point
to first, and at the very end the one that the name shall stand for. So whoever pulls the name meanwhile gets the old
image or the new one, and a push that breaks off has changed no name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from minidock.content.store import Content
from minidock.content.wholes import everything
from minidock.oci import digest as digests
from minidock.oci.distribution import pull_scope, push_scope
from minidock.oci.image import CONFIG_TYPES, INDEX_TYPES, MANIFEST_TYPES, Descriptor, parse_manifest
from minidock.oci.reference import Reference
from minidock.registry.client import Registry
from minidock.registry.credentials import ANONYMOUS, Credentials
from minidock.registry.endpoints import addresses
from minidock.registry.progress import Progress, Reporter
from minidock.registry.referrers import list_by_hand
from minidock.registry.retry import Retry
from minidock.registry.settings import Settings
from minidock.registry.transport import Transport
from minidock.registry.upload import Upload

#: from so many other repositories at most are blobs mounted: each needs a permission of its own
MOST_SOURCES = 4


async def push(
    reference: Reference,
    top: Descriptor,
    content: Content,
    progress: Callable[[Progress], None] = lambda event: None,
    *,
    mounts: Mapping[str, str] | None = None,
    credentials: Credentials = ANONYMOUS,
    settings: Settings | None = None,
    retry: Retry | None = None,
) -> None:
    """Give ``reference`` (with a tag) the manifest or index ``top``, and all that it speaks of.

    ``mounts`` says of blobs, by digest, in which other repository of this registry they are believed to be.

    :raises NotFound: something is not in ``content``
    :raises Unauthorized: the registry does not believe ``credentials``, or wants some
    :raises Forbidden: it does, and does not want this
    :raises RegistryUnreachable: nobody answers
    :raises RegistryError: the registry breaks the protocol, or keeps failing
    """
    settings = settings or Settings()
    sources = sorted({source for source in (mounts or {}).values() if source != reference.path})[:MOST_SOURCES]
    scopes = [push_scope(reference.path), *map(pull_scope, sources)]
    items = await asyncio.to_thread(everything, content, top)
    with ThreadPoolExecutor(settings.max_concurrent_uploads, thread_name_prefix="push") as executor:
        async with Transport(settings) as transport:
            places = addresses(reference.domain, settings)
            registry = await Registry.connect(transport, places, reference, credentials, scopes)
            slots = asyncio.Semaphore(settings.max_concurrent_uploads)
            known = {digest: source for digest, source in (mounts or {}).items() if source in sources}
            job = _Push(registry, content, progress, known, retry or Retry(), executor, slots)
            await job.send_blobs([item for item in items if item.media_type not in INDEX_TYPES + MANIFEST_TYPES])
            for item in items:
                if item.media_type in INDEX_TYPES + MANIFEST_TYPES:
                    name = (reference.tag or "") if item.digest == top.digest else item.digest
                    await job.send_manifest(item, name or item.digest)


@dataclass
class _Push:
    """One push to one registry."""

    registry: Registry
    content: Content
    progress: Callable[[Progress], None]
    mounts: Mapping[str, str]
    retry: Retry
    executor: Executor
    slots: asyncio.Semaphore

    async def send_blobs(self, blobs: list[Descriptor]) -> None:
        """All of them, side by side. When one fails, the others are stopped before this returns."""
        try:
            async with asyncio.TaskGroup() as group:
                for blob in blobs:
                    quiet = blob.media_type in CONFIG_TYPES  # as in Docker, which tells of layers alone
                    tell = (lambda event: None) if quiet else self.progress
                    reporter = Reporter(tell, digests.encoded(blob.digest)[:12], blob.size, "Pushing")
                    reporter.tell("Preparing")
                    group.create_task(self._send(blob, reporter))
        except BaseExceptionGroup as failures:
            # One failed first; that the others were cancelled tells nobody anything.
            raise failures.exceptions[0] from failures

    async def _send(self, blob: Descriptor, reporter: Reporter) -> None:
        if self.slots.locked():
            reporter.tell("Waiting")
        async with self.slots:
            if await self.retry.run(lambda: self.registry.has_blob(blob), waiting=reporter.waiting):
                reporter.tell("Layer already exists")
                return
            source = self.mounts.get(blob.digest, "")
            upload = Upload(
                self.registry,
                blob,
                lambda: self.content.open(blob),
                self.retry,
                self.executor,
                reporter.moved,
                reporter.waiting,
            )
            await upload.run(source)
            reporter.tell(f"Mounted from {source}" if upload.mounted else "Pushed")

    async def send_manifest(self, descriptor: Descriptor, name: str) -> None:
        """One manifest or index, its bytes as they are."""
        data = await asyncio.to_thread(self.content.read, descriptor)
        is_listed = await self.retry.run(lambda: self.registry.put_manifest(descriptor, data, name))
        document = parse_manifest(data, descriptor.media_type)
        if document.subject is not None and not is_listed:
            await self.retry.run(lambda: list_by_hand(self.registry, descriptor, document))
