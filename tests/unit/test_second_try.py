"""Which runs of the suite have a second try."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import LEFT_BEHIND
from tests.second_try import failed


def note(cache: Path, key: str, value: object) -> None:
    """As pytest writes it."""
    (cache / key).parent.mkdir(exist_ok=True)
    (cache / key).write_text(json.dumps(value))


def test_a_few_that_failed(tmp_path: Path) -> None:
    """They are known by pytest's names."""
    note(tmp_path, LEFT_BEHIND, [])
    note(tmp_path, "cache/lastfailed", {"tests/b.py::two": True, "tests/a.py::one[x]": True})
    assert failed(tmp_path) == ["tests/a.py::one[x]", "tests/b.py::two"]


@pytest.mark.parametrize("count", [None, 0, 4])
def test_none_or_many(tmp_path: Path, count: int | None) -> None:
    """A run that broke off, or failed for a skip, has none to repeat; many at once are no accident."""
    if count is not None:
        note(tmp_path, "cache/lastfailed", dict.fromkeys(map(str, range(count)), True))
    with pytest.raises(SystemExit, match=f"no second try: {count or 0} tests failed"):
        failed(tmp_path)


def test_something_left_behind(tmp_path: Path) -> None:
    """The test that pytest blames for it is the last one, which would pass alone."""
    note(tmp_path, LEFT_BEHIND, ["links"])
    note(tmp_path, "cache/lastfailed", {"tests/z.py::last": True})
    with pytest.raises(SystemExit, match="left links behind"):
        failed(tmp_path)


def test_a_module_that_cannot_be_read(tmp_path: Path) -> None:
    """Then pytest ran nothing at all."""
    note(tmp_path, "cache/lastfailed", {"tests/a.py": True})
    with pytest.raises(SystemExit, match=r"could not read tests/a\.py"):
        failed(tmp_path)
