"""``load``: images out of an archive, whoever wrote it: an OCI layout, a docker-archive of any age, or both in one.

Nothing is unpacked by the names in the archive. Each of its files becomes a blob in the store, under the digest of its
bytes, and a table says which name in the archive stands for which blob; a link in the archive is a line in that table.
So no name and no link can lead anywhere (CVE-2014-9356), and ``blobs/sha256/…`` cannot lie about its content. What no
image takes is removed at the end.

Source: image-spec, image-layout.md; https://github.com/moby/docker-image-spec (the ``docker save`` format).
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO

import msgspec

from minidock.content.store import Content
from minidock.content.wholes import everything, is_whole
from minidock.errors import CorruptContent, InvalidDigest, InvalidReference, InvalidSpec, NotFound
from minidock.images import archive
from minidock.images.compression import CHUNK, Counted, ReadAhead, Stream, decompressed, kind_of
from minidock.images.image import Image
from minidock.images.images import Images
from minidock.images.saving import CONTAINERD_NAME
from minidock.oci import digest as digests
from minidock.oci import reference as references
from minidock.oci.image import (
    CONFIG_TYPES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    REF_NAME,
    Descriptor,
    Index,
    Manifest,
    check_layers,
    parse_config,
    parse_manifest,
    select,
)
from minidock.oci.platform import Platform, fitness, host
from minidock.oci.reference import Reference

#: Even an image of 500 layers in the oldest format has a few thousand files only.
MAX_FILES = 50_000
MAX_LINKS = 10
_LAYER_TYPES = {"gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}

Progress = Callable[[str, int, int], None]
"""Is told a layer's diff-id, and how many bytes of its blob, of how many, have been unpacked."""


class DockerImage(msgspec.Struct, rename="pascal"):
    """One image in ``manifest.json``: names of files in the archive."""

    config: str
    layers: list[str] | None = None
    repo_tags: list[str] | None = None


@dataclass
class Found:
    """An image in the archive, whose content is here. ``top`` is what it came as: its manifest, or an index.

    ``config`` is the digest of its configuration.
    """

    manifest: Descriptor
    top: Descriptor
    config: str
    layers: list[tuple[Descriptor, str]]
    names: list[Reference] = field(default_factory=list)


@dataclass(frozen=True)
class Loaded:
    """An image that was loaded, under which names, and (name, id of the image) for each name that moved."""

    image: Image
    names: list[Reference]
    moved: list[tuple[Reference, str]]


def load(
    images: Images, file: BinaryIO, progress: Progress | None = None, platform: Platform | None = None
) -> list[Loaded]:
    """Load all images of an archive, packed or not; all of them, or none.

    With ``platform``, of an image for several platforms only that one is kept, and images for others are passed over.
    Raises InvalidSpec, CorruptContent, NoSpace, NotFound (nothing for this platform).
    """
    with images.bringing():
        found = _Archive(images, platform).read(file).images()
        if not found and platform:
            raise NotFound(f"archive holds no image for {platform}")
        if not found:
            raise InvalidSpec("archive holds no image")
        layers = {diff_id: layer for item in found for layer, diff_id in item.layers}
        images.provisional(diff_ids=layers)
        with ThreadPoolExecutor(4, thread_name_prefix="load") as pool:

            def unpack(diff_id: str) -> None:
                layer = layers[diff_id]
                tell = (lambda done: progress(diff_id, done, layer.size)) if progress else None
                images.layers.unpack(layer, diff_id, tell)

            list(pool.map(unpack, layers))
        return [_record(images, item) for item in found]


def _record(images: Images, item: Found) -> Loaded:
    moved = []
    image = images.put(item.manifest, top=item.top)
    for name in item.names:
        before = images.find(str(name))
        if before and before.id != image.id:
            moved.append((name, before.id))
        image = images.tag(image.id, name)
    return Loaded(image, item.names, moved)


