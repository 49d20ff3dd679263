"""cgroups: which processes belong together, what they may use, what they have used (cgroups(7)).

Linux has two kinds. In version 1 every controller (memory, cpu, pids, …) has a tree of its own, mounted on its own.
In version 2 there is one tree, and a controller is switched on for a directory's children. A *hybrid* host has an empty
version 2 tree beside the version 1 controllers. :func:`at` hides the difference.

Read in this order: ``layout`` (what this host has), ``resources`` (limits and numbers), ``interface``, ``v2``, ``v1``,
``values`` (the text in the files), ``device_program``.
"""

from minidock.kernel.cgroups.interface import Cgroup
from minidock.kernel.cgroups.layout import Layout, at, detect, parse_scope
from minidock.kernel.cgroups.resources import (
    BlockIO,
    Cpu,
    CpuStats,
    DeviceRule,
    DeviceWeight,
    IoStats,
    Memory,
    MemoryStats,
    PidsStats,
    Pressure,
    Resources,
    Stats,
    Throttle,
)

__all__ = [
    "BlockIO",
    "Cgroup",
    "Cpu",
    "CpuStats",
    "DeviceRule",
    "DeviceWeight",
    "IoStats",
    "Layout",
    "Memory",
    "MemoryStats",
    "PidsStats",
    "Pressure",
    "Resources",
    "Stats",
    "Throttle",
    "at",
    "detect",
    "parse_scope",
]
