"""The program of chapter 3: run a command with limits.

``python -m chapters run 3 -- sh``
"""

from __future__ import annotations

import os
from pathlib import Path

from chapters.rootfs import PATH, tiny_root
from minidock.containers import steps as s
from minidock.containers.init import run
from minidock.kernel import cgroups
from minidock.oci import runtime as oci
from minidock.units import parse_size

LIMITS = cgroups.Resources(
    memory=cgroups.Memory(limit=parse_size("32m"), swap=parse_size("32m")),
    cpu=cgroups.Cpu(quota=50_000, period=100_000),
    pids=32,
)


def plan(root: Path, program: tuple[str, ...]) -> list[s.Step]:
    """The container: what is done to a process before it becomes the program."""
    return [
        s.MakeCgroup("", LIMITS),
        s.StartChild(("pid",)),
        s.EnterCgroup(),
        s.NewNamespace("mount"),
        s.NewNamespace("network"),
        s.NewNamespace("ipc"),
        s.NewNamespace("uts"),
        s.RaiseLoopback(),
        s.SetHostName("box"),
        s.KeepMountsApart("rprivate"),
        s.BindRoot(str(root)),
        s.MountFilesystem("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
        s.MountFilesystem("/dev", "tmpfs", "tmpfs", ("nosuid", "mode=755")),
        s.MakeDevices(s.DEFAULT_DEVICES),
        s.PivotRoot(),
        s.FindProgram(program[0]),
        s.ExecuteProgram(program),
    ]


def main(arguments: list[str]) -> int:
    """Run ``arguments`` (a shell, if there are none); the program's exit code."""
    program = tuple(arguments or ["sh"])
    with tiny_root() as root:
        process = oci.Process("/", list(program), [PATH])
        return run(plan(root, program), s.Context(process, container_id=f"chapter-{os.getpid()}"))
