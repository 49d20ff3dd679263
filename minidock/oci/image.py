"""The OCI image-spec's documents as types: descriptor, manifest, index, image configuration.

Content is never written again from these types: a manifest's bytes *are* its name. So a type holds what the engine
reads, unknown fields are ignored, and whoever stores or sends a document uses the bytes that came in.

Docker's schema 2 is the same structure under other media types.

Source: https://github.com/opencontainers/image-spec (descriptor.md, manifest.md, image-index.md, config.md);
https://github.com/distribution/distribution/blob/v2.8.3/docs/spec/manifest-v2-2.md.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from minidock.errors import InvalidSpec, NotFound
from minidock.oci.digest import Digest
from minidock.oci.platform import Platform, fitness, normalise

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_INDEX)
CONFIG_TYPES = (OCI_CONFIG, DOCKER_CONFIG)
_LAYER_PREFIXES = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
)
#: What a layer may be called. How it is really packed, its first bytes say.
_LAYER_SUFFIXES = ("", "+gzip", "+zstd", ".gzip", ".zstd")
LAYER_TYPES = tuple(prefix + suffix for prefix in _LAYER_PREFIXES for suffix in _LAYER_SUFFIXES)

#: Where an index in a layout says which name a manifest has.
REF_NAME = "org.opencontainers.image.ref.name"
#: Attestations are listed in an index beside the images that they are about.
REFERENCE_TYPE = "vnd.docker.reference.type"

#: A registry must take manifests up to this many bytes, and we take none that is larger (distribution-spec).
MAX_MANIFEST = 4 * 1024 * 1024
MAX_CONFIG = 8 * 1024 * 1024


class Descriptor(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, kw_only=True):
    """A pointer to content: what it is, its name, and its size in bytes."""

    media_type: str
    digest: Digest
    size: Annotated[int, Meta(ge=0)]
    urls: list[str] = []
    annotations: dict[str, str] = {}
    platform: Platform | None = None
    artifact_type: str = ""

    @property
    def plain(self) -> Descriptor:
        """What it points to, without what the one who points says about it."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)


