"""The program of chapter 1: run a command with another root directory.

``python -m chapters run 1 -- sh``
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
        s.StartChild(),
        s.NewNamespace("mount"),
        s.KeepMountsApart("rprivate"),
        s.BindRoot(str(root)),
        s.PivotRoot(),
        s.FindProgram(program[0]),
        s.ExecuteProgram(program),
    ]


def main(arguments: list[str]) -> int:
    """Run ``arguments`` (a shell, if there are none); the program's exit code."""
    program = tuple(arguments or ["sh"])
    with tiny_root() as root:
        return run(plan(root, program), s.Context(oci.Process("/", list(program), [PATH])))
