"""Unpacked layers: one directory for each diff-id, ready to be an overlay's lowerdir.

::

    layers/<hex of the diff-id>/fs/     the layer's files
    layers/<hex of the diff-id>/size    how many bytes they have
    layers/l/<short name>               symlinks to the fs directories
    layers/init/fs/                     below every image: what the runtime needs to mount on, if the image lacks it
    layers/.tmp-…                       layers being unpacked

Layers do not depend on each other, so they are unpacked in parallel; decompression, hashes and writes do not hold
Python's lock. A layer appears under its name in one step, when the digest of the blob and the diff-id of its
content have both been verified.

The ``init`` layer (Docker's ``-init``) is why a container that changed nothing has an empty upper directory: without
it the runtime would have to make ``/etc/hosts`` and its kin there, and a commit would take them for the user's.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from minidock.content.disk import remove_leftovers, remove_tree, space_errors, sync_directory
from minidock.content.store import Content
from minidock.errors import CorruptContent, NotFound
from minidock.images.compression import CHUNK, ReadAhead, Stream, decompressed
from minidock.images.unpack import OPAQUE, Limits, unpack
from minidock.kernel import syscalls
from minidock.oci import digest as digests
from minidock.oci.image import Descriptor

Progress = Callable[[int], None]
"""Is told how many bytes of the blob have been unpacked so far."""

#: OVL_MAX_STACK in the kernel's fs/overlayfs/params.h.
MAX_LAYERS = 500
#: As in Docker's init layer. (``/dev`` is a tmpfs of the container's own.)
_MOUNT_POINTS = ("dev/", "proc/", "sys/", "etc/hostname", "etc/hosts", "etc/resolv.conf", ".dockerenv")

#: Shorter names than this would be taken too soon.
_SHORTEST_LINK = 4


class Layers:
    """The unpacked layers under ``root``, made of blobs in ``content``. Several threads may use it."""

    def __init__(self, root: Path, content: Content, limits: Limits = Limits()) -> None:  # noqa: B008  # immutable
        self.root = root
        self._content = content
        self.limits = limits
        for directory in (root, root / "l"):
            directory.mkdir(mode=0o700, exist_ok=True)
        _make_mount_points(root / "init" / "fs")

    def path(self, diff_id: str) -> Path:
        """The directory with the layer's files, there or not. Raises InvalidDigest."""
        return self.root / digests.encoded(diff_id) / "fs"

    def has(self, diff_id: str) -> bool:
        """Is the layer unpacked?"""
        return self.path(diff_id).is_dir()

    def size(self, diff_id: str) -> int:
        """How many bytes the layer's files have. Raises NotFound."""
        try:
            return int((self.root / digests.encoded(diff_id) / "size").read_text())
        except FileNotFoundError:
            raise NotFound(f"layer {diff_id} is not unpacked: pull the image again") from None

    def unpack(self, descriptor: Descriptor, diff_id: str, progress: Progress | None = None) -> None:
        """Unpack a blob whose content must have the digest ``diff_id``. Nothing to do if that was done before.

        Raises CorruptContent, InvalidSpec (names the entry), NoSpace, NotFound; then nothing is left.
        """
        if not self.has(diff_id):
            self._unpack(descriptor, diff_id, progress)

    def unpack_new(self, descriptor: Descriptor) -> str:
        """Unpack a blob of which nobody has said what its content is: its diff-id. Raises as :meth:`unpack`."""
        return self._unpack(descriptor, "", None)

    def adopt(self, directory: Path, diff_id: str, size: int) -> None:
        """Take a directory that is already what the layer unpacks to; it is moved. Nothing if the layer is here.

        ``size`` is how many bytes its files have. The directory must be on this file system.
        """
        if self.has(diff_id):
            return
        with space_errors(self.root):
            temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=self.root))
            try:
                (temporary / "size").write_text(f"{size}\n")
                directory.rename(temporary / "fs").chmod(0o755)
                self._publish(temporary, diff_id)
            finally:
                self._remove(temporary.name)

    def lowerdirs(self, diff_ids: Sequence[str]) -> list[str]:
        """The layers as an overlay wants them: short names in ``layers/l``, the topmost layer first.

        Raises NotFound when one is not unpacked.
        """
        names = []
        for diff_id in reversed(diff_ids):
            if not self.has(diff_id):
                raise NotFound(f"layer {diff_id} is not unpacked: pull the image again")
            names.append(self._link(digests.encoded(diff_id)))
            if self._hides_all_below(diff_id):
                return names
        return [*names, self._link("init")] if len(names) < MAX_LAYERS else names

    def remove(self, diff_ids: Iterable[str]) -> None:
        """Remove layers that nobody needs; no error if they are not there."""
        for diff_id in diff_ids:
            self._remove(digests.encoded(diff_id))
        for link in (self.root / "l").iterdir():
            if not link.exists():
                link.unlink()

    def collect(self, live: Collection[str], before: float) -> None:
        """Remove the layers that are not in ``live`` (diff-ids) and were made before a moment (seconds since 1970)."""
        names = {digests.encoded(diff_id) for diff_id in live} | {"l", "init"}
        for directory in self.root.iterdir():
            if directory.name not in names and directory.stat().st_mtime < before:
                self._remove(directory.name)
        self.remove([])

    def sweep(self) -> None:
        """Remove what killed daemons left half unpacked or half removed."""
        remove_leftovers(self.root)

    def _unpack(self, descriptor: Descriptor, wanted: str, progress: Progress | None) -> str:
        """Unpack under another name, verify, rename. ``wanted`` is the diff-id, if it is known."""
        with space_errors(self.root):
            temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=self.root))
            try:
                size, diff_id = self._unpack_into(temporary, descriptor, wanted, progress)
                if wanted and diff_id != wanted:
                    raise CorruptContent(f"layer {descriptor.digest} unpacks to {diff_id}, but its image says {wanted}")
                (temporary / "size").write_text(f"{size}\n")
                self._publish(temporary, diff_id)
            finally:
                self._remove(temporary.name)
        return diff_id

    def _unpack_into(
        self, temporary: Path, descriptor: Descriptor, wanted: str, progress: Progress | None
    ) -> tuple[int, str]:
        """Unpack into ``temporary/fs``: how many bytes the files have, and the digest of the whole archive."""
        (temporary / "fs").mkdir()
        (temporary / "fs").chmod(0o755)  # whatever the umask is
        hash_ = digests.hasher(wanted) if wanted else hashlib.sha256()
        root, trash = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (temporary / "fs", temporary))
        blob = _VerifiedBlob(self._content.open(descriptor), descriptor, progress)
        try:
            with ReadAhead(decompressed(io.BufferedReader(blob, CHUNK))) as archive:
                stream = Stream(archive, self.limits.size_of(descriptor.size), hash_)
                size = unpack(stream, root, trash, self.limits)
                diff_id = stream.finish()
            blob.verify()
        finally:
            blob.close()
            os.close(root)
            os.close(trash)
        return size, diff_id

    def _publish(self, temporary: Path, diff_id: str) -> None:
        """Give the layer its name. Its files are on the disk before that: a power cut leaves all of it, or nothing."""
        directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            syscalls.syncfs(directory)
        finally:
            os.close(directory)
        try:
            temporary.rename(self.root / digests.encoded(diff_id))
        except OSError:
            if not self.has(diff_id):
                raise
            # Another thread unpacked the same layer meanwhile: it is as good as ours.
        sync_directory(self.root)

    def _remove(self, name: str) -> None:
        """Remove a directory of ``root``, if it is there."""
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            remove_tree(name, root, root)
        except FileNotFoundError:
            return
        finally:
            os.close(root)

    def _link(self, name: str) -> str:
        """The layer's short name: like git's, the beginning of its digest that no other layer has yet."""
        target = f"../{name}/fs"
        for length in range(_SHORTEST_LINK, len(name) + 1):
            link = self.root / "l" / name[:length]
            try:
                link.symlink_to(target)
            except FileExistsError:
                if str(link.readlink()) != target:
                    continue
            return link.name
        raise CorruptContent(f"{self.root / 'l'} holds a foreign file {name}: remove it")

    def _hides_all_below(self, diff_id: str) -> bool:
        """Is the layer's root opaque? overlayfs looks for that in subdirectories only, so here the stack ends."""
        try:
            return os.getxattr(self.path(diff_id), OPAQUE) == b"y"
        except OSError:
            return False


