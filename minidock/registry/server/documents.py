"""What a manifest refers to: the registry looks only so far into it, and keeps its bytes as they came.

Source: image-spec, manifest.md and image-index.md; distribution-spec 1.1, "Pushing Manifests with Subject".
"""

from __future__ import annotations

from dataclasses import dataclass

from minidock.errors import InvalidSpec
from minidock.oci.image import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Index, parse_manifest
from minidock.registry.server.refusals import Refusal


@dataclass(frozen=True)
class Document:
    """A manifest or an index, understood as far as a registry needs to.

    ``blobs`` and ``manifests`` must be in the repository before the document is taken. ``artifact_type`` is what a list
    of referrers says that it is.
    """

    media_type: str
    blobs: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str
    annotations: dict[str, str]


def understand(data: bytes, content_type: str) -> Document:
    """Read a manifest that somebody pushes as ``content_type``. Raises Refusal."""
    if content_type not in MANIFEST_TYPES + INDEX_TYPES:
        raise Refusal("MANIFEST_INVALID", f"manifests of type {content_type or '(none)'} are not taken")
    try:
        parsed = parse_manifest(data, content_type)
    except InvalidSpec as error:
        raise Refusal("MANIFEST_INVALID", str(error)) from None
    if isinstance(parsed, Index):
        parts = tuple(parsed.manifests)
        return Document(content_type, (), parts, parsed.subject, parsed.artifact_type, parsed.annotations)
    # A layer with URLs is fetched from there ("nondistributable"): it need not be here.
    layers = tuple(layer for layer in parsed.layers if not layer.urls)
    artifact_type = parsed.artifact_type or parsed.config.media_type
    return Document(content_type, (parsed.config, *layers), (), parsed.subject, artifact_type, parsed.annotations)
