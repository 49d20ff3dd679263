"""``update``: other limits, or another restart policy, for containers that are there already."""

from __future__ import annotations

import sys
from typing import Any

from minidock.client import values
from minidock.client.commands.containers import for_each
from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.client.options import restart_policy
from minidock.errors import InvalidInput

_FIELDS = {
    "blkio-weight": "BlkioWeight",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "pids-limit": "PidsLimit",
}


def update(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock update``: prints each name, and the daemon's warnings at the end."""
    body: dict[str, Any] = {field: flags[name] for name, field in _FIELDS.items() if name in flags.given}
    if flags["restart"]:
        body["RestartPolicy"] = restart_policy(flags["restart"])
    if not flags.given:
        raise InvalidInput("you must provide one or more flags when using this command")
    warnings: list[str] = []

    def action(name: str) -> str:
        answer = context.client.request("POST", f"/containers/{segment(name)}/update", body=body).json()
        warnings.extend(answer.get("Warnings") or [])
        return name

    code = for_each(arguments, action)
    if warnings:
        print("\n".join(warnings), file=sys.stderr)
    return code


UPDATE = Command(
    "update",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Update configuration of one or more containers",
    update,
    table(
        """
        --blkio-weight uint16        Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)
        --cpu-period int             Limit CPU CFS (Completely Fair Scheduler) period
        --cpu-quota int              Limit CPU CFS (Completely Fair Scheduler) quota
        --cpu-rt-period int          Limit the CPU real-time period in microseconds
        --cpu-rt-runtime int         Limit the CPU real-time runtime in microseconds
    -c, --cpu-shares int             CPU shares (relative weight)
        --cpus decimal               Number of CPUs
        --cpuset-cpus string         CPUs in which to allow execution (0-3, 0,1)
        --cpuset-mems string         MEMs in which to allow execution (0-3, 0,1)
    -m, --memory bytes               Memory limit
        --memory-reservation bytes   Memory soft limit
        --memory-swap bytes          Swap limit equal to memory plus swap: -1 to enable unlimited swap
        --pids-limit int             Tune container pids limit (set -1 for unlimited)
        --restart string             Restart policy to apply when a container exits
""",
        memory_swap=values.memory_swap,
    ),
)
