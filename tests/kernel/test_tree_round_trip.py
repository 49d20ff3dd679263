"""A tree written as an archive and extracted elsewhere is the same tree: what cp and a new volume rest on."""

from __future__ import annotations

import io
import os
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.images.archive_writer import Writer
from minidock.images.extract import extract
from minidock.images.walk import Walk

pytestmark = pytest.mark.root

NAMES = st.lists(st.sampled_from(["a", "b", ".wh.c", "é d"]), min_size=1, max_size=3).map("/".join)
ITEMS = st.tuples(st.sampled_from(["file", "directory", "link", "hard", "fifo"]), NAMES, st.integers(0, 0o7777))


def make(root: Path, kind: str, name: str, number: int) -> None:
    """One thing in a tree; what cannot be is not made."""
    path = root / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "file":
            with path.open("xb") as file:  # not over a fifo that has this name: that would wait for a reader
                file.write(b"x" * number)
        elif kind == "directory":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("/" * (number % 2) + "a/../b")
        elif kind == "hard":
            path.hardlink_to(root / "a")
        else:
            os.mkfifo(path)
        os.chown(path, number, number + 1, follow_symlinks=False)
        if kind != "link":
            path.chmod(number)
        os.utime(path, ns=(0, number * 1_000_000_001), follow_symlinks=False)
    except OSError:
        return


def look(root: Path) -> dict[str, tuple[object, ...]]:
    """All that is to be the same; hard links by how many names they have. Directories' own times too."""
    found: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        is_file, is_directory = stat.S_ISREG(status.st_mode), stat.S_ISDIR(status.st_mode)
        content = path.read_bytes() if is_file else os.readlink(path) if path.is_symlink() else ""  # noqa: PTH115
        names = 0 if is_directory else status.st_nlink
        owner = (status.st_mode, status.st_uid, status.st_gid)
        found[str(path.relative_to(root))] = (*owner, names, content, status.st_mtime_ns)
    return found


@settings(max_examples=100)
@given(st.lists(ITEMS, max_size=10))
def test_out_and_in_again_is_the_same_tree(
    tmp_path_factory: pytest.TempPathFactory, items: list[tuple[str, str, int]]
) -> None:
    """Types, modes, owners, times, links of both kinds, names that mean something in layers only."""
    base = tmp_path_factory.mktemp("trip")
    source, target = base / "source", base / "target"
    source.mkdir()
    (target / "deep").mkdir(parents=True)
    for item in items:
        make(source, *item)
    archive = io.BytesIO()
    descriptors = [os.open(path, os.O_RDONLY) for path in (source, target)]
    try:
        writer = Writer(archive.write)
        Walk(descriptors[0], writer, ".").write()
        writer.close()
        for _ in range(2):  # what is there already is replaced by the same
            extract(io.BufferedReader(io.BytesIO(archive.getvalue())), descriptors[1], "deep")
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    assert look(target / "deep") == look(source)
    shutil.rmtree(base)
