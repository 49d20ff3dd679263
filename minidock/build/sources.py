"""Where COPY and ADD take files from: a tree that is never left, whatever its links say.

A source is a path or a pattern of Go's ``filepath.Match``, for which the tree is the whole world. What it names is
opened with openat2(2) and RESOLVE_IN_ROOT; below that, no link is followed.

A source's digest is that of an archive of it, with all times at 0: content, names, modes, owners and attributes count.

Source: https://docs.docker.com/reference/dockerfile/#copy; https://pkg.go.dev/path/filepath#Match.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from minidock import globs
from minidock.dockerignore import Ignore
from minidock.errors import InvalidInput, NotFound
from minidock.images.archive import Entry
from minidock.images.archive_writer import Writer
from minidock.images.walk import Sink, Walk
from minidock.kernel import syscalls

_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_WILD = re.compile(r"[*?\[\\]")


@dataclass(frozen=True)
class Item:
    """A file or a directory that is to be copied. ``name`` is its path in its tree, ``path`` where it really is.

    ``content`` stands for a file that is on no disk (a heredoc); then there is no path. ``entry``: what is to be said
    of a file instead of what the disk says (of one from the web). ``commit``: it is a git repository with its
    ``.git``, which says the same in other bytes whenever it is fetched; the commit stands for it.
    """

    name: str
    path: Path = Path()
    is_directory: bool = False
    content: bytes | None = None
    entry: Entry | None = None
    commit: str = ""

    @property
    def is_file_on_disk(self) -> bool:
        """Neither a directory nor a heredoc: it may be an archive."""
        return not self.is_directory and self.content is None

    def write(self, sink: Sink, exclude: Ignore | None = None) -> None:
        """Tell ``sink`` of a directory's content, with names that count from it; or of the file, by its last name."""
        if self.content is not None:
            sink.add(Entry(posixpath.basename(self.name), size=len(self.content)), [self.content])
            return
        # Resolved before; whatever happened since, no link is followed now.
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        root = os.open(self.path if self.is_directory else self.path.parent, flags)
        try:
            wanted = _Wanted(sink, exclude, "" if self.is_directory else posixpath.basename(self.name), self.entry)
            Walk(root, wanted).write("" if self.is_directory else self.path.name)
        finally:
            os.close(root)


def content_digest(item: Item, exclude: Ignore | None = None) -> str:
    """64 hex digits that change when anything but a time does."""
    found = hashlib.sha256()
    if item.is_directory:
        found.update(b"%o" % stat.S_IMODE(item.path.stat().st_mode))
    found.update(item.commit.encode())
    item.write(_Timeless(Writer(found.update), ".git" if item.commit else ""), exclude)
    return found.hexdigest()


@dataclass(frozen=True)
class _Wanted:
    """Hands on what is not excluded."""

    sink: Sink
    exclude: Ignore | None
    name: str
    entry: Entry | None

    def add(self, entry: Entry, data: Iterable[bytes] = ()) -> None:
        if self.exclude is not None and self.exclude.excludes(entry.name.rstrip("/")):
            return
        entry.name = self.name or entry.name
        if self.entry is not None:
            entry.mode, entry.mtime_ns = self.entry.mode, self.entry.mtime_ns
        self.sink.add(entry, data)


@dataclass(frozen=True)
class _Timeless:
    """Hands entries on as if all were made in 1970; without what is in ``hidden``, if that is a name."""

    sink: Sink
    hidden: str

    def add(self, entry: Entry, data: Iterable[bytes] = ()) -> None:
        if self.hidden and entry.name.partition("/")[0] == self.hidden:
            return
        entry.mtime_ns = 0
        self.sink.add(entry, data)


class Source:
    """A tree: a context, or the root of a stage or an image while it is mounted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._digests: dict[Item, str] = {}

    def digest(self, item: Item, exclude: Ignore | None = None) -> str:
        """Its :func:`content_digest`, made once: nothing changes in a tree that is copied from."""
        if exclude is not None or item.entry is not None:
            return content_digest(item, exclude)
        if item not in self._digests:
            self._digests[item] = content_digest(item)
        return self._digests[item]

    @contextmanager
    def open(self, path: str, flags: int = os.O_PATH) -> Iterator[int]:
        """Open what ``path`` means in this tree. Raises NotFound, InvalidInput."""
        root = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = syscalls.openat2(root, path or ".", flags, _IN_ROOT)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise NotFound(f"stat {path}: file does not exist") from None
            raise InvalidInput(f"{path}: {error.strerror}") from None
        finally:
            os.close(root)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def read_text(self, path: str, limit: int) -> str:
        """A small regular file. Raises NotFound, InvalidInput."""
        with self.open(path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
                raise InvalidInput(f"{path} is no file, or larger than {limit} bytes")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(limit).decode(errors="replace")

    def item(self, name: str) -> Item:
        """What ``name`` means here; a link is followed. Raises NotFound, InvalidInput for a device or a FIFO."""
        with self.open(name) as descriptor:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                raise InvalidInput(f"{name} is neither a file nor a directory")
            return Item(name, Path(f"/proc/self/fd/{descriptor}").readlink(), stat.S_ISDIR(mode))

    def find(self, pattern: str) -> list[Item]:
        """All that a path or pattern names, sorted. Raises NotFound, InvalidInput in Docker's words."""
        clean = posixpath.normpath(pattern.lstrip("/") or ".")
        if clean == ".." or clean.startswith("../"):
            raise InvalidInput(f"forbidden path outside the build context: {pattern} ()")
        clean = "" if clean == "." else clean
        if not _WILD.search(clean):
            return [self.item(clean)]
        names = [""]
        for part in clean.split("/"):
            names = [longer for name in names for longer in self._step(name, part)]
        if not names:
            raise InvalidInput("no source files were specified")
        return [self.item(name) for name in sorted(names)]

    def _step(self, directory: str, part: str) -> Iterator[str]:
        """The names in ``directory`` that a pattern's part matches; ``**`` is any number of directories."""
        prefix = f"{directory}/" if directory else ""
        if not _WILD.search(part):
            with suppress(NotFound), self.open(prefix + part):
                yield prefix + part
            return
        if part == "**":
            yield directory
        matches = globs.compiled(part)
        for entry in self._entries(directory):
            if part == "**" and entry.is_dir(follow_symlinks=False):
                yield from self._step(prefix + entry.name, part)
            elif part != "**" and matches(entry.name):
                yield prefix + entry.name

    def _entries(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with (
                self.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) as descriptor,
                os.scandir(descriptor) as found,
            ):
                return sorted(found, key=lambda entry: entry.name)
        except (NotFound, InvalidInput):
            return []
