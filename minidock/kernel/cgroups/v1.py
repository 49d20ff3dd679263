"""cgroup v1: each controller has a tree of its own, mounted on its own (cgroups(7), cgroup-v1/ of the kernel).

A group is a directory of the same name in every tree, and a process has to join each of them. Named trees without a
controller count as well: systemd follows its services in ``name=systemd``, and would end containers with the daemon
if they stayed in the daemon's group there. On a hybrid host we leave the unified tree alone: it has no controllers, and
joining it costs what :meth:`CgroupV1.enter` saves.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from minidock.errors import InvalidSpec, KernelFeatureMissing, SystemCallFailed
from minidock.kernel.cgroups import tree, values
from minidock.kernel.cgroups.files import read, read_or, write
from minidock.kernel.cgroups.interface import Cgroup
from minidock.kernel.cgroups.resources import (
    BlockIO,
    Cpu,
    CpuStats,
    DeviceRule,
    IoStats,
    Memory,
    MemoryStats,
    PidsStats,
    Resources,
    Stats,
)

FREEZE_TIMEOUT = 10.0


class CgroupV1(Cgroup):
    """The group ``path`` in every tree of ``mounts`` (by controller)."""

    def __init__(self, path: str, mounts: dict[str, Path]) -> None:
        self.path = "/" + path.strip("/")
        self.mounts = mounts

    def directories(self) -> dict[str, Path]:
        return {name: mount / self.path.lstrip("/") for name, mount in self.mounts.items()}

    def _trees(self) -> list[Path]:
        """The group's directories; controllers that share a mount (cpu and cpuacct, often) share one."""
        return list(dict.fromkeys(self.directories().values()))

    @property
    def exists(self) -> bool:
        return any(directory.is_dir() for directory in self._trees())

    def create(self) -> None:
        self.refuse_if_in_use()
        self._make()

    def adopt(self, pid: int) -> None:
        # systemd makes it in the trees that it uses itself, not in the freezer's, say.
        self._make()
        self.join(pid)

    def _make(self) -> None:
        for name, directory in self.directories().items():
            for group in tree.line_of_descent(self.mounts[name], directory):
                tree.make(group)
                if name == "cpuset":
                    _inherit_cpuset(group)

    def enter(self) -> None:
        # Moving a whole process waits for an RCU grace period, 8 to 10 ms, so that no thread is just being forked or
        # ended. A thread that moves only itself can be doing neither: for `tasks`, unlike `cgroup.procs`, the kernel
        # skips the wait (since Linux 5.6).
        for directory in self._trees():
            write(directory / "tasks", "0")

    def join(self, pid: int) -> None:
        for directory in self._trees():
            write(directory / "cgroup.procs", str(pid))

    def apply(self, resources: Resources) -> None:
        if resources.unified:
            raise InvalidSpec("resources.unified needs cgroup v2, and this host has version 1")
        self._apply_memory(resources.memory)
        self._apply_cpu(resources.cpu)
        if resources.pids is not None:
            self._write("pids", "pids.max", "max" if resources.pids <= 0 else str(resources.pids))
        self._apply_block_io(resources.block_io)
        for size, limit in resources.hugepages.items():
            self._write("hugetlb", f"hugetlb.{size}.limit_in_bytes", str(limit))
        for file, line in device_lines(resources.devices):
            self._write("devices", file, line)

    def _file(self, controller: str, file: str) -> Path:
        if controller not in self.mounts:
            raise KernelFeatureMissing(
                f"the cgroup controller {controller} is missing, which {file} needs: "
                f"mount -t cgroup -o {controller} {controller} /sys/fs/cgroup/{controller}"
            )
        return self.directories()[controller] / file

    def _write(self, controller: str, file: str, value: object) -> None:
        if value is not None:
            write(self._file(controller, file), str(value))

    def _apply_memory(self, memory: Memory) -> None:
        self._apply_memory_and_swap(memory)
        self._write("memory", "memory.soft_limit_in_bytes", memory.reservation)
        self._write("memory", "memory.kmem.limit_in_bytes", memory.kernel)
        self._write("memory", "memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp)
        self._write("memory", "memory.swappiness", memory.swappiness)
        if memory.disable_oom_killer is not None:
            self._write("memory", "memory.oom_control", int(memory.disable_oom_killer))

    def _apply_memory_and_swap(self, memory: Memory) -> None:
        """``limit <= memory and swap`` must hold after every single write, so the order depends on the direction."""
        limit, swap = memory.limit, memory.swap
        if limit is None and swap is None:
            return
        file = self._file("memory", "memory.memsw.limit_in_bytes")
        if not file.exists():
            if swap not in (None, -1):
                raise KernelFeatureMissing("this kernel does not count swap: boot it with swapaccount=1")
            self._write("memory", "memory.limit_in_bytes", limit)
            return
        now = values.parse_number(read(file))
        if limit == -1 and swap is None:
            swap = -1
        values.swap_only(limit if limit is not None else self._memory_limit(), swap)  # refuses what makes no sense
        if swap is None and limit is not None and now is not None and limit > now:
            raise InvalidSpec(
                f"the limit of memory ({limit}) exceeds that of memory and swap ({now}): raise both at once"
            )
        writes = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", swap)]
        raising = swap is not None and now is not None and (swap == -1 or swap > now)
        for name, value in reversed(writes) if raising else writes:
            self._write("memory", name, value)

    def _memory_limit(self) -> int:
        now = values.parse_number(read(self._file("memory", "memory.limit_in_bytes")))
        return -1 if now is None else now

    def _apply_cpu(self, cpu: Cpu) -> None:
        self._write("cpuset", "cpuset.cpus", cpu.cpus)
        self._write("cpuset", "cpuset.mems", cpu.mems)
        self._write("cpu", "cpu.shares", cpu.shares or None)
        self._write("cpu", "cpu.rt_period_us", cpu.realtime_period)
        self._write("cpu", "cpu.rt_runtime_us", cpu.realtime_runtime)
        if cpu.burst is not None:
            self._write("cpu", "cpu.cfs_burst_us", 0)  # never more than the quota: out of the way of a lower one
        self._write("cpu", "cpu.cfs_period_us", cpu.period or None)
        self._write("cpu", "cpu.cfs_quota_us", cpu.quota)
        self._write("cpu", "cpu.cfs_burst_us", cpu.burst or None)
        self._write("cpu", "cpu.idle", cpu.idle)

    def _apply_block_io(self, block_io: BlockIO) -> None:
        """The schedulers' names for a weight changed with the years: bfq's, before it cfq's."""
        if block_io.weight is not None or block_io.weight_devices:
            bfq = self._file("blkio", "blkio.bfq.weight").exists()
            name = "blkio.bfq.weight" if bfq else "blkio.weight"
            self._write("blkio", name, block_io.weight)
            for device in block_io.weight_devices:
                self._write("blkio", f"{name}_device", f"{device.major}:{device.minor} {device.weight}")
        for throttle in block_io.throttles:
            line = f"{throttle.major}:{throttle.minor} {throttle.rate}"
            self._write("blkio", f"blkio.throttle.{throttle.kind}_device", line)

    def freeze(self) -> None:
        self._freezer("FROZEN")

    def thaw(self) -> None:
        self._freezer("THAWED")

    def _freezer(self, state: str) -> None:
        """``FREEZING`` comes before ``FROZEN``, without an event to wait for; a process that is just being forked may
        need the word said again."""
        file = self._file("freezer", "freezer.state")
        deadline = time.monotonic() + FREEZE_TIMEOUT
        while True:
            write(file, state)
            if read(file).strip() == state:
                return
            if time.monotonic() > deadline:
                raise SystemCallFailed("write", f'"{file}", "{state}"', errno.ETIMEDOUT)
            time.sleep(0.001)

    def kill(self) -> None:
        """A frozen process cannot fork. The signals wait for it, and strike when it thaws.

        A group whose making was interrupted may have no freezer yet: then it has no process, either.
        """
        if "freezer" in self.mounts and self._members().is_dir():
            self.freeze()
            tree.signal_all(self._members())
            self.thaw()
        else:
            while tree.signal_all(self._members()):
                tree.wait_for_exit(self.processes(), 1.0)

    def _members(self) -> Path:
        """The tree to ask who is in: the freezer's, because what is frozen and what is killed must be the same."""
        return self.directories().get("freezer", self._trees()[0])

    def processes(self) -> list[int]:
        return tree.processes(self._members())

    def oom_kills(self) -> int:
        total = 0
        for group in tree.groups(self._file("memory", "")):
            control = values.parse_flat_keyed(read_or(group / "memory.oom_control", ""))
            total += control.get("oom_kill", 0)  # since Linux 4.13
        return total

    def delete(self, timeout: float = 10.0) -> None:
        deadline = time.monotonic() + timeout
        for directory in self._trees():

            def wait(seconds: float, directory: Path = directory) -> None:
                tree.wait_for_exit(tree.processes(directory), seconds)

            tree.remove(directory, wait, deadline - time.monotonic())

    def stats(self) -> Stats:
        return Stats(
            memory=self._memory_stats(),
            cpu=self._cpu_stats(),
            pids=self._pids_stats(),
            io_bytes=self._io_stats("blkio.throttle.io_service_bytes_recursive"),
            io_operations=self._io_stats("blkio.throttle.io_serviced_recursive"),
        )

    def _memory_stats(self) -> MemoryStats | None:
        if "memory" not in self.mounts:
            return None
        directory = self.directories()["memory"]
        return MemoryStats(
            usage=int(read(directory / "memory.usage_in_bytes")),
            limit=values.parse_number(read(directory / "memory.limit_in_bytes")),
            max_usage=int(read(directory / "memory.max_usage_in_bytes")),
            failures=int(read(directory / "memory.failcnt")),
            stat=values.parse_flat_keyed(read(directory / "memory.stat")),
        )

    def _cpu_stats(self) -> CpuStats | None:
        if "cpuacct" not in self.mounts:
            return None
        usage = self.directories()["cpuacct"]
        throttling: dict[str, int] = {}
        if "cpu" in self.mounts:
            throttling = values.parse_flat_keyed(read(self.directories()["cpu"] / "cpu.stat"))
        return CpuStats(
            total=int(read(usage / "cpuacct.usage")),
            user=int(read(usage / "cpuacct.usage_user")),
            system=int(read(usage / "cpuacct.usage_sys")),
            per_cpu=tuple(int(number) for number in read(usage / "cpuacct.usage_percpu").split()),
            periods=throttling.get("nr_periods", 0),
            throttled_periods=throttling.get("nr_throttled", 0),
            throttled_time=throttling.get("throttled_time", 0),
        )

    def _pids_stats(self) -> PidsStats | None:
        if "pids" not in self.mounts:
            return None
        directory = self.directories()["pids"]
        limit = values.parse_number(read(directory / "pids.max"))
        return PidsStats(int(read(directory / "pids.current")), limit)

    def _io_stats(self, file: str) -> tuple[IoStats, ...]:
        """Lines such as ``8:0 Read 4096``; the last, ``Total 4096``, has no device."""
        if "blkio" not in self.mounts:
            return ()
        lines = [line.split() for line in read_or(self._file("blkio", file), "").splitlines()]
        numbered = [(words[0].split(":"), words[1].lower(), int(words[2])) for words in lines if len(words) == 3]
        return tuple(IoStats(int(major), int(minor), operation, value) for (major, minor), operation, value in numbered)


def _inherit_cpuset(group: Path) -> None:
    """A new cpuset has no processor and no memory node, and then no process may join it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not read(group / name).strip():
            write(group / name, read(group.parent / name).strip())


def device_lines(rules: tuple[DeviceRule, ...]) -> Iterator[tuple[str, str]]:
    """The file and the line for each rule (devices.rst).

    The type ``a`` is special there: numbers and accesses after it are ignored. So only a rule about everything is
    written with it, other rules about both types become two lines.
    """
    for rule in rules:
        file = "devices.allow" if rule.allow else "devices.deny"
        everything = rule.major is None and rule.minor is None and set(rule.access) == set("rwm")
        if rule.type == "a" and everything:
            yield file, "a"
            continue
        numbers = [("*" if number is None else str(number)) for number in (rule.major, rule.minor)]
        for letter, access in product("bc" if rule.type == "a" else rule.type, [rule.access]):
            yield file, f"{letter} {':'.join(numbers)} {access}"
