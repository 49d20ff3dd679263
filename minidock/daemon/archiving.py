"""``docker cp``: a path in a container becomes an archive, and an archive is extracted into one.

A path that ends with ``/`` or ``/.`` means what a link leads to; any other means the link itself. ``root`` is a
descriptor of the container's root (see :mod:`minidock.daemon.files`).

Source: moby, ``daemon/archive.go``; Engine API 1.44, "ContainerArchive".
"""

from __future__ import annotations

import errno
import io
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minidock import messages, units
from minidock.containers import users
from minidock.containers.steps.inside import RESOLVE, find
from minidock.daemon.records import Record
from minidock.errors import InvalidInput, MinidockError, NoSpace, NotFound
from minidock.images.archive_writer import Writer
from minidock.images.extract import extract
from minidock.images.walk import Walk
from minidock.kernel import syscalls

MOST_LINKS = 40
"""The kernel follows as many in one path, path_resolution(7)."""

# Go's fs.FileMode: the permissions are Unix's, the rest has bits of its own.
_GO_TYPES = {
    stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27, stat.S_IFBLK: 1 << 26, stat.S_IFIFO: 1 << 25, stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21, stat.S_IFREG: 0,
}  # fmt: skip
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


class Place:
    """A path in a container, as the client wrote it. ``name`` is the container's, for errors."""

    def __init__(self, path: str, name: str) -> None:
        if not path:
            raise InvalidInput("bad parameter: path cannot be empty")
        if "\0" in path:
            raise InvalidInput("bad parameter: path cannot hold a zero byte")
        self.asked, self.container = path, name
        self.path = posixpath.normpath("/" + path).replace("//", "/")
        ends = path.rstrip("/").split("/")[-1]
        self.follows = path.endswith("/") or ends == "."
        self.name = "." if ends == "." else posixpath.basename(self.path) or "/"

    def open(self, root: int, flags: int) -> int:
        """Open it. Raises NotFound, MinidockError, in Docker's words."""
        how = flags | (os.O_DIRECTORY if self.follows else os.O_NOFOLLOW)
        with self.explained():
            return syscalls.openat2(root, self.path, how, RESOLVE)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the kernel's answers into the client's: nothing there, read-only, …"""
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise NotFound(f"Could not find the file {self.asked} in container {self.container}") from None
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoSpace(f"no space left on device for {self.path} in container {self.container}") from error
            if error.errno == errno.ENAMETOOLONG:
                raise InvalidInput("bad parameter: path is too long") from None
            if error.errno == errno.EROFS:
                raise InvalidInput(f"{self.path} in container {self.container} is read-only") from None
            raise MinidockError(
                f"{self.path} in container {self.container}: {(error.strerror or '').lower()}"
            ) from error


def look(root: int, place: Place) -> messages.PathStat:
    """What is there. Raises NotFound, MinidockError."""
    descriptor = place.open(root, os.O_PATH)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return messages.PathStat(
        name=place.name,
        size=status.st_size,
        mode=go_mode(status.st_mode),
        mtime=units.format_rfc3339(status.st_mtime_ns),
        link_target=_target(root, place.path) if stat.S_ISLNK(status.st_mode) else "",
    )


def go_mode(mode: int) -> int:
    """Unix's ``st_mode`` as Go's ``fs.FileMode``."""
    bits = sum(go for unix, go in _GO_BITS.items() if mode & unix)
    return mode & 0o777 | bits | _GO_TYPES.get(stat.S_IFMT(mode), 1 << 19)


def _target(root: int, path: str) -> str:
    """Where a path leads when all links are followed, as far as that is possible: a broken one still says where to."""
    done: list[str] = []
    pending = path.split("/")
    links = 0
    while pending:
        part = pending.pop(0)
        if part == "..":
            done = done[:-1]
        elif part not in ("", "."):
            link = _link(root, "/".join([*done, part]))
            if link is None:
                done.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                raise MinidockError(f"{path}: too many levels of symbolic links")
            done = [] if link.startswith("/") else done
            pending = link.split("/") + pending
    return "/" + "/".join(done)


def _link(root: int, path: str) -> str | None:
    """What a link says; None when it is none, or nothing at all."""
    try:
        descriptor = syscalls.openat2(root, path, os.O_PATH | os.O_NOFOLLOW, RESOLVE)
    except OSError:
        return None
    try:
        is_link = stat.S_ISLNK(os.fstat(descriptor).st_mode)
        return syscalls.readlinkat(descriptor, "") if is_link else None
    finally:
        os.close(descriptor)


def send(root: int, place: Place, begin: Callable[[messages.PathStat], None], write: Callable[[bytes], None]) -> None:
    """Tell ``begin`` what is there, then write it as an archive: a directory with all that is in it, or one file.

    Raises NotFound, MinidockError; also whatever ``write`` raises.
    """
    found = look(root, place)
    writer = Writer(write)
    if found.mode & _GO_TYPES[stat.S_IFDIR]:
        directory, only, name = place.open(root, os.O_RDONLY | os.O_DIRECTORY), "", place.name
    else:
        with place.explained():
            directory = syscalls.openat2(root, posixpath.dirname(place.path), os.O_RDONLY | os.O_DIRECTORY, RESOLVE)
        only, name = place.name, ""
    try:
        begin(found)
        Walk(directory, writer, name).write(only)
        writer.close()
    finally:
        os.close(directory)


def receive(
    root: int, place: Place, record: Record, file: io.BufferedReader[Any], keep_kinds: bool, as_user: bool
) -> None:
    """Extract an archive into a directory. ``as_user``: all of it becomes the container's user's.

    Raises NotFound, InvalidInput (no directory, read-only, not an archive), CorruptContent, NoSpace, MinidockError.
    """
    with place.explained():
        directory = syscalls.openat2(root, place.path, os.O_PATH, RESOLVE)
        try:
            if not stat.S_ISDIR(os.fstat(directory).st_mode):
                raise InvalidInput("extraction point is not a directory")
        finally:
            os.close(directory)
        _refuse_read_only(record, _target(root, place.path))
        owner = _owner(root, record.config.user) if as_user and record.config.user else None
        extract(file, root, place.path, keep_kinds=keep_kinds, owner=owner)


def _refuse_read_only(record: Record, path: str) -> None:
    """Docker's words. (The kernel would refuse as well: that is what holds when links are exchanged meanwhile.)"""
    above = [item for item in record.mounts if f"{path}/".startswith(f"{item.destination}/")]
    mount = max(above, key=lambda item: len(item.destination), default=None)
    if mount is not None and mount.read_only:
        raise InvalidInput("mounted volume is marked read-only")
    if mount is None and record.host.readonly_rootfs:
        raise InvalidInput("container rootfs is marked read-only")


def _owner(root: int, user: str) -> tuple[int, int]:
    """The uid and gid of the container's user, by its own files."""
    identity = users.resolve(user, _text(root, "etc/passwd"), _text(root, "etc/group"))
    return identity.uid, identity.gid


def _text(root: int, path: str) -> str:
    try:
        descriptor = find(root, path)
    except OSError:
        return ""
    try:
        return users.read_bounded(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
