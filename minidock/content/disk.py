"""Writing to the disk so that a killed daemon, a power cut or a full disk leaves the old state or the new one.

The recipe is always the same: write under another name, sync the file, rename, sync the directory.
"""

from __future__ import annotations

import os
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path

from minidock.errors import NoSpace
from minidock.kernel import syscalls


@contextmanager
def space_errors(where: Path) -> Iterator[None]:
    """Turn the kernel's "no space left on device" into NoSpace, which says where and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT):
            raise
        raise NoSpace(
            f"no space left on device under {where}: remove images or containers, or use another disk"
        ) from error


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``: write(2) may take a part of it, on a disk that is nearly full for one."""
    rest: bytes | memoryview = data
    while (written := os.write(descriptor, rest)) < len(rest):
        rest = memoryview(rest)[written:]


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut: a file's own fsync(2) does not."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` by a file that holds ``data``. Raises NoSpace; then the old file is still there."""
    with space_errors(path.parent):
        descriptor, temporary = tempfile.mkstemp(prefix=f".tmp-{path.name}-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def remove_tree(name: str, directory: int, trash: int) -> None:
    """Remove ``name`` from ``directory`` (a descriptor), with all that is below it, never following a link.

    Deep trees are no trouble, neither for Python's stack nor for the limit of open files: each directory that is
    found is first moved to ``trash``, a directory on the same file system whose names that begin with ``.rm-`` are
    ours. What a killed process leaves there, :func:`remove_leftovers` removes.
    """
    if not stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode):
        os.unlink(name, dir_fd=directory)
        return
    pending = [_move_to(trash, name, directory)]
    while pending:
        current = pending.pop()
        descriptor = os.open(current, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=trash)
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(_move_to(trash, entry.name, descriptor))
                    else:
                        os.unlink(entry.name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        os.rmdir(current, dir_fd=trash)


def _move_to(trash: int, name: str, directory: int) -> str:
    moved = f".rm-{uuid.uuid4().hex}"
    os.rename(name, moved, src_dir_fd=directory, dst_dir_fd=trash)
    return moved


def remove_directory(path: Path) -> None:
    """Remove a directory, however deep; no error if it is not there. (shutil's own recurses.)"""
    with suppress(FileNotFoundError):
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(path.name, parent, parent)
        finally:
            os.close(parent)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left half made in a directory: all names that begin with ``.tmp-`` or ``.rm-``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(descriptor) as entries:
            names = [entry.name for entry in entries if entry.name.startswith((".tmp-", ".rm-"))]
        for name in names:
            remove_tree(name, descriptor, descriptor)
    finally:
        os.close(descriptor)


def tree_size(path: Path) -> int:
    """How many bytes the files below a directory have; one with several names counts once. No link is followed."""
    root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    seen: set[tuple[int, int]] = set()
    total, pending = 0, ["."]
    try:
        while pending:
            here = pending.pop()
            for status, name in _statuses(root, here):
                if stat.S_ISDIR(status.st_mode):
                    pending.append(f"{here}/{name}")
                elif (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_size
    finally:
        os.close(root)
    return total


def _statuses(root: int, path: str) -> list[tuple[os.stat_result, str]]:
    """What is in a directory; nothing when somebody removed it, or put a link there, just now."""
    try:
        directory = syscalls.openat2(root, path, os.O_RDONLY | os.O_DIRECTORY, syscalls.RESOLVE_NO_SYMLINKS)
    except OSError:
        return []
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found.append((entry.stat(follow_symlinks=False), entry.name))
    finally:
        os.close(directory)
    return found
