"""COPY and ADD: items are written into a root file system, which is never left.

The root is the overlay of a stage, mounted for this one step. It was made by strangers too: a ``RUN`` may have put a
link where a directory was. So every parent is opened with openat2(2) and RESOLVE_IN_ROOT, and the last name is never
followed (:mod:`minidock.images.extract` does both).

Source: https://docs.docker.com/reference/dockerfile/#copy, #add; moby, builder/dockerfile/copy.go.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from minidock import units
from minidock.build.modes import Mode
from minidock.build.sources import Item
from minidock.containers import users
from minidock.dockerignore import Ignore
from minidock.errors import InvalidInput
from minidock.images.archive import DIRECTORY, SYMLINK, Entry, Reader
from minidock.images.compression import CHUNK, Stream, decompressed
from minidock.images.extract import Extraction
from minidock.images.unpack import Limits, blamed_on
from minidock.kernel import syscalls

_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS

Owner = tuple[int, int]


@dataclass(frozen=True)
class Order:
    """What is to be copied where. ``destination`` is absolute; with a slash at its end it is a directory.

    ``owner`` and ``mode`` are for all that is copied, None leaves them as they are. ``parents`` keeps the directories
    that a source stands in. ``unpacks`` are the numbers of the items (the first is 0) that, should they
    be archives, become what is in them.
    """

    items: Sequence[Item]
    destination: str
    owner: Owner | None = None
    mode: Mode | None = None
    parents: bool = False
    unpacks: frozenset[int] = frozenset()
    exclude: Ignore | None = None


def copy(root: Path, order: Order, limits: Limits = Limits()) -> None:  # noqa: B008  # immutable
    """Carry out an order in the file system under ``root``. Raises InvalidInput, InvalidSpec, NoSpace."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    copier = _Copier(descriptor, order)
    try:
        for number, item in enumerate(order.items):
            copier.copy(item, number in order.unpacks, limits)
    finally:
        os.close(descriptor)


def make_directory(root: Path, path: str, owner: Owner = (0, 0)) -> None:
    """Make ``path``, and what is missing above it, under ``root``. Raises InvalidInput when a file is in the way."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _make_directories(descriptor, path, owner)
    finally:
        os.close(descriptor)


def find_owner(root: Path, who: str) -> Owner:
    """What ``--chown=user:group`` means in a root file system. Without a group its number is the user's."""
    name, colon, group = who.partition(":")
    files = ["", ""]
    if not (units.is_number(name) and (not group or units.is_number(group))):
        files = [_read(root, "etc/passwd"), _read(root, "etc/group")]
    found = users.resolve(who if colon and group else name, *files)
    return found.uid, found.gid if colon and group else found.uid


@dataclass
class _Pieces:
    """The data of one entry, as a tree wants it."""

    pieces: Iterable[bytes]

    def data(self) -> Iterator[bytes]:
        return iter(self.pieces)


