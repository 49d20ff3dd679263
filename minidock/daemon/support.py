"""What this machine's kernel cannot limit is left out, with a warning: as dockerd does, so that one command line works
everywhere. The texts are Docker's (moby, ``daemon/daemon_unix.go``, verifyPlatformContainerResources).
"""

from __future__ import annotations

import msgspec

from minidock.errors import InvalidInput
from minidock.kernel import cgroups
from minidock.messages import HostConfig

NO_LIMIT = HostConfig()


def adapted(host: HostConfig) -> tuple[HostConfig, list[str]]:
    """The HostConfig without what this host has no controller for, and the warnings.

    Raises InvalidInput for real-time scheduling, which nobody would want to be left out silently.
    """
    layout = cgroups.detect()
    if host.nano_cpus and "cpu" in layout.missing:
        raise InvalidInput(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted"
        )
    if (host.cpu_realtime_period or host.cpu_realtime_runtime) and not _has(layout, "cpu", "cpu.rt_runtime_us"):
        raise InvalidInput("Your kernel does not support CPU real-time scheduler")
    if host.cpu_realtime_period and host.cpu_realtime_runtime > host.cpu_realtime_period:
        raise InvalidInput("cpu real-time runtime cannot be higher than cpu real-time period")
    warnings = []
    for is_there, fields, text in _features(layout):
        asked = [
            name for name in fields if (value := getattr(host, name)) and value not in (-1, getattr(NO_LIMIT, name))
        ]
        if asked and not is_there:
            host = msgspec.structs.replace(host, **{name: getattr(NO_LIMIT, name) for name in asked})
            warnings.append(f"Your kernel does not support {text}")
    if host.oom_kill_disable and not host.memory:
        lack = "no memory limit is set, this can result in the system running out of resources."
        warnings.append(f"OOM killer is disabled for the container, but {lack}")
    return host, warnings


def _features(layout: cgroups.Layout) -> list[tuple[bool, tuple[str, ...], str]]:
    """Is it there, the fields that need it, the warning."""
    is_v1, lacks = layout.kind != "v2", set(layout.missing)
    # The root group has no weight of its own; that the scheduler BFQ is there, its counters tell.
    has_weight = ("io" not in lacks and not is_v1) or any(
        _has(layout, "blkio", name) for name in ("blkio.bfq.io_serviced", "blkio.weight")
    )
    no_swap = "swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
    has_memory, or_not = "memory" not in lacks, "or the cgroup is not mounted."
    return [
        (has_memory, ("memory", "memory_swap"), f"memory limit capabilities {or_not} Limitation discarded."),
        (has_memory, ("memory_reservation",), f"memory soft limit capabilities {or_not} Limitation discarded."),
        ("cpu" not in lacks, ("cpu_shares",), f"CPU shares {or_not} Shares discarded."),
        ("cpuset" not in lacks, ("cpuset_cpus", "cpuset_mems"), f"cpuset {or_not} Cpuset discarded."),
        (not is_v1 or _has(layout, "memory", "memory.memsw.limit_in_bytes"), ("memory_swap",), no_swap),
        (
            _has(layout, "memory", "memory.swappiness"),
            ("memory_swappiness",),
            "memory swappiness capabilities, or the cgroup is not mounted. Memory swappiness discarded.",
        ),
        (is_v1, ("oom_kill_disable",), "OomKillDisable. OomKillDisable discarded."),
        (
            has_weight,
            ("blkio_weight",),
            "Block I/O weight or the cgroup is not mounted. Weight discarded.",
        ),
        (has_weight, ("blkio_weight_device",), "Block I/O weight_device or the cgroup is not mounted. Discarded."),
        (
            "pids" not in layout.missing,
            ("pids_limit",),
            "PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
        ),
    ]


def _has(layout: cgroups.Layout, controller: str, file: str) -> bool:
    mount = layout.v1.get(controller)
    return mount is not None and (mount / file).exists()
