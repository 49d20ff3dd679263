"""What only cgroup v2 does, with its real controllers: in the guest (``make test-guest``), or on any host of today."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.errors import Conflict, KernelFeatureMissing
from minidock.kernel.cgroups import BlockIO, Cgroup, Cpu, Memory, Resources, Throttle
from minidock.kernel.cgroups.v2 import CgroupV2
from tests.kernel.groups import existing, make, start

pytestmark = pytest.mark.root

CONTROLLERS = {"cpuset", "cpu", "io", "memory", "pids", "hugetlb"}


@pytest.fixture
def group() -> Iterator[CgroupV2]:
    """A group with all controllers."""
    with existing("v2") as made:
        assert isinstance(made, CgroupV2)
        yield made


def text(group: Cgroup, file: str) -> str:
    """What the kernel says in a file of the group."""
    return (group.directories()[""] / file).read_text().strip()


def keyed(group: Cgroup, file: str) -> dict[str, int]:
    """The same, of a file with a word and a number a line."""
    return {key: int(value) for key, value in map(str.split, text(group, file).splitlines())}


def test_controllers_reach_a_group_deep_below(group: CgroupV2) -> None:
    """They are switched on in every group from the top down, but not in the last one, which has the processes."""
    deep = make("v2", "group/a/b/c")
    deep.create()
    assert set(text(deep, "cgroup.controllers").split()) >= CONTROLLERS
    assert text(deep, "cgroup.subtree_control") == ""
    deep.apply(Resources(memory=Memory(limit=8 << 20)))


def test_a_process_in_an_inner_group_is_in_the_way(group: CgroupV2) -> None:
    """The kernel gives nothing to the groups below it; the error names the group that has the process."""
    with start(group, "sleep", "100"):
        below = make("v2", "group/below")
        below.create()
        with pytest.raises(KernelFeatureMissing, match=rf"{group.path} has processes of its own"):
            below.apply(Resources(memory=Memory(limit=8 << 20)))
        group.kill()


def test_nothing_is_made_below_a_threaded_group(group: CgroupV2) -> None:
    """Such a group takes threads only: said before any process is lost in it."""
    threaded = group.directory / "threaded"
    threaded.mkdir()
    (threaded / "cgroup.type").write_text("threaded")
    with pytest.raises(Conflict, match="below a threaded one"):
        make("v2", "group/threaded/below").create()


def test_threads_in_groups_below_are_found(group: CgroupV2) -> None:
    """What a container makes of its own group does not hide its processes: they are listed, killed, removed."""
    with start(group, "sleep", "100") as sleeper:
        threaded = group.directory / "threaded"
        threaded.mkdir()
        (threaded / "cgroup.type").write_text("threaded")
        (threaded / "cgroup.threads").write_text(str(sleeper.pid))
        assert group.processes() == [sleeper.pid]
        group.kill()
    group.delete()


def test_a_delegated_root_is_emptied_first(group: CgroupV2, tmp_path: Path) -> None:
    """Inside a container the root of the tree has processes: ours and others move into a leaf, and limits work."""
    code = f"""
import os, sys
from pathlib import Path
from minidock.kernel import syscalls
from minidock.kernel.cgroups import Memory, Resources
from minidock.kernel.cgroups.v2 import CgroupV2
syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWCGROUP)
syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
syscalls.mount("cgroup", "{tmp_path}", "cgroup2", 0)
inner = CgroupV2("/inner", Path("{tmp_path}"))
inner.create()
inner.apply(Resources(memory=Memory(limit=8 << 20)))
print(Path("/proc/self/cgroup").read_text().strip(), (inner.directory / "memory.max").read_text().strip())
"""
    with start(group, "sleep", "100"):
        done = subprocess.run([sys.executable, "-c", code], preexec_fn=group.enter, capture_output=True, text=True)
        assert done.stdout == f"0::/init {8 << 20}\n", done.stderr
        assert len((group.directory / "init/cgroup.procs").read_text().split()) == 1
        group.kill()


def test_files_by_their_own_names(group: CgroupV2) -> None:
    """`unified` reaches memory.high: who is above it is slowed down and its cache taken, but nobody is killed."""
    group.apply(Resources(unified={"memory.high": str(8 << 20)}))
    file = Path("/var/tmp") / f"minidock-cache-{os.getpid()}"
    try:
        with start(group, "dd", "if=/dev/zero", f"of={file}", "bs=1M", "count=24", "status=none"):
            pass
        events = keyed(group, "memory.events")
        assert events["high"] > 0 and events["oom_kill"] == 0
        assert keyed(group, "memory.stat")["file"] < 16 << 20
    finally:
        file.unlink(missing_ok=True)


def test_without_swap_memory_ends_at_the_limit(group: CgroupV2) -> None:
    """Memory and swap together, as the runtime-spec counts, leave no swap: the kernel counts each time it says no."""
    group.apply(Resources(memory=Memory(limit=16 << 20, swap=16 << 20)))
    assert text(group, "memory.swap.max") == "0"
    with start(group, sys.executable, "-c", "x = bytearray(64 << 20)") as glutton:
        pass
    assert glutton.returncode == -signal.SIGKILL
    events = keyed(group, "memory.events")
    assert events["oom_kill"] == group.oom_kills() == 1 and events["max"] > 0


def test_oom_kills_below_count(group: CgroupV2) -> None:
    """A container's own groups are part of it."""
    below = make("v2", "group/below")
    below.create()
    below.apply(Resources(memory=Memory(limit=16 << 20, swap=16 << 20)))
    with start(below, sys.executable, "-c", "x = bytearray(64 << 20)"):
        pass
    assert group.oom_kills() == 1


