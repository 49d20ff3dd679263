"""From an image's name to its blobs in a sink.

The order is the reading order of the formats: the name leads to a manifest (or to an index, which has one for each
platform), the manifest to the config and the layers. Each step's digest is in the one before, so that the whole
image is as trustworthy as the name's first answer. The config comes before the layers because it has their diff-ids:
a layer is unpacked as soon as it is there, while others are still on the way.

Manifest and index are stored last: whoever finds them in the sink finds all that they speak of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from yarl import URL

from minidock.errors import CorruptContent, Forbidden, InvalidSpec, NotFound, RegistryError, Unauthorized
from minidock.oci import digest as digests
from minidock.oci.image import (
    MAX_CONFIG,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    check_layers,
    parse_config,
    parse_manifest,
    select,
)
from minidock.oci.platform import Platform
from minidock.oci.reference import Reference
from minidock.registry.client import RawManifest, Registry
from minidock.registry.credentials import ANONYMOUS, Credentials
from minidock.registry.download import Download, Sink
from minidock.registry.endpoints import addresses, mirrors
from minidock.registry.progress import Progress, Reporter
from minidock.registry.retry import Retry
from minidock.registry.settings import Settings
from minidock.registry.transport import Transport

log = logging.getLogger(__name__)

#: what a mirror may do wrong without stopping a pull: the registry itself is asked then
_MIRROR_FAILURES = (RegistryError, NotFound, Unauthorized, Forbidden, CorruptContent, InvalidSpec)


@dataclass(frozen=True)
class Layer:
    """A layer of the image: what to download, and what it is once unpacked."""

    descriptor: Descriptor
    diff_id: str

    @property
    def id(self) -> str:
        """How progress names it."""
        return digests.encoded(self.descriptor.digest)[:12]


@dataclass(frozen=True)
class Pulled:
    """An image whose every blob is in the sink.

    ``digest`` is what the name stands for in the registry (of the index, if there is one): Docker's "Digest:" line.
    """

    digest: str
    manifest: Descriptor
    index: Descriptor | None
    config: Descriptor
    layers: tuple[Layer, ...]


async def _nothing(layer: Layer) -> None:
    """No layer needs anything done."""


async def pull(
    reference: Reference,
    platform: Platform,
    sink: Sink,
    progress: Callable[[Progress], None] = lambda event: None,
    on_layer: Callable[[Layer], Awaitable[None]] = _nothing,
    *,
    credentials: Credentials = ANONYMOUS,
    settings: Settings | None = None,
    retry: Retry | None = None,
    told: Callable[[str], None] | None = None,
) -> Pulled:
    """Bring the image that ``reference`` names, for ``platform``, into ``sink``.

    ``on_layer`` is awaited once for each different layer, in no particular order, as soon as its blob is there; when
    it fails, the pull fails. ``told`` hears of each exchange with the registry, in a line.

    :raises NotFound: there is no such image, or not for us, or not for this platform
    :raises Unauthorized: the registry does not believe ``credentials``, or wants some
    :raises RegistryUnreachable: nobody answers
    :raises RegistryError: the registry breaks the protocol, or keeps failing
    :raises CorruptContent: it sends something else than a digest or a size says
    :raises InvalidSpec: what it sends is no image that we understand
    """
    settings = settings or Settings()
    reference = reference.with_default_tag()
    with ThreadPoolExecutor(settings.max_concurrent_downloads, thread_name_prefix="pull") as executor:
        async with Transport(settings, told) as transport:

            async def pull_from(places: list[URL], identity: Credentials) -> Pulled:
                registry = await Registry.connect(transport, places, reference, identity)
                slots = asyncio.Semaphore(settings.max_concurrent_downloads)
                job = _Pull(registry, reference, sink, progress, on_layer, retry or Retry(), executor, slots)
                return await job.run(platform)

            for mirror in mirrors(reference.domain, settings):
                try:
                    return await pull_from([mirror], ANONYMOUS)
                except _MIRROR_FAILURES as error:
                    log.warning("mirror %s: %s", mirror, error)
            return await pull_from(addresses(reference.domain, settings), credentials)


@dataclass
class _Pull:
    """One pull from one registry."""

    registry: Registry
    reference: Reference
    sink: Sink
    progress: Callable[[Progress], None]
    on_layer: Callable[[Layer], Awaitable[None]]
    retry: Retry
    executor: Executor
    slots: asyncio.Semaphore

    async def run(self, platform: Platform) -> Pulled:
        """The steps of the module's description, in their order."""
        top = await self._top()
        self.progress(Progress(self.reference.tag or top.descriptor.digest, f"Pulling from {self.reference.path}"))
        chosen, manifest = await self._choose(top, platform)
        layers = _layers(manifest, await self._config(manifest))
        # Manifests are stored last: if this one is here, the image is, and there is nothing to tell about its layers.
        known = self.sink.has(chosen.descriptor)
        await self._bring_layers(list({layer.descriptor.digest: layer for layer in layers}.values()), quiet=known)
        for raw in (chosen, top):
            await asyncio.to_thread(self._store, raw)
        index = top.descriptor if top is not chosen else None
        return Pulled(top.descriptor.digest, chosen.descriptor, index, manifest.config, layers)

    async def _top(self) -> RawManifest:
        """What the name stands for. If we have it already, only the question which it is goes over the network."""
        reference = self.reference
        if reference.digest:
            return await self._fetch(reference.digest)
        tag = reference.tag or ""
        known = await self.retry.run(lambda: self.registry.head(tag))
        if known is None:
            return await self.retry.run(lambda: self.registry.manifest(tag))
        if self.sink.has(known):
            return RawManifest(known, self.sink.read(known))
        return await self._fetch(known.digest)

    async def _fetch(self, digest: str) -> RawManifest:
        return await self.retry.run(lambda: self.registry.manifest(digest))

    async def _choose(self, top: RawManifest, platform: Platform) -> tuple[RawManifest, Manifest]:
        """The manifest for ``platform``: what the name stands for, or one that it lists."""
        document = parse_manifest(top.content, top.descriptor.media_type)
        if isinstance(document, Manifest):
            return top, document
        entry = select(document, platform)
        if self.sink.has(entry):
            raw = RawManifest(entry, self.sink.read(entry))
        else:
            raw = await self._fetch(entry.digest)
        if raw.descriptor.size != entry.size:
            raise CorruptContent(f"manifest {entry.digest} has {raw.descriptor.size} bytes, not {entry.size} as listed")
        if raw.descriptor.media_type != entry.media_type:
            raise InvalidSpec(
                f"manifest {entry.digest} is {raw.descriptor.media_type}, not {entry.media_type} as listed"
            )
        chosen = parse_manifest(raw.content, entry.media_type)
        if isinstance(chosen, Index):
            raise InvalidSpec(f"image index {top.descriptor.digest} lists an index where an image is wanted")
        return raw, chosen

    async def _config(self, manifest: Manifest) -> ImageConfig:
        if manifest.config.size > MAX_CONFIG:
            raise InvalidSpec(f"image config of {manifest.config.size} bytes: at most {MAX_CONFIG} are read")
        if not self.sink.has(manifest.config):
            await self._download(manifest.config, Reporter(lambda event: None, "", 0, ""))
        content = await asyncio.to_thread(self.sink.read, manifest.config)
        return parse_config(content, manifest.config)

    async def _bring_layers(self, layers: list[Layer], quiet: bool) -> None:
        """All layers, side by side. When one fails, the others are stopped before this returns."""
        try:
            async with asyncio.TaskGroup() as group:
                for layer in layers:
                    reporter = Reporter(self.progress, layer.id, layer.descriptor.size, "Downloading")
                    there = self.sink.has(layer.descriptor)
                    if not there or not quiet:
                        reporter.tell("Already exists" if there else "Pulling fs layer")
                    group.create_task(self._bring(layer, there, reporter))
        except BaseExceptionGroup as failures:
            # One failed first; that the others were cancelled tells nobody anything.
            raise failures.exceptions[0] from failures

    async def _bring(self, layer: Layer, there: bool, reporter: Reporter) -> None:
        if not there:
            async with self.slots:
                await self._download(layer.descriptor, reporter)
            reporter.tell("Download complete")
        await self.on_layer(layer)

    async def _download(self, descriptor: Descriptor, reporter: Reporter) -> None:
        download = Download(self.registry, descriptor, self.retry, self.executor, reporter.moved, reporter.waiting)
        await download.into(self.sink, verifying=lambda: reporter.tell("Verifying Checksum"))

    def _store(self, raw: RawManifest) -> None:
        if self.sink.has(raw.descriptor):
            return
        ingest = self.sink.ingest(raw.descriptor)
        try:
            ingest.write(raw.content[ingest.offset :])
            ingest.commit()
        finally:
            ingest.close()


def _layers(manifest: Manifest, config: ImageConfig) -> tuple[Layer, ...]:
    """The layers with their diff-ids, the lowest first. One blob twice is fine, as long as it is the same layer."""
    check_layers(manifest, config)
    layers = tuple(map(Layer, manifest.layers, config.rootfs.diff_ids))
    diff_ids: dict[str, str] = {}
    for layer in layers:
        if diff_ids.setdefault(layer.descriptor.digest, layer.diff_id) != layer.diff_id:
            raise InvalidSpec(f"layer {layer.descriptor.digest} has two different diff-ids")
    return layers
