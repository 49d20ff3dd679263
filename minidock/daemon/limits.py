"""What a container may use: memory, processors, processes, devices. The checks and their texts are Docker's.

Docker counts in the API what the user typed (billionths of a CPU); the runtime-spec what the kernel takes
(microseconds of quota in each period). Here one becomes the other.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from minidock.daemon.defaults import ALL_DEVICES, DEVICE_RULES, MINIMUM_MEMORY
from minidock.errors import InvalidInput
from minidock.messages import DeviceMapping, HostConfig, Ulimit
from minidock.oci.runtime import (
    BlockIO,
    Cpu,
    Device,
    DeviceRule,
    Memory,
    Pids,
    Resources,
    Rlimit,
    ThrottleDevice,
    WeightDevice,
)

CPU_PERIOD = 100_000
"""Microseconds: CFS's own default, and Docker's for --cpus."""
ULIMITS = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
UNLIMITED = 2**64 - 1
_CONSOLES = ("/dev/console", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/ptmx", "/dev/.lxc", "/dev/.udev")


def check(host: HostConfig, is_update: bool = False) -> None:
    """Raises InvalidInput for limits that cannot be meant; an update may name the limit of swap alone."""
    _check_memory(host, is_update)
    _check_cpu(host)
    if host.oom_score_adj < -1000 or host.oom_score_adj > 1000:
        raise InvalidInput(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.blkio_weight and not 10 <= host.blkio_weight <= 1000:
        raise InvalidInput("Range of blkio weight is from 10 to 1000")
    if host.shm_size < 0:
        raise InvalidInput("SHM size can not be less than 0")
    for ulimit in host.ulimits or []:
        rlimit(ulimit)
    _block_io(host)
    for text in host.device_cgroup_rules or []:
        _rule(text)


def _check_memory(host: HostConfig, is_update: bool) -> None:
    if host.memory and 0 < host.memory < MINIMUM_MEMORY:
        raise InvalidInput("Minimum memory limit allowed is 6MB")
    if host.memory < 0:
        raise InvalidInput("Minimum memory limit allowed is 6MB")
    if host.memory_swap > 0 and host.memory == 0 and not is_update:
        raise InvalidInput("You should always set the Memory limit when using Memoryswap limit, see usage")
    if 0 < host.memory_swap < host.memory:
        raise InvalidInput("Minimum memoryswap limit should be larger than memory limit, see usage")
    if host.memory_reservation and host.memory_reservation < MINIMUM_MEMORY:
        raise InvalidInput("Minimum memory reservation allowed is 6MB")
    if host.memory and host.memory < host.memory_reservation:
        raise InvalidInput("Minimum memory limit can not be less than memory reservation limit, see usage")
    if host.memory_swappiness is not None and not -1 <= host.memory_swappiness <= 100:
        raise InvalidInput(f"Invalid value: {host.memory_swappiness}, valid memory swappiness range is 0-100")


def _check_cpu(host: HostConfig) -> None:
    cpus = os.cpu_count() or 1
    for name, value in (("Period", host.cpu_period), ("Quota", host.cpu_quota)):
        if host.nano_cpus and value:
            raise InvalidInput(f"Conflicting options: Nano CPUs and CPU {name} cannot both be set")
    if host.nano_cpus < 0 or host.nano_cpus > cpus * 10**9:
        raise InvalidInput(f"Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available")
    if host.cpu_period and not 1000 <= host.cpu_period <= 1_000_000:
        raise InvalidInput("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host.cpu_quota < 1000:
        raise InvalidInput("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if host.cpu_shares < 0:
        raise InvalidInput("shares must be 0 or more")
    _check_sets(host)


def _check_sets(host: HostConfig) -> None:
    sets = (("cpus", "cpu", "CPUs", host.cpuset_cpus), ("mems", "node", "memory nodes", host.cpuset_mems))
    for name, kind, what, wanted in sets:
        try:
            numbers = _numbers(wanted)
        except ValueError:
            raise InvalidInput(f"Invalid value {wanted} for cpuset {name}: invalid format: {wanted}") from None
        # A kernel that knows no nodes of memory has one.
        online = Path(f"/sys/devices/system/{kind}/online")
        there = online.read_text().strip() if online.exists() else "0"
        if not numbers <= _numbers(there):
            raise InvalidInput(f"Requested {what} are not available - requested {wanted}, available: {there}")


def _numbers(text: str) -> set[int]:
    """``0-2,7`` as a set. Raises ValueError."""
    found: set[int] = set()
    for part in text.split(",") if text else []:
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high < 8192:
            raise ValueError(part)
        found |= set(range(low, high + 1))
    return found


def resources(host: HostConfig, devices: list[Device]) -> Resources:
    """The cgroup's part of the runtime-spec."""
    rules = [DeviceRule(True, device.type, device.major, device.minor, "rwm") for device in devices]
    mapped = _mapped_rules(host.devices or [])
    added = [_rule(text) for text in host.device_cgroup_rules or []]
    return Resources(
        devices=ALL_DEVICES if host.privileged else DEVICE_RULES + (mapped or rules) + added,
        memory=_memory(host),
        cpu=_cpu(host),
        pids=Pids(host.pids_limit) if host.pids_limit and host.pids_limit > 0 else None,
        block_io=_block_io(host),
    )


