"""What the API says of a container's use of the machine: ``GET /containers/ID/stats``.

Go leaves fields out that are empty, and so do we: a client tells by what is there whether the host has cgroup v1 or v2.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType, field

from minidock.messages.document import NEVER, Message


class CpuUsage(Message, rename=None):
    """Nanoseconds of processor time since the container's start. ``percpu_usage`` is of cgroup v1 only."""

    total_usage: int = 0
    percpu_usage: list[int] | UnsetType = UNSET
    usage_in_kernelmode: int = 0
    usage_in_usermode: int = 0


class Throttling(Message, rename=None):
    """How many periods of the quota there were, in how many it was used up, and for how many nanoseconds."""

    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class CpuStats(Message, rename=None):
    """``system_cpu_usage`` is what all processors of the host have spent, idle or not, in nanoseconds."""

    cpu_usage: CpuUsage = field(default_factory=CpuUsage)
    system_cpu_usage: int | UnsetType = UNSET
    online_cpus: int | UnsetType = UNSET
    throttling_data: Throttling = field(default_factory=Throttling)


class MemoryStats(Message, rename=None):
    """Bytes. Where there is no limit, ``limit`` is the host's memory. ``max_usage``, ``failcnt``: cgroup v1 only."""

    usage: int | UnsetType = UNSET
    max_usage: int | UnsetType = UNSET
    stats: dict[str, int] | UnsetType = UNSET
    failcnt: int | UnsetType = UNSET
    limit: int | UnsetType = UNSET


class PidsStats(Message, rename=None):
    """Processes and threads."""

    current: int | UnsetType = UNSET
    limit: int | UnsetType = UNSET


class BlkioEntry(Message, rename=None):
    """One device and kind of operation."""

    major: int
    minor: int
    op: str
    value: int


class BlkioStats(Message, rename=None):
    """Block devices; only the first two are counted by today's kernels."""

    io_service_bytes_recursive: list[BlkioEntry] | None = None
    io_serviced_recursive: list[BlkioEntry] | None = None
    io_queue_recursive: list[BlkioEntry] | None = None
    io_service_time_recursive: list[BlkioEntry] | None = None
    io_wait_time_recursive: list[BlkioEntry] | None = None
    io_merged_recursive: list[BlkioEntry] | None = None
    io_time_recursive: list[BlkioEntry] | None = None
    sectors_recursive: list[BlkioEntry] | None = None


class NetworkStats(Message, rename=None):
    """One network link of the container."""

    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class Stats(Message, rename=None):
    """One sample. ``precpu_stats`` and ``preread`` are the sample before it: a percentage needs two."""

    read: str = NEVER
    preread: str = NEVER
    pids_stats: PidsStats = field(default_factory=PidsStats)
    blkio_stats: BlkioStats = field(default_factory=BlkioStats)
    num_procs: int = 0
    storage_stats: dict[str, int] = {}
    cpu_stats: CpuStats = field(default_factory=CpuStats)
    precpu_stats: CpuStats = field(default_factory=CpuStats)
    memory_stats: MemoryStats = field(default_factory=MemoryStats)
    name: str = ""
    """With a leading slash."""
    id: str = ""
    networks: dict[str, NetworkStats] | UnsetType = UNSET
