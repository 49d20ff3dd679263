"""cgroups on the real kernel: what both versions do alike, in each tree that this host has."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidock.errors import Conflict, SystemCallFailed
from minidock.kernel.cgroups import Cgroup, Cpu, DeviceRule, Memory, Resources
from minidock.kernel.cgroups.v1 import CgroupV1
from tests.kernel.groups import CONTROLLED, DEVICES, KINDS, Prober, existing, make, start

pytestmark = pytest.mark.root


@pytest.fixture(params=KINDS)
def group(request: pytest.FixtureRequest) -> Iterator[Cgroup]:
    """A group that exists, in each version."""
    with existing(request.param) as made:
        yield made


@pytest.fixture
def controlled() -> Iterator[Cgroup]:
    """A group with all controllers, in the version that has them on this host."""
    with existing(CONTROLLED) as made:
        yield made


def test_create_is_idempotent_and_delete_too(group: Cgroup) -> None:
    """Making what exists and removing what does not are no errors."""
    group.create()
    assert group.exists
    group.delete()
    group.delete()
    assert not group.exists


def test_a_group_with_processes_is_refused(group: Cgroup) -> None:
    """Somebody else's processes would be killed with the container."""
    with start(group, "sleep", "100"):
        with pytest.raises(Conflict, match="has processes already"):
            group.create()
        group.kill()


def test_who_enters_is_a_member(group: Cgroup) -> None:
    """A process that entered, with its child, is listed; /proc says so too."""
    with start(group, "sh", "-c", "sleep 100 & echo; wait") as shell:
        assert shell.stdout
        shell.stdout.readline()
        assert shell.pid in group.processes()
        assert len(group.processes()) == 2
        assert f"{group.path}\n" in Path(f"/proc/{shell.pid}/cgroup").read_text()
        group.kill()


def test_join_moves_a_running_process(group: Cgroup) -> None:
    """A process outside is inside after join."""
    with subprocess.Popen(["sleep", "100"]) as sleeper:
        group.join(sleeper.pid)
        assert group.processes() == [sleeper.pid]
        group.kill()
    assert sleeper.returncode == -signal.SIGKILL


def test_groups_below_count(group: Cgroup) -> None:
    """processes, kill and delete reach what a container made inside its own group."""
    below = make("v1" if isinstance(group, CgroupV1) else "v2", "group/below/deeper")
    below.create()
    with start(below, "sleep", "100") as sleeper:
        assert group.processes() == [sleeper.pid]
        group.kill()
    group.delete()
    assert not below.exists


def test_kill_leaves_no_fork_behind(group: Cgroup) -> None:
    """A program that forks as fast as it can does not outrun the kill."""
    script = "import os\nprint(flush=True)\nwhile True:\n    if os.fork(): os._exit(0)\n"
    with start(group, sys.executable, "-c", script) as runner:
        assert runner.stdout
        runner.stdout.readline()
        group.kill()
        group.delete(timeout=5)
    assert not group.exists


def test_a_frozen_group_stands_still(group: Cgroup) -> None:
    """Nothing is written while frozen, and the writing goes on after the thaw."""
    with start(group, "sh", "-c", "while :; do echo; done") as writer:
        assert writer.stdout
        writer.stdout.readline()
        group.freeze()
        before = _cpu_ticks(writer.pid)
        os.set_blocking(writer.stdout.fileno(), False)
        while writer.stdout.read(65536):
            continue
        time.sleep(0.03)  # nothing may happen in this time: there is no event to wait for
        assert writer.stdout.read(1) is None
        assert _cpu_ticks(writer.pid) == before
        group.thaw()
        os.set_blocking(writer.stdout.fileno(), True)
        assert writer.stdout.read(1) == b"\n"
        group.kill()


def _cpu_ticks(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]


def test_a_frozen_group_can_be_killed(group: Cgroup) -> None:
    """`rm -f` of a paused container."""
    with start(group, "sleep", "100") as sleeper:
        group.freeze()
        group.kill()
    assert sleeper.returncode == -signal.SIGKILL


def test_delete_waits_for_the_last_process(group: Cgroup) -> None:
    """A process that ends by itself while delete is waiting does not make it fail."""
    with start(group, "sleep", "0.1"):
        group.delete()
    assert not group.exists


def test_delete_of_a_busy_group_is_an_error(group: Cgroup) -> None:
    """After the time given, EBUSY is told and the process lives."""
    with start(group, "sleep", "100") as sleeper:
        with pytest.raises(SystemCallFailed) as failure:
            group.delete(timeout=0.05)
        assert failure.value.errno == errno.EBUSY
        assert sleeper.poll() is None
        group.kill()


def test_processor_time_is_counted(group: Cgroup) -> None:
    """A program that only computes is seen doing so."""
    with start(group, sys.executable, "-c", "sum(range(1000000))"):
        pass
    cpu = group.stats().cpu
    assert cpu is not None
    assert 1_000_000 < cpu.total < 60_000_000_000


