"""``--chmod``, with chmod(1) as the oracle."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidock.build.modes import Mode
from minidock.errors import InvalidInput

WHO = st.lists(st.sampled_from("ugoa"), max_size=2).map("".join)
ACTION = st.tuples(
    st.sampled_from("+-="),
    st.one_of(st.sampled_from("ugo"), st.lists(st.sampled_from("rwxX"), max_size=4).map("".join)),
).map("".join)
CLAUSE = st.tuples(WHO, st.lists(ACTION, min_size=1, max_size=2).map("".join)).map("".join)
TEXT = st.one_of(st.lists(CLAUSE, min_size=1, max_size=3).map(",".join), st.integers(0, 0o777).map("{:o}".format))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXT, st.integers(0, 0o777), st.booleans())
def test_as_chmod(tmp_path: Path, text: str, before: int, is_directory: bool) -> None:
    """Every clause, for files and for directories."""
    path = tmp_path / ("d" if is_directory else "f")
    path.mkdir(exist_ok=True) if is_directory else path.touch()
    path.chmod(before)
    subprocess.run(["chmod", "--", text, str(path)], check=True, umask=0)
    assert Mode(text).of(before, is_directory) == stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("text", ["u+s", "g+s", "+t", "u-s,g-s", "u=s", "1755", "4711"])
def test_special_bits(tmp_path: Path, text: str) -> None:
    """Set-user-id, set-group-id, sticky."""
    path = tmp_path / "f"
    for before in (0o755, 0o6755):
        path.touch()
        path.chmod(before)
        subprocess.run(["chmod", "--", text, str(path)], check=True, umask=0)
        assert Mode(text).of(before, False) == stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("text", ["", "rwx", "u", "u=rwx,", "8", "17777", "u=q", "a=rw x", "+r,,w"])
def test_what_is_none(text: str) -> None:
    """It is refused before anything is copied."""
    with pytest.raises(InvalidInput, match="invalid chmod parameter"):
        Mode(text)