def test_a_quota_throttles_and_waiting_is_measured(group: CgroupV2) -> None:
    """A busy program with a tenth of a processor waits most of the time; stats and pressure tell."""
    group.apply(Resources(cpu=Cpu(quota=1000, period=10000)))
    with start(group, sys.executable, "-c", "sum(range(300000))"):
        pass
    stats = group.stats()
    assert stats.cpu and stats.cpu.throttled_periods > 0 and stats.cpu.throttled_time > stats.cpu.total
    assert set(stats.pressure) == {"cpu", "memory", "io"} and stats.pressure["cpu"].some > 0


def test_a_cpuset_is_the_affinity(group: CgroupV2) -> None:
    """The program sees the processors that it may use."""
    group.apply(Resources(cpu=Cpu(cpus="0", mems="0")))
    with start(group, sys.executable, "-c", "import os; print(os.sched_getaffinity(0))") as program:
        assert program.communicate()[0] == b"{0}\n"
    assert text(group, "cpuset.cpus.effective") == "0"


def disk() -> tuple[int, int]:
    """The whole disk that the root file system is on, where io.max counts."""
    device = Path("/").stat().st_dev
    where = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    major, minor = ((where.parent if (where / "partition").exists() else where) / "dev").read_text().split(":")
    return int(major), int(minor)


def test_io_max_slows_the_disk_down(group: CgroupV2) -> None:
    """One megabyte at half a megabyte a second takes a second at least, and is counted."""
    major, minor = disk()
    throttles = (Throttle("write_bps", major, minor, 1 << 19), Throttle("read_iops", major, minor, 500))
    group.apply(Resources(block_io=BlockIO(throttles=throttles)))
    assert text(group, "io.max") == f"{major}:{minor} rbps=max wbps={1 << 19} riops=500 wiops=max"
    file, begin = Path("/var/tmp") / f"minidock-io-{os.getpid()}", time.monotonic()
    try:
        with start(
            group, "dd", "if=/dev/zero", f"of={file}", "bs=64k", "count=16", "oflag=direct", "status=none"
        ) as dd:
            pass
        assert dd.returncode == 0 and time.monotonic() - begin > 1
    finally:
        file.unlink(missing_ok=True)
    written = [
        io.value for io in group.stats().io_bytes if (io.major, io.minor, io.operation) == (major, minor, "write")
    ]
    assert len(written) == 1 and written[0] >= 1 << 20
    group.apply(Resources(block_io=BlockIO(throttles=(Throttle("write_bps", major, minor, 0),))))
    assert "wbps=max" in text(group, "io.max")


def test_huge_pages_have_a_limit(group: CgroupV2) -> None:
    """In bytes, by the size of the page."""
    group.apply(Resources(hugepages={"2MB": 4 << 20}))
    assert text(group, "hugetlb.2MB.max") == str(4 << 20)


def test_an_older_kernel_kills_one_by_one(group: CgroupV2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before cgroup.kill (Linux 5.14) they are frozen, signalled and thawed."""
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path.name != "cgroup.kill" and exists(path))
    with start(group, "sh", "-c", "sleep 100 & sleep 100") as shell:
        group.kill()
    assert shell.returncode == -signal.SIGKILL
    group.delete()


def test_numbers_come_from_version_2(group: CgroupV2) -> None:
    """Memory, its peak and parts, processes: while the program is there."""
    group.apply(Resources(memory=Memory(limit=64 << 20), pids=10))
    program = "import sys; x = bytearray(8 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], preexec_fn=group.enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout
        running.stdout.readline()
        stats = group.stats()
        assert stats.memory and stats.pids and stats.cpu
        assert 8 << 20 < stats.memory.usage <= stats.memory.max_usage < (stats.memory.limit or 0) == 64 << 20
        assert stats.memory.stat["anon"] > 8 << 20 and (stats.pids.current, stats.pids.limit) == (1, 10)
        running.communicate(b"")


def test_a_controller_that_nobody_delegated_is_named(group: CgroupV2, tmp_path: Path) -> None:
    """As in a container whose engine switched no controller on: a namespace whose root has none."""
    bare = group.directory / "bare"
    bare.mkdir()
    code = f"""
from pathlib import Path
from minidock.kernel import syscalls
from minidock.kernel.cgroups import Memory, Resources
from minidock.kernel.cgroups.v2 import CgroupV2
syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWCGROUP)
syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
syscalls.mount("cgroup", "{tmp_path}", "cgroup2", 0)
inner = CgroupV2("/inner", Path("{tmp_path}"))
inner.create()
try:
    inner.apply(Resources(memory=Memory(limit=8 << 20)))
except Exception as error:
    print(error)
"""
    enter = lambda: (bare / "cgroup.procs").write_text("0")  # noqa: E731
    done = subprocess.run([sys.executable, "-c", code], preexec_fn=enter, capture_output=True, text=True)
    assert "controller memory is missing" in done.stdout and "delegated" in done.stdout, done.stderr
