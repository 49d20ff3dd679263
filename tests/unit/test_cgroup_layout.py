"""What mountinfo says about cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidock.errors import InvalidSpec, KernelFeatureMissing
from minidock.kernel.cgroups.layout import Layout, at, parse_mountinfo
from minidock.kernel.cgroups.v1 import CgroupV1
from minidock.kernel.cgroups.v2 import CgroupV2

HYBRID = """\
23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:30 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
34 31 0:31 /docker/ab /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
37 31 0:33 / /elsewhere rw - cgroup cgroup rw,blkio
"""


def test_a_hybrid_host() -> None:
    """Controllers sharing a mount, an escaped name, a sub-cgroup as root, a named tree, and what is missing."""
    layout = parse_mountinfo(HYBRID)
    assert layout.kind == "hybrid"
    assert layout.v2 == Path("/sys/fs/cgroup/unified")
    assert layout.v1 == {
        "name=systemd": Path("/sys/fs/cgroup/systemd"),
        "cpu": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "memory": Path("/sys/fs/cgroup/mem ory"),
        "blkio": Path("/sys/fs/cgroup/blkio"),
    }
    assert layout.missing == ("cpuset", "pids", "devices", "freezer", "hugetlb")


def test_version_1_alone() -> None:
    """Without the unified tree it is plain version 1."""
    text = "".join(line + "\n" for line in HYBRID.splitlines() if "cgroup2" not in line)
    assert parse_mountinfo(text).kind == "v1"


def test_version_2_alone(tmp_path: Path) -> None:
    """A named version 1 tree beside it has no controllers and changes nothing; devices and freezer are always there."""
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids\n")
    layout = parse_mountinfo(
        f"30 1 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw\n31 1 0:27 / /named rw - cgroup cgroup rw,name=systemd\n"
    )
    assert layout.kind == "v2"
    assert layout.missing == ("cpuset", "hugetlb")


def test_the_right_kind_of_group() -> None:
    """Controllers decide: version 1 on a hybrid host."""
    assert isinstance(at("/minidock/x", parse_mountinfo(HYBRID)), CgroupV1)
    group = at("minidock/x", Layout("v2", v2=Path("/cg")))
    assert isinstance(group, CgroupV2)
    assert group.directories() == {"": Path("/cg/minidock/x")}


def test_a_host_without_cgroups() -> None:
    """The error says how to get them."""
    with pytest.raises(KernelFeatureMissing, match="mount -t cgroup2"):
        at("/x", parse_mountinfo("23 1 8:1 / / rw - ext4 /dev/sda1 rw\n"))


def test_a_mount_point_may_be_called_anything() -> None:
    """The kernel escapes blank, tab, newline and backslash; not the form feed, which ends a line to ``splitlines``."""
    assert parse_mountinfo("99 1 8:1 / /media/a\x0cb\x85c rw - ext4 /dev/sda1 rw\n" + HYBRID) == parse_mountinfo(HYBRID)


@pytest.mark.parametrize("path", ["/minidock/../../etc", "..", "/", "", "/./"])
def test_a_path_out_of_the_mount_or_to_its_root(path: str) -> None:
    """Both are refused: who kills such a container kills the host."""
    with pytest.raises(InvalidSpec):
        at(path, parse_mountinfo(HYBRID))


def test_a_scope_of_systemd_s() -> None:
    """Each dash of a slice goes one deeper. In version 2 the group is below the scope."""
    scope = "lab-one.slice:minidock:4f2a"
    where = "lab.slice/lab-one.slice/minidock-4f2a.scope"
    assert at(scope, Layout("v2", v2=Path("/cg"))).directories() == {"": Path("/cg", where, "container")}
    assert at(scope, parse_mountinfo(HYBRID)).directories()["blkio"] == Path("/sys/fs/cgroup/blkio", where)
