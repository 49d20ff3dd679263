"""The images of this machine: content, layers, snapshots and names under one roof.

An image exists when it has a record, and it gets one only when its manifest, configuration and all layers are here
(:meth:`Images.put`). So whoever is killed in the middle leaves content that nobody names, never half an image.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec

from minidock import units
from minidock.content.store import Content
from minidock.content.wholes import everything
from minidock.database import Database
from minidock.errors import InvalidReference, InvalidSpec, MinidockError, NotFound
from minidock.images.holds import Holds
from minidock.images.image import Image, Layer, chain_ids
from minidock.images.importing import store_archive
from minidock.images.layers import Layers
from minidock.images.names import Names
from minidock.images.packing import pack
from minidock.images.provisional import Provisional
from minidock.images.removal import Use, plan_removal
from minidock.images.snapshots import Snapshots
from minidock.images.unpack import Limits
from minidock.oci.image import (
    OCI_CONFIG,
    OCI_MANIFEST,
    REF_NAME,
    ContainerDefaults,
    Descriptor,
    History,
    ImageConfig,
    Index,
    RootFs,
    as_oci,
    check_layers,
    encode,
    parse_config,
    parse_manifest,
)
from minidock.oci.platform import Platform, host
from minidock.oci.reference import Reference

#: What a broken pull left is kept this long (in seconds), so that the next one goes on from there.
KEEP_LEFTOVERS = 24 * 3600.0


class Deletion(NamedTuple):
    """One line of rmi's answer; ``image`` is the id of the image that it is about."""

    what: Literal["Untagged", "Deleted"]
    name: str
    image: str


