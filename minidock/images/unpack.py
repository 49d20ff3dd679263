"""A layer's archive becomes a directory, ready to be an overlay's lowerdir, whatever the archive says.

An archive is written by a stranger and unpacked by root. Its names may hold ``..``, lead through symbolic links that
the archive itself made, or name links to files that are not its own. Three habits keep everything inside:

- a parent directory is opened with openat2(2) and RESOLVE_IN_ROOT: the kernel walks the name as if the layer were
  ``/``, so that links, absolute ones too, lead nowhere else;
- the last component is never followed: files are made with O_EXCL, whatever stood there before is moved away;
- owner, mode and times are set through the descriptor of what was just made, not through its name.

Whiteouts become what overlayfs understands: ``.wh.name`` a character device 0:0, ``.wh..wh..opq`` the attribute
``trusted.overlay.opaque``. Both hide lower layers only, wherever they stand in the archive.

Source: image-spec, layer.md; the kernel's Documentation/filesystems/overlayfs.rst; openat2(2).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from minidock.content.disk import remove_tree, write_all
from minidock.errors import InvalidSpec, NoSpace, SystemCallFailed
from minidock.images import archive
from minidock.images.archive import Entry
from minidock.images.compression import Stream
from minidock.kernel import syscalls

OPAQUE = "trusted.overlay.opaque"
WHITEOUT_PREFIX = ".wh."
OPAQUE_WHITEOUT = ".wh..wh..opq"
#: aufs kept its own files under such names; they mean nothing to anybody else.
_AUFS_PREFIX = ".wh..wh."

#: Attributes that steer the kernel on this host: an archive has no say in them.
_HOST_XATTRS = ("trusted.overlay.", "user.overlay.", "security.selinux", "security.ima", "security.evm")

#: What the kernel answers when the archive, not the machine, is at fault.
_ARCHIVE_ERRORS = {
    errno.EEXIST, errno.EFBIG, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG, errno.ENOENT,
    errno.ENOTDIR, errno.EOVERFLOW, errno.EPERM, errno.ERANGE, errno.EXDEV,
}  # fmt: skip
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS


@dataclass(frozen=True)
class Limits:
    """How much one layer may become. The ratio counts only beyond ``free`` bytes: small layers may be very empty."""

    size: int = 128 * 1024**3
    entries: int = 4_000_000
    ratio: int = 200
    free: int = 1024**3

    def size_of(self, packed: int) -> int:
        """How many bytes an archive of ``packed`` bytes may have when it is unpacked."""
        return min(self.size, max(self.free, packed * self.ratio))


def unpack(stream: Stream, root: int, trash: int, limits: Limits) -> int:
    """Unpack an archive into the empty directory ``root`` (a descriptor); how many bytes its files have.

    ``trash`` is a directory on the same file system, outside of ``root``, through which replaced directories go.
    Raises InvalidSpec that names the entry, NoSpace, CorruptContent.
    """
    reader = archive.Reader(stream)
    tree = Tree(root, trash)
    size = 0
    try:
        for count, entry in enumerate(reader):
            if count >= limits.entries:
                raise InvalidSpec(f"archive has more than {limits.entries} entries: refused")
            with blamed_on(entry):
                tree.add(entry, reader)
            size += entry.size
        tree.set_directory_times()
    finally:
        tree.close()
    return size


class blamed_on:  # noqa: N801  # it reads as a function; as a generator it is felt with 50,000 small files
    """Errors say which entry they are about, and whether the archive or the machine is at fault."""

    def __init__(self, entry: Entry) -> None:
        self._name = entry.name

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OverflowError):
            raise InvalidSpec(f"archive entry {self._name!r}: a number is out of range") from None
        if isinstance(error, ValueError):
            raise InvalidSpec(f"archive entry {self._name!r}: {error}") from error
        if not isinstance(error, OSError):
            return
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"no space left on device for {self._name!r}: remove images or containers") from error
        if error.errno in _ARCHIVE_ERRORS:
            raise InvalidSpec(f"archive entry {self._name!r}: {error.strerror}") from error


class Data(Protocol):
    """Where the data of the present entry comes from; an archive's reader is one."""

    def data(self) -> Iterator[bytes]:
        """The file's bytes, in pieces."""


