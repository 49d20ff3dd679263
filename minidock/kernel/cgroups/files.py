"""Cgroups are driven by files and directories: a line is written, a short text is read, a directory is made."""

from __future__ import annotations

from pathlib import Path

from minidock.errors import SystemCallFailed
from minidock.kernel.syscalls.files import AT_FDCWD, AT_REMOVEDIR, mkdirat, unlinkat, write_file


def write(path: Path, value: str) -> None:
    """One ``write`` of the whole value: the kernel takes each as one command. Raises ``SystemCallFailed``."""
    write_file(path, value)


def read(path: Path) -> str:
    """The whole text. Raises ``SystemCallFailed``."""
    try:
        return path.read_text()
    except OSError as failure:
        raise SystemCallFailed("read", f'"{path}"', failure.errno or 0) from None


def read_or(path: Path, default: str) -> str:
    """The whole text, or ``default`` where this kernel has no such file."""
    return read(path) if path.exists() else default


def make_directory(path: Path) -> None:
    """A new cgroup. Raises ``SystemCallFailed``."""
    mkdirat(AT_FDCWD, path, 0o755)


def remove_directory(path: Path) -> None:
    """The end of a cgroup: it must have no process and no child. Raises ``SystemCallFailed``."""
    unlinkat(AT_FDCWD, path, AT_REMOVEDIR)
