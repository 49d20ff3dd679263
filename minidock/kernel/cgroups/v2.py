"""cgroup v2: one tree, one directory a group (cgroup-v2.rst of the kernel).

Its two rules surprise everybody. A controller's files appear in a directory only when the *parent* lists it in
``cgroup.subtree_control``; so it has to be switched on all the way down. And a group (other than the real root) that
has processes of its own cannot switch controllers on for its children: processes live in the leaves.

Groups can also be *threaded*: the threads of one process in several of them. Such a group has no memory limit and takes
no whole process, so we make none, and refuse to make a container's below one.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from minidock.errors import Conflict, InvalidSpec, KernelFeatureMissing, SystemCallFailed
from minidock.kernel.cgroups import device_program, tree, values
from minidock.kernel.cgroups.files import read, read_or, write
from minidock.kernel.cgroups.interface import Cgroup
from minidock.kernel.cgroups.resources import (
    BlockIO,
    CpuStats,
    IoStats,
    MemoryStats,
    PidsStats,
    Pressure,
    Resources,
    Stats,
)

FREEZE_TIMEOUT = 10.0
LEAF = "init"
"""Where processes go that stand in the way at the root of what we were given (inside a container, say)."""

_USED = ("cpuset", "cpu", "io", "memory", "pids", "hugetlb")
_IO_BYTES = {"rbytes": "read", "wbytes": "write", "dbytes": "discard"}
_IO_OPERATIONS = {"rios": "read", "wios": "write", "dios": "discard"}


class Write(Struct, frozen=True):
    """One limit: the controller that owns the file, the file, what goes in."""

    controller: str
    file: str
    value: str


class CgroupV2(Cgroup):
    """The group ``path`` of the tree mounted on ``mount``."""

    def __init__(self, path: str, mount: Path) -> None:
        self.path = "/" + path.strip("/")
        self.mount = mount
        self.directory = mount / self.path.lstrip("/")

    def directories(self) -> dict[str, Path]:
        return {"": self.directory}

    @property
    def exists(self) -> bool:
        return self.directory.is_dir()

    def create(self) -> None:
        self.refuse_if_in_use()
        for group in tree.line_of_descent(self.mount, self.directory):
            _enable(group.parent, self.mount)
            tree.make(group)
        if read_or(self.directory / "cgroup.type", "domain").strip() == "domain invalid":
            raise Conflict(f"the cgroup {self.path} is below a threaded one, which takes no process: choose another")

    def enter(self) -> None:
        # There is no cheap way for one thread, as in version 1: cgroup.threads may not cross from one group to another.
        write(self.directory / "cgroup.procs", "0")

    def join(self, pid: int) -> None:
        write(self.directory / "cgroup.procs", str(pid))

    def adopt(self, pid: int) -> None:
        tree.make(self.directory)
        self.join(pid)
        _enable(self.directory.parent, self.mount)

    def apply(self, resources: Resources) -> None:
        for limit in limits(resources):
            self._limit(limit)
        self._io_weights(resources.block_io)
        if resources.devices:
            device_program.attach(self.directory, resources.devices)
        for name, value in resources.unified.items():
            if "/" in name:
                raise InvalidSpec(f"{name} is not the name of a file of a cgroup")
            self._limit(Write(name.partition(".")[0], name, value))

    def _limit(self, limit: Write) -> None:
        file = self.directory / limit.file
        if not file.exists():
            if limit.file == "memory.swap.max" and limit.value == "max":
                return  # a kernel that does not count swap sets no limit to it
            self._explain_absence(limit)
        write(file, limit.value)

    def _explain_absence(self, limit: Write) -> None:
        """Why there is no such file: the host has no such controller, or a group above ours keeps it. Raises."""
        controller = limit.controller
        if controller in read(self.directory / "cgroup.controllers").split():
            raise KernelFeatureMissing(f"this kernel has no {limit.file}, though it has the controller {controller}")
        for group in tree.line_of_descent(self.mount, self.directory):
            above = group.parent
            if controller in read(above / "cgroup.controllers").split() and _is_in_the_way(above):
                raise KernelFeatureMissing(
                    f"the cgroup {above} has processes of its own, so those below get no controller {controller}: move "
                    f"them into a group below it, or choose another --cgroup-parent"
                )
        raise KernelFeatureMissing(
            f"the cgroup controller {controller} is missing, which {limit.file} needs: it has to be in "
            f"{self.mount}/cgroup.controllers (in a container or a service: delegated, as by systemd's Delegate=yes)"
        )

    def _io_weights(self, block_io: BlockIO) -> None:
        """The BFQ scheduler, where it is in use, has a file of its own, with the runtime-spec's numbers."""
        bfq = (self.directory / "io.bfq.weight").exists()
        weights = {f"{device.major}:{device.minor}": device.weight for device in block_io.weight_devices}
        if block_io.weight is not None:
            weights = {"default": block_io.weight, **weights}
        for name, weight in weights.items():
            if bfq:
                self._limit(Write("io", "io.bfq.weight", f"{name} {weight}"))
            else:
                self._limit(Write("io", "io.weight", f"{name} {values.io_weight(weight)}"))

    def freeze(self) -> None:
        write(self.directory / "cgroup.freeze", "1")
        if not tree.wait_for_event(self.directory, "frozen", 1, FREEZE_TIMEOUT):
            raise SystemCallFailed("write", f'"{self.directory}/cgroup.freeze", "1"', errno.ETIMEDOUT)

    def thaw(self) -> None:
        write(self.directory / "cgroup.freeze", "0")

    def kill(self) -> None:
        if (self.directory / "cgroup.kill").exists():
            write(self.directory / "cgroup.kill", "1")
        else:  # before Linux 5.14
            self.freeze()
            tree.signal_all(self.directory)
            self.thaw()

    def processes(self) -> list[int]:
        return tree.processes(self.directory)

    def oom_kills(self) -> int:
        return values.parse_flat_keyed(read_or(self.directory / "memory.events", "")).get("oom_kill", 0)

    def delete(self, timeout: float = 10.0) -> None:
        def wait(seconds: float) -> None:
            if self.exists:
                tree.wait_for_event(self.directory, "populated", 0, seconds)

        tree.remove(self.directory, wait, timeout)

    def stats(self) -> Stats:
        devices = values.parse_nested_keyed(read_or(self.directory / "io.stat", ""))
        return Stats(
            memory=self._memory_stats(),
            cpu=self._cpu_stats(),
            pids=self._pids_stats(),
            io_bytes=tuple(_io_stats(devices, _IO_BYTES)),
            io_operations=tuple(_io_stats(devices, _IO_OPERATIONS)),
            pressure={name: found for name in ("cpu", "memory", "io") if (found := self._pressure(name))},
        )

    def _pressure(self, name: str) -> Pressure | None:
        """None where the kernel does not measure it (it may be switched off: psi=0)."""
        try:
            return values.parse_pressure(read_or(self.directory / f"{name}.pressure", ""))
        except SystemCallFailed as failure:
            if failure.errno != errno.EOPNOTSUPP:
                raise
            return None

    def _memory_stats(self) -> MemoryStats | None:
        if not (self.directory / "memory.current").exists():
            return None
        usage = int(read(self.directory / "memory.current"))
        return MemoryStats(
            usage=usage,
            limit=values.parse_number(read(self.directory / "memory.max")),
            max_usage=int(read_or(self.directory / "memory.peak", str(usage))),  # since Linux 5.19
            failures=values.parse_flat_keyed(read(self.directory / "memory.events")).get("max", 0),
            stat=values.parse_flat_keyed(read(self.directory / "memory.stat")),
        )

    def _cpu_stats(self) -> CpuStats | None:
        stat = values.parse_flat_keyed(read_or(self.directory / "cpu.stat", ""))
        if not stat:
            return None
        return CpuStats(
            total=stat["usage_usec"] * 1000,
            user=stat["user_usec"] * 1000,
            system=stat["system_usec"] * 1000,
            periods=stat.get("nr_periods", 0),
            throttled_periods=stat.get("nr_throttled", 0),
            throttled_time=stat.get("throttled_usec", 0) * 1000,
        )

    def _pids_stats(self) -> PidsStats | None:
        if not (self.directory / "pids.current").exists():
            return None
        limit = values.parse_number(read(self.directory / "pids.max"))
        return PidsStats(int(read(self.directory / "pids.current")), limit)


