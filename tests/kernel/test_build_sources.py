"""What COPY takes: digests that change with anything but time, Go's patterns, trees that are never left."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.build.sources import Source, content_digest
from minidock.errors import InvalidInput, NotFound

_NAMES = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name.strip("."))
_FILES = st.dictionaries(
    st.lists(_NAMES, min_size=1, max_size=3).map("/".join),
    st.tuples(st.binary(max_size=4), st.sampled_from([0o644, 0o755, 0o4755])),
    max_size=4,
)
Files = dict[str, tuple[bytes, int]]


def write(root: Path, files: Files, time: int) -> Source:
    """A tree of these files; where one is in the way of another, the first stays."""
    for name, (data, mode) in files.items():
        path = root / "tree" / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError:
            continue
        path.chmod(mode)
        os.utime(path, (time, time))
    (root / "tree").mkdir(exist_ok=True)
    return Source(root)


def seen(source: Source) -> list[object]:
    """Everything of a tree but times."""
    paths = sorted((source.root / "tree").rglob("*"))
    return [(str(p.relative_to(source.root)), p.lstat().st_mode, p.read_bytes() if p.is_file() else b"") for p in paths]


@settings(max_examples=60)
@given(_FILES, _FILES, st.booleans())
def test_equal_digests_are_equal_trees(files: Files, others: Files, same: bool) -> None:
    """The same files at another time hit; any other byte, name or mode misses."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first, second = write(Path(one), files, 1), write(Path(two), files if same else others, 2)
        equal = content_digest(first.item("tree")) == content_digest(second.item("tree"))
        assert equal == (seen(first) == seen(second))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["a.txt", "b.txt"]), ("[ab].txt", ["a.txt", "b.txt"]), ("[^a].txt", ["b.txt"]), ("?.md", ["c.md"]),
        ("d/*", ["d/e", "d/x.txt"]), ("*/*.txt", ["d/x.txt"]), ("d/**/*.txt", ["d/e/y.txt", "d/x.txt"]),
        ("**/y.txt", ["d/e/y.txt"]), (r"\[z\]", ["[z]"]), ("/a.txt", ["a.txt"]), ("./d/../a.txt", ["a.txt"]),
        ("link/x.txt", ["link/x.txt"]), ("", [""]), (".", [""]),
    ],
)  # fmt: skip
def test_patterns(tmp_path: Path, pattern: str, found: list[str]) -> None:
    """``*`` and ``?`` stop at a slash, ``**`` does not; classes and escapes are Go's; a link may be on the way."""
    for name in ("a.txt", "b.txt", "c.md", "d/x.txt", "d/e/y.txt", "[z]"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("/d")
    assert [item.name for item in Source(tmp_path).find(pattern)] == found


def test_what_is_not_to_be_had(tmp_path: Path) -> None:
    """Outside, not there, a link to the host, a FIFO, a broken pattern."""
    (tmp_path / "out").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    source = Source(tmp_path)
    for name, error in (("../x", InvalidInput), ("none", NotFound), ("out", NotFound), ("fifo", InvalidInput)):
        with pytest.raises(error):
            source.find(name)
    for pattern in ("[", "x[", "a\\", "no*match"):
        with pytest.raises(InvalidInput):
            source.find(pattern)
