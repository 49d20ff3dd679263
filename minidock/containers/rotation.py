"""A log in several files: ``log`` is written, ``log.1`` was before it, ``log.2`` before that; some are ``….gz``.

The writer (a shim) turns them over, readers (the daemon) may be in the middle of any of them. A file that is open stays
readable when it gets another name, or none; so readers go by inode, not by name.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

GZIP = 31
"""zlib's ``wbits`` for the gzip format (zlib.h, deflateInit2)."""


def numbered(log: Path, number: int, packed: bool = False) -> Path:
    """The name of the log's generation ``number``; 0 is the one that is written."""
    return log.with_name(log.name + (f".{number}" if number else "") + (".gz" if packed else ""))


def turn_over(log: Path, files: int) -> None:
    """Make room for a new ``log``: everyone gets the next number, the last of ``files`` goes."""
    for number in range(files - 1, -1, -1):
        for packed in (False, True):
            name = numbered(log, number, packed)
            with suppress(FileNotFoundError):
                if number == files - 1:
                    name.unlink()
                else:
                    name.rename(numbered(log, number + 1, packed))


def pack(log: Path) -> int:
    """Compress ``log.1`` in a process of its own, so that the container need not wait; its pid."""
    child = os.fork()
    if child == 0:
        try:
            # Nothing that we have open is ours: a pipe or connection would not end before we do.
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            _pack(numbered(log, 1), numbered(log, 1, packed=True))
        finally:
            os._exit(0)
    return child


def _pack(source: Path, target: Path) -> None:
    temporary = target.with_suffix(".tmp")
    compressor = zlib.compressobj(1, zlib.DEFLATED, GZIP)
    with source.open("rb") as plain, temporary.open("wb") as packed:
        while data := plain.read(1 << 18):
            packed.write(compressor.compress(data))
        packed.write(compressor.flush())
    temporary.rename(target)
    source.unlink()


def generations(log: Path) -> Iterator[BinaryIO]:
    """The files of the log, opened, the newest first. What is packed is unpacked into a nameless file."""
    number = 0
    while (file := _open(log, number)) is not None:
        yield file
        number += 1


def _open(log: Path, number: int) -> BinaryIO | None:
    with suppress(FileNotFoundError):
        return numbered(log, number).open("rb")
    with suppress(FileNotFoundError), numbered(log, number, packed=True).open("rb") as packed:
        unpacked = tempfile.TemporaryFile()  # noqa: SIM115  # the reader closes it
        decompressor = zlib.decompressobj(GZIP)
        while data := packed.read(1 << 18):
            unpacked.write(decompressor.decompress(data))
        unpacked.seek(0)
        return unpacked
    return None


def is_current(log: Path, file: BinaryIO) -> bool:
    """Is this open file still the one that is written? (Without a name there is none.)"""
    try:
        return log.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def successor(log: Path, file: BinaryIO) -> BinaryIO | None:
    """The file that came after this one, opened. None while this is the one that is written."""
    if is_current(log, file):
        return None
    own, newer = os.fstat(file.fileno()).st_ino, log
    for number in range(1, 1000):
        name = numbered(log, number)
        if not name.exists():
            break
        if name.stat().st_ino == own:
            break
        newer = name
    try:
        return newer.open("rb")
    except FileNotFoundError:  # this very moment it gets its next name: look again
        return None
