"""An archive from outside becomes a layer's blob."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from minidock.content.store import Content
from minidock.images.compression import CHUNK, Counted, Stream, decompressed, kind_of
from minidock.images.unpack import Limits
from minidock.oci.image import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor

#: How the image-spec lets a layer be packed. Anything else is unpacked before it is stored.
_MEDIA_TYPES = {"": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}


def store_archive(content: Content, file: BinaryIO, limits: Limits) -> Descriptor:
    """Store an archive as it comes: packed with gzip, zstd or not at all. Others are unpacked, within ``limits``.

    ``file`` has ``readinto``, as all real files have. Raises CorruptContent, InvalidSpec, NoSpace.
    """
    packed = Counted(file)
    reader = io.BufferedReader(packed, CHUNK)
    kind = kind_of(reader.peek(6)[:6])
    if kind in _MEDIA_TYPES:
        return content.add_stream(iter(lambda: reader.read(CHUNK), b""), _MEDIA_TYPES[kind])
    stream = Stream(decompressed(reader), lambda: limits.size_of(packed.size))
    return content.add_stream(_all_of(stream), OCI_LAYER)


def _all_of(stream: Stream) -> Iterator[bytes]:
    while piece := stream.take(CHUNK):
        yield piece
