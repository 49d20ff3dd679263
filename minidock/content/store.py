"""The content store: an OCI image layout, so that other tools can read it (``skopeo inspect oci:<data-root>/images``).

::

    images/oci-layout                   which version of the layout this is
    images/index.json                   the names: each a descriptor of a manifest, with its name as annotation
    images/blobs/sha256/<hex>           content, under the digest of its bytes
    ingest/<algorithm>-<hex>            content on its way in; what a broken download left is gone on with

A blob appears under its name in one step, whole and verified: it is written in ``ingest/``, synced, and renamed.

Source: image-spec, image-layout.md.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterable
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from minidock.content.disk import space_errors, sync_directory, write_all, write_atomically
from minidock.errors import CorruptContent, InvalidSpec, NotFound
from minidock.oci import digest as digests
from minidock.oci.image import MAX_CONFIG, OCI_INDEX, Descriptor, Index, encode

_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}\n'
_READ_SIZE = 1024 * 1024


class Content:
    """The blobs under ``root`` (a layout), and those on their way in under ``ingest``. Several threads may use it."""

    def __init__(self, root: Path, ingest: Path) -> None:
        self.root = root
        self._ingest = ingest
        # A mode given to mkdir with parents=True is the last directory's alone.
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for algorithm in ("sha256", "sha512"):
            (root / "blobs" / algorithm).mkdir(mode=0o700, parents=True, exist_ok=True)
        ingest.mkdir(mode=0o700, exist_ok=True)
        if not (root / "oci-layout").exists():
            self.write_index([])
            write_atomically(root / "oci-layout", _LAYOUT)

    def path(self, digest: str) -> Path:
        """Where the blob ``digest`` is, or would be. Raises InvalidDigest."""
        return self.root / "blobs" / Path(*digests.split(digest))

    def has(self, descriptor: Descriptor) -> bool:
        """Is the blob there, with the size that ``descriptor`` says? It was verified when it came."""
        try:
            return self.path(descriptor.digest).stat().st_size == descriptor.size
        except FileNotFoundError:
            return False

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Open a blob to read it as a stream. Whoever reads verifies. Raises NotFound."""
        try:
            return self.path(descriptor.digest).open("rb")
        except FileNotFoundError:
            raise NotFound(f"content {descriptor.digest} is not here: pull the image again") from None

    def read(self, descriptor: Descriptor) -> bytes:
        """A small document (manifest, configuration), size and digest verified. Raises NotFound, CorruptContent."""
        if descriptor.size > MAX_CONFIG:
            raise InvalidSpec(
                f"document {descriptor.digest} has {descriptor.size} bytes: at most {MAX_CONFIG} are read"
            )
        with self.open(descriptor) as file:
            data = file.read(descriptor.size + 1)
        if len(data) != descriptor.size:
            raise CorruptContent(f"content {descriptor.digest} has not {descriptor.size} bytes: pull the image again")
        return digests.verify(descriptor.digest, data)

    def ingest(self, descriptor: Descriptor) -> Ingest:
        """Start, or go on, bringing a blob in. Raises NoSpace."""
        with space_errors(self._ingest):
            return Ingest(self, self._ingest, descriptor)

    def adopt(self, file: Path, digest: str) -> None:
        """A file on the same disk, complete, checked and synced by the caller, becomes the blob ``digest``."""
        path = file.rename(self.path(digest))
        sync_directory(path.parent)

    def add(self, data: bytes, media_type: str, digest: str = "") -> Descriptor:
        """Bring a whole document in, under its sha256 digest or another. Raises NoSpace, CorruptContent."""
        descriptor = Descriptor(media_type=media_type, digest=digest or digests.of(data), size=len(data))
        if not self.has(descriptor):
            with self.ingest(descriptor) as ingest:
                ingest.restart()
                ingest.write(data)
                ingest.commit()
        return descriptor

    def write_index(self, manifests: Iterable[Descriptor]) -> None:
        """Replace index.json in one step. Raises NoSpace."""
        index = Index(schema_version=2, media_type=OCI_INDEX, manifests=list(manifests))
        write_atomically(self.root / "index.json", encode(index))

    def add_stream(self, pieces: Iterable[bytes], media_type: str) -> Descriptor:
        """Bring content in whose digest is known only at its end. Raises NoSpace, and what ``pieces`` raises."""
        with self.new() as blob:
            for piece in pieces:
                blob.write(piece)
            return blob.commit(media_type)

    def new(self) -> NewBlob:
        """The same for one who writes piece by piece. Raises NoSpace."""
        with space_errors(self._ingest):
            return NewBlob(self, self._ingest)

    def remove(self, digests_: Iterable[str]) -> None:
        """Remove blobs that no image needs; no error if they are not there."""
        for digest in digests_:
            self.path(digest).unlink(missing_ok=True)

    def collect(self, live: Collection[str], before: float) -> None:
        """Remove the blobs that are not in ``live`` (digests) and came before a moment (seconds since 1970)."""
        for blob in (self.root / "blobs").glob("*/*"):
            if f"{blob.parent.name}:{blob.name}" not in live and blob.stat().st_mtime < before:
                blob.unlink()

    def sweep(self, before: float) -> None:
        """Remove what killed daemons left: downloads that nobody went on with since a moment (seconds since 1970)."""
        for file in self._ingest.iterdir():
            if "." in file.name or file.stat().st_mtime < before:
                file.unlink()
        for file in self.root.glob(".tmp-*"):
            file.unlink()