def _make_mount_points(root: Path) -> None:
    """The init layer, if it is not there. Its times are fixed: an image without ``/etc`` shows them."""
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in _MOUNT_POINTS:
        (root / name).parent.mkdir(exist_ok=True)
        if name.endswith("/"):
            (root / name).mkdir(exist_ok=True)
        elif not (root / name).exists():
            (root / name).touch(0o755)
    if not (root / "etc/mtab").is_symlink():
        (root / "etc/mtab").symlink_to("/proc/mounts")
    for path in root.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)


class _VerifiedBlob(io.RawIOBase):
    """A blob that is hashed while it is read: the disk may have changed it since it came."""

    def __init__(self, file: BinaryIO, descriptor: Descriptor, progress: Progress | None) -> None:
        self._file = file
        self._descriptor = descriptor
        self._progress = progress
        self._hash = digests.hasher(descriptor.digest)
        self._size = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer is 3.12's
        """Read, hash, count."""
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]  # BinaryIO does not tell all
        self._hash.update(memoryview(buffer)[:count])
        self._size += count
        if self._progress and count:
            self._progress(self._size)
        return count

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()

    def verify(self) -> None:
        """Read what is left, and compare. Raises CorruptContent."""
        rest = memoryview(bytearray(CHUNK))
        while self.readinto(rest):
            continue
        found = f"{self._hash.name}:{self._hash.hexdigest()}"
        if found != self._descriptor.digest or self._size != self._descriptor.size:
            raise CorruptContent(f"layer {self._descriptor.digest} is damaged on the disk: pull the image again")
