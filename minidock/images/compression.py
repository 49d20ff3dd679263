"""The uncompressed bytes of an archive as a stream that is counted, hashed and limited.

What a file is packed with, its first bytes say: media types and file names are wrong too often.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from minidock.errors import CorruptContent, InvalidSpec

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

#: Large enough that Python's part of the work does not count, small enough for the processor's cache.
CHUNK = 256 * 1024

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}


def kind_of(start: bytes) -> str:
    """How a file that begins with ``start`` is packed: gzip, zstd, bzip2, xz, or "" for not at all."""
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "")


def decompressed(file: io.BufferedReader[Any]) -> BinaryIO:
    """``file``'s content, unpacked while it is read. Reading raises EOFError, OSError or the library's own error."""
    kind = kind_of(file.peek(6)[:6])
    if kind == "gzip":
        return _gunzip(file)
    if kind == "zstd":
        import zstandard

        # zstd itself refuses frames that need a window of more than 128 MiB.
        return cast(BinaryIO, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True))
    if kind == "bzip2":
        import bz2

        return cast(BinaryIO, bz2.BZ2File(file))
    if kind == "xz":
        import lzma

        return cast(BinaryIO, lzma.LZMAFile(file))
    return file


def _gunzip(file: BinaryIO) -> BinaryIO:
    """isal unpacks several times faster than zlib; it is there for amd64 and arm64."""
    try:
        from isal import igzip
    except ImportError:
        import gzip

        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    return cast(BinaryIO, igzip.open(file))  # type: ignore[no-untyped-call]


class Compressor(Protocol):
    """Packs a stream piece by piece, as zlib's objects do."""

    def compress(self, data: bytes, /) -> bytes:
        """What can be said so far."""

    def flush(self) -> bytes:
        """The rest."""


def gzip_compressor() -> Compressor:
    """gzip without a time or a name in its header: on one machine the same content always gives the same bytes."""
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib

        return zlib.compressobj(wbits=31)
    return cast(Compressor, isal_zlib.compressobj(wbits=31))


class ReadAhead:
    """``file``, read in a thread, one piece ahead: the next is unpacked while the caller writes this one to the disk.

    As a context manager: at its end nobody reads any more, and ``file`` may be closed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._next: Future[bytes] | None = None

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def read(self, size: int) -> bytes:
        """The next piece; nothing at the end. Raises what reading ``file`` raises."""
        coming = self._next or self._thread.submit(self._file.read, size)
        self._next = None
        if piece := coming.result():
            self._next = self._thread.submit(self._file.read, size)
        return piece


class Counted(io.RawIOBase):
    """A file, and how many bytes were read of it. Closing this does not close the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = cast(io.RawIOBase, file)
        self.size = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read, and count."""
        count = self._file.readinto(buffer) or 0
        self.size += count
        return count


class Stream:
    """An archive's bytes. ``limit`` is how many there may be: a small blob can hold an endless row of zeros. It may be
    a function, which is asked again and again: how large the blob is shows only at its end.

    ``hash_``, if there is one, is fed with all of them (see :func:`minidock.oci.digest.hasher`).
    """

    def __init__(self, file: BinaryIO | ReadAhead, limit: int | Callable[[], int], hash_: Hash | None = None) -> None:
        self._file = file
        self._limit = limit
        self._buffer = b""
        self._at = 0
        self._hash = hash_
        self.size = 0

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes; fewer only at the end. Raises as :meth:`pieces`."""
        end = self._at + size
        if end <= len(self._buffer):
            piece = self._buffer[self._at : end]
            self._at = end
            return piece
        pieces = []
        while size and (piece := self._piece(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def pieces(self, size: int) -> Iterator[bytes]:
        """``size`` bytes in pieces. Raises InvalidSpec when there are fewer, or more than the limit."""
        while size:
            piece = self._piece(size)
            if not piece:
                raise InvalidSpec("archive is truncated")
            size -= len(piece)
            yield piece

    def finish(self) -> str:
        """Read what is left, and tell the digest of all: the diff-id."""
        assert self._hash is not None
        self.drain()
        return f"{self._hash.name}:{self._hash.hexdigest()}"

    def drain(self) -> None:
        """Read what is left."""
        while self._fill():
            continue

    def _piece(self, size: int) -> bytes:
        """At most ``size`` bytes, as many as are at hand; nothing at the end."""
        if self._at == len(self._buffer) and not self._fill():
            return b""
        piece = self._buffer[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def _fill(self) -> bool:
        """Replace the buffer, which is used up. False at the end."""
        try:
            self._buffer = self._file.read(CHUNK)
        except _library_errors() as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's error, not the archive's
            raise CorruptContent(f"archive cannot be unpacked: {error}") from error
        self._at = 0
        self.size += len(self._buffer)
        limit = self._limit() if callable(self._limit) else self._limit
        if self.size > limit:
            raise InvalidSpec(f"archive is larger than {limit} bytes when unpacked: refused")
        if self._hash is not None:
            self._hash.update(self._buffer)
        return bool(self._buffer)


def _library_errors() -> tuple[type[Exception], ...]:
    """What the libraries raise for damaged data; an OSError that is theirs has no errno."""
    import lzma
    import zlib

    import zstandard

    errors = [OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError]
    try:
        from isal import isal_zlib
    except ImportError:
        return tuple(errors)
    return (*errors, cast("type[Exception]", isal_zlib.error))