class Manifest(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, kw_only=True):
    """One image for one platform: a configuration and its layers, the lowest first."""

    schema_version: int = msgspec.field(name="schemaVersion")
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor
    layers: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class Index(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, kw_only=True):
    """Several manifests under one name: one a platform (Docker: "manifest list")."""

    schema_version: int = msgspec.field(name="schemaVersion")
    media_type: str = ""
    artifact_type: str = ""
    manifests: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class Healthcheck(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """How to find out whether a container is well. Times are in nanoseconds."""

    test: list[str] = []
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerDefaults(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """What a container made of this image does when nobody says otherwise (the ``config`` of an image's configuration).

    ``exposed_ports`` and ``volumes`` are sets: Go writes them as objects with empty values.
    """

    user: str = ""
    exposed_ports: dict[str, Any] = {}
    env: list[str] = []
    entrypoint: list[str] = []
    cmd: list[str] = []
    volumes: dict[str, Any] = {}
    working_dir: str = ""
    labels: dict[str, str] = {}
    stop_signal: str = ""
    stop_timeout: int | None = None
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    on_build: list[str] = []
    shell: list[str] = []


class RootFs(msgspec.Struct, omit_defaults=False, frozen=True, kw_only=True):
    """The layers' diff-ids (digests of the uncompressed archives), the lowest first."""

    type: str
    diff_ids: list[Digest]


class History(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One step of an image's making. ``empty_layer``: it changed the configuration alone."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """An image's configuration. Its digest is the image's id. Docker's ``container_config`` is of no use to anybody."""

    architecture: str = ""
    os: str = ""
    variant: str = ""
    os_version: str = msgspec.field(name="os.version", default="")
    created: str = ""
    author: str = ""
    comment: str = ""
    docker_version: str = ""
    parent: str = ""
    config: ContainerDefaults = ContainerDefaults()
    rootfs: RootFs
    history: list[History] = []

    @property
    def platform(self) -> Platform:
        """What this image runs on."""
        return normalise(Platform(os=self.os, architecture=self.architecture, variant=self.variant))


class _Head(msgspec.Struct, rename="camel"):
    """What decides how the rest of a manifest is to be read."""

    schema_version: int = 0
    media_type: str = ""
    manifests: Any = None
    layers: Any = None
    config: Any = None


Document = TypeVar("Document")


def encode(document: msgspec.Struct) -> bytes:
    """A new document's bytes (never those of one that came from elsewhere)."""
    return msgspec.json.encode(document)


def parse_manifest(data: bytes, content_type: str = "") -> Manifest | Index:
    """Read a manifest or an index. ``content_type`` is what the one who sent it called it, if anybody did.

    A document that could be read as either is rejected: two readers could see two different images under one digest
    (CVE-2021-41190). Raises InvalidSpec.
    """
    if len(data) > MAX_MANIFEST:
        raise InvalidSpec(f"manifest of {len(data)} bytes: at most {MAX_MANIFEST} are read")
    head = _decode(data, _Head, "manifest")
    if head.schema_version != 2:
        raise InvalidSpec(f"manifest schema version {head.schema_version} is not supported: version 2 is needed")
    if head.manifests is not None and (head.layers is not None or head.config is not None):
        raise InvalidSpec("manifest is ambiguous: it holds both manifests and layers")
    if head.media_type and content_type and head.media_type != content_type:
        raise InvalidSpec(f"manifest says that it is {head.media_type}, but was sent as {content_type}")
    media_type = head.media_type or content_type or (OCI_INDEX if head.manifests is not None else OCI_MANIFEST)
    if media_type in INDEX_TYPES:
        return _decode(data, Index, "image index")
    if media_type in MANIFEST_TYPES:
        return _decode(data, Manifest, "manifest")
    raise InvalidSpec(f"manifest media type {media_type} is not supported")


def parse_config(data: bytes, descriptor: Descriptor | None = None) -> ImageConfig:
    """Read an image's configuration; one of an unknown media type is not even looked at. Raises InvalidSpec."""
    if descriptor and descriptor.media_type not in CONFIG_TYPES:
        kind = descriptor.media_type
        raise InvalidSpec(f"not a container image: its config is {kind}")
    if len(data) > MAX_CONFIG:
        raise InvalidSpec(f"image config of {len(data)} bytes: at most {MAX_CONFIG} are read")
    config = _decode(data, ImageConfig, "image config")
    if config.rootfs.type != "layers":
        raise InvalidSpec(f"image config: rootfs type {config.rootfs.type!r} is not supported")
    return config


def check_layers(manifest: Manifest, config: ImageConfig) -> None:
    """Manifest and configuration tell of the same layers, of known kinds. Raises InvalidSpec."""
    layers, diff_ids = len(manifest.layers), len(config.rootfs.diff_ids)
    if layers != diff_ids:
        raise InvalidSpec(f"manifest has {layers} layers, but its config has {diff_ids} diff-ids")
    for layer in manifest.layers:
        if layer.media_type not in LAYER_TYPES:
            raise InvalidSpec(f"layer {layer.digest}: media type {layer.media_type} is not supported")


def as_oci(layer: Descriptor) -> Descriptor:
    """The same layer for a manifest of the OCI's: Docker has names of its own for the same things."""
    docker = _LAYER_PREFIXES[-1]
    if not layer.media_type.startswith(docker):
        return layer
    suffix = layer.media_type.removeprefix(docker).replace(".", "+")
    return msgspec.structs.replace(layer, media_type=OCI_LAYER + suffix)


def select(index: Index, platform: Platform) -> Descriptor:
    """The manifest that fits ``platform`` best; of equals, the first. Raises NotFound, in Docker's words.

    Attestations stand in the same list, for the platform ``unknown/unknown``: they are not images.
    """
    best, best_fitness = None, 0
    for descriptor in index.manifests:
        if REFERENCE_TYPE in descriptor.annotations or descriptor.media_type not in MANIFEST_TYPES:
            continue
        # An index need not tell the platform; then its only manifest is for everybody, but any other is preferred.
        fits = fitness(descriptor.platform, platform) * 2 if descriptor.platform else 1
        if fits > best_fitness:
            best, best_fitness = descriptor, fits
    if best is None:
        raise NotFound(f"no matching manifest for {platform} in the manifest list entries")
    return best


def _decode(data: bytes, type_: type[Document], what: str) -> Document:
    try:
        return msgspec.convert(_without_nulls(msgspec.json.decode(data)), type_)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidSpec(f"{what}: {error}") from error


def _without_nulls(value: Any) -> Any:
    """Go writes ``null`` for an empty list or map: to us it is as if the field were absent."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value
