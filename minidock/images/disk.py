"""Writing to the disk so that a killed daemon, a power cut or a full disk leaves the old state or the new one.

The recipe is always the same: write under another name, sync the file, rename, sync the directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path

from minidock.errors import NoSpace


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
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


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


def remove_tree(path: Path) -> None:
    """Remove a directory and everything below it, never following a link; no error if it is not there."""
    shutil.rmtree(path, onerror=_raise_unless_gone)


def _raise_unless_gone(
    _function: object, _path: object, details: tuple[type[BaseException], BaseException, object]
) -> None:
    if not isinstance(details[1], FileNotFoundError):
        raise details[1]
