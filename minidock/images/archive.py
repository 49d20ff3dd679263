"""tar archives, read as a stream: what a layer is.

An archive is a row of 512-byte blocks: for each entry a header, then its data, padded. Four generations have found
ways to say more than the header of 1988 can hold, and images in the wild use all of them:

- ustar: a name in two parts, numbers in octal digits;
- GNU: names as data of a pseudo-entry (types L and K), big numbers in base 256, sparse files (type S);
- PAX: records ``length key=value`` before an entry (type x), which replace its fields; also extended attributes
  (``SCHILY.xattr.*``) and three formats of sparse files (``GNU.sparse.*``).

This module only reads (``archive_writer`` writes); where an entry may go is the business of ``unpack``. Nothing here
trusts a length: whatever an archive says, memory use stays small.

Source: pax(1) in POSIX.1-2001, tar(5) of libarchive, "Storing Sparse Files" in the GNU tar manual.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from minidock.errors import InvalidSpec

BLOCK = 512
#: The longest name or set of PAX records, in bytes (as in Go's archive/tar).
MAX_METADATA = 1024 * 1024
#: A sparse file may have this many pieces.
MAX_SEGMENTS = 100_000

FILE, HARDLINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = "0", "1", "2", "3", "4", "5", "6"
_FILE_TYPES = {b"0": FILE, b"\0": FILE, b"7": FILE, b"S": FILE}
_OTHER_TYPES = {kind.encode(): kind for kind in (HARDLINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO)}
_XATTR = "SCHILY.xattr."

# name, mode, uid, gid, size, mtime, checksum, type, linkname, magic, (names of owners), major, minor, prefix
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s64x8s8s155s12x")


@dataclass(slots=True)
class Entry:
    """One entry, with everything that any generation could say about it.

    ``name`` and ``link`` are as the archive has them: not trusted, not cleaned. ``size`` is the file's; of it only
    ``stored`` bytes follow in the archive. ``segments`` are a sparse file's pieces: offset and length.
    """

    name: str
    type: str = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: str = ""
    major: int = 0
    minor: int = 0
    xattrs: dict[str, bytes] = field(default_factory=dict)
    stored: int = 0
    segments: list[tuple[int, int]] | None = None


class Source(Protocol):
    """Where a reader takes its bytes from."""

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes; fewer only at the end."""

    def pieces(self, size: int) -> Iterator[bytes]:
        """``size`` bytes in pieces of any length. Raises InvalidSpec when there are fewer."""


