"""What hangs together: all content that a manifest or an index speaks of, whatever it is.

An index may list images for other platforms, attestations, and artifacts that this engine knows nothing about. None of
that is ever read here but the pointers in it; all of it is carried along as it came.
"""

from __future__ import annotations

from collections.abc import Iterator

from minidock.content.store import Content
from minidock.errors import InvalidSpec, MinidockError, NotFound
from minidock.oci.image import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Index, Manifest, parse_manifest

#: How deep indexes may stand in each other.
MAX_DEPTH = 4


def everything(content: Content, top: Descriptor) -> list[Descriptor]:
    """``top`` and all that it speaks of, each once; what others point to comes before those who point.

    (A registry takes a manifest only when it has what the manifest speaks of.) Raises NotFound when something is not
    here, InvalidSpec for a document that is none.
    """
    found: dict[str, Descriptor] = {}
    for descriptor in _below(content, top, 0):
        found.setdefault(descriptor.digest, descriptor)
    return list(found.values())


def is_whole(content: Content, top: Descriptor) -> bool:
    """Is all of it here?"""
    try:
        everything(content, top)
    except MinidockError:
        return False
    return True


def _below(content: Content, descriptor: Descriptor, depth: int) -> Iterator[Descriptor]:
    if not content.has(descriptor):
        raise NotFound(f"content {descriptor.digest} is not here: pull the image again")
    if depth > MAX_DEPTH:
        raise InvalidSpec(f"{descriptor.digest}: indexes stand more than {MAX_DEPTH} deep in each other")
    if descriptor.media_type in INDEX_TYPES + MANIFEST_TYPES:
        for child in pointers(parse_manifest(content.read(descriptor), descriptor.media_type)):
            # Layers that may not be handed on are fetched from elsewhere, and need not be here.
            if not (child.urls and not content.has(child)):
                yield from _below(content, child, depth + 1)
    yield descriptor


def pointers(document: Manifest | Index) -> list[Descriptor]:
    """What a document speaks of."""
    return document.manifests if isinstance(document, Index) else [document.config, *document.layers]
