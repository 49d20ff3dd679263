"""What a program needs, as its ELF file says, held against what the loader itself says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minidock.errors import InvalidSpec
from minidock.images.elf import libraries, read_elf


@pytest.mark.parametrize("program", ["ls", "bash", "mount", "ps", sys.executable])
def test_the_loader_agrees(program: str) -> None:
    """ldd lets the loader itself list what it would load: the same files."""
    path = Path(shutil.which(program) or "").resolve()
    listed = subprocess.run(["ldd", str(path)], check=True, capture_output=True, text=True).stdout
    expected = {str(Path(name).resolve()) for name in re.findall(r"(/\S+) \(0x", listed)}
    assert {str(found.resolve()) for found in libraries(path).values()} == expected


def test_a_static_program_needs_nothing() -> None:
    """busybox-static has no interpreter and no libraries."""
    busybox = Path(shutil.which("busybox") or "")
    elf = read_elf(busybox)
    assert (elf.interpreter, elf.needed) == ("", ())
    assert libraries(busybox) == {}


def test_a_script_is_no_elf_file(tmp_path: Path) -> None:
    """Neither a script nor a part of a header is one."""
    for data in (b"#!/bin/sh\n", b"", b"\x7fELF\x01\x01"):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(InvalidSpec, match="no 64-bit ELF file"):
            read_elf(tmp_path / "x")


def test_a_damaged_elf_file_is_refused(tmp_path: Path) -> None:
    """A file that ends where its headers should be."""
    data = Path(shutil.which("ls") or "").read_bytes()
    for length in (16, 60, 100, 1000):
        (tmp_path / "x").write_bytes(data[:length])
        with pytest.raises(InvalidSpec):
            read_elf(tmp_path / "x")
