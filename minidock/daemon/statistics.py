"""``docker stats``: what a container uses, read from its cgroup and its network namespace, in Docker's shape.

The kernel counts only upwards, so a percentage needs two samples and what the host did between them: each sample brings
the one before it along (``precpu_stats``).

Sources: cgroups(7); proc_stat(5); proc_pid_net(5): a process shows the links of the namespace that it is in.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from minidock import messages, units
from minidock.daemon import spec
from minidock.daemon.container import Container
from minidock.errors import MinidockError
from minidock.kernel import cgroups

INTERVAL = 1.0
"""Seconds between two samples."""
UNLIMITED_PIDS = 2**64 - 1


def sample(container: Container) -> messages.Stats:
    """The container's use at this moment; one that does not run has only its name."""
    stats = messages.Stats(name=f"/{container.name}", id=container.id)
    if not container.record.running:
        return stats
    try:
        used = cgroups.at(spec.cgroups_path(container.record)).stats()
    except (MinidockError, FileNotFoundError):  # it has ended just now
        return stats
    stats.read = units.format_rfc3339(time.time_ns())
    stats.cpu_stats = _cpu(used.cpu)
    stats.memory_stats = _memory(used.memory)
    stats.pids_stats = _pids(used.pids)
    stats.blkio_stats = _blkio(used)
    if container.record.host.network_mode != "host":
        stats.networks = networks(container.record.state.pid) or msgspec.UNSET
    return stats


async def samples(container: Container, stream: bool, one_shot: bool) -> AsyncIterator[messages.Stats]:
    """One sample, with another before it unless ``one_shot``; or, with ``stream``, one a second until it is removed."""
    before = messages.Stats()
    if not one_shot and (stream or container.record.running):
        before = await asyncio.to_thread(sample, container)
        if stream:
            yield before
        await _pause(container)
    while True:
        now = await asyncio.to_thread(sample, container)
        now.precpu_stats, now.preread = before.cpu_stats, before.read
        yield now
        if not stream or await _pause(container):
            return
        before = now


async def _pause(container: Container) -> bool:
    """Wait for the time of the next sample. True when there will be none."""
    done, _ = await asyncio.wait([container.removed], timeout=INTERVAL)
    return bool(done)


def _cpu(used: cgroups.CpuStats | None) -> messages.CpuStats:
    if used is None:
        return messages.CpuStats()
    return messages.CpuStats(
        cpu_usage=messages.CpuUsage(
            total_usage=used.total,
            percpu_usage=list(used.per_cpu) or msgspec.UNSET,
            usage_in_kernelmode=used.system,
            usage_in_usermode=used.user,
        ),
        system_cpu_usage=_host_cpu_time(),
        online_cpus=os.cpu_count() or 1,
        throttling_data=messages.Throttling(
            periods=used.periods, throttled_periods=used.throttled_periods, throttled_time=used.throttled_time
        ),
    )


def _host_cpu_time() -> int:
    """Nanoseconds that all processors together have spent; the first line of /proc/stat has them in ticks."""
    ticks = Path("/proc/stat").read_text().partition("\n")[0].split()[1:8]
    return sum(map(int, ticks)) * units.SECOND // os.sysconf("SC_CLK_TCK")


def _memory(used: cgroups.MemoryStats | None) -> messages.MemoryStats:
    if used is None:
        return messages.MemoryStats()
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    is_v2 = cgroups.detect().kind == "v2"
    return messages.MemoryStats(
        usage=used.usage,
        max_usage=msgspec.UNSET if is_v2 else used.max_usage,
        stats=dict(used.stat),
        failcnt=used.failures or msgspec.UNSET,
        limit=min(used.limit if used.limit is not None else host, host),
    )


def _pids(used: cgroups.PidsStats | None) -> messages.PidsStats:
    if used is None:
        return messages.PidsStats()
    no_limit = UNLIMITED_PIDS if cgroups.detect().kind == "v2" else msgspec.UNSET
    return messages.PidsStats(current=used.current, limit=used.limit if used.limit is not None else no_limit)


def _blkio(used: cgroups.Stats) -> messages.BlkioStats:
    if cgroups.detect().kind == "v2":
        return messages.BlkioStats(
            io_service_bytes_recursive=_entries(used.io_bytes) or None,
            io_serviced_recursive=_entries(used.io_operations) or None,
        )
    nothing: dict[str, list[messages.BlkioEntry]] = {name: [] for name in messages.BlkioStats.__struct_fields__}
    counted = {
        "io_service_bytes_recursive": _entries(used.io_bytes),
        "io_serviced_recursive": _entries(used.io_operations),
    }
    return messages.BlkioStats(**(nothing | counted))


def _entries(counted: tuple[cgroups.IoStats, ...]) -> list[messages.BlkioEntry]:
    is_v2 = cgroups.detect().kind == "v2"
    return [
        messages.BlkioEntry(
            major=item.major,
            minor=item.minor,
            op=item.operation if is_v2 else item.operation.capitalize(),
            value=item.value,
        )
        for item in counted
    ]


def networks(pid: int) -> dict[str, messages.NetworkStats]:
    """The links of a process's network namespace, without the loopback; none when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text(errors="replace").removesuffix("\n").split("\n")[2:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, numbers = line.partition(":")
        received, sent = [int(number) for number in numbers.split()[:4]], [int(n) for n in numbers.split()[8:12]]
        if name.strip() != "lo":
            found[name.strip()] = messages.NetworkStats(**dict(zip(_LINK_FIELDS, received + sent, strict=True)))
    return found


_LINK_FIELDS = messages.NetworkStats.__struct_fields__
