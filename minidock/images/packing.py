"""An overlay's upper directory becomes a layer's blob: walked, hashed, packed, hashed again and stored in one pass.

The digest of the archive itself is the diff-id, that of the packed archive is the blob's name. One thread walks and
reads while another packs and writes, so that the slower of the two sets the pace; one piece waits between them.

``docker commit`` and every step of a build end here.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from minidock.content.store import Content, NewBlob
from minidock.images.archive_writer import Writer
from minidock.images.compression import CHUNK, gzip_compressor
from minidock.images.diff import Written, write_diff
from minidock.images.image import Layer
from minidock.oci.image import OCI_LAYER_GZIP


def pack(content: Content, upper: Path, newest: int | None = None) -> tuple[Layer | None, Written]:
    """Store what is in ``upper`` as a layer; None if there is nothing, not even a whiteout.

    ``newest`` as for :func:`minidock.images.diff.write_diff`. Raises InvalidSpec, NoSpace; then nothing is left.
    """
    with content.new() as blob, ThreadPoolExecutor(1, thread_name_prefix="pack") as thread:
        packer = _Packer(blob, thread)
        writer = Writer(packer.write)
        written = write_diff(upper, writer, newest)
        if not written.entries:
            return None, written
        writer.close()
        return packer.finish(), written


class _Packer:
    """Takes an archive in small pieces, and hands it on in large ones."""

    def __init__(self, blob: NewBlob, thread: ThreadPoolExecutor) -> None:
        self._blob = blob
        self._thread = thread
        self._gzip = gzip_compressor()
        self._hash = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._busy: Future[None] | None = None

    def write(self, data: bytes) -> None:
        """Append. Raises what packing an earlier piece raised."""
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= CHUNK:
            self._hand_over()

    def finish(self) -> Layer:
        """That is all."""
        self._hand_over()
        self._wait()
        self._blob.write(self._gzip.flush())
        return Layer(self._blob.commit(OCI_LAYER_GZIP), f"sha256:{self._hash.hexdigest()}")

    def _hand_over(self) -> None:
        self._wait()
        piece = b"".join(self._pieces)
        self._pieces, self._waiting = [], 0
        self._busy = self._thread.submit(self._pack, piece)

    def _wait(self) -> None:
        if self._busy:
            self._busy.result()

    def _pack(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._blob.write(self._gzip.compress(piece))
