"""Capability names, masks and sets."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.containers import state
from minidock.kernel import capabilities

_masks = st.integers(min_value=0, max_value=(1 << len(capabilities.NAMES)) - 1)


@given(st.sets(st.sampled_from(capabilities.NAMES)))
def test_names_survive_their_mask(names: set[str]) -> None:
    """A set of names is the same set after it was a mask."""
    assert set(capabilities.names(capabilities.mask(names))) == names


@given(_masks)
def test_masks_survive_their_names(mask: int) -> None:
    """A mask is the same mask after it was names."""
    assert capabilities.mask(capabilities.names(mask)) == mask


def test_dockers_default_set() -> None:
    """Docker's fourteen capabilities have the mask that everybody knows by heart."""
    names = (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
        "AUDIT_WRITE"
    )
    assert capabilities.mask(f"CAP_{name}" for name in names.split()) == 0xA80425FB


def test_an_unknown_name_is_an_error() -> None:
    """Who grants a capability that does not exist must hear of it."""
    with pytest.raises(KeyError, match="CAP_FLY"):
        capabilities.mask(["CAP_FLY"])


def test_a_younger_kernels_capability_has_no_name() -> None:
    """Bits beyond the table are left out instead of failing."""
    assert capabilities.names(1 << 45 | 1) == ["CAP_CHOWN"]


def test_a_process_chooses_its_name_and_not_its_capabilities() -> None:
    """The name comes first in /proc/PID/status, with whatever bytes the process likes: none of them is a line's end."""
    script = "import ctypes, os\nctypes.CDLL(None).prctl(15, b'\\xff\\x0cCapEff\\rCap')\nprint(1, flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        assert capabilities.read(process.pid) == capabilities.read()
        assert state.start_time(process.pid) is not None
        process.stdin.close()
