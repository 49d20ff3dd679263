"""What a cgroup can be told and asked: limits go in as :class:`Resources`, numbers come out as :class:`Stats`.

The fields of :class:`Resources` are those of ``linux.resources`` in the runtime-spec, in its units. ``None`` always
means "leave it as it is", and -1 "no limit". Source: runtime-spec, config-linux.md, "Control groups".
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Memory(Struct, frozen=True):
    """Bytes. ``swap`` is memory *plus* swap, as cgroup v1 counts; v2 counts swap alone and we convert."""

    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None
    kernel: int | None = None
    kernel_tcp: int | None = None
    swappiness: int | None = None
    disable_oom_killer: bool | None = None


class Cpu(Struct, frozen=True):
    """``shares`` is relative (1024 is an ordinary share); the times are microseconds; ``cpus`` and ``mems`` are lists
    such as ``0-2,7``; ``idle`` 1 makes the group run only when nobody else wants to."""

    shares: int | None = None
    quota: int | None = None
    period: int | None = None
    burst: int | None = None
    realtime_runtime: int | None = None
    realtime_period: int | None = None
    cpus: str | None = None
    mems: str | None = None
    idle: int | None = None


class DeviceWeight(Struct, frozen=True):
    """How much of one block device, relative to others: 10 to 1000."""

    major: int
    minor: int
    weight: int


class Throttle(Struct, frozen=True):
    """At most ``rate`` bytes (``bps``) or operations (``iops``) a second on one block device.

    ``kind`` is ``read_bps``, ``write_bps``, ``read_iops`` or ``write_iops``.
    """

    kind: str
    major: int
    minor: int
    rate: int


class BlockIO(Struct, frozen=True):
    """``weight`` is 10 to 1000."""

    weight: int | None = None
    weight_devices: tuple[DeviceWeight, ...] = ()
    throttles: tuple[Throttle, ...] = ()


class DeviceRule(Struct, frozen=True):
    """Allow or deny some accesses (letters of ``rwm``) to devices of ``type`` ``b``, ``c`` or ``a`` (both).

    ``major`` and ``minor`` None mean any. Rules apply in order: for each kind of access the last match decides, and
    before the first rule everything is allowed, as in a cgroup that nobody has touched.
    """

    allow: bool
    type: str = "a"
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"


class Resources(Struct, frozen=True):
    """Everything that ``linux.resources`` may limit. ``pids`` is a number of processes and threads, ``hugepages`` maps
    a page size (``2MB``) to bytes, ``unified`` maps files of cgroup v2 to what is written into them as it is."""

    memory: Memory = Memory()
    cpu: Cpu = Cpu()
    pids: int | None = None
    block_io: BlockIO = BlockIO()
    hugepages: Mapping[str, int] = {}
    devices: tuple[DeviceRule, ...] = ()
    unified: Mapping[str, str] = {}


class MemoryStats(Struct, frozen=True):
    """Bytes, but ``failures``: how often the limit was hit. ``limit`` None means none. ``stat`` is memory.stat."""

    usage: int
    limit: int | None
    max_usage: int
    failures: int
    stat: Mapping[str, int]


class CpuStats(Struct, frozen=True):
    """Nanoseconds of processor time, and how many periods of the quota there were and were throttled.

    ``per_cpu`` is empty on cgroup v2, which does not tell.
    """

    total: int
    user: int
    system: int
    per_cpu: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class PidsStats(Struct, frozen=True):
    """Processes and threads now, and at most (None: no limit)."""

    current: int
    limit: int | None


class IoStats(Struct, frozen=True):
    """One device's bytes or operations since the beginning; ``operation`` is ``read``, ``write``, …"""

    major: int
    minor: int
    operation: str
    value: int


class Pressure(Struct, frozen=True):
    """Nanoseconds lost so far: in which at least one task had to wait, and in which all had (psi.rst)."""

    some: int
    full: int


class Stats(Struct, frozen=True):
    """What the group has used. A part is None (or empty) where its controller is missing.

    ``pressure`` is by what was waited for: ``cpu``, ``memory``, ``io``. Empty on cgroup v1, which does not measure it.
    """

    memory: MemoryStats | None = None
    cpu: CpuStats | None = None
    pids: PidsStats | None = None
    io_bytes: tuple[IoStats, ...] = ()
    io_operations: tuple[IoStats, ...] = ()
    pressure: Mapping[str, Pressure] = {}