def _enable(parent: Path, mount: Path) -> None:
    """Switch the controllers that we use on for ``parent``'s children, as far as ``parent`` has them itself.

    A controller that cannot be switched on is no error here: it is one when a limit needs it. Where ``parent`` has
    processes of its own we do not try: the kernel would refuse memory, but for cpu and pids it would turn ``parent``
    into the root of a threaded domain, and then no process could ever be in the groups below.
    """
    if _is_in_the_way(parent):
        if parent != mount:
            return
        _move_to_leaf(mount)
    available = read(parent / "cgroup.controllers").split()
    enabled = read(parent / "cgroup.subtree_control").split()
    for controller in _USED:
        if controller not in available or controller in enabled:
            continue
        try:
            write(parent / "cgroup.subtree_control", f"+{controller}")
        except SystemCallFailed as failure:
            if failure.errno not in (errno.EBUSY, errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP):
                raise


def _is_in_the_way(group: Path) -> bool:
    """Whether a group has processes of its own, and may not. The real root, which has no type, may."""
    kind = read_or(group / "cgroup.type", "")
    return kind.startswith("domain") and "invalid" not in kind and bool(read(group / "cgroup.procs").strip())


def _move_to_leaf(mount: Path) -> None:
    """Processes in the root of a delegated tree forbid controllers below it, so they go into a leaf of their own."""
    leaf = mount / LEAF
    tree.make(leaf)
    # "0" is a process of another pid namespace, which nobody here can name.
    while pids := set(read(mount / "cgroup.procs").split()) - {"0"}:
        for pid in pids:
            try:
                write(leaf / "cgroup.procs", pid)
            except SystemCallFailed as failure:
                if failure.errno != errno.ESRCH:  # it has ended meanwhile
                    raise


