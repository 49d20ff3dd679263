"""The opposite of ``unpack``: an overlay's upper directory becomes a layer's archive.

The upper directory already *is* the difference to the layers below. It only has to be said in the archive's words: a
character device 0:0 becomes ``.wh.name``, an opaque directory gets an entry ``.wh..wh..opq``.

A running container may change its upper directory meanwhile, and could put a link to a file of the host where a
directory just was. So each name is opened from the upper directory with openat2(2), and no link is followed.

The same directory always gives the same bytes: names are sorted, and nothing of this machine is in the archive.

Source: image-spec, layer.md; the kernel's Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from minidock.errors import InvalidSpec
from minidock.images.archive import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    HARDLINK,
    SYMLINK,
    Entry,
)
from minidock.images.archive_writer import Writer
from minidock.images.compression import CHUNK
from minidock.images.lookup import is_whiteout
from minidock.images.unpack import OPAQUE, OPAQUE_WHITEOUT, WHITEOUT_PREFIX
from minidock.kernel import syscalls

_TYPES = {
    stat.S_IFREG: FILE, stat.S_IFLNK: SYMLINK, stat.S_IFCHR: CHARACTER, stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFDIR: DIRECTORY, stat.S_IFIFO: FIFO,
}  # fmt: skip
_INSIDE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_XATTRS = ("user.", "security.capability")
_HOST_XATTRS = "user.overlay."


class Written(NamedTuple):
    """What a walk wrote: how many entries, how many bytes the files have, and the sockets that it left out."""

    entries: int
    size: int
    sockets: list[str]


def write_diff(upper: Path, writer: Writer, newest: int | None = None) -> Written:
    """Write all that is in ``upper`` as a layer. The caller closes the archive.

    No file is younger than ``newest`` (seconds since 1970, as SOURCE_DATE_EPOCH): a later time is set back to it.
    Raises InvalidSpec (a name).
    """
    root = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _Diff(root, writer, newest).write()
    finally:
        os.close(root)


class _Diff:
    """One walk through an upper directory."""

    def __init__(self, root: int, writer: Writer, newest: int | None) -> None:
        self._root = root
        self._writer = writer
        self._newest_ns = None if newest is None else newest * 1_000_000_000
        self._first_names: dict[int, str] = {}
        self._entries = 0
        self._size = 0
        self._sockets: list[str] = []

    def write(self) -> Written:
        """Parents come before what is in them. (A stack and not recursion: how deep it goes, the container decides.)"""
        pending = [""]
        while pending:
            path = pending.pop()
            names = self._directory(path) if path.endswith("/") or not path else []
            if path and not path.endswith("/"):
                self._other(path)
            pending += reversed(names)
        return Written(self._entries, self._size, self._sockets)

    def _emit(self, entry: Entry, data: Iterable[bytes] = ()) -> None:
        if self._newest_ns is not None:
            entry.mtime_ns = min(entry.mtime_ns, self._newest_ns)
        self._writer.add(entry, data)
        self._entries += 1
        self._size += entry.size

    def _directory(self, path: str) -> list[str]:
        """Write a directory's entry; the paths in it, sorted, those of directories with a slash at the end."""
        try:
            directory = syscalls.openat2(self._root, path or ".", os.O_RDONLY | os.O_DIRECTORY, _INSIDE)
        except OSError as error:
            return _gone(path, error)
        try:
            if path:
                self._emit(_entry(path, os.fstat(directory), _xattrs(directory)))
            if _has_opaque_mark(directory):
                # First of all, so that even a reader who takes entries one by one removes only what was there before.
                self._emit(Entry(f"{path}{OPAQUE_WHITEOUT}", mode=0))
            with os.scandir(directory) as entries:
                found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        finally:
            os.close(directory)
        return [f"{path}{name}/" if is_directory else f"{path}{name}" for name, is_directory in sorted(found)]

    def _other(self, path: str) -> None:
        """Write what is no directory. Sockets are left out: they mean nothing without the program behind them."""
        try:
            descriptor = syscalls.openat2(self._root, path, os.O_PATH | os.O_NOFOLLOW, _INSIDE)
        except OSError as error:
            _gone(path, error)
            return
        try:
            status = os.fstat(descriptor)
            if is_whiteout(status):
                parent, _, name = path.rpartition("/")
                self._emit(Entry(f"{parent}/{WHITEOUT_PREFIX}{name}".lstrip("/"), mode=0))
            elif stat.S_IFMT(status.st_mode) in _TYPES:
                self._add(path, descriptor, status)
            elif stat.S_ISSOCK(status.st_mode):
                self._sockets.append(path)
        finally:
            os.close(descriptor)

    def _add(self, path: str, descriptor: int, status: os.stat_result) -> None:
        first = self._first_names.setdefault(status.st_ino, path) if status.st_nlink > 1 else path
        if first != path:
            self._emit(Entry(path, HARDLINK, link=first))
            return
        magic = f"/proc/self/fd/{descriptor}"  # an O_PATH descriptor as a name that nobody can exchange
        entry = _entry(path, status, _xattrs(magic) if stat.S_ISREG(status.st_mode) else {})
        if entry.type == SYMLINK:
            entry.link = syscalls.readlinkat(descriptor, "")
        if entry.type != FILE:
            self._emit(entry)
            return
        with open(magic, "rb", buffering=0) as file:  # noqa: PTH123
            self._emit(entry, _exactly(file.fileno(), entry.size))


def _entry(path: str, status: os.stat_result, xattrs: dict[str, bytes]) -> Entry:
    kind = _TYPES[stat.S_IFMT(status.st_mode)]
    device = (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in (CHARACTER, BLOCK_DEVICE) else (0, 0)
    return Entry(
        name=path,
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == FILE else 0,
        mtime_ns=status.st_mtime_ns,
        major=device[0],
        minor=device[1],
        xattrs=xattrs,
    )


def _exactly(descriptor: int, size: int) -> Iterator[bytes]:
    """``size`` bytes of a file that may grow or shrink meanwhile: the header has been written already."""
    while size:
        piece = os.read(descriptor, min(size, CHUNK)) or bytes(min(size, CHUNK))
        size -= len(piece)
        yield piece


def _xattrs(target: int | str) -> dict[str, bytes]:
    """The attributes that belong to the file, not to this host."""
    try:
        names = os.listxattr(target)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    kept = (name for name in names if name.startswith(_XATTRS) and not name.startswith(_HOST_XATTRS))
    return {name: os.getxattr(target, name) for name in kept}


def _has_opaque_mark(directory: int) -> bool:
    try:
        return os.getxattr(directory, OPAQUE) == b"y"
    except OSError:
        return False


def _gone(path: str, error: OSError) -> list[str]:
    """A running container removed or exchanged a name just now: that is no error. Anything else is."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
        return []
    raise InvalidSpec(f"{path!r} cannot be written to an archive: {error.strerror}") from error
