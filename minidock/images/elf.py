"""Which libraries does a program need? An ELF file says so itself.

A program that is not static starts with its *interpreter*, the dynamic loader (``ld-linux-x86-64.so.2``), whose path
is in the program header PT_INTERP. The loader reads the table PT_DYNAMIC, and loads every library named there
(DT_NEEDED). Those need others in turn, so the answer is a walk.

Source: elf(5), ld.so(8); System V ABI, chapter 5.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minidock.errors import InvalidSpec

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29

#: A program header of a 64-bit, little-endian file: type, flags, offset, address, (physical), size in file, …
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_DYNAMIC_ENTRY = struct.Struct("<qQ")


@dataclass(frozen=True)
class Elf:
    """What an ELF file needs to run. ``interpreter`` is "" for a static program and for most libraries."""

    interpreter: str
    needed: tuple[str, ...]
    search: tuple[str, ...]


def read_elf(path: Path) -> Elf:
    """Read a program or a library, 64-bit and little-endian as on amd64 and arm64. Raises InvalidSpec."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise InvalidSpec(f"{path} is no 64-bit ELF file")
    try:
        return _read(data, origin=str(path.resolve().parent))
    except (struct.error, ValueError) as error:
        raise InvalidSpec(f"{path} is a damaged ELF file: {error}") from error


def _read(data: bytes, origin: str) -> Elf:
    """``origin`` is the directory of the file, which its search path may name as ``$ORIGIN``."""
    headers = list(_program_headers(data))
    interpreter = "".join(
        data[offset : offset + size - 1].decode() for kind, offset, _, size in headers if kind == _PT_INTERP
    )
    needed: list[str] = []
    search: list[str] = []
    dynamic = list(_dynamic(data, headers))
    strings = next((_offset_of(value, headers) for tag, value in dynamic if tag == _DT_STRTAB), 0)
    for tag, value in dynamic:
        if tag == _DT_NEEDED:
            needed.append(_string(data, strings + value))
        elif tag in (_DT_RPATH, _DT_RUNPATH):
            search += _string(data, strings + value).replace("$ORIGIN", origin).split(":")
    return Elf(interpreter, tuple(needed), tuple(search))


def libraries(program: Path) -> dict[str, Path]:
    """All that ``program`` needs to run, by the path where the loader will look: libraries and the loader itself.

    Raises InvalidSpec when one cannot be found.
    """
    found: dict[str, Path] = {}
    loaded: set[str] = set()
    pending = [program]
    while pending:
        elf = read_elf(pending.pop())
        if elf.interpreter:
            found[elf.interpreter] = Path(elf.interpreter)
        for name in elf.needed:
            if name not in loaded:  # the loader too loads each name once, wherever the first one found it
                loaded.add(name)
                path = find_library(name, elf.search)
                found[str(path)] = path
                pending.append(path)
    return found


def _program_headers(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Type, offset in the file, address in memory, size in the file."""
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, _, offset, address, _, file_size, _, _ = _PROGRAM_HEADER.unpack_from(data, start + index * size)
        yield kind, offset, address, file_size


def _dynamic(data: bytes, headers: list[tuple[int, int, int, int]]) -> Iterator[tuple[int, int]]:
    """The dynamic table: pairs of a tag and a value, up to the tag 0."""
    for kind, offset, _, size in headers:
        if kind == _PT_DYNAMIC:
            for position in range(offset, offset + size, _DYNAMIC_ENTRY.size):
                tag, value = _DYNAMIC_ENTRY.unpack_from(data, position)
                if tag == 0:
                    return
                yield tag, value


def _offset_of(address: int, headers: list[tuple[int, int, int, int]]) -> int:
    """Tables are named by their address in memory; the segment that will be there says where they are in the file."""
    for kind, offset, start, size in headers:
        if kind == _PT_LOAD and start <= address < start + size:
            return address - start + offset
    raise InvalidSpec("ELF file names a table that is in no segment")


def _string(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()


def find_library(name: str, search: tuple[str, ...]) -> Path:
    """Where the loader would find a library: the file's own search path, then the system's directories (ld.so(8))."""
    machine = f"{os.uname().machine}-linux-gnu"
    system = (f"/lib/{machine}", f"/usr/lib/{machine}", "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
    for directory in (*search, *system):
        path = Path(directory) / name
        if path.is_file():
            return path
    raise InvalidSpec(f"library {name} is nowhere: looked in {', '.join(system)}")