def limits(resources: Resources) -> Iterator[Write]:
    """What to write where, in order. Raises ``InvalidSpec``, and ``KernelFeatureMissing`` for what only v1 can do."""
    yield from _memory_limits(resources)
    yield from _cpu_limits(resources)
    if resources.pids is not None:
        yield Write("pids", "pids.max", "max" if resources.pids <= 0 else str(resources.pids))
    for throttle in resources.block_io.throttles:
        kind = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}[throttle.kind]
        line = values.format_nested_keyed(f"{throttle.major}:{throttle.minor}", {kind: throttle.rate or -1})
        yield Write("io", "io.max", line)
    for size, limit in resources.hugepages.items():
        yield Write("hugetlb", f"hugetlb.{size}.max", values.format_number(limit))


def _memory_limits(resources: Resources) -> Iterator[Write]:
    memory = resources.memory
    for name in ("kernel", "kernel_tcp", "swappiness"):
        if getattr(memory, name) is not None:
            raise KernelFeatureMissing(f"cgroup v2 has no limit for memory {name.replace('_', ' ')}: leave it out")
    if memory.disable_oom_killer:
        raise KernelFeatureMissing("cgroup v2 cannot disable the OOM killer: leave it out")
    swap = values.swap_only(memory.limit, memory.swap)
    if swap is not None:
        yield Write("memory", "memory.swap.max", values.format_number(swap))
    if memory.limit is not None:
        yield Write("memory", "memory.max", values.format_number(memory.limit))
    if memory.reservation is not None:
        yield Write("memory", "memory.low", values.format_number(memory.reservation))


def _cpu_limits(resources: Resources) -> Iterator[Write]:
    cpu = resources.cpu
    if cpu.realtime_runtime is not None or cpu.realtime_period is not None:
        raise KernelFeatureMissing("cgroup v2 has no limit for realtime processes: leave it out")
    if cpu.cpus is not None:
        yield Write("cpuset", "cpuset.cpus", cpu.cpus)
    if cpu.mems is not None:
        yield Write("cpuset", "cpuset.mems", cpu.mems)
    if cpu.shares is not None and cpu.shares > 0:
        yield Write("cpu", "cpu.weight", str(values.cpu_weight(cpu.shares)))
    if cpu.burst is not None:
        yield Write("cpu", "cpu.max.burst", "0")  # a burst may never exceed the quota: out of the way of a lower one
    if cpu.quota is not None or cpu.period is not None:
        yield Write("cpu", "cpu.max", values.cpu_max(cpu.quota, cpu.period))
    if cpu.burst:
        yield Write("cpu", "cpu.max.burst", str(cpu.burst))
    if cpu.idle is not None:
        yield Write("cpu", "cpu.idle", str(cpu.idle))


def _io_stats(devices: dict[str, dict[str, int]], names: dict[str, str]) -> Iterator[IoStats]:
    for device, numbers in devices.items():
        major, _, minor = device.partition(":")
        for name, operation in names.items():
            if name in numbers:
                yield IoStats(int(major), int(minor), operation, numbers[name])