class Reader:
    """The entries of an archive, in order. Before the next one is taken, the data of this one may be read.

    Iterating raises InvalidSpec for whatever is no archive.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._unread = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        records: dict[str, bytes] = {}
        sparse: list[tuple[bytes, bytes]] = []
        while block := self._next_block():
            fields = _HEADER.unpack(block)
            kind, size = fields[7], _number(fields[4])
            if size < 0:
                raise InvalidSpec("archive header holds a negative size")
            if kind in b"xgLK":
                self._announce(kind, self._metadata(size), records, sparse)
                continue
            entry = _entry(fields, size, records)
            self._expect(entry.stored)
            self._read_sparse_map(entry, kind, block, records, sparse)
            yield entry
            records, sparse = {}, []

    def data(self) -> Iterator[bytes]:
        """What the archive stores of the current entry's file, in pieces."""
        size, self._unread = self._unread, 0
        return self._source.pieces(size)

    def _next_block(self) -> bytes:
        """The next header, or nothing at the end: a block of zeros, or no block at all."""
        if self._unread:
            for _ in self._source.pieces(self._unread):
                continue
        # The last entry's padding may be missing: so end the archives of `docker build -f` with a Dockerfile elsewhere.
        self._source.take(self._padding)
        self._unread = self._padding = 0
        block = self._source.take(BLOCK)
        if not block or not block.strip(b"\0"):
            return b""
        if len(block) < BLOCK:
            raise InvalidSpec("archive is truncated in a header")
        _check_sum(block)
        return block

    def _expect(self, size: int) -> None:
        self._unread, self._padding = size, -size % BLOCK

    def _metadata(self, size: int) -> bytes:
        if size > MAX_METADATA:
            raise InvalidSpec(f"archive has a name or attributes of {size} bytes: at most {MAX_METADATA} are read")
        data = self._exactly(size)
        self._exactly(-size % BLOCK)
        return data

    def _exactly(self, size: int) -> bytes:
        data = self._source.take(size)
        if len(data) != size:
            raise InvalidSpec("archive is truncated")
        return data

    def _announce(self, kind: bytes, data: bytes, records: dict[str, bytes], sparse: list[tuple[bytes, bytes]]) -> None:
        """What a pseudo-entry says about the entry that follows it."""
        if kind == b"L":
            records["path"] = data.rstrip(b"\0")
        elif kind == b"K":
            records["linkpath"] = data.rstrip(b"\0")
        elif kind == b"x":
            found = list(_pax_records(data))
            records.update(found)
            # Format 0.0 of sparse files repeats a pair of keys: the only records whose order matters.
            offsets = [value for key, value in found if key == "GNU.sparse.offset"]
            lengths = [value for key, value in found if key == "GNU.sparse.numbytes"]
            sparse.extend(zip(offsets, lengths, strict=False))
        # Type g holds records for all entries. Like Docker we take no notice: git writes a comment there.

    def _read_sparse_map(
        self,
        entry: Entry,
        kind: bytes,
        block: bytes,
        records: dict[str, bytes],
        sparse: list[tuple[bytes, bytes]],
    ) -> None:
        """Find out where the pieces of a sparse file belong, in any of the four formats."""
        if kind == b"S":
            entry.segments = self._gnu_segments(block)
            entry.size = _number(block[483:495])
        elif records.get("GNU.sparse.major") == b"1" and records.get("GNU.sparse.minor") == b"0":
            entry.segments = self._inline_segments(entry)
            entry.size = _decimal(records.get("GNU.sparse.realsize", b"0"))
        elif "GNU.sparse.map" in records:
            numbers = [_decimal(text) for text in records["GNU.sparse.map"].split(b",")]
            entry.segments = list(zip(numbers[::2], numbers[1::2], strict=False))
            entry.size = _decimal(records.get("GNU.sparse.size", b"0"))
        elif sparse:
            entry.segments = [(_decimal(offset), _decimal(length)) for offset, length in sparse]
            entry.size = _decimal(records.get("GNU.sparse.size", b"0"))
        else:
            return
        _check_segments(entry)

    def _gnu_segments(self, block: bytes) -> list[tuple[int, int]]:
        """Four pieces in the header itself, then 21 in each block that follows, as long as a flag is set."""
        segments, more = _gnu_pairs(block[386:482]), block[482]
        while more:
            block = self._exactly(BLOCK)
            segments += _gnu_pairs(block[:504])
            more = block[504]
            if len(segments) > MAX_SEGMENTS:
                raise InvalidSpec(f"archive has a sparse file of more than {MAX_SEGMENTS} pieces")
        return segments

    def _inline_segments(self, entry: Entry) -> list[tuple[int, int]]:
        """PAX format 1.0: the map stands before the data, as lines of decimal numbers, padded to whole blocks."""
        lines: list[bytes] = []
        rest, wanted = b"", 1
        while len(lines) < wanted:
            if self._unread < BLOCK:
                raise InvalidSpec(f"archive entry {entry.name!r}: its sparse map is truncated")
            block = rest + self._exactly(BLOCK)
            self._unread -= BLOCK
            entry.stored -= BLOCK
            *whole, rest = block.split(b"\n")
            lines += whole
            if lines and wanted == 1:
                wanted = 1 + 2 * _decimal(lines[0])
            if wanted > 1 + 2 * MAX_SEGMENTS or len(rest) > BLOCK:
                raise InvalidSpec(f"archive entry {entry.name!r}: its sparse map is not readable")
        numbers = [_decimal(line) for line in lines[1:wanted]]
        return list(zip(numbers[::2], numbers[1::2], strict=True))


def _entry(fields: tuple[bytes, ...], size: int, records: dict[str, bytes]) -> Entry:
    """The header's fields, replaced by what PAX records say."""
    name, mode, uid, gid, _, mtime, _, kind, link, magic, major, minor, prefix = fields
    name = _text(name)
    if magic[:6] == b"ustar\0" and prefix[0]:
        name = _text(prefix) + b"/" + name
    entry_type = _FILE_TYPES.get(kind) or _OTHER_TYPES.get(kind)
    if entry_type is None:
        raise InvalidSpec(f"archive entry {os.fsdecode(name)!r}: type {kind!r} is not supported")
    if kind == b"\0" and name.endswith(b"/"):
        entry_type = DIRECTORY  # how the time before ustar marked a directory
    if entry_type != FILE:
        size = 0  # a link's or directory's size says nothing: no data follows
    entry = Entry(
        os.fsdecode(name), entry_type, _number(mode) & 0o7777, _number(uid), _number(gid), size,
        _number(mtime) * 1_000_000_000, os.fsdecode(_text(link)), stored=size,
    )  # fmt: skip
    if entry_type in (CHARACTER, BLOCK_DEVICE):
        entry.major, entry.minor = _number(major), _number(minor)
    if records:
        _apply_records(entry, records)
    return entry