class NewBlob:
    """Content that is being made here: its digest is known when it ends. Without :meth:`commit` nothing is left."""

    def __init__(self, content: Content, directory: Path) -> None:
        self._content = content
        self._descriptor, name = tempfile.mkstemp(prefix="new.", dir=directory)
        self._path = Path(name)
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append. Raises NoSpace."""
        with space_errors(self._path.parent):
            write_all(self._descriptor, data)
        self._hash.update(data)
        self._size += len(data)

    def commit(self, media_type: str) -> Descriptor:
        """That is all: give the blob its name. Raises NoSpace."""
        digest = f"sha256:{self._hash.hexdigest()}"
        with space_errors(self._path.parent):
            os.fsync(self._descriptor)
            path = self._path.rename(self._content.path(digest))
            sync_directory(path.parent)
        return Descriptor(media_type=media_type, digest=digest, size=self._size)

    def __enter__(self) -> NewBlob:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


class Ingest:
    """A blob on its way in. As a context manager: without :meth:`commit`, what came so far is kept for the next try.

    ``offset`` is how many bytes are there already: go on from there, or :meth:`restart`.
    """

    def __init__(self, content: Content, directory: Path, descriptor: Descriptor) -> None:
        self._content = content
        self._descriptor = descriptor
        self._file, self._path = _open_for_one(directory, "-".join(digests.split(descriptor.digest)))
        self._hash = digests.hasher(descriptor.digest)
        self.offset = 0
        while piece := self._file.read(_READ_SIZE):
            self._hash.update(piece)
            self.offset += len(piece)
        if self.offset > descriptor.size:
            self.restart()

    def write(self, data: bytes) -> None:
        """Append. Raises NoSpace; CorruptContent as soon as there is more than the descriptor says."""
        if self.offset + len(data) > self._descriptor.size:
            self.abort()
            raise CorruptContent(
                f"{self._descriptor.digest} is larger than the {self._descriptor.size} bytes announced"
            )
        with space_errors(self._path.parent):
            write_all(self._file.fileno(), data)
        self._hash.update(data)
        self.offset += len(data)

    def restart(self) -> None:
        """Forget what is there: the next byte is the first."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = digests.hasher(self._descriptor.digest)
        self.offset = 0

    def commit(self) -> Path:
        """Verify size and digest, and give the blob its name. Raises CorruptContent; then nothing is left."""
        found = f"{self._hash.name}:{self._hash.hexdigest()}"
        wanted = self._descriptor
        if self.offset != wanted.size or found != wanted.digest:
            self.abort()
            received = f"{self.offset} bytes with digest {found}"
            raise CorruptContent(f"received {received}, but wanted were {wanted.size} bytes with {wanted.digest}")
        path = self._content.path(wanted.digest)
        with space_errors(self._path.parent):
            os.fsync(self._file.fileno())
            self._path.rename(path)
            sync_directory(path.parent)
        self._file.close()
        return path

    def abort(self) -> None:
        """Give up, and leave nothing."""
        self._path.unlink(missing_ok=True)
        self._file.close()

    def close(self) -> None:
        """Pause: what is there will be gone on with. (A file that only this try knows is removed.)"""
        if "." in self._path.name:
            self._path.unlink(missing_ok=True)
        self._file.close()

    def __enter__(self) -> Ingest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._file.closed:
            self.close()


def _open_for_one(directory: Path, name: str) -> tuple[BinaryIO, Path]:
    """Open the file ``name`` for us alone. When somebody else brings the same blob in, ours is a file of its own."""
    path = directory / name
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0)
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            file.close()
            descriptor, private = tempfile.mkstemp(prefix=f"{name}.", dir=directory)
            return os.fdopen(descriptor, "r+b", buffering=0), Path(private)
        # Between our open and our lock another may have finished and renamed the file: what we hold is then a blob.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file, path
        file.close()
