"""A registry that does not list what is about an image (signatures, say): whoever pushes such a thing keeps the list.

The list is an index under a tag made of the image's digest, ``sha256-<hex>``. Two who push at the same time may lose an
entry; the specification knows, and has no better way.

Source: distribution-spec 1.1, "Pushing Manifests with Subject", "Referrers Tag Schema".
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec

from minidock.errors import NotFound
from minidock.oci import digest as digests
from minidock.oci.image import OCI_INDEX, Descriptor, Index, Manifest, parse_manifest
from minidock.registry.client import Registry


async def list_by_hand(registry: Registry, descriptor: Descriptor, document: Manifest | Index) -> None:
    """Add a manifest to the list of what is about its subject. Raises what a pull and a push raise."""
    assert document.subject is not None
    algorithm, encoded = digests.split(document.subject.digest)
    tag = f"{algorithm}-{encoded}"[:128]
    # Not our types: entries may have fields that we do not know.
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    with suppress(NotFound):
        there = await registry.manifest(tag)
        if isinstance(parse_manifest(there.content, there.descriptor.media_type), Index):
            index = json.loads(there.content)
    entries = index["manifests"]
    if any(entry["digest"] == descriptor.digest for entry in entries):
        return
    kind = document.artifact_type or (document.config.media_type if isinstance(document, Manifest) else "")
    entry = msgspec.structs.replace(descriptor.plain, artifact_type=kind, annotations=document.annotations)
    entries.append(msgspec.to_builtins(entry))
    data = json.dumps(index).encode()
    await registry.put_manifest(Descriptor(media_type=OCI_INDEX, digest=digests.of(data), size=len(data)), data, tag)
