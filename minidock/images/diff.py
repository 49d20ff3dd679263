"""The opposite of ``unpack``: an overlay's upper directory becomes a layer's archive.

The upper directory already *is* the difference to the layers below. It only has to be said in the archive's words: a
character device 0:0 becomes ``.wh.name``, an opaque directory gets an entry ``.wh..wh..opq``. How a tree is walked
while a running container changes it, :mod:`minidock.images.walk` says.

Source: image-spec, layer.md; the kernel's Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from minidock.images.archive import Entry
from minidock.images.archive_writer import Writer
from minidock.images.lookup import is_whiteout
from minidock.images.unpack import OPAQUE, OPAQUE_WHITEOUT, WHITEOUT_PREFIX
from minidock.images.walk import Walk


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
        walk = _Diff(root, writer, newest)
        walk.write()
        return Written(walk.entries, walk.size, walk.sockets)
    finally:
        os.close(root)


class _Diff(Walk):
    """One walk through an upper directory."""

    def __init__(self, root: int, writer: Writer, newest: int | None) -> None:
        super().__init__(root, writer)
        self._newest_ns = None if newest is None else newest * 1_000_000_000
        self.entries = 0
        self.size = 0
        self.sockets: list[str] = []

    def _emit(self, entry: Entry, data: Iterable[bytes] = ()) -> None:
        if self._newest_ns is not None:
            entry.mtime_ns = min(entry.mtime_ns, self._newest_ns)
        super()._emit(entry, data)
        self.entries += 1
        self.size += entry.size

    def _enter(self, path: str, directory: int) -> None:
        super()._enter(path, directory)
        if _has_opaque_mark(directory):
            # First of all, so that even a reader who takes entries one by one removes only what was there before.
            self._emit(Entry(f"{path}{OPAQUE_WHITEOUT}", mode=0))

    def _see(self, path: str, descriptor: int, status: os.stat_result) -> None:
        if is_whiteout(status):
            parent, _, name = path.rpartition("/")
            self._emit(Entry(f"{parent}/{WHITEOUT_PREFIX}{name}".lstrip("/"), mode=0))
            return
        if stat.S_ISSOCK(status.st_mode):
            self.sockets.append(path)
        super()._see(path, descriptor, status)


def _has_opaque_mark(directory: int) -> bool:
    try:
        return os.getxattr(directory, OPAQUE) == b"y"
    except OSError:
        return False
