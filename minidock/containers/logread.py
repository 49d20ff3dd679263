"""Reading a container's log: from the end, between two times, and while it grows.

The format is Docker's json-file: one JSON object a line (see :mod:`minidock.containers.logs`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of output, or, of a line longer than 16 KiB, a piece of it (then without a newline at the end)."""

    stream: int
    time_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are wanted. ``tail``: only the last so many, None for all; times in nanoseconds since 1970."""

    stdout: bool = True
    stderr: bool = True
    tail: int | None = None
    since_ns: int = 0
    until_ns: int | None = None


def read(path: Path, selection: Selection) -> Iterator[Entry]:
    """The entries that are in the log now."""
    raise NotImplementedError


def follow(path: Path, selection: Selection, ended: asyncio.Future[object]) -> AsyncIterator[Entry]:
    """The entries that are in the log, and those that come, until ``ended`` is done and all has been read."""
    raise NotImplementedError