LIMITS = {
    "v1": {
        "memory/memory.limit_in_bytes": "67108864",
        "memory/memory.memsw.limit_in_bytes": "100663296",
        "memory/memory.soft_limit_in_bytes": "33554432",
        "cpu/cpu.shares": "512",
        "cpu/cpu.cfs_quota_us": "20000",
        "cpu/cpu.cfs_period_us": "50000",
        "cpu/cpu.cfs_burst_us": "10000",
        "cpuset/cpuset.cpus": "0",
        "cpuset/cpuset.mems": "0",
        "pids/pids.max": "7",
    },
    "v2": {
        "/memory.max": "67108864",
        "/memory.swap.max": "33554432",
        "/memory.low": "33554432",
        "/cpu.weight": "59",
        "/cpu.max": "20000 50000",
        "/cpu.max.burst": "10000",
        "/cpuset.cpus": "0",
        "/cpuset.mems": "0",
        "/pids.max": "7",
    },
}


def test_limits_are_what_the_kernel_says(controlled: Cgroup) -> None:
    """Each limit read back from the kernel's own file."""
    controlled.apply(
        Resources(
            memory=Memory(limit=64 << 20, swap=96 << 20, reservation=32 << 20),
            cpu=Cpu(shares=512, quota=20000, period=50000, burst=10000, cpus="0", mems="0"),
            pids=7,
        )
    )
    expected, got = LIMITS[CONTROLLED], {}
    for name in expected:
        controller, _, file = name.partition("/")
        got[name] = (controlled.directories()[controller] / file).read_text().strip()
    assert got == expected
    stats = controlled.stats()
    assert stats.memory and stats.pids
    assert (stats.memory.limit, stats.pids.limit, stats.pids.current) == (64 << 20, 7, 0)


megabytes = st.integers(1, 64).map(lambda count: count << 20)
limits = st.tuples(megabytes, st.just(-1) | megabytes).map(
    lambda pair: Memory(limit=pair[0], swap=pair[1] if pair[1] == -1 else pair[0] + pair[1])
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(limits | st.just(Memory(limit=-1)), min_size=2, max_size=6))
def test_memory_limits_go_up_and_down(controlled: Cgroup, steps: list[Memory]) -> None:
    """Whatever the limits were, the next ones are accepted: the order of the two writes is right in both directions."""
    for memory in steps:
        controlled.apply(Resources(memory=memory))
        stats = controlled.stats().memory
        assert stats and stats.limit == (None if memory.limit == -1 else memory.limit)


def test_a_lower_quota_takes_the_burst_with_it(controlled: Cgroup) -> None:
    """The kernel refuses a quota below the burst, so the burst makes way first."""
    controlled.apply(Resources(cpu=Cpu(quota=50000, period=100000, burst=40000)))
    controlled.apply(Resources(cpu=Cpu(quota=10000, period=100000, burst=5000)))
    file = "cpu.cfs_burst_us" if CONTROLLED == "v1" else "cpu.max.burst"
    [directory] = [path for name, path in controlled.directories().items() if name in ("", "cpu")]
    assert (directory / file).read_text() == "5000\n"


def test_an_oom_kill_is_counted(controlled: Cgroup) -> None:
    """A program that takes more memory than it may is killed, and the group knows."""
    controlled.apply(Resources(memory=Memory(limit=32 << 20, swap=64 << 20)))
    with start(controlled, sys.executable, "-c", "x = bytearray(256 << 20)") as glutton:
        pass
    assert glutton.returncode == -signal.SIGKILL
    assert controlled.oom_kills() == 1
    memory = controlled.stats().memory
    assert memory and memory.failures > 0 and memory.max_usage > 30 << 20


def test_no_more_processes_than_allowed(controlled: Cgroup) -> None:
    """The shell cannot fork a second time."""
    controlled.apply(Resources(pids=1))
    with start(controlled, "sh", "-c", "echo a | cat") as shell:
        pass
    assert shell.returncode != 0


def test_a_failed_write_names_file_and_value(controlled: Cgroup) -> None:
    """The error reads like the call that failed."""
    with pytest.raises(SystemCallFailed, match=r'cpuset\.cpus", "4096"\): '):
        controlled.apply(Resources(cpu=Cpu(cpus="4096")))


def test_new_device_rules_replace_the_old(group: Cgroup, tmp_path: Path) -> None:
    """An update narrows and widens; never do two programs stay attached."""
    prober = Prober(group, tmp_path)
    try:
        everything = {f"{name}:{letter}" for name in DEVICES for letter in "rwm"}
        assert prober.allowed() == everything
        group.apply(Resources(devices=(DeviceRule(False), DeviceRule(True, "c", 1, 3, "r"))))
        assert prober.allowed() == {"null:r"}
        group.apply(Resources(devices=(DeviceRule(True),)))
        assert prober.allowed() == everything
    finally:
        prober.close()
