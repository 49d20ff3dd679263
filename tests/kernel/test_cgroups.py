"""cgroups on the real kernel: version 1's controllers, and the unified tree's core, whichever this host has."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidock.errors import Conflict, InvalidSpec, SystemCallFailed
from minidock.kernel import cgroups
from minidock.kernel.cgroups import Cgroup, Cpu, DeviceRule, Memory, Resources
from minidock.kernel.cgroups.v1 import CgroupV1
from minidock.kernel.cgroups.v2 import CgroupV2

pytestmark = pytest.mark.root

LAYOUT = cgroups.detect()
PREFIX = f"/minidock-test-{os.getpid()}"
KINDS = (["v1"] if LAYOUT.kind in ("v1", "hybrid") else []) + (["v2"] if LAYOUT.v2 else [])
needs_v1 = pytest.mark.skipif("v1" not in KINDS, reason="this host has no cgroup v1 controllers")


def make(kind: str, name: str) -> Cgroup:
    """A group of our own in one of the host's trees."""
    if kind == "v1":
        return CgroupV1(f"{PREFIX}/{name}", LAYOUT.v1)
    assert LAYOUT.v2
    return CgroupV2(f"{PREFIX}/{name}", LAYOUT.v2)


@pytest.fixture(params=KINDS)
def group(request: pytest.FixtureRequest) -> Iterator[Cgroup]:
    """A group that exists, in each version; everything in it is ended and removed afterwards."""
    made = make(request.param, "group")
    made.create()
    try:
        yield made
    finally:
        _remove(make(request.param, ""))


@pytest.fixture
def v1() -> Iterator[CgroupV1]:
    """A version 1 group with all controllers."""
    made = make("v1", "group")
    assert isinstance(made, CgroupV1)
    made.create()
    try:
        yield made
    finally:
        _remove(make("v1", ""))


def _remove(parent: Cgroup) -> None:
    if parent.exists:
        parent.kill()
    parent.delete()


def start(group: Cgroup, *command: str) -> subprocess.Popen[bytes]:
    """A program that is in the group from its first instruction on."""
    return subprocess.Popen(command, preexec_fn=group.enter, stdout=subprocess.PIPE)


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


@needs_v1
def test_limits_are_what_the_kernel_says(v1: CgroupV1) -> None:
    """Each limit read back from the kernel's own file."""
    v1.apply(
        Resources(
            memory=Memory(limit=64 << 20, swap=96 << 20, reservation=32 << 20, swappiness=10),
            cpu=Cpu(shares=512, quota=20000, period=50000, burst=10000, cpus="0", mems="0"),
            pids=7,
        )
    )
    expected = {
        "memory/memory.limit_in_bytes": 64 << 20,
        "memory/memory.memsw.limit_in_bytes": 96 << 20,
        "memory/memory.soft_limit_in_bytes": 32 << 20,
        "memory/memory.swappiness": 10,
        "cpu/cpu.shares": 512,
        "cpu/cpu.cfs_quota_us": 20000,
        "cpu/cpu.cfs_period_us": 50000,
        "cpu/cpu.cfs_burst_us": 10000,
        "cpuset/cpuset.cpus": 0,
        "pids/pids.max": 7,
    }
    got = {}
    for name in expected:
        controller, _, file = name.partition("/")
        got[name] = int((v1.directories()[controller] / file).read_text())
    assert got == expected
    stats = v1.stats()
    assert stats.memory and stats.pids
    assert (stats.memory.limit, stats.pids.limit, stats.pids.current) == (64 << 20, 7, 0)


megabytes = st.integers(1, 64).map(lambda count: count << 20)
limits = st.tuples(megabytes, st.just(-1) | megabytes).map(
    lambda pair: Memory(limit=pair[0], swap=pair[1] if pair[1] == -1 else pair[0] + pair[1])
)


@needs_v1
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(limits | st.just(Memory(limit=-1)), min_size=2, max_size=6))
def test_memory_limits_go_up_and_down(v1: CgroupV1, steps: list[Memory]) -> None:
    """Whatever the limits were, the next ones are accepted: the order of the two writes is right in both directions."""
    for memory in steps:
        v1.apply(Resources(memory=memory))
        stats = v1.stats().memory
        assert stats and stats.limit == (None if memory.limit == -1 else memory.limit)


@needs_v1
def test_a_limit_above_memory_and_swap_is_explained(v1: CgroupV1) -> None:
    """Where the kernel would only say EINVAL."""
    v1.apply(Resources(memory=Memory(limit=8 << 20, swap=16 << 20)))
    with pytest.raises(InvalidSpec, match="raise both at once"):
        v1.apply(Resources(memory=Memory(limit=32 << 20)))


@needs_v1
def test_a_lower_quota_takes_the_burst_with_it(v1: CgroupV1) -> None:
    """The kernel refuses a quota below the burst, so the burst makes way first."""
    v1.apply(Resources(cpu=Cpu(quota=50000, period=100000, burst=40000)))
    v1.apply(Resources(cpu=Cpu(quota=10000, period=100000, burst=5000)))
    assert (v1.directories()["cpu"] / "cpu.cfs_burst_us").read_text() == "5000\n"


