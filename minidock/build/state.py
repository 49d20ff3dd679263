"""What a stage is after so many steps: layers, a configuration, and the key under which that is remembered.

A state becomes an image only at the end; in between nobody sees it, so a build that fails leaves no image behind.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from minidock.build import settings
from minidock.build.cache import Record
from minidock.images import Image, Layer
from minidock.oci import digest as digests
from minidock.oci.image import (
    OCI_CONFIG,
    OCI_MANIFEST,
    ContainerDefaults,
    Descriptor,
    History,
    ImageConfig,
    Manifest,
    RootFs,
    encode,
)
from minidock.oci.platform import Platform

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class State:
    """``document`` is the configuration that the image would have if this were the last step."""

    key: str
    layers: tuple[Layer, ...]
    document: ImageConfig

    @property
    def config(self) -> ContainerDefaults:
        """What a container of it would do."""
        return self.document.config

    @property
    def id(self) -> str:
        """The image's id, if this were the last step."""
        return digests.of(encode(self.document))

    def after(self, key: str, layer: Layer | None, config: ContainerDefaults, told: str, created: str) -> State:
        """The state one step later. ``told`` and ``created`` are for the history."""
        line = History(created=created, created_by=told, empty_layer=layer is None)
        layers = (*self.layers, layer) if layer else self.layers
        document = msgspec.structs.replace(
            self.document,
            created=created,
            config=config,
            rootfs=RootFs(type="layers", diff_ids=[item.diff_id for item in layers]),
            history=[*self.document.history, line],
        )
        return State(key, layers, document)

    def without_triggers(self) -> State:
        """The same, but its image has nothing any more for those who build on it."""
        config = msgspec.structs.replace(self.config, on_build=[])
        return State(self.key, self.layers, msgspec.structs.replace(self.document, config=config))

    def step_in(self, image: Image, key: str, told: str) -> Record | None:
        """The step after this one in an image that somebody vouches for, if all before it is what we have here."""
        history, count = image.config.history, len(self.document.history)
        if len(history) <= count or history[count].created_by != told:
            return None
        ours = [(line.created_by, line.empty_layer) for line in self.document.history]
        if ours != [(line.created_by, line.empty_layer) for line in history[:count]]:
            return None
        if image.layers[: len(self.layers)] != list(self.layers):
            return None
        layer = None if history[count].empty_layer else image.layers[len(self.layers)]
        return Record(key, self.key, told, history[count].created, 0, 0, layer, 0)

    def image(self) -> Image:
        """As an image that nobody but this build knows, to be mounted or run."""
        config = encode(self.document)
        descriptor = Descriptor(media_type=OCI_CONFIG, digest=digests.of(config), size=len(config))
        manifest = Manifest(schema_version=2, config=descriptor, layers=[layer.descriptor for layer in self.layers])
        plain = Descriptor(media_type=OCI_MANIFEST, digest=descriptor.digest, size=0)
        return Image(descriptor.digest, plain, plain, manifest, self.document, (), 0, 0)


def step_key(parent: str, *parts: str) -> str:
    """The key of a step that ``parts`` describe fully, after the step whose key is ``parent``: 64 hex digits."""
    return hashlib.sha256(msgspec.json.encode([parent, *parts])).hexdigest()


def beginning(image: Image | None, platform: Platform, epoch: int | None) -> State:
    """What ``FROM`` gives: an image, or (None) nothing at all. There is always a PATH.

    ``epoch`` is SOURCE_DATE_EPOCH: it is in all layers that follow.
    """
    if image is None:
        document = ImageConfig(
            architecture=platform.architecture,
            variant=platform.variant,
            os=platform.os,
            rootfs=RootFs(type="layers", diff_ids=[]),
        )
    else:
        document = msgspec.structs.replace(image.config, author="", comment="", parent="", docker_version="")
    config = document.config
    if not any(entry.startswith("PATH=") for entry in config.env):
        config = msgspec.structs.replace(config, env=settings.with_variables(config.env, [PATH]))
    document = msgspec.structs.replace(document, config=config)
    key = hashlib.sha256(f"{image.id if image else 'scratch'} {platform} {epoch}".encode()).hexdigest()
    return State(key, tuple(image.layers) if image else (), document)
