"""A directory tree becomes an archive: what ``docker cp`` and ``docker export`` send, and (see ``diff``) a layer.

Whoever uses the tree meanwhile could put a link to a file of the host where a directory just was. So each name is
opened from the tree's root with openat2(2), and no link is followed. What is removed or exchanged while we walk is left
out.

The same tree always gives the same bytes: names are sorted, and nothing of this machine is in the archive.

Source: tar(5) of libarchive, openat2(2).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

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
from minidock.images.compression import CHUNK
from minidock.kernel import syscalls

_TYPES = {
    stat.S_IFREG: FILE, stat.S_IFLNK: SYMLINK, stat.S_IFCHR: CHARACTER, stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFDIR: DIRECTORY, stat.S_IFIFO: FIFO,
}  # fmt: skip
_INSIDE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_XATTRS = ("user.", "security.capability")
_HOST_XATTRS = "user.overlay."


class Sink(Protocol):
    """Takes entries one by one; an archive's writer is one."""

    def add(self, entry: Entry, data: Iterable[bytes] = ()) -> None:
        """An entry and its data."""


class Walk:
    """One walk through the tree below ``root``, a descriptor.

    ``name`` is what the archive calls the root itself; without it the root has no entry, and all names begin below it.
    """

    def __init__(self, root: int, writer: Sink, name: str = "") -> None:
        self._root = root
        self._writer = writer
        self._name = name
        self._first_names: dict[tuple[int, int], str] = {}

    def write(self, only: str = "") -> None:
        """Write the tree, or only one name of the root. The caller closes the archive. Raises InvalidSpec (a name).

        Parents come before what is in them. (A stack and not recursion: how deep it goes, the container decides.)
        """
        pending = [only]
        while pending:
            path = pending.pop()
            if path.endswith("/") or not path:
                pending += reversed(self._directory(path))
            else:
                self._other(path)

    def _directory(self, path: str) -> list[str]:
        """Write a directory's entry; the paths in it, sorted, those of directories with a slash at the end."""
        try:
            directory = syscalls.openat2(self._root, path or ".", os.O_RDONLY | os.O_DIRECTORY, _INSIDE)
        except OSError as error:
            return _gone(path, error)
        try:
            self._enter(path, directory)
            with os.scandir(directory) as entries:
                found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        finally:
            os.close(directory)
        return [f"{path}{name}/" if is_directory else f"{path}{name}" for name, is_directory in sorted(found)]

    def _enter(self, path: str, directory: int) -> None:
        """Write the entry of a directory that is open."""
        if path or self._name:
            self._emit(_entry(self._called(path), os.fstat(directory), _xattrs(directory)))

    def _emit(self, entry: Entry, data: Iterable[bytes] = ()) -> None:
        self._writer.add(entry, data)

    def _called(self, path: str) -> str:
        """The archive's name for a path of the tree."""
        return f"{self._name.rstrip('/')}/{path}" if self._name else path

    def _other(self, path: str) -> None:
        """Write what is no directory."""
        try:
            descriptor = syscalls.openat2(self._root, path, os.O_PATH | os.O_NOFOLLOW, _INSIDE)
        except OSError as error:
            _gone(path, error)
            return
        try:
            status = os.fstat(descriptor)
            self._see(path, descriptor, status)
        finally:
            os.close(descriptor)

    def _see(self, path: str, descriptor: int, status: os.stat_result) -> None:
        """Write it. Sockets are left out: they mean nothing without the program behind them."""
        if stat.S_IFMT(status.st_mode) in _TYPES:
            self._add(self._called(path), descriptor, status)

    def _add(self, name: str, descriptor: int, status: os.stat_result) -> None:
        key = (status.st_dev, status.st_ino)
        first = self._first_names.setdefault(key, name) if status.st_nlink > 1 else name
        if first != name:
            self._emit(replace(_entry(name, status, {}), type=HARDLINK, link=first, size=0))
            return
        entry = _entry(name, status, {})
        if entry.type == SYMLINK:
            entry.link = syscalls.readlinkat(descriptor, "")
        if entry.type != FILE:
            self._emit(entry)
            return
        # An O_PATH descriptor as a name that nobody can exchange.
        file = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            entry.xattrs = _xattrs(file)
            self._emit(entry, _exactly(file, entry.size))
        finally:
            os.close(file)


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


def _xattrs(target: int) -> dict[str, bytes]:
    """The attributes that belong to the file, not to this host."""
    try:
        names = os.listxattr(target)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    kept = (name for name in names if name.startswith(_XATTRS) and not name.startswith(_HOST_XATTRS))
    return {name: os.getxattr(target, name) for name in kept}


def _gone(path: str, error: OSError) -> list[str]:
    """A running container removed or exchanged a name just now: that is no error. Anything else is."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
        return []
    raise InvalidSpec(f"{path!r} cannot be written to an archive: {error.strerror}") from error
