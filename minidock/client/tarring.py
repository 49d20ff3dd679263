"""Local files as a tar stream, and a tar stream as local files.

Writing happens in a thread of its own, into a pipe: so a directory of any size goes out piece by piece, while the
connection takes it. Reading trusts nothing in the archive: no entry may end up outside of the target, neither by its
name nor through a symbolic link that came before it.
"""

from __future__ import annotations

import copy
import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import IO

from minidock.client.http1 import PIECE
from minidock.errors import InvalidInput


def stream(write: Callable[[tarfile.TarFile], None], compress: bool = False) -> Iterator[bytes]:
    """The bytes of the archive that ``write`` fills. Raises what ``write`` raises."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with open(writer, "wb") as file, tarfile.open(fileobj=file, mode="w|gz" if compress else "w|") as archive:
                write(archive)
        except BrokenPipeError:
            return  # the reader wants no more
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with open(reader, "rb", buffering=0) as file:
        yield from iter(lambda: file.read(PIECE), b"")
    thread.join()
    if failures:
        raise failures[0]


def add(archive: tarfile.TarFile, path: str, name: str, owner: int | None = None) -> None:
    """One file or directory, without what is below it. A socket, which tar does not know, is left out."""
    entry = archive.gettarinfo(path, name)
    if entry is None:
        return
    if owner is not None:
        entry.uid = entry.gid = owner
        entry.uname = entry.gname = ""
    if entry.isreg():
        if entry.type == tarfile.REGTYPE and (capability := _capability(path)):
            entry.pax_headers = {"SCHILY.xattr.security.capability": capability}
        with open(path, "rb") as file:
            archive.addfile(entry, file)
    else:
        archive.addfile(entry)


def _capability(path: str) -> str:
    """A file's own capabilities: the one extended attribute that Docker's client takes along. capabilities(7)"""
    try:
        return os.getxattr(path, "security.capability").decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def add_tree(archive: tarfile.TarFile, path: str, name: str) -> None:
    """A file, or a directory with everything below it, in the order of names."""
    add(archive, path, name)
    if os.path.isdir(path) and not os.path.islink(path):
        for inner in sorted(os.listdir(path)):
            add_tree(archive, os.path.join(path, inner), os.path.join(name, inner))


class _Ours(tarfile.TarFile):
    """What is unpacked belongs to whoever unpacks."""

    @staticmethod
    def extraction_filter(entry: tarfile.TarInfo, _: str) -> tarfile.TarInfo:
        """Entries are as they should be: see :func:`extract`. (Python 3.11.2, Debian 12's, has no such filters.)"""
        return entry

    def chown(self, *_: object, **__: object) -> None:
        """Leave the owner as it is."""


class Pieces(io.RawIOBase):
    """Pieces as a file that can be read; ``count`` says how many bytes were."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self.source, self.rest, self.count = source, b"", 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` as far as the next piece goes; 0 at the end."""
        if not self.rest:
            self.rest = next(self.source, b"")
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        self.count += size
        return size


def extract(source: IO[bytes], directory: str, rename: Callable[[str], str] = lambda name: name) -> None:
    """Unpack into a directory. ``rename`` may give an entry another name. Raises InvalidInput."""
    top = os.path.realpath(directory)

    def placed(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        name = os.path.normpath(rename(entry.name).lstrip("/"))
        _inside(top, os.path.join(top, name), entry.name)
        link = entry.linkname
        if entry.islnk():
            link = os.path.normpath(rename(link).lstrip("/"))
            _inside(top, os.path.join(top, link), entry.name)
        _make_room(os.path.join(top, name), entry)
        entry = copy.copy(entry)
        entry.name, entry.linkname = name, link
        return entry

    try:
        with _Ours.open(fileobj=source, mode="r|") as archive:
            archive.extractall(top, map(placed, archive))
    except tarfile.TarError as error:
        raise InvalidInput(f"the archive cannot be read: {error}") from None


def _inside(top: str, path: str, shown: str) -> None:
    """Raises InvalidInput when a path's directory, symbolic links followed, is outside of ``top``."""
    parent = os.path.realpath(path if path == top else os.path.dirname(path))
    if parent != top and not parent.startswith(top.rstrip("/") + "/"):
        raise InvalidInput(f'"{shown}" would be unpacked outside of "{top}"')


def _make_room(path: str, entry: tarfile.TarInfo) -> None:
    """What is there already gives way, except that a directory and something else do not replace each other."""
    if not os.path.lexists(path):
        return
    is_directory = os.path.isdir(path) and not os.path.islink(path)
    if is_directory and not entry.isdir():
        raise InvalidInput(f'cannot overwrite directory "{path}" with non-directory "{os.path.dirname(path)}"')
    if entry.isdir() and not is_directory:
        raise InvalidInput(f'cannot overwrite non-directory "{path}" with directory "{os.path.dirname(path)}"')
    if not is_directory:
        os.unlink(path)