class _Archive:
    """The files of an archive, as blobs in the store; of its images, those for ``platform`` (None: any)."""

    def __init__(self, images: Images, platform: Platform | None) -> None:
        self._images = images
        self._platform = platform
        self._content: Content = images.content
        self._blobs: dict[str, Descriptor] = {}
        self._links: dict[str, str] = {}

    def read(self, file: BinaryIO) -> _Archive:
        """Store every file. Raises InvalidSpec, CorruptContent, NoSpace."""
        packed, limits = Counted(file), self._images.layers.limits
        with ReadAhead(decompressed(io.BufferedReader(packed, CHUNK))) as opened:
            stream = Stream(opened, lambda: limits.size_of(packed.size))
            reader = archive.Reader(stream)
            for count, entry in enumerate(reader):
                if count >= MAX_FILES:
                    raise InvalidSpec(f"archive has more than {MAX_FILES} files: refused")
                self._add(entry, reader)
            stream.drain()
        return self

    def _add(self, entry: archive.Entry, reader: archive.Reader) -> None:
        name = _clean(entry.name)
        if entry.type == archive.SYMLINK:
            self._links[name] = _clean(posixpath.join(posixpath.dirname(name), entry.link))
        elif entry.type == archive.HARDLINK:
            self._links[name] = _clean(entry.link)
        elif entry.type == archive.FILE and entry.segments is None:
            blob = self._content.add_stream(reader.data(), "")
            self._images.provisional(blobs=[blob.digest])
            if name.startswith("blobs/") and posixpath.basename(name) != digests.encoded(blob.digest):
                self._check_other_digest(name, blob)
            self._blobs[name] = blob

    def _check_other_digest(self, name: str, blob: Descriptor) -> None:
        """The store's own digests are sha256; whoever uses another one has its blob copied under that name."""
        wanted = ":".join(name.split("/")[1:])
        with (
            self._content.open(blob) as file,
            self._content.ingest(Descriptor(media_type="", digest=digests.check(wanted), size=blob.size)) as ingest,
        ):
            ingest.restart()
            while piece := file.read(CHUNK):
                ingest.write(piece)
            ingest.commit()
        self._images.provisional(blobs=[wanted])

    def images(self) -> list[Found]:
        """The images, and what they are called. Raises InvalidSpec, CorruptContent, NotFound."""
        docker = self._docker_images() if "manifest.json" in self._blobs else []
        if "index.json" not in self._blobs:
            if not docker:
                raise InvalidSpec("archive holds neither index.json nor manifest.json: not an archive of images")
            return _merged(image for item in docker if (image := self._from_docker(item)))
        index = parse_manifest(self._read(self._blobs["index.json"]))
        found = _merged(item for top in _manifests(index) if (item := self._from_index(top)))
        names = {self._blob(item.config).digest: _references(item.repo_tags or []) for item in docker}
        for item in found:  # Docker writes names in full there, but only a tag in the index
            item.names = names.get(item.config) or item.names
        return found

    def _docker_images(self) -> list[DockerImage]:
        try:
            return msgspec.json.decode(self._read(self._blobs["manifest.json"]), type=list[DockerImage])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InvalidSpec(f"manifest.json: {error}") from error

    def _from_index(self, top: Descriptor) -> Found | None:
        """An image from a line of index.json; None for what is no image: an artifact, or something unknown; and for
        what is for another platform than was asked for."""
        chosen = self._choose(top)
        if chosen is None:
            return None
        manifest = parse_manifest(self._read(chosen), chosen.media_type)
        assert not isinstance(manifest, Index)
        if manifest.config.media_type not in CONFIG_TYPES:
            return None
        try:
            everything(self._content, chosen)
        except NotFound as error:
            raise CorruptContent(f"archive is not whole: {error}") from error
        config = parse_config(self._read(manifest.config), manifest.config)
        check_layers(manifest, config)
        if self._platform and not fitness(config.platform, self._platform):
            return None
        whole = top if not self._platform and is_whole(self._content, top) else chosen
        layers = list(zip(manifest.layers, config.rootfs.diff_ids, strict=True))
        return Found(chosen, whole, manifest.config.digest, layers, _annotated(top))

    def _choose(self, top: Descriptor) -> Descriptor | None:
        """The image's manifest: for the platform that was asked for, else for this machine, else the first here."""
        while top.media_type in INDEX_TYPES:
            index = parse_manifest(self._read(top), top.media_type)
            here = [entry for entry in _manifests(index) if self._content.has(entry)]
            try:
                top = select(Index(schema_version=2, manifests=here), self._platform or host())
            except NotFound:
                if self._platform:
                    return None
                others = [entry for entry in here if entry.media_type in INDEX_TYPES + MANIFEST_TYPES]
                if not others:
                    return None
                top = others[0]
        return top if top.media_type in MANIFEST_TYPES else None

    def _from_docker(self, item: DockerImage) -> Found | None:
        """An image from a line of manifest.json. Docker's archive has no manifest in our sense: it gets one.

        None if it is for another platform than was asked for.
        """
        blob = self._blob(item.config)
        config = parse_config(self._read(blob))
        if self._platform and not fitness(config.platform, self._platform):
            return None
        layers = [self._layer(name) for name in item.layers or []]
        if len(layers) != len(config.rootfs.diff_ids):
            raise InvalidSpec(f"image of {len(layers)} layers has {len(config.rootfs.diff_ids)} diff-ids in its config")
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": msgspec.structs.replace(blob, media_type=OCI_CONFIG),
            "layers": layers,
        }
        manifest = self._content.add(msgspec.json.encode(document), OCI_MANIFEST)
        self._images.provisional(blobs=[manifest.digest])
        pairs = list(zip(layers, config.rootfs.diff_ids, strict=True))
        return Found(manifest, manifest, blob.digest, pairs, _references(item.repo_tags or []))

    def _layer(self, name: str) -> Descriptor:
        blob = self._blob(name)
        with self._content.open(blob) as file:
            kind = kind_of(file.read(6))
        return msgspec.structs.replace(blob, media_type=_LAYER_TYPES.get(kind, OCI_LAYER))

    def _blob(self, name: str) -> Descriptor:
        """What stands under a name in the archive, through links. Raises InvalidSpec."""
        place = _clean(name)
        for _ in range(MAX_LINKS):
            if place in self._blobs:
                return self._blobs[place]
            if place not in self._links:
                break
            place = self._links[place]
        raise InvalidSpec(f"archive names a file {name!r} that is not in it")

    def _read(self, descriptor: Descriptor) -> bytes:
        try:
            return self._content.read(descriptor)
        except NotFound:
            raise CorruptContent(f"archive lacks the content {descriptor.digest}") from None


def _clean(name: str) -> str:
    """One spelling for a name in the archive; ``..`` leads nowhere above its root."""
    return posixpath.normpath(f"/{name}").lstrip("/")


def _manifests(document: Manifest | Index) -> list[Descriptor]:
    if not isinstance(document, Index):
        raise InvalidSpec("archive has a manifest where an index is wanted")
    return document.manifests


def _references(names: Iterable[str]) -> list[Reference]:
    found = [references.parse(name).with_default_tag() for name in names]
    for name in found:
        if name.digest:
            raise InvalidReference(f"{name.familiar}: refusing to create a tag with a digest reference")
    return found


def _annotated(descriptor: Descriptor) -> list[Reference]:
    """The name that an index gives, if it is one: the annotation may hold anything."""
    notes = descriptor.annotations
    name = notes.get(CONTAINERD_NAME) or notes.get(REF_NAME, "")
    try:
        return _references([name] if name else [])
    except (InvalidReference, InvalidDigest):
        return []


def _merged(items: Iterable[Found]) -> list[Found]:
    """One image under several names stands in the index several times."""
    found: dict[str, Found] = {}
    for item in items:
        same = found.setdefault(item.config, item)
        same.names += [name for name in item.names if name not in same.names]
    return list(found.values())
