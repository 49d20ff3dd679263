"""The problem of chapter 1: a program in a chroot walks out of it.

``python -m chapters problem 1``
"""

from __future__ import annotations

import os
from pathlib import Path

from chapters.rootfs import PATH, tiny_root
from minidock.containers import steps as s
from minidock.containers.init import run
from minidock.containers.steps import Context, Step
from minidock.oci import runtime as oci


class BreakOut(Step, frozen=True):
    """What any program with root's rights can do in a chroot."""

    def apply(self, context: Context) -> None:
        Path("/escape").mkdir()
        os.chroot("/escape")  # the root moves down, and we stay where we were: above it
        for _ in range(64):
            os.chdir("..")  # ".." stops only at the root, and that is no longer on our way
        os.chroot(".")


def look(root: Path, *between: Step) -> int:
    """Show what ``/`` holds after some steps."""
    program = ("sh", "-c", "echo /*")
    steps = [s.StartChild(), s.Chroot(str(root)), *between, s.FindProgram("sh"), s.ExecuteProgram(program)]
    return run(steps, Context(oci.Process("/", list(program), [PATH])))


def main(arguments: list[str]) -> int:
    """Look around from inside a chroot; then break out and look again."""
    with tiny_root() as root:
        print("In the chroot, / is:", flush=True)
        look(root)
        print("\nFor the same program, after four calls that need no tool and no bug, / is:", flush=True)
        return look(root, BreakOut())
