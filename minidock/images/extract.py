"""An archive's entries are put into a directory that somebody else may be using: ``docker cp``, and a new volume.

Unlike a layer (see :mod:`minidock.images.unpack`) the archive replaces what is there, a name ``.wh.x`` is a name like
any other, and the container may exchange directories for links all the while. What keeps it inside is the same: each
parent is found with openat2(2) from the container's root, which is ``/`` for the walk, and nothing is done through a
name that could be followed out of it (CVE-2018-15664).
"""

from __future__ import annotations

import io
import os
import shutil
import stat
from dataclasses import replace
from hashlib import sha256
from typing import Any

from minidock.errors import InvalidInput
from minidock.images import archive
from minidock.images.archive import Entry
from minidock.images.compression import Stream, decompressed
from minidock.images.unpack import Data, Tree, blamed_on, components

_NO_LIMIT = 2**63 - 1


def extract(
    file: io.BufferedReader[Any],
    root: int,
    directory: str = "",
    *,
    keep_kinds: bool = False,
    owner: tuple[int, int] | None = None,
    own_attributes: bool = False,
) -> None:
    """Extract an archive (gzip, zstd, bzip2, xz or nothing) into ``directory``, a path counted from ``root``.

    ``keep_kinds``: a directory is not replaced by something else, nor something else by a directory. ``owner`` (uid
    and gid) instead of the archive's. ``own_attributes``: the entry ``.`` is about ``directory``; else it is ignored.

    Raises InvalidInput, InvalidSpec (which names the entry), CorruptContent, NoSpace, OSError.
    """
    # The hash is not asked for; a stream that has none would be a class of its own.
    stream = Stream(decompressed(file), _NO_LIMIT, sha256())
    reader = archive.Reader(stream)
    tree = Extraction(root, directory, keep_kinds, owner, own_attributes)
    try:
        for entry in reader:
            with blamed_on(entry):
                tree.add(entry, reader)
        tree.set_directory_times()
        stream.finish()
    finally:
        tree.close()


class Extraction(Tree):
    """A directory inside a living tree."""

    def __init__(
        self, root: int, directory: str, keep_kinds: bool, owner: tuple[int, int] | None, own_attributes: bool
    ) -> None:
        super().__init__(root, trash=-1)
        self._directory = [part for part in directory.split("/") if part not in ("", ".")]
        self._keep_kinds = keep_kinds
        self._owner = owner
        self._own_attributes = own_attributes

    def add(self, entry: Entry, reader: Data) -> None:
        """Make what ``entry`` says, below the directory. Raises OSError, ValueError, OverflowError, InvalidInput."""
        if ".." in entry.name.split("/"):
            raise InvalidInput(f'"{entry.name}" is outside of "/{self._below([])}"')
        parts = components(entry.name)
        if self._owner is not None:
            entry = replace(entry, uid=self._owner[0], gid=self._owner[1])
        if not parts:
            if self._own_attributes:
                self._add_root(entry)
            return
        link = self._below(components(entry.link)) if entry.type == archive.HARDLINK else entry.link
        entry = replace(entry, name=self._below(parts), link=link)
        parent = self._open_parent([*self._directory, *parts[:-1]])
        if self._keep_kinds or entry.type == archive.DIRECTORY:
            self._make_way(parent, parts[-1], entry)
        if entry.type == archive.DIRECTORY:
            self._add_directory(parent, parts[-1], entry)
        else:
            self._add_other(parent, parts[-1], entry, reader)

    def _below(self, parts: list[str]) -> str:
        return "/".join([*self._directory, *parts])

    def _make_way(self, parent: int, name: str, entry: Entry) -> None:
        """Remove what stands where the entry goes, unless both are directories. Raises InvalidInput."""
        try:
            there = stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode)
        except FileNotFoundError:
            return
        comes = entry.type == archive.DIRECTORY
        if self._keep_kinds and there != comes:
            kinds = ("directory", "non-directory") if there else ("non-directory", "directory")
            where = f'"/{self._below([])}"'
            raise InvalidInput(f'cannot overwrite {kinds[0]} "/{entry.name}" with {kinds[1]} {where}')
        if not (there and comes):
            self._remove(parent, name)

    def _remove(self, parent: int, name: str) -> None:
        if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
