"""The program of chapter 2: run a command in namespaces of its own.

``python -m chapters run 2 -- sh``
"""

from __future__ import annotations

from pathlib import Path

from chapters.rootfs import PATH, tiny_root
from minidock.containers import steps as s
from minidock.containers.init import run
from minidock.oci import runtime as oci


def plan(root: Path, program: tuple[str, ...]) -> list[s.Step]:
    """The container: what is done to a process before it becomes the program."""
    return [
        s.StartChild(("pid",)),
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
        return run(plan(root, program), s.Context(oci.Process("/", list(program), [PATH])))