def _apply_records(entry: Entry, records: dict[str, bytes]) -> None:
    for key, value in records.items():
        if not value and not key.startswith(_XATTR):
            continue  # an empty record takes back an earlier one
        if key == "GNU.sparse.name" or (key == "path" and "GNU.sparse.name" not in records):
            entry.name = _path(value)
        elif key == "linkpath":
            entry.link = _path(value)
        elif key == "mtime":
            entry.mtime_ns = _nanoseconds(value)
        elif key == "uid":
            entry.uid = _decimal(value)
        elif key == "gid":
            entry.gid = _decimal(value)
        elif key == "size" and entry.type == FILE:
            entry.size = entry.stored = _decimal(value)
        elif key.startswith(_XATTR):
            entry.xattrs[key.removeprefix(_XATTR)] = value


def _path(value: bytes) -> str:
    if b"\0" in value:
        raise InvalidSpec(f"archive entry {value!r}: a name cannot hold a zero byte")
    return os.fsdecode(value)


def _pax_records(data: bytes) -> Iterator[tuple[str, bytes]]:
    """``30 mtime=1700000000.123456789\\n``: the length counts itself, so values may hold anything."""
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        if space < 0:
            raise InvalidSpec("archive has a PAX record that is not readable")
        length = _decimal(data[position:space])
        record = data[space + 1 : position + length]
        key, equals, value = record[:-1].partition(b"=")
        if length <= space - position + 1 or record[-1:] != b"\n" or not equals or position + length > len(data):
            raise InvalidSpec("archive has a PAX record that is not readable")
        yield key.decode(errors="surrogateescape"), value
        position += length


def _text(field_: bytes) -> bytes:
    return field_.partition(b"\0")[0]


# Owners, modes and times repeat from header to header: of 50,000 small files it is felt that they are remembered.
@lru_cache(1024)
def _number(field_: bytes) -> int:
    """A header's number: octal digits, or with the highest bit set (GNU) a big-endian integer."""
    if field_[0] & 0x80:
        return _big_number(field_)
    text = field_.partition(b"\0")[0]
    try:
        return int(text, 8) if text.strip() else 0
    except ValueError:
        raise InvalidSpec(f"archive header holds {field_!r} where a number is wanted") from None


def _big_number(field_: bytes) -> int:
    value = int.from_bytes(field_, "big") - (0x80 << 8 * (len(field_) - 1))
    if field_[0] == 0xFF:
        value = int.from_bytes(field_, "big", signed=True)
    if not -(2**63) <= value < 2**63:
        raise InvalidSpec("archive header holds a number that is too large")
    return value


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise InvalidSpec(f"archive holds {text[:40]!r} where a number is wanted")
    return int(text)


def _nanoseconds(text: bytes) -> int:
    """``-1.5`` seconds: decimal digits, for a float has not enough of them."""
    negative = text.startswith(b"-")
    seconds, _, fraction = text.lstrip(b"-").partition(b".")
    value = _decimal(seconds or b"0") * 1_000_000_000 + _decimal((fraction + b"000000000")[:9])
    return -value if negative else value


def _check_sum(block: bytes) -> None:
    """The sum of all bytes, the sum's own field counting as blanks. Some old programs summed signed bytes."""
    wanted = _number(block[148:156])
    filled = block.translate(None, b"\0")  # zeros, most of a header, are not worth the time to add them
    found = sum(filled) - sum(block[148:156]) + 8 * 32
    if found == wanted:
        return
    signed = sum(struct.unpack("512b", block)) - sum(struct.unpack("8b", block[148:156])) + 8 * 32
    if signed != wanted:
        raise InvalidSpec("archive is damaged or not an archive: a header's checksum is wrong")


def _gnu_pairs(data: bytes) -> list[tuple[int, int]]:
    pairs = []
    for at in range(0, len(data), 24):
        if data[at] == 0:
            break
        pairs.append((_number(data[at : at + 12]), _number(data[at + 12 : at + 24])))
    return pairs


def _check_segments(entry: Entry) -> None:
    """The pieces of a sparse file stand in order, within the file, and are as long as the data."""
    end = 0
    for offset, length in entry.segments or []:
        if offset < end or length < 0:
            raise InvalidSpec(f"archive entry {entry.name!r}: its sparse map goes backwards")
        end = offset + length
    if end > entry.size or sum(length for _, length in entry.segments or []) != entry.stored:
        raise InvalidSpec(f"archive entry {entry.name!r}: its sparse map and its size do not agree")