class _Copier:
    """Copies one item after the other into ``root``."""

    def __init__(self, root: int, order: Order) -> None:
        self._root = root
        self._order = order

    def copy(self, item: Item, unpacks: bool, limits: Limits) -> None:
        order = self._order
        unpacked = unpacks and is_archive(item.path)
        directory, name = self._target(item, unpacked)
        owner = order.owner or (0, 0)
        if not name:
            # Docker gives a directory that is copied to whom one wants, but not those above it; a file's it does.
            _make_directories(self._root, posixpath.dirname(directory), (0, 0))
        _make_directories(self._root, directory, owner)
        tree = Extraction(self._root, directory, keep_kinds=False, owner=order.owner, own_attributes=unpacked)
        try:
            if unpacked:
                self._unpack(item, tree, limits)
            else:
                item.write(_Placer(tree, name, order.mode), order.exclude)
            tree.set_directory_times()
        finally:
            tree.close()

    def _target(self, item: Item, unpacked: bool) -> tuple[str, str]:
        """The directory that an item goes to, and the name that it gets there: "" for what is in it."""
        destination, name = self._order.destination, posixpath.basename(item.name)
        whole = item.is_directory or unpacked
        if self._order.parents:
            kept = posixpath.join(destination, item.name)
            return (kept, "") if whole else (posixpath.dirname(kept), name)
        real = _real(self._root, destination)
        if whole or destination.endswith("/") or _is_directory(self._root, destination):
            return real or destination, "" if whole else name
        return posixpath.split(real or destination)

    def _unpack(self, item: Item, tree: Extraction, limits: Limits) -> None:
        with item.path.open("rb") as file:
            stream = Stream(decompressed(file), limits.size_of(item.path.stat().st_size), hashlib.sha256())
            reader = Reader(stream)
            placer = _Placer(tree, "", self._order.mode)
            exclude = self._order.exclude
            for count, entry in enumerate(reader):
                if count >= limits.entries:
                    raise InvalidInput(f"{item.name} has more than {limits.entries} entries: refused")
                if exclude is None or not exclude.excludes(posixpath.normpath(entry.name.lstrip("/"))):
                    placer.add(entry, reader.data())


@dataclass(frozen=True)
class _Placer:
    """Hands entries to a tree, a file under the name that it gets there."""

    tree: Extraction
    name: str
    mode: Mode | None

    def add(self, entry: Entry, data: Iterable[bytes] = ()) -> None:
        entry.name = self.name or entry.name
        if self.mode is not None and entry.type != SYMLINK:
            entry.mode = self.mode.of(entry.mode, entry.type == DIRECTORY)
        with blamed_on(entry):
            self.tree.add(entry, _Pieces(data))


def is_archive(path: Path) -> bool:
    """Is it a tar archive, packed or not? One whole header says so."""
    try:
        with path.open("rb") as file:
            reader = Reader(Stream(decompressed(file), CHUNK * 16, hashlib.sha256()))
            return next(iter(reader), None) is not None
    except Exception:  # each packer has errors of its own; whatever it is, this is not its archive
        return False


def _make_directories(root: int, path: str, owner: Owner) -> None:
    parts = [part for part in path.split("/") if part]
    for depth in range(1, len(parts) + 1):
        here = "/".join(parts[:depth])
        try:
            os.close(_open_directory(root, here))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise InvalidInput(f"cannot make directory /{here}: {error.strerror}") from None
            parent = _open_directory(root, "/".join(parts[: depth - 1]))
            try:
                _make_one(parent, parts[depth - 1], owner, here)
            finally:
                os.close(parent)


def _open_directory(root: int, path: str) -> int:
    return syscalls.openat2(root, path or ".", os.O_RDONLY | os.O_DIRECTORY, _IN_ROOT)


def _make_one(parent: int, name: str, owner: Owner, path: str) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        raise InvalidInput(f"cannot make directory /{path}: a link that leads nowhere is there") from None
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        os.fchown(made, *owner)
        os.fchmod(made, 0o755)  # whatever the umask is
    finally:
        os.close(made)


def _real(root: int, path: str) -> str:
    """What a path of the root means once its links are followed; "" when there is nothing."""
    try:
        descriptor = syscalls.openat2(root, path, os.O_PATH, _IN_ROOT)
    except OSError:
        return ""
    try:
        base = Path(f"/proc/self/fd/{root}").readlink()
        inside = Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(base)
        return "/" if inside == Path() else f"/{inside}"
    finally:
        os.close(descriptor)


def _is_directory(root: int, path: str) -> bool:
    try:
        descriptor = syscalls.openat2(root, path, os.O_PATH, _IN_ROOT)
    except OSError:
        return False
    try:
        return stat.S_ISDIR(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _read(root: Path, path: str) -> str:
    """A file of the root file system, "" when there is none."""
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = syscalls.openat2(descriptor, path, os.O_PATH, _IN_ROOT)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    try:
        return users.read_bounded(f"/proc/self/fd/{found}")
    finally:
        os.close(found)
