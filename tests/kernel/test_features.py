"""What the kernel has."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidock.kernel import features, seccomp, syscalls
from tests.kernel.inside import inside

pytestmark = pytest.mark.root


def test_a_machine_that_runs_these_tests_has_what_is_needed() -> None:
    """Nothing required is missing, each feature has a remedy, and looking leaves no descriptor open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    found = features.features()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert [feature.name for feature in features.missing()] == []
    assert all(feature.remedy for feature in found)
    assert len({feature.name for feature in found}) == len(found)


def test_a_missing_call_is_named() -> None:
    """In a process to which openat2 and pidfd_open do not exist, exactly these are missing, with the version to get."""

    def work() -> list[tuple[str, str]]:
        names = ["openat2", "pidfd_open"]
        profile = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
        }
        syscalls.set_no_new_privs()
        seccomp.load(seccomp.compile_profile(seccomp.parse(profile)))
        return [(feature.name, feature.remedy) for feature in features.missing()]

    missing = dict(inside(work))
    assert set(missing) == {"openat2", "pidfd_open"}
    assert "5.6" in missing["openat2"]
