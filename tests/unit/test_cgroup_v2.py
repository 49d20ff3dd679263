"""What is written into which file of cgroup v2, on plain directories that look like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidock.errors import InvalidSpec, KernelFeatureMissing
from minidock.kernel.announce import Call, listen
from minidock.kernel.cgroups import BlockIO, Cpu, DeviceWeight, Memory, Resources, Throttle
from minidock.kernel.cgroups.v2 import CgroupV2, Write, limits

CONTROLLERS = "cpuset cpu io memory hugetlb pids rdma"
FILES = [
    "cgroup.procs cgroup.freeze cgroup.kill memory.max memory.swap.max memory.low memory.high cpu.max cpu.max.burst",
    "cpu.weight cpu.idle cpuset.cpus cpuset.mems pids.max io.max io.weight hugetlb.2MB.max",
]


@pytest.fixture
def group(tmp_path: Path) -> CgroupV2:
    """A group two levels below a mount, all of whose files are plain ones."""
    for directory in (tmp_path, tmp_path / "minidock", tmp_path / "minidock/x"):
        directory.mkdir(exist_ok=True)
        (directory / "cgroup.controllers").write_text(CONTROLLERS + "\n")
        (directory / "cgroup.subtree_control").write_text("cpu\n")
        for name in " ".join(FILES).split():
            (directory / name).touch()
    return CgroupV2("/minidock/x", tmp_path)


def test_controllers_are_switched_on_all_the_way_down(group: CgroupV2) -> None:
    """Every parent hands on what we use and it has, but for what is on already; the group itself hands on nothing."""
    calls: list[Call] = []
    with listen(calls.append):
        group.create()
    opened = [call.args[1].strip('"') for call in calls if call.name == "openat"]
    written = [call.args[1].strip('"') for call in calls if call.name == "write"]
    assert written == ["+cpuset", "+io", "+memory", "+pids", "+hugetlb"] * 2
    assert set(opened[:5]) == {str(group.mount / "cgroup.subtree_control")}
    assert set(opened[5:]) == {str(group.mount / "minidock/cgroup.subtree_control")}


def test_every_limit_goes_into_its_file(group: CgroupV2) -> None:
    """The runtime-spec's numbers in version 2's files and units."""
    group.apply(
        Resources(
            memory=Memory(limit=100, swap=150, reservation=50),
            cpu=Cpu(shares=1024, quota=20000, period=50000, burst=1000, cpus="0-1", mems="0", idle=0),
            pids=16,
            block_io=BlockIO(weight=1000, throttles=(Throttle("read_bps", 8, 0, 1024),)),
            hugepages={"2MB": 4 << 20},
            unified={"memory.high": "90"},
        )
    )
    expected = {
        "memory.max": "100",
        "memory.swap.max": "50",
        "memory.low": "50",
        "memory.high": "90",
        "cpu.weight": "100",
        "cpu.max": "20000 50000",
        "cpu.max.burst": "1000",
        "cpu.idle": "0",
        "cpuset.cpus": "0-1",
        "cpuset.mems": "0",
        "pids.max": "16",
        "io.max": "8:0 rbps=1024",
        "io.weight": "default 10000",
        "hugetlb.2MB.max": str(4 << 20),
    }
    assert {name: (group.directory / name).read_text() for name in expected} == expected


def test_no_limit_is_max() -> None:
    """-1 everywhere, 0 processes, and a throttle of 0."""
    resources = Resources(
        memory=Memory(limit=-1),
        pids=0,
        cpu=Cpu(quota=-1),
        block_io=BlockIO(throttles=(Throttle("write_iops", 8, 1, 0),)),
    )
    assert list(limits(resources)) == [
        Write("memory", "memory.swap.max", "max"),
        Write("memory", "memory.max", "max"),
        Write("cpu", "cpu.max", "max"),
        Write("pids", "pids.max", "max"),
        Write("io", "io.max", "8:1 wiops=max"),
    ]


def test_nothing_asked_nothing_written() -> None:
    """None means: leave it."""
    assert list(limits(Resources())) == []


def test_bfq_has_a_file_of_its_own(group: CgroupV2) -> None:
    """Where the BFQ scheduler is in use the weight is written there, unconverted."""
    (group.directory / "io.bfq.weight").touch()
    group.apply(Resources(block_io=BlockIO(weight=300)))
    assert (group.directory / "io.bfq.weight").read_text() == "default 300"
    group.apply(Resources(block_io=BlockIO(weight_devices=(DeviceWeight(8, 16, 500),))))
    assert (group.directory / "io.bfq.weight").read_text() == "8:16 500" + "default 300"[8:]


@pytest.mark.parametrize(
    ("resources", "controller"),
    [(Resources(unified={"misc.max": "x 1"}), "misc"), (Resources(hugepages={"1GB": 1}), "hugetlb")],
)
def test_a_missing_controller_is_named(group: CgroupV2, resources: Resources, controller: str) -> None:
    """A limit whose controller this host lacks is an error that says which."""
    (group.directory / "cgroup.controllers").write_text("cpu memory\n")
    with pytest.raises(KernelFeatureMissing, match=f"controller {controller} is missing"):
        group.apply(resources)


@pytest.mark.parametrize(
    "memory", [Memory(kernel=1), Memory(kernel_tcp=1), Memory(swappiness=0), Memory(disable_oom_killer=True)]
)
def test_what_only_version_1_can_do(memory: Memory) -> None:
    """It is refused, not forgotten."""
    with pytest.raises(KernelFeatureMissing, match="cgroup v2"):
        list(limits(Resources(memory=memory)))


def test_a_unified_name_that_is_a_path(group: CgroupV2) -> None:
    """It may not lead to another group's file."""
    with pytest.raises(InvalidSpec):
        group.apply(Resources(unified={"../memory.max": "1"}))


def test_numbers_come_out(group: CgroupV2) -> None:
    """Usage, limits, throttling and block IO, in bytes and nanoseconds."""
    files = {
        "memory.current": "4096\n",
        "memory.max": "max\n",
        "memory.stat": "anon 1\nfile 2\n",
        "memory.events": "low 0\nmax 3\noom 1\noom_kill 2\n",
        "cpu.stat": "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 2\nnr_throttled 1\nthrottled_usec 9\n",
        "pids.current": "5\n",
        "pids.max": "16\n",
        "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
    }
    for name, text in files.items():
        (group.directory / name).write_text(text)
    stats = group.stats()
    assert group.oom_kills() == 2
    assert stats.memory and stats.cpu and stats.pids
    assert (stats.memory.usage, stats.memory.limit, stats.memory.failures) == (4096, None, 3)
    assert (stats.cpu.total, stats.cpu.throttled_time, stats.cpu.periods) == (7000, 9000, 2)
    assert (stats.pids.current, stats.pids.limit) == (5, 16)
    assert [(io.operation, io.value) for io in stats.io_bytes] == [("read", 1), ("write", 2), ("discard", 0)]
    assert [(io.operation, io.value) for io in stats.io_operations] == [("read", 3), ("write", 4), ("discard", 0)]
