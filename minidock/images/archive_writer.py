"""Writing tar archives: the same entries always give the same bytes.

Each entry is a ustar header, preceded by PAX records where that header cannot hold a value: long names, sub-second
times, big numbers, extended attributes. Left out is what would differ between two machines: names of owners, times
of access and change.

Source: pax(1) in POSIX.1-2001.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from minidock.images.archive import BLOCK, FILE, Entry

_XATTR = b"SCHILY.xattr."


class Writer:
    """Writes entries through ``write``, which takes all bytes that it is given."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def add(self, entry: Entry, data: Iterable[bytes] = ()) -> None:
        """Write an entry and, if it is a file, its ``entry.size`` bytes of data."""
        records = _records(entry)
        if records:
            body = b"".join(_record(key, value) for key, value in records.items())
            self._write(_header(b"PaxHeaders/" + os.fsencode(entry.name)[-80:], "x", Entry("", size=len(body))))
            self._write(body + bytes(-len(body) % BLOCK))
        self._write(_header(os.fsencode(entry.name), entry.type, entry))
        if entry.type == FILE:
            written = 0
            for piece in data:
                self._write(piece)
                written += len(piece)
            if written != entry.size:
                raise ValueError(f"{entry.name!r} has {written} bytes where {entry.size} were announced")
            self._write(bytes(-written % BLOCK))

    def close(self) -> None:
        """Write the end: two blocks of zeros."""
        self._write(bytes(2 * BLOCK))


def _records(entry: Entry) -> dict[bytes, bytes]:
    """What the ustar header of ``entry`` cannot hold."""
    records = {}
    for key, text in ((b"path", entry.name), (b"linkpath", entry.link)):
        if len(os.fsencode(text)) > 100:
            records[key] = os.fsencode(text)
    seconds, fraction = divmod(entry.mtime_ns, 1_000_000_000)
    if fraction or not 0 <= seconds < 8**11:
        records[b"mtime"] = _time(entry.mtime_ns)
    for key, number, digits in ((b"uid", entry.uid, 7), (b"gid", entry.gid, 7), (b"size", entry.size, 11)):
        if number >= 8**digits:
            records[key] = b"%d" % number
    for name, value in sorted(entry.xattrs.items()):
        records[_XATTR + os.fsencode(name)] = value
    return records


def _record(key: bytes, value: bytes) -> bytes:
    """``30 mtime=1700000000.123456789\\n``: the length counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def _time(nanoseconds: int) -> bytes:
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    return f"{sign}{seconds}.{fraction:09d}".rstrip("0").rstrip(".").encode()


def _header(name: bytes, kind: str, entry: Entry) -> bytes:
    """A ustar header; a value that does not fit is in a PAX record, and here it is cut or 0."""
    fields = [
        name[:100].ljust(100, b"\0"),
        _octal(entry.mode, 7),
        _octal(entry.uid, 7),
        _octal(entry.gid, 7),
        _octal(entry.size if entry.type == FILE else 0, 11),
        _octal(entry.mtime_ns // 1_000_000_000, 11),
        b" " * 8,
        kind.encode(),
        os.fsencode(entry.link)[:100].ljust(100, b"\0"),
        b"ustar\x0000",
        bytes(64),
        _octal(entry.major, 7),
        _octal(entry.minor, 7),
        bytes(167),
    ]
    checksum = sum(sum(field) for field in fields)
    fields[6] = b"%06o\0 " % checksum
    return b"".join(fields)


def _octal(number: int, digits: int) -> bytes:
    return b"%0*o\0" % (digits, number if 0 <= number < 8**digits else 0)