@needs_v1
def test_an_oom_kill_is_counted(v1: CgroupV1) -> None:
    """A program that takes more memory than it may is killed, and the group knows."""
    v1.apply(Resources(memory=Memory(limit=32 << 20, swap=64 << 20)))
    with start(v1, sys.executable, "-c", "x = bytearray(256 << 20)") as glutton:
        pass
    assert glutton.returncode == -signal.SIGKILL
    assert v1.oom_kills() == 1
    memory = v1.stats().memory
    assert memory and memory.failures > 0 and memory.max_usage > 30 << 20


@needs_v1
def test_no_more_processes_than_allowed(v1: CgroupV1) -> None:
    """The shell cannot fork a second time."""
    v1.apply(Resources(pids=1))
    with start(v1, "sh", "-c", "echo a | cat") as shell:
        pass
    assert shell.returncode != 0


@needs_v1
def test_files_of_version_2_are_refused(v1: CgroupV1) -> None:
    """`unified` cannot be meant here."""
    with pytest.raises(InvalidSpec, match="cgroup v2"):
        v1.apply(Resources(unified={"memory.high": "1"}))


@needs_v1
def test_a_failed_write_names_file_and_value(v1: CgroupV1) -> None:
    """The error reads like the call that failed."""
    with pytest.raises(SystemCallFailed, match=r'cpuset\.cpus", "4096"\): '):
        v1.apply(Resources(cpu=Cpu(cpus="4096")))


DEVICES = {"null": os.makedev(1, 3), "zero": os.makedev(1, 5), "full": os.makedev(1, 7)}


class Prober:
    """A process inside a group that tries, whenever asked, what it may do with a few devices."""

    def __init__(self, group: Cgroup, scratch: Path) -> None:
        ours, its = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ours.close()
                group.enter()
                while its.recv(1) == b"?":
                    its.send(",".join(["allowed", *self._try(scratch)]).encode())
            finally:
                os._exit(0)
        its.close()
        self._socket = ours

    @staticmethod
    def _try(scratch: Path) -> Iterator[str]:
        for name, device in DEVICES.items():
            for letter, flags in (("r", os.O_RDONLY), ("w", os.O_WRONLY)):
                try:
                    os.close(os.open(f"/dev/{name}", flags))
                    yield f"{name}:{letter}"
                except PermissionError:
                    continue
            try:
                os.mknod(scratch / "node", stat.S_IFCHR | 0o600, device)
                (scratch / "node").unlink()
                yield f"{name}:m"
            except PermissionError:
                continue

    def allowed(self) -> set[str]:
        """What is allowed now: ``null:r``, …"""
        self._socket.send(b"?")
        answer = self._socket.recv(4096).decode()
        assert answer.startswith("allowed"), "the prober has ended"
        return set(answer.split(",")) - {"allowed"}

    def close(self) -> None:
        """End the process."""
        self._socket.send(b".")
        os.waitpid(self.pid, 0)
        self._socket.close()


letters = st.sets(st.sampled_from("rwm"), min_size=1).map(lambda chosen: "".join(sorted(chosen)))
allowing = st.builds(
    DeviceRule,
    st.just(True),
    st.sampled_from("cca"),
    st.sampled_from([1, None]),
    st.sampled_from([3, 5, None]),
    letters,
)


@st.composite
def rule_lists(draw: st.DrawFn) -> list[DeviceRule]:
    """Rules about which both versions agree: first deny all, then allow; what is denied again was allowed in the same
    words (version 1 knows a list of exceptions, and takes one out only by its exact name)."""
    allowed = draw(st.lists(allowing, max_size=3, unique_by=lambda rule: (rule.type, rule.major, rule.minor)))
    rules = [DeviceRule(False), *allowed]
    if len(allowed) == 1 and draw(st.booleans()):
        rule = allowed[0]
        rules.append(DeviceRule(False, rule.type, rule.major, rule.minor, draw(letters)))
    return rules


@pytest.mark.skipif(KINDS != ["v1", "v2"], reason="needs a hybrid host, to compare both versions")
def test_the_program_decides_as_version_1_does(tmp_path: Path) -> None:
    """The same rules give the same rights, tried with real devices, under version 1 and under our program."""
    groups = [make("v1", "devices"), make("v2", "devices")]
    probers = []
    try:
        for group in groups:
            group.create()
            probers.append(Prober(group, tmp_path))

        @settings(max_examples=40)
        @given(rule_lists())
        def agree(rules: list[DeviceRule]) -> None:
            for group in groups:
                group.apply(Resources(devices=tuple(rules)))
            old, new = (prober.allowed() for prober in probers)
            assert old == new

        agree()
    finally:
        for prober in probers:
            prober.close()
        for kind in KINDS:
            _remove(make(kind, ""))


@pytest.mark.skipif("v2" not in KINDS, reason="this host has no cgroup v2")
def test_new_device_rules_replace_the_old(tmp_path: Path) -> None:
    """An update narrows and widens; never do two programs stay attached."""
    group = make("v2", "devices")
    group.create()
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
        _remove(make("v2", ""))
