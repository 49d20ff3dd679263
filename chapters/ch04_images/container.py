"""The program of chapter 4: run a command on a root that it cannot spoil.

``python -m chapters run 4 -- sh``
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

LIMITS = cgroups.Resources(memory=cgroups.Memory(limit=parse_size("32m"), swap=parse_size("32m")), pids=32)


def plan(layers: list[Path], own: Path, program: tuple[str, ...]) -> list[s.Step]:
    """The container, on read-only ``layers`` (the topmost first) and three directories of its own in ``own``."""
    lower = ":".join(str(layer) for layer in layers)
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
        s.MountOverlay(f"{own}/root", f"lowerdir={lower},upperdir={own}/upper,workdir={own}/work"),
        s.MountFilesystem("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
        s.MountFilesystem("/dev", "tmpfs", "tmpfs", ("nosuid", "mode=755")),
        s.MakeDevices(s.DEFAULT_DEVICES),
        s.PivotRoot(),
        s.FindProgram(program[0]),
        s.ExecuteProgram(program),
    ]


def start(layers: list[Path], own: Path, program: tuple[str, ...]) -> int:
    """One container, whose own directories are made in ``own`` if they are not there; its exit code."""
    for name in ("upper", "work", "root"):
        (own / name).mkdir(mode=0o755, parents=True, exist_ok=True)
    process = oci.Process("/", list(program), [PATH])
    return run(plan(layers, own, program), s.Context(process, container_id=f"chapter-{os.getpid()}"))


def main(arguments: list[str]) -> int:
    """Run ``arguments`` (a shell, if there are none); the program's exit code."""
    with tiny_root() as layer:
        return start([layer], layer.parent / "box", tuple(arguments or ["sh"]))