def _memory(host: HostConfig) -> Memory | None:
    swappiness = None if host.memory_swappiness in (None, -1) else host.memory_swappiness
    if not (host.memory or host.memory_reservation or host.oom_kill_disable or swappiness is not None):
        return None
    return Memory(
        limit=host.memory or None,
        reservation=host.memory_reservation or None,
        swap=host.memory_swap or None,
        swappiness=swappiness,
        disable_oom_killer=bool(host.oom_kill_disable),
    )


def _block_io(host: HostConfig) -> BlockIO | None:
    """Weights and rates of block devices. Raises InvalidInput for a path that is none."""
    weights = [
        WeightDevice(*_block_device(item.path), item.weight) for item in host.blkio_weight_device or [] if item.weight
    ]
    rates = (
        [ThrottleDevice(*_block_device(item.path), item.rate) for item in asked or []]
        for asked in (
            host.blkio_device_read_bps,
            host.blkio_device_write_bps,
            host.blkio_device_read_iops,
            host.blkio_device_write_iops,
        )
    )
    found = BlockIO(host.blkio_weight or None, weights, *rates)
    return found if found != BlockIO() else None


def _block_device(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"stat {path}: {getattr(error, 'strerror', None) or 'invalid path'}".lower()) from None
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidInput(f"{path} is not a block device")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _cpu(host: HostConfig) -> Cpu | None:
    quota, period = host.cpu_quota or None, host.cpu_period or None
    if host.nano_cpus:
        quota, period = host.nano_cpus * CPU_PERIOD // 10**9, CPU_PERIOD
    cpu = Cpu(
        shares=host.cpu_shares or None,
        quota=quota,
        period=period,
        realtime_runtime=host.cpu_realtime_runtime or None,
        realtime_period=host.cpu_realtime_period or None,
        cpus=host.cpuset_cpus,
        mems=host.cpuset_mems,
    )
    return cpu if cpu != Cpu() else None


def rlimit(ulimit: Ulimit) -> Rlimit:
    """One ``--ulimit``; -1 is unlimited. Raises InvalidInput."""
    if ulimit.name not in ULIMITS.split():
        raise InvalidInput(f"invalid ulimit type: {ulimit.name}")
    soft, hard = (UNLIMITED if value == -1 else value for value in (ulimit.soft, ulimit.hard))
    if soft > hard:
        raise InvalidInput(f"ulimit soft limit must be less than or equal to hard limit: {ulimit.soft} > {ulimit.hard}")
    return Rlimit(f"RLIMIT_{ulimit.name.upper()}", soft, hard)


def devices(host: HostConfig) -> list[Device]:
    """The device files that a container gets beside the usual ones: all of the host's when it is privileged."""
    if host.privileged:
        return [device for path in sorted(_host_devices()) if (device := _device(path, str(path))) is not None]
    return [device for mapping in host.devices or [] for device in _mapping(mapping)]


def _host_devices() -> list[Path]:
    found: list[Path] = []
    for directory, names, files in os.walk("/dev"):
        names[:] = [name for name in names if f"{directory}/{name}" not in _CONSOLES]
        found += [Path(directory, name) for name in files if f"{directory}/{name}" not in _CONSOLES]
    return found


def _mapping(mapping: DeviceMapping) -> list[Device]:
    """One ``--device``; a directory stands for every device in it."""
    path, inside = Path(mapping.path_on_host), mapping.path_in_container or mapping.path_on_host
    if not path.exists():
        raise InvalidInput(
            f'error gathering device information while adding custom device "{path}": no such file or directory'
        )
    paths = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = [_device(item, inside + str(item)[len(str(path)) :]) for item in paths]
    if not any(found):
        raise InvalidInput(f'error gathering device information while adding custom device "{path}": not a device node')
    return [device for device in found if device is not None]


def _device(path: Path, inside: str) -> Device | None:
    try:
        status = path.stat()
    except OSError:
        return None
    kind = "b" if stat.S_ISBLK(status.st_mode) else "c" if stat.S_ISCHR(status.st_mode) else ""
    if not kind:
        return None
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return Device(inside, kind, major, minor, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def _mapped_rules(mappings: list[DeviceMapping]) -> list[DeviceRule]:
    rules = []
    for mapping in mappings:
        access = mapping.cgroup_permissions or "rwm"
        if set(access) - set("rwm"):
            raise InvalidInput(f"invalid device permissions: {access}")
        rules += [DeviceRule(True, device.type, device.major, device.minor, access) for device in _mapping(mapping)]
    return rules


def _rule(text: str) -> DeviceRule:
    """One ``--device-cgroup-rule``: ``c 1:3 rwm``, ``b *:* m``."""
    try:
        kind, numbers, access = text.split()
        major, minor = (None if number == "*" else int(number) for number in numbers.split(":"))
    except ValueError:
        raise InvalidInput(f"invalid device cgroup rule format: '{text}'") from None
    if kind not in ("a", "b", "c") or not access or set(access) - set("rwm"):
        raise InvalidInput(f"invalid device cgroup rule format: '{text}'")
    return DeviceRule(True, kind, major, minor, access)
