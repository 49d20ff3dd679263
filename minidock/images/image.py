"""What the engine knows of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from minidock.oci import digest as digests
from minidock.oci.image import Descriptor, ImageConfig, Manifest
from minidock.oci.reference import Reference


class Layer(NamedTuple):
    """A layer that is here: its blob, and the digest of what that unpacks to."""

    descriptor: Descriptor
    diff_id: str


@dataclass(frozen=True)
class Image:
    """An image whose manifest, configuration and layers are all here.

    ``id`` is the digest of its configuration: the same content has the same id, whoever packed it. ``size`` is how
    many bytes the files of its layers have. ``names`` are its tags and its digests in repositories; an image without
    a tag is called dangling. ``descriptor`` is its manifest's; ``top`` that of the index that it came with, if all of
    that index is here (other platforms too), or again the manifest's.
    """

    id: str
    descriptor: Descriptor
    top: Descriptor
    manifest: Manifest
    config: ImageConfig
    names: tuple[Reference, ...]
    size: int
    last_tagged_ns: int

    @property
    def tags(self) -> list[str]:
        """``debian:12``: Docker's RepoTags."""
        return [name.familiar for name in sorted(self.names, key=str) if name.tag]

    @property
    def digests(self) -> list[str]:
        """``debian@sha256:…``: Docker's RepoDigests, what the image is called in registries."""
        return [name.familiar for name in sorted(self.names, key=str) if name.digest]

    @property
    def diff_ids(self) -> list[str]:
        """The digests of its layers' uncompressed archives, the lowest first."""
        return self.config.rootfs.diff_ids

    @property
    def layers(self) -> list[Layer]:
        """Its layers, the lowest first."""
        return [Layer(*pair) for pair in zip(self.manifest.layers, self.diff_ids, strict=True)]

    @property
    def blobs(self) -> set[str]:
        """The digests of all that it is made of."""
        layers = {layer.digest for layer in self.manifest.layers}
        return {self.descriptor.digest, self.manifest.config.digest} | layers


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """A name for each layer together with all below it (image-spec, config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digests.of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain
