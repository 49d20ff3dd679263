"""Reading a container's log: from the end, between two times, and while it grows.

The format is Docker's json-file: one JSON object a line (see :mod:`minidock.containers.logs`). A line that is not
complete, because its writer is just writing it or was killed, is not there yet; one that is no JSON is left out. A log
may be in several files (:mod:`minidock.containers.rotation`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from minidock.containers import rotation
from minidock.containers.streams import STDERR, STDOUT
from minidock.errors import InvalidInput
from minidock.kernel.inotify import IN_CREATE, IN_MODIFY, Inotify
from minidock.units import parse_rfc3339

BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of output, or, of a line longer than 16 KiB, a piece of it (then without a newline at the end).

    ``stream`` is 1 or 2; ``time_ns`` is when it was read from the program, in nanoseconds since 1970.
    """

    stream: int
    time_ns: int
    data: bytes
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are wanted. ``tail``: only the last so many, None for all; times in nanoseconds since 1970.

    As with Docker, ``tail`` counts the log's lines before all else is applied.
    """

    stdout: bool = True
    stderr: bool = True
    tail: int | None = None
    since_ns: int = 0
    until_ns: int | None = None

    def wants(self, entry: Entry) -> bool:
        """Is this entry one of those?"""
        stream = self.stdout if entry.stream == STDOUT else self.stderr
        return stream and entry.time_ns >= self.since_ns and (self.until_ns is None or entry.time_ns <= self.until_ns)

    def seconds_left(self) -> float | None:
        """How long entries may still come that are wanted; None: always."""
        return None if self.until_ns is None else max(0.0, (self.until_ns - time.time_ns()) / 1e9)

    def is_over(self) -> bool:
        """Can no more come?"""
        return self.seconds_left() == 0.0


def read(path: Path, selection: Selection) -> Iterator[Entry]:
    """The entries that are in the log now; none when there is no log."""
    with ExitStack() as opened:
        for file in _open(path, selection.tail, opened):
            yield from _new_entries(file, selection)


async def follow(path: Path, selection: Selection, ended: asyncio.Future[Any]) -> AsyncIterator[Entry]:
    """The entries that are in the log, and those that come, until ``ended`` is done and all has been read.

    Ends at ``until_ns``, too. The log must exist. A container's log is complete when its ``Shim.wait`` returns.
    """
    changed = asyncio.Event()
    ended.add_done_callback(lambda _: changed.set())
    with ExitStack() as opened, Inotify() as inotify, _readable(inotify, changed):
        inotify.add(path.parent, IN_MODIFY | IN_CREATE)
        files = _open(path, selection.tail, opened)
        while files:
            # Looked at before reading: what was written before the end is read after it.
            last = ended.done() or selection.is_over()
            changed.clear()
            for count, entry in enumerate(_new_entries(files[0], selection)):
                yield entry
                if count % 1000 == 999:
                    await asyncio.sleep(0)  # a long log is no reason for everybody else to wait
            if len(files) > 1:
                files.pop(0)
            elif (newer := rotation.successor(path, files[0])) is not None:
                # Once more the old one: until it was turned over it may have been written to.
                files.append(opened.enter_context(newer))
            elif last:
                return
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(selection.seconds_left()):
                        await changed.wait()


@contextmanager
def _readable(inotify: Inotify, changed: asyncio.Event) -> Iterator[None]:
    """Inside, ``changed`` is set when ``inotify`` has something to say."""

    def said() -> None:
        inotify.read()
        changed.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(inotify.fileno(), said)
    try:
        yield
    finally:
        loop.remove_reader(inotify.fileno())


def _open(path: Path, tail: int | None, opened: ExitStack) -> list[BinaryIO]:
    """The files that hold the last ``tail`` lines (None: all), the oldest first, each where its part begins."""
    while True:
        files: list[BinaryIO] = []
        missing = tail
        for file in rotation.generations(path):
            files.insert(0, opened.enter_context(file))
            if missing is not None:
                missing = _skip_to_tail(file, missing)
                if missing == 0:
                    break
        # The log may have been turned over in between: then we have one of its files twice.
        if not files or rotation.is_current(path, files[-1]):
            return files


def _skip_to_tail(file: BinaryIO, tail: int) -> int:
    """Go to where the last ``tail`` lines begin, reading from the end only as far as that; how many are missing."""
    position = file.seek(0, os.SEEK_END)
    missing = tail + 1  # newlines to find: the last is the end of the last line, the first belongs to the line before
    while position > 0:
        start = max(0, position - BLOCK)
        file.seek(start)
        block = file.read(position - start)
        newlines = block.count(b"\n")
        if newlines >= missing:
            end = len(block)
            for _ in range(missing):
                end = block.rindex(b"\n", 0, end)
            file.seek(start + end + 1)
            return 0
        missing -= newlines
        position = start
    file.seek(0)
    return missing - 1


def _new_entries(file: BinaryIO, selection: Selection) -> Iterator[Entry]:
    """The wanted entries from here on. Afterwards the file stands at the end of the last complete line."""
    for line in iter(file.readline, b""):
        if not line.endswith(b"\n"):
            file.seek(-len(line), os.SEEK_CUR)
            return
        entry = _parse(line)
        if entry is not None and selection.wants(entry):
            yield entry


class _Line(msgspec.Struct):
    log: str
    stream: str
    time: str
    attrs: dict[str, str] = {}


_decoder = msgspec.json.Decoder(_Line)
_time = lru_cache(maxsize=64)(parse_rfc3339)  # lines that were read together have the same time


def _parse(line: bytes) -> Entry | None:
    try:
        parsed = _decoder.decode(line)
        stream = STDERR if parsed.stream == "stderr" else STDOUT
        return Entry(stream, _time(parsed.time), parsed.log.encode(), parsed.attrs)
    except (msgspec.MsgspecError, InvalidInput):
        return None