class Tree:
    """The directory that is being filled with a layer; :mod:`minidock.images.extract` fills others."""

    def __init__(self, root: int, trash: int) -> None:
        self._root = root
        self._trash = trash
        self._directory_times: dict[str, int] = {}
        # Archives go directory by directory: the last parent is mostly the next one's too.
        self._parent_name = ""
        self._parent = os.dup(root)

    def close(self) -> None:
        """Let go of the parent directory that is held open."""
        os.close(self._parent)

    def add(self, entry: Entry, reader: Data) -> None:
        """Make what ``entry`` says. Raises OSError, ValueError, OverflowError."""
        parts = components(entry.name)
        if not parts:
            self._add_root(entry)
            return
        *parents, name = parts
        if WHITEOUT_PREFIX in entry.name and self._is_about_whiteouts(parents, name):
            return
        parent = self._open_parent(parents)
        if entry.type == archive.DIRECTORY:
            self._add_directory(parent, name, entry)
        else:
            self._add_other(parent, name, entry, reader)

    def _is_about_whiteouts(self, parents: list[str], name: str) -> bool:
        """Make the whiteout that a name stands for. False if it is a name like any other."""
        if any(part.startswith(_AUFS_PREFIX) for part in [*parents, name]) and name != OPAQUE_WHITEOUT:
            return True
        if any(part.startswith(WHITEOUT_PREFIX) for part in parents):
            raise ValueError("names that begin with .wh. are reserved for whiteouts")
        if name == OPAQUE_WHITEOUT:
            os.setxattr(self._open_parent(parents), OPAQUE, b"y")
        elif name.startswith(WHITEOUT_PREFIX):
            self._add_whiteout(self._open_parent(parents), name.removeprefix(WHITEOUT_PREFIX))
        return name.startswith(WHITEOUT_PREFIX)

    def set_directory_times(self) -> None:
        """At the very end: each name that is made in a directory sets the directory's time anew."""
        for path, mtime_ns in self._directory_times.items():
            try:
                directory = syscalls.openat2(self._root, path, _DIRECTORY | os.O_NOFOLLOW, _IN_ROOT)
            except OSError:
                continue  # a later entry replaced it
            try:
                os.utime(directory, ns=(mtime_ns, mtime_ns))
            finally:
                os.close(directory)

    def _add_root(self, entry: Entry) -> None:
        """The entry ``./``: the layer's root itself."""
        if entry.type != archive.DIRECTORY:
            raise ValueError("the root of a layer must be a directory")
        set_attributes(self._root, entry)
        self._directory_times["."] = entry.mtime_ns

    def _add_whiteout(self, parent: int, name: str) -> None:
        if name in ("", ".", ".."):
            raise ValueError("a whiteout must name an entry of its directory")
        try:
            os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)
        except FileExistsError:
            # This layer has something of that name: it stays, and by itself it hides what lower layers have. Only a
            # directory would be merged with theirs.
            if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                self._make_opaque(parent, name)

    def _add_directory(self, parent: int, name: str, entry: Entry) -> None:
        """Directory over directory replaces the attributes; over anything else it is a new and empty one."""
        replaces = False
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                self._remove(parent, name)
                os.mkdir(name, 0o700, dir_fd=parent)
                replaces = True
        if replaces:
            # What stood here (a file, a whiteout) had hidden the lower layers' directory of that name.
            self._make_opaque(parent, name)
        directory = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            set_attributes(directory, entry)
        finally:
            os.close(directory)
        self._directory_times["/".join(components(entry.name))] = entry.mtime_ns

    def _make_opaque(self, parent: int, name: str) -> None:
        directory = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            os.setxattr(directory, OPAQUE, b"y")
        finally:
            os.close(directory)

    def _add_other(self, parent: int, name: str, entry: Entry, reader: Data) -> None:
        """A file, link, device or FIFO: it replaces what was there."""
        try:
            self._make(parent, name, entry, reader)
        except FileExistsError:
            self._remove(parent, name)
            self._make(parent, name, entry, reader)

    def _remove(self, parent: int, name: str) -> None:
        remove_tree(name, parent, self._trash)

    def _make(self, parent: int, name: str, entry: Entry, reader: Data) -> None:
        """Raises FileExistsError, before anything of the entry's data was read."""
        if entry.type == archive.FILE:
            _make_file(parent, name, entry, reader)
        elif entry.type == archive.HARDLINK:
            self._make_hardlink(parent, name, entry.link)
        elif entry.type == archive.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
            _set_attributes_by_name(parent, name, entry)
        else:
            kind = {archive.CHARACTER: stat.S_IFCHR, archive.BLOCK_DEVICE: stat.S_IFBLK, archive.FIFO: stat.S_IFIFO}[
                entry.type
            ]
            os.mknod(name, kind | 0o600, os.makedev(entry.major, entry.minor), dir_fd=parent)
            _set_attributes_by_name(parent, name, entry)

    def _make_hardlink(self, parent: int, name: str, link: str) -> None:
        """Another name for an entry of this same layer; the target's name counts from the layer's root."""
        parts = components(link)
        if not parts:
            raise ValueError(f"hard link to {link!r}, which is no file")
        directory = self._open_directory("/".join([".", *parts[:-1]]))
        if directory is None:
            raise ValueError(f"hard link to {link!r}, which is not in this layer")
        try:
            os.link(parts[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise ValueError(f"hard link to {link!r}, which is not in this layer") from None
        finally:
            os.close(directory)

    def _open_parent(self, parents: list[str]) -> int:
        """The directory that an entry goes into. Directories that the archive left out are made."""
        path = "/".join(parents)
        if path == self._parent_name:
            return self._parent
        directory = self._open_directory(path or ".")
        if directory is None:
            directory = self._make_parents(parents)
        os.close(self._parent)
        self._parent_name, self._parent = path, directory
        return directory

    def _open_directory(self, path: str) -> int | None:
        """A directory of the layer, for which the layer is the whole world; None if there is none of that name."""
        try:
            return syscalls.openat2(self._root, path, _DIRECTORY, _IN_ROOT)
        except SystemCallFailed as error:
            if error.errno != errno.ENOENT:
                raise
            return None

    def _make_parents(self, parents: list[str]) -> int:
        directory = os.dup(self._root)
        for depth, name in enumerate(parents):
            deeper = self._open_directory("/".join(parents[: depth + 1]))
            if deeper is None:
                os.mkdir(name, 0o755, dir_fd=directory)
                deeper = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                os.fchmod(deeper, 0o755)  # whatever the umask is
            os.close(directory)
            directory = deeper
        return directory


def components(name: str) -> list[str]:
    """The parts of a name; ``/`` in front and ``.`` mean nothing. Raises ValueError for ``..``."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("a name may not lead out of the layer: it holds ..")
    return parts


def _make_file(parent: int, name: str, entry: Entry, reader: Data) -> None:
    descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
    try:
        if entry.segments is None:
            for piece in reader.data():
                write_all(descriptor, piece)
        else:
            _write_sparse(descriptor, entry.segments, reader.data())
            os.ftruncate(descriptor, entry.size)
        set_attributes(descriptor, entry)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
    finally:
        os.close(descriptor)


def _write_sparse(descriptor: int, segments: list[tuple[int, int]], data: Iterable[bytes]) -> None:
    """Write each piece of a sparse file where it belongs; what lies between takes no space on the disk."""
    pieces = iter(data)
    piece = b""
    for offset, length in segments:
        os.lseek(descriptor, offset, os.SEEK_SET)
        while length:
            piece = piece or next(pieces)
            write_all(descriptor, piece[:length])
            length, piece = length - len(piece[:length]), piece[length:]


def _check_owner(entry: Entry) -> None:
    """To chown(2), -1 means "as it was": such an owner would be silently ours."""
    for number in (entry.uid, entry.gid):
        if not 0 <= number < 2**32 - 1:
            raise ValueError(f"owner {number} is out of range")


def set_attributes(descriptor: int, entry: Entry) -> None:
    """Owner, mode and extended attributes, in this order: chown clears set-uid bits and file capabilities."""
    _check_owner(entry)
    os.fchown(descriptor, entry.uid, entry.gid)
    os.fchmod(descriptor, entry.mode)
    for key, value in entry.xattrs.items():
        _set_xattr(descriptor, key, value)


def _set_attributes_by_name(parent: int, name: str, entry: Entry) -> None:
    """The same for what cannot be opened: a link, a device, a FIFO. None of these calls follows a link."""
    _check_owner(entry)
    os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    if entry.type != archive.SYMLINK:
        _chmod(parent, name, entry.mode)
    for key, value in entry.xattrs.items():
        _set_xattr(f"/proc/self/fd/{parent}/{name}", key, value)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)


def _chmod(parent: int, name: str, mode: int) -> None:
    """chmod(2) follows links, and a container may have put one there by now. A descriptor is what it was."""
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
    finally:
        os.close(descriptor)


def _set_xattr(target: int | str, key: str, value: bytes) -> None:
    """Set an extended attribute, if this file system has such ones, as Docker does."""
    if key.startswith(_HOST_XATTRS):
        return
    try:
        if isinstance(target, int):
            os.setxattr(target, key, value)
        else:
            os.setxattr(target, key, value, follow_symlinks=False)
    except OSError as error:
        # user.* is for files and directories only: on anything else the kernel says EPERM (xattr(7)).
        if error.errno != errno.ENOTSUP and not (error.errno == errno.EPERM and key.startswith("user.")):
            raise
