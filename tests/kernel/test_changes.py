"""``docker diff`` against its own definition: two whole trees compared, before and after."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.images.changes import ADDED, DELETED, MODIFIED, changes
from tests.kernel.test_layer_model import overlay

pytestmark = pytest.mark.root

NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
OPERATIONS = st.tuples(
    st.sampled_from(["write", "write", "mkdir", "remove", "touch", "chmod", "same", "link"]), NAMES, st.integers(0, 3)
)


def apply(root: Path, operation: str, name: str, number: int) -> None:
    """One thing that a program does to its files; what cannot be done is not done."""
    path = root / name
    try:
        if operation == "write":
            path.write_text("x" * number)
            os.utime(path, (0, number))
        elif operation == "mkdir":
            path.mkdir()
        elif operation == "remove":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif operation == "touch":
            os.utime(path, (0, number), follow_symlinks=False)
        elif operation == "chmod":
            path.chmod(0o700 + number)
        elif operation == "same":
            path.chmod(stat.S_IMODE(path.stat().st_mode))  # copied up, and the same as before
        else:
            path.symlink_to("a" * (number + 1))
    except OSError:
        return


def look(root: Path) -> dict[str, tuple[object, ...]]:
    """What counts of every path: time and size not of directories."""
    found: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        more = () if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime)
        found[f"/{path.relative_to(root)}"] = (status.st_mode, status.st_uid, status.st_gid, *more)
    return found


def compare(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> list[tuple[str, int]]:
    """Docker's definition."""
    found = {path: ADDED for path in after if path not in before}
    found |= {path: MODIFIED for path in after if path in before and before[path] != after[path]}
    for path in before:
        parent = os.path.dirname(path)  # noqa: PTH120
        stays = parent == "/" or (parent in after and stat.S_ISDIR(int(str(after[parent][0]))))
        if path not in after and stays:
            found[path] = DELETED
    for path in list(found):
        for above in list(Path(path).parents)[:-1]:
            found.setdefault(str(above), MODIFIED)
    return sorted(found.items())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for all examples."""
    return tmp_path_factory.mktemp("changes")


@settings(max_examples=30)
@given(st.lists(OPERATIONS, max_size=8), st.lists(OPERATIONS, max_size=8), st.lists(OPERATIONS, max_size=12))
def test_the_upper_directory_tells_what_two_trees_would(
    base: Path, first: list[tuple[str, str, int]], second: list[tuple[str, str, int]], then: list[tuple[str, str, int]]
) -> None:
    """Whatever is done to a tree of two layers: the changes are those between the whole tree before and after."""
    work = base / "example"
    work.mkdir()
    try:
        layers: list[Path] = []
        for name, operations in (("one", first), ("two", second)):
            (work / name).mkdir()
            for operation in operations:
                apply(work / name, *operation)
            layers.insert(0, work / name)
        with overlay(work, layers) as (merged, upper):
            before = look(merged)
            for operation in then:
                apply(merged, *operation)
            after = look(merged)
            found = changes(upper, layers)
        assert [tuple(change) for change in found] == compare(before, after)
    finally:
        shutil.rmtree(work)