class Images:
    """All images under a data root. Several threads may use it; what takes long blocks its own thread alone."""

    def __init__(self, data_root: Path, database: Database, limits: Limits = Limits()) -> None:  # noqa: B008  # immutable
        self.content = Content(data_root / "images", data_root / "ingest")
        self.layers = Layers(data_root / "layers", self.content, limits)
        self.snapshots = Snapshots(self.layers, database)
        self.holds = Holds(database)
        self._names = Names(database)
        # Held while records change, so that index.json follows them, and so that nothing is collected that is coming.
        self._lock = threading.RLock()
        self._bringing = 0
        self._provisional = Provisional(database)

    def get(self, name: str) -> Image:
        """The image that a name, an id or the beginning of an id means. Raises NoSuchImage, InvalidReference."""
        return self._load(self._names.find(name))

    def find(self, name: str) -> Image | None:
        """The same, or None, whatever ``name`` is."""
        try:
            return self.get(name)
        except MinidockError:
            return None

    def all(self) -> list[Image]:
        """Every image, the newest first. One that was damaged on the disk is left out: asking for it says so."""
        images = []
        for image_id in self._names.ids():
            with suppress(MinidockError):
                images.append(self._load(image_id))
        return sorted(images, key=lambda image: image.config.created, reverse=True)

    @contextmanager
    def bringing(self) -> Iterator[None]:
        """While the block lasts, no content is removed: what is in the store, but in no image yet, is on its way."""
        with self._lock:
            self._bringing += 1
        try:
            yield
        finally:
            with self._lock:
                self._bringing -= 1
                if not self._bringing:
                    self._collect_unwanted()

    def provisional(self, blobs: Iterable[str] = (), diff_ids: Iterable[str] = ()) -> None:
        """Inside :meth:`bringing`: should no image take these blobs and layers, they go at the end of it."""
        self._provisional.add(blobs, diff_ids)

    def put(
        self,
        descriptor: Descriptor,
        name: Reference | None = None,
        repository_digest: str = "",
        top: Descriptor | None = None,
    ) -> Image:
        """Record an image whose manifest is ``descriptor``; ``name`` (with a tag or digest) now means it.

        ``repository_digest`` is what ``name``'s registry calls it: the digest of the index, if there was one.
        ``top`` is that index, if all that it speaks of is here and shall stay.
        Raises InvalidSpec, NotFound (content or layers are not here), CorruptContent.
        """
        manifest = parse_manifest(self.content.read(descriptor), descriptor.media_type)
        if isinstance(manifest, Index):
            raise InvalidSpec(f"{descriptor.digest} is an index: an image is one of its manifests")
        config = parse_config(self.content.read(manifest.config), manifest.config)
        check_layers(manifest, config)
        for diff_id in config.rootfs.diff_ids:
            if not self.layers.has(diff_id):
                raise NotFound(f"layer {diff_id} is not unpacked: pull the image again")
        names = []
        if name:
            name = name.with_default_tag()
            names = [name.with_digest(name.digest) if name.digest else name]
            names += [name.with_digest(repository_digest)] if repository_digest else []
        with self._lock:
            self._names.put(manifest.config.digest, descriptor.plain, *names, top=top and top.plain)
            self._write_index()
        return self._load(manifest.config.digest)

    def tag(self, source: str, name: Reference) -> Image:
        """Give an image another name; it may have meant another image before. Raises NoSuchImage, InvalidReference."""
        if name.digest:
            raise InvalidReference("refusing to create a tag with a digest reference")
        image = self.get(source)
        with self._lock:
            self._names.put(image.id, image.descriptor, name.with_default_tag())
            self._write_index()
        return self._load(image.id)

    def remove(
        self, name: str, force: bool = False, in_use: Mapping[str, Sequence[Use]] | None = None
    ) -> list[Deletion]:
        """``docker rmi``: drop a name; with the last one the image. ``in_use``: by image id, the containers on it.

        Raises NoSuchImage, and Conflict in Docker's words.
        """
        with self._lock:
            image = self.get(name)
            removal = plan_removal(image, name, force, (in_use or {}).get(image.id, ()))
            for reference in removal.names:
                self._names.drop_name(reference)
            answer = [Deletion("Untagged", reference.familiar, image.id) for reference in removal.names]
            if removal.image:
                self._names.drop_image(image.id)
            self._write_index()
            if removal.image:
                answer.append(Deletion("Deleted", image.id, image.id))
                answer += [Deletion("Deleted", chain_id, image.id) for chain_id in self._collect(image)]
        return answer

    def layer_from(self, upper: Path, take: bool = False, newest: int | None = None) -> Layer | None:
        """Make a layer of an overlay's upper directory, store and unpack it; None if nothing was changed.

        With ``take`` the directory itself may become the unpacked layer, which costs a rename; it must be on the data
        root's file system, and is the caller's no more. ``newest`` (seconds since 1970): no file is younger. Call it
        inside :meth:`bringing`, with :meth:`derive`. Raises InvalidSpec, NoSpace; then there is no layer.
        """
        layer, written = pack(self.content, upper, newest)
        if layer is None:
            return None
        self.provisional([layer.descriptor.digest], [layer.diff_id])
        if take and newest is None:
            for name in written.sockets:
                (upper / name).unlink(missing_ok=True)
            self.layers.adopt(upper, layer.diff_id, written.size)
        else:
            self.layers.unpack(layer.descriptor, layer.diff_id)
        return layer

    def derive(
        self,
        parent: Image | None,
        layers: Sequence[Layer],
        config: ContainerDefaults,
        history: Sequence[History],
        names: Sequence[Reference] = (),
        author: str = "",
        platform: Platform | None = None,
    ) -> Image:
        """Record a new image: the layers of ``parent`` (None: from scratch), and new ones on top.

        ``config`` is all of the new configuration, ``history`` what is new in it: one line for each layer, and any
        number of lines with ``empty_layer``. The image was created when the last line says. ``platform`` is that of
        the parent, or this machine's, if it is None.
        """
        assert sum(not step.empty_layer for step in history) == len(layers)
        base = parent.config if parent else _blank(platform or host())
        stack = [*(parent.layers if parent else ()), *layers]
        document = msgspec.structs.replace(
            base,
            created=history[-1].created if history else base.created,
            author=author,
            comment=history[-1].comment if history else "",
            config=config,
            rootfs=RootFs(type="layers", diff_ids=[layer.diff_id for layer in stack]),
            history=[*base.history, *history],
            docker_version="",
            parent="",
        )
        if platform:
            document = msgspec.structs.replace(
                document, os=platform.os, architecture=platform.architecture, variant=platform.variant
            )
        return self.add_image(stack, document, *names)

    def add_image(self, layers: Sequence[tuple[Descriptor, str]], config: ImageConfig, *names: Reference) -> Image:
        """Record a new image of ours, made of layers (descriptor and diff-id) that are here. See :meth:`put`."""
        with self.bringing():
            config_descriptor = self.content.add(encode(config), OCI_CONFIG)
            manifest = {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": config_descriptor,
                "layers": [as_oci(descriptor) for descriptor, _ in layers],
            }
            descriptor = self.content.add(msgspec.json.encode(manifest), OCI_MANIFEST)
            self.provisional([config_descriptor.digest, descriptor.digest])
            image = self.put(descriptor, names[0] if names else None)
            for name in names[1:]:
                image = self.tag(image.id, name)
        return image

    def import_rootfs(
        self,
        stream: BinaryIO,
        name: Reference | None = None,
        config: ContainerDefaults | None = None,
        comment: str = "",
        platform: Platform | None = None,
    ) -> Image:
        """``docker import``: a root file system's archive, packed or not, becomes an image of one layer.

        Raises InvalidSpec, CorruptContent, NoSpace; then there is no image.
        """
        with self.bringing():
            blob = store_archive(self.content, stream, self.layers.limits)
            self.provisional([blob.digest])
            layer = Layer(blob, self.layers.unpack_new(blob))
            step = History(created=units.format_rfc3339(time.time_ns()), comment=comment)
            names = [name] if name else []
            return self.derive(None, [layer], config or ContainerDefaults(), [step], names, platform=platform)

    def let_go(self, layers: Iterable[Layer]) -> None:
        """Remove the layers that no image, container or hold needs; now, or when nothing is on its way any more."""
        unwanted = list(layers)
        with self._lock:
            self.provisional([layer.descriptor.digest for layer in unwanted], [layer.diff_id for layer in unwanted])
            if not self._bringing:
                self._collect_unwanted()

    def sweep(self) -> None:
        """At the daemon's start: remove what killed daemons left, and write index.json as the records say."""
        before = time.time() - KEEP_LEFTOVERS
        self.content.sweep(before)
        self.layers.sweep()
        with self._lock:
            self._collect_unwanted()
            blobs, diff_ids = self._live()
            self.content.collect(blobs, before)
            self.layers.collect(diff_ids, before)
            self._write_index()

    def _load(self, image_id: str) -> Image:
        descriptor, top, tagged = self._names.record(image_id)
        manifest = parse_manifest(self.content.read(descriptor), descriptor.media_type)
        assert not isinstance(manifest, Index)  # put() saw to that
        config = parse_config(self.content.read(manifest.config), manifest.config)
        size = sum(self.layers.size(diff_id) for diff_id in config.rootfs.diff_ids)
        return Image(image_id, descriptor, top, manifest, config, self._names.of(image_id), size, tagged)

    def _write_index(self) -> None:
        """index.json lists the names, and images without one, for tools that know nothing of our records."""
        manifests = []
        for image_id in self._names.ids():
            descriptor = self._names.record(image_id).top
            tags = [str(name) for name in self._names.of(image_id) if name.tag]
            manifests += [msgspec.structs.replace(descriptor, annotations={REF_NAME: tag}) for tag in tags]
            if not tags:
                manifests.append(descriptor)
        self.content.write_index(manifests)

    def _live(self) -> tuple[set[str], set[str]]:
        """The blobs that images are made of, and the layers (diff-ids) that images and containers need."""
        blobs: set[str] = set()
        diff_ids = self.snapshots.layers_in_use()
        for layer in self.holds.all():
            blobs.add(layer.descriptor.digest)
            diff_ids.add(layer.diff_id)
        for image in self.all():
            blobs |= image.blobs | self._beside(image)
            diff_ids.update(image.diff_ids)
        return blobs, diff_ids

    def _beside(self, image: Image) -> set[str]:
        """What an image came with: its index, and all that this speaks of."""
        if image.top == image.descriptor:
            return set()
        try:
            return {blob.digest for blob in everything(self.content, image.top)}
        except MinidockError:  # somebody damaged the store: the image itself may still be good
            return set()

    def _collect(self, image: Image) -> list[str]:
        """Remove what only a removed image needed; the chain-ids of the layers that no image has any more."""
        self._provisional.add(image.blobs | self._beside(image), image.diff_ids)
        _, still = self._live()
        chains = dict(zip(chain_ids(image.diff_ids), image.diff_ids, strict=True))
        if not self._bringing:
            self._collect_unwanted()
        return [chain_id for chain_id, diff_id in reversed(chains.items()) if diff_id not in still]

    def _collect_unwanted(self) -> None:
        blobs, diff_ids = self._provisional.all()
        if not blobs and not diff_ids:
            return
        live_blobs, live_diff_ids = self._live()
        self.content.remove(blobs - live_blobs)
        self.layers.remove(diff_ids - live_diff_ids)
        self._provisional.clear()


def _blank(platform: Platform) -> ImageConfig:
    """What ``FROM scratch`` begins with."""
    return ImageConfig(
        architecture=platform.architecture,
        variant=platform.variant,
        os=platform.os,
        rootfs=RootFs(type="layers", diff_ids=[]),
    )
