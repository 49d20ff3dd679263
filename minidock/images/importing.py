"""An archive from outside becomes a layer's blob."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import BinaryIO, cast

from minidock.content.store import Content
from minidock.images.compression import CHUNK, Stream, decompressed, kind_of
from minidock.oci.image import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor

#: How the image-spec lets a layer be packed. Anything else is unpacked before it is stored.
_MEDIA_TYPES = {"": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}


def store_archive(content: Content, file: BinaryIO, limit: int) -> Descriptor:
    """Store an archive as it comes: packed with gzip, zstd or not at all. Others are unpacked, up to ``limit`` bytes.

    ``file`` has ``readinto``, as all real files have. Raises CorruptContent, InvalidSpec, NoSpace.
    """
    reader = io.BufferedReader(cast(io.RawIOBase, file), CHUNK)
    try:
        kind = kind_of(reader.peek(6)[:6])
        if kind in _MEDIA_TYPES:
            return content.add_stream(iter(lambda: reader.read(CHUNK), b""), _MEDIA_TYPES[kind])
        stream = Stream(decompressed(reader), limit, hashlib.sha256())
        return content.add_stream(_all_of(stream), OCI_LAYER)
    finally:
        reader.detach()  # or else our reader would close a file that is not ours


def _all_of(stream: Stream) -> Iterator[bytes]:
    while piece := stream.take(CHUNK):
        yield piece
