"""The look at the host's cgroups that tests take is not upset by tests beside it."""

from __future__ import annotations

from pathlib import Path

from tests.cgroup_tree import directories


def test_what_vanishes_on_the_way_is_passed_over(tmp_path: Path) -> None:
    """A group that is removed between being listed and being looked into, and all that was in it."""
    (tmp_path / "gone/below").mkdir(parents=True)
    (tmp_path / "stays/below").mkdir(parents=True)
    found = directories(tmp_path)
    first = {next(found), next(found)}
    (tmp_path / "gone/below").rmdir()
    (tmp_path / "gone").rmdir()
    assert first == {tmp_path / "gone", tmp_path / "stays"}
    assert list(found) == [tmp_path / "stays/below"]
