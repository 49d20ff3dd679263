"""Capabilities on the real kernel."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.errors import SystemCallFailed
from minidock.kernel import capabilities, syscalls
from minidock.kernel.capabilities import Sets
from tests.kernel.inside import inside

pytestmark = pytest.mark.root

_DOCKERS = 0xA80425FB


def test_the_kernels_own_lines() -> None:
    """Each set of this process is what the kernel's line of its name says."""
    sets, status = capabilities.read(), Path("/proc/self/status").read_text()
    for field, value in (("Inh", sets.inheritable), ("Prm", sets.permitted), ("Eff", sets.effective)):
        assert f"\nCap{field}:\t{value:016x}\n" in status
    assert f"\nCapBnd:\t{sets.bounding:016x}\nCapAmb:\t{sets.ambient:016x}\n" in status


def test_the_table_is_as_long_as_the_kernels() -> None:
    """This kernel knows no capability that we do not know, and capget says what /proc says."""
    assert len(capabilities.known()) == capabilities.last_capability() + 1 <= len(capabilities.NAMES)
    sets = capabilities.read()
    assert syscalls.capget() == (sets.effective, sets.permitted, sets.inheritable)
    assert syscalls.bounding_read(0) == bool(sets.bounding & 1)


def _give_up(wanted: Sets, uid: int) -> tuple[Sets, list[str]]:
    """The three parts in the order in which a container's init takes them."""
    capabilities.drop_bounding(wanted.bounding)
    syscalls.set_keep_capabilities(True)
    syscalls.setresuid(uid, uid, uid)
    missing = capabilities.assume(wanted)
    return capabilities.read(), missing


@pytest.mark.parametrize("uid", [0, 1000])
def test_dockers_default(uid: int) -> None:
    """Root and an ordinary user end with exactly what was asked for, and nothing inheritable."""
    wanted = Sets(effective=_DOCKERS, permitted=_DOCKERS, bounding=_DOCKERS)
    assert inside(_give_up, wanted, uid) == (wanted, [])


_ours = capabilities.read().permitted
_subsets = st.sets(st.sampled_from(capabilities.names(_ours))).map(capabilities.mask)


@given(effective=_subsets, permitted=_subsets, inheritable=_subsets, bounding=_subsets, ambient=_subsets)
@settings(max_examples=25)
def test_any_sets(effective: int, permitted: int, inheritable: int, bounding: int, ambient: int) -> None:
    """Whatever is asked for, the kernel has it, as far as its rules for the sets among themselves allow."""
    wanted = Sets(effective, permitted, inheritable, bounding, ambient)
    sets, missing = inside(_give_up, wanted, 1000)
    inheritable &= bounding
    assert sets == Sets(effective & permitted, permitted, inheritable, bounding, ambient & permitted & inheritable)
    assert missing == []


def test_what_cannot_be_granted_is_reported() -> None:
    """A capability that we do not have ourselves is left out by name, the others are granted."""
    kill, chown = capabilities.mask(["CAP_KILL"]), capabilities.mask(["CAP_CHOWN"])

    def work() -> tuple[Sets, list[str]]:
        capabilities.assume(Sets(effective=kill, permitted=kill))
        missing = capabilities.assume(Sets(effective=kill | chown, permitted=kill | chown))
        return capabilities.read(), missing

    sets, missing = inside(work)
    assert (sets.effective, sets.permitted, missing) == (kill, kill, ["CAP_CHOWN"])


def test_ambient_capabilities_survive_exec(tmp_path: Path) -> None:
    """An ordinary user's program without file capabilities has the ambient set, and only that."""
    port = capabilities.mask(["CAP_NET_BIND_SERVICE"])
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent != Path("/tmp") and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)

    def work() -> None:
        _give_up(Sets(_DOCKERS, _DOCKERS, port, _DOCKERS, port), 1000)
        os.dup2(os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT, 0o600), 1)
        syscalls.execve("/bin/cat", ["cat", "/proc/self/status"], {})

    with pytest.raises(Exception, match="signal 0"):
        inside(work)
    after = capabilities.parse_status((tmp_path / "out").read_text())
    assert after == Sets(port, port, port, _DOCKERS, port)


def test_capabilities_are_what_the_kernel_asks_for() -> None:
    """Without CAP_SYS_ADMIN root may not mount, with it an ordinary user may."""
    admin = capabilities.mask(["CAP_SYS_ADMIN"])

    def work(uid: int, sets: Sets) -> int:
        _give_up(sets, uid)
        try:
            syscalls.mount("x", "/mnt", "tmpfs")
        except SystemCallFailed as error:
            return error.errno or 0
        return 0

    new = syscalls.CLONE_NEWNS
    assert inside(work, 0, Sets(_DOCKERS, _DOCKERS, 0, _DOCKERS), namespaces=new) == errno.EPERM
    assert inside(work, 1000, Sets(admin, admin, 0, admin), namespaces=new) == 0
