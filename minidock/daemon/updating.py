"""``docker update``: other limits and another restart policy for a container that exists, running or not.

What the request leaves out (zero, empty text) stays as it is. Limits go into the running container's cgroup first, and
are remembered only when the kernel has taken them.

Source: moby, ``container/container_unix.go``, UpdateContainer; the texts too.
"""

from __future__ import annotations

import asyncio

import msgspec

from minidock.containers import plan
from minidock.daemon import limits, restarts, spec
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import Conflict, MinidockError
from minidock.kernel import cgroups
from minidock.messages import HostConfig
from minidock.oci.runtime import Pids

FIELDS = (
    *("blkio_weight", "cpu_shares", "nano_cpus", "cpu_period", "cpu_quota", "cpu_realtime_period"),
    *("cpu_realtime_runtime", "cpuset_cpus", "cpuset_mems", "memory", "memory_swap", "memory_reservation"),
)


async def update(engine: Engine, container: Container, change: HostConfig) -> None:
    """Raises InvalidInput, Conflict, and what the kernel says to a limit that it cannot hold."""
    limits.check(change, is_update=True)
    restarts.check(change)
    async with container.lock:
        if container.removing:
            raise _cannot(container, 'container is marked for removal and cannot be "update"')
        host = merged(container, change)
        if container.record.running and _limits(change) != _limits(HostConfig()):
            await asyncio.to_thread(_apply, container, host)
        container.record.host = host
        engine.records.save(container.record)
    engine.tell(container, "update")


def merged(container: Container, change: HostConfig) -> HostConfig:
    """The container's HostConfig after the change. Raises Conflict when they contradict each other."""
    host = container.record.host
    for is_wrong, text in (
        (change.nano_cpus and host.cpu_period, "Nano CPUs cannot be updated as CPU Period has already been set"),
        (change.nano_cpus and host.cpu_quota, "Nano CPUs cannot be updated as CPU Quota has already been set"),
        (change.cpu_period and host.nano_cpus, "CPU Period cannot be updated as NanoCPUs has already been set"),
        (change.cpu_quota and host.nano_cpus, "CPU Quota cannot be updated as NanoCPUs has already been set"),
    ):
        if is_wrong:
            raise _cannot(container, f"Conflicting options: {text}")
    if 0 < host.memory_swap < change.memory and not change.memory_swap:
        raise _cannot(
            container,
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        )
    policy = change.restart_policy
    if host.auto_remove and policy.name not in ("", "no"):
        raise _cannot(container, "Restart policy cannot be updated because AutoRemove is enabled for the container")
    new = {name: value for name in FIELDS if (value := getattr(change, name))}
    if change.pids_limit is not None:
        new["pids_limit"] = change.pids_limit
    if policy.name:
        new["restart_policy"] = policy
    return msgspec.structs.replace(host, **new)


def _limits(host: HostConfig) -> list[object]:
    return [getattr(host, name) for name in (*FIELDS, "pids_limit")]


def _apply(container: Container, host: HostConfig) -> None:
    # Devices are not a limit that update changes: no rules leaves those that hold. And no limit of processes is one
    # to be written: there may have been another.
    pids = Pids(host.pids_limit) if host.pids_limit is not None else None
    resources = msgspec.structs.replace(limits.resources(host, []), devices=[], pids=pids)
    try:
        cgroups.at(spec.cgroups_path(container.record)).apply(plan.resources(resources))
    except MinidockError as error:
        raise MinidockError(f"Cannot update container {container.id}: {error}") from error


def _cannot(container: Container, why: str) -> Conflict:
    return Conflict(f"Cannot update container {container.id}: {why}")
