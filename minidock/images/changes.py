"""``docker diff``: what a container changed, told by its upper directory and the layers below.

What is not in the upper directory is as it was. What is there may be the same all the same: overlayfs copies a file up
as soon as it is opened for writing. So each is compared with what the layers have under its name, by the rules that
Docker compares two trees with: of directories, time and size do not count.

Source: moby, ``pkg/archive/changes.go`` (``ChangesDirs``) and ``changes_unix.go`` (``statDifferent``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from minidock.images.lookup import is_opaque, is_whiteout, names, step
from minidock.kernel import syscalls

MODIFIED, ADDED, DELETED = 0, 1, 2
_INSIDE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_SECOND = 1_000_000_000


class Change(NamedTuple):
    """An absolute path, and what became of it."""

    path: str
    kind: int


def changes(upper: Path, layers: Sequence[Path]) -> list[Change]:
    """Every path that is different, by name; ``layers`` are the directories below, the topmost first.

    Of a directory that is gone only itself is told; of one in which something changed, itself too.
    """
    root = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = dict(_walk(root, layers))
    finally:
        os.close(root)
    for path in list(found):
        for parent in Path(path).parents[:-1]:
            found.setdefault(str(parent), MODIFIED)
    return [Change(path, kind) for path, kind in sorted(found.items())]


def _walk(root: int, layers: Sequence[Path]) -> Iterator[Change]:
    pending: list[tuple[str, Sequence[Path]]] = [("", layers)]
    while pending:
        path, below = pending.pop()
        try:
            directory = syscalls.openat2(root, path.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY, _INSIDE)
        except OSError:
            continue  # the container runs, and removed or exchanged it just now
        try:
            with os.scandir(directory) as entries:
                here = [entry.name for entry in entries]
            if is_opaque(Path(f"/proc/self/fd/{directory}"), follow=True):
                yield from (Change(f"{path}/{name}", DELETED) for name in names(below) - set(here))
            for name in here:
                before = step(below, name)
                kind, is_directory = _compare(directory, name, before)
                if kind is not None:
                    yield Change(f"{path}/{name}", kind)
                if is_directory:
                    pending.append((f"{path}/{name}", before if before and _is_directory(before[0]) else []))
        finally:
            os.close(directory)


def _compare(directory: int, name: str, before: Sequence[Path]) -> tuple[int | None, bool]:
    """What became of a name of the upper directory, and is it a directory now?"""
    try:
        now = os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return None, False
    if is_whiteout(now):
        return (DELETED if before else None), False
    is_directory = stat.S_ISDIR(now.st_mode)
    if not before:
        return ADDED, is_directory
    same = _same(before[0].lstat(), now) and _capability(before[0]) == _capability(f"/proc/self/fd/{directory}/{name}")
    return (None if same else MODIFIED), is_directory


def _same(before: os.stat_result, now: os.stat_result) -> bool:
    owners = (before.st_mode, before.st_uid, before.st_gid, before.st_rdev)
    if owners != (now.st_mode, now.st_uid, now.st_gid, now.st_rdev):
        return False
    return stat.S_ISDIR(now.st_mode) or (
        before.st_size == now.st_size and _same_time(before.st_mtime_ns, now.st_mtime_ns)
    )


def _same_time(before: int, now: int) -> bool:
    """Not every archive knows fractions of seconds: one that has none says nothing about them."""
    fractions = (before % _SECOND, now % _SECOND)
    return before // _SECOND == now // _SECOND and (0 in fractions or fractions[0] == fractions[1])


def _capability(path: Path | str) -> bytes:
    try:
        return os.getxattr(path, "security.capability", follow_symlinks=False)
    except OSError:
        return b""


def _is_directory(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)
