"""``save``: images into one archive, which is an OCI layout and a docker-archive at the same time.

::

    oci-layout  index.json      the OCI's way in: names as annotations of descriptors
    manifest.json               Docker's way in: for each image its configuration, names and layers
    blobs/sha256/<hex>          the content, for both: exactly the bytes that are in the store

So dockerd (any version), containerd, podman, skopeo and umoci read it, and manifests keep their digests. An image that
came with its whole index is saved with all of it, other platforms included, unless one platform is asked for.

Source: image-spec, image-layout.md; https://github.com/moby/docker-image-spec (the ``docker save`` format).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from minidock.content.store import Content
from minidock.content.wholes import everything
from minidock.errors import CorruptContent, InvalidInput, NoSuchImage, NotFound
from minidock.images.archive import DIRECTORY, FILE, Entry
from minidock.images.archive_writer import Writer
from minidock.images.compression import CHUNK
from minidock.images.image import Image
from minidock.images.images import Images
from minidock.oci import digest as digests
from minidock.oci import reference as references
from minidock.oci.image import OCI_INDEX, REF_NAME, Descriptor, Index, encode, parse_manifest, select
from minidock.oci.platform import Platform, fitness
from minidock.oci.reference import Reference

#: Where containerd, and docker with it, looks for a name.
CONTAINERD_NAME = "io.containerd.image.name"
LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'


@dataclass
class Chosen:
    """An image to be saved: all that ``top`` speaks of (its manifest, or an index), and under which names."""

    image: Image
    top: Descriptor
    names: list[Reference]


def choose(images: Images, names: Sequence[str], platform: Platform | None = None) -> list[Chosen]:
    """What ``docker save`` is asked for: an id (saved without names), a name with its tag, or all tags of a name.

    Raises NoSuchImage, InvalidReference, NotFound (not for this platform).
    """
    chosen: dict[str, Chosen] = {}

    def add(image: Image, *tags: Reference) -> None:
        top = top_of(images.content, image, platform)
        names = chosen.setdefault(image.id, Chosen(image, top, [])).names
        names += [tag for tag in tags if tag not in names]

    for name in names:
        image = images.find(name)
        wanted = _as_name(name)
        if wanted and not wanted.tag and not wanted.digest:
            tagged = [
                (other, tag) for other in images.all() for tag in other.names if tag.name == wanted.name and tag.tag
            ]
            for other, tag in tagged:
                add(other, tag)
            if tagged:
                continue
        if image is None:
            references.parse(name)
            raise NoSuchImage(name)
        add(image, *([wanted] if wanted in image.names and wanted and wanted.tag else []))
    return list(chosen.values())


def top_of(content: Content, image: Image, platform: Platform | None) -> Descriptor:
    """What is handed on of an image: all that it came with, or of that the manifest for one platform.

    Raises NotFound.
    """
    if platform is None:
        return image.top
    if image.top != image.descriptor:
        index = parse_manifest(content.read(image.top), image.top.media_type)
        assert isinstance(index, Index)
        return select(index, platform)
    if not fitness(image.config.platform, platform):
        raise NotFound(f"image is for {image.config.platform}: there is none for {platform} here")
    return image.descriptor


def _as_name(text: str) -> Reference | None:
    try:
        return references.parse(text)
    except InvalidInput:
        return None


def save(content: Content, chosen: Sequence[Chosen], write: Callable[[bytes], object]) -> None:
    """Write the archive through ``write``. Raises CorruptContent, NotFound: then what was written is no archive."""
    writer = Writer(write)
    blobs = {blob.digest: blob for item in chosen for blob in everything(content, item.top)}
    folders = {"blobs", *(f"blobs/{digests.split(digest)[0]}" for digest in blobs)}
    for name in sorted(folders):
        writer.add(Entry(f"{name}/", DIRECTORY, 0o755))
    for digest in sorted(blobs):
        writer.add(Entry(_path(digest), FILE, 0o644, size=blobs[digest].size), _verified(content, blobs[digest]))
    for name, document in (
        ("index.json", encode(_index(chosen))),
        ("manifest.json", msgspec.json.encode([_manifest(content, item) for item in chosen])),
        ("oci-layout", LAYOUT),
    ):
        writer.add(Entry(name, FILE, 0o644, size=len(document)), [document])
    writer.close()


def _index(chosen: Sequence[Chosen]) -> Index:
    manifests = []
    for item in chosen:
        notes = [{CONTAINERD_NAME: str(name), REF_NAME: str(name)} for name in item.names]
        manifests += [msgspec.structs.replace(item.top, annotations=note) for note in notes or [{}]]
    return Index(schema_version=2, media_type=OCI_INDEX, manifests=manifests)


def _manifest(content: Content, item: Chosen) -> dict[str, object]:
    """Docker's way in knows one platform: this machine's, or the one that was asked for."""
    top = item.image.descriptor if item.top == item.image.top else item.top
    manifest = parse_manifest(content.read(top), top.media_type)
    assert not isinstance(manifest, Index)
    return {
        "Config": _path(manifest.config.digest),
        "RepoTags": [name.familiar for name in item.names] or None,
        "Layers": [_path(layer.digest) for layer in manifest.layers],
    }


def _path(digest: str) -> str:
    return "/".join(["blobs", *digests.split(digest)])


def _verified(content: Content, descriptor: Descriptor) -> Iterator[bytes]:
    """A blob's bytes. A damaged one must not become somebody's only copy."""
    hash_ = digests.hasher(descriptor.digest)
    with content.open(descriptor) as file:
        while piece := file.read(CHUNK):
            hash_.update(piece)
            yield piece
    if f"{hash_.name}:{hash_.hexdigest()}" != descriptor.digest:
        raise CorruptContent(f"content {descriptor.digest} is damaged on the disk: pull the image again")
