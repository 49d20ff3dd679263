"""What a step is, and what the steps of one container share while they are taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from minidock.kernel.cgroups import Cgroup
from minidock.oci import runtime as oci

Where = Literal["before", "parent", "child", "daemon"]
"""Who takes a step: the runtime before there is a child, the runtime beside its child, the child (init) itself; or,
while the child waits, the daemon (such a step is in no plan)."""


class Step(msgspec.Struct, frozen=True):
    """One thing done to a process before it becomes the user's program.

    A subclass says what it is: ``man`` is the page to read, ``why`` a sentence for somebody who sees it for the first
    time. ``apply`` does it, and raises :class:`~minidock.errors.MinidockError` when it cannot be done.
    """

    man: ClassVar[str] = ""
    why: ClassVar[str] = ""
    where: ClassVar[Where] = "child"

    @property
    def title(self) -> str:
        """What the step does, in a few words, with what it acts on."""
        return type(self).__name__

    def apply(self, context: Context) -> None:
        """Do it. Whatever later steps need to know is left in ``context``."""
        raise NotImplementedError(type(self).__name__)


class Context:
    """What the steps of one container hand on: open files, and what has been found out. Both processes have a copy.

    ``root`` is a descriptor of the container's root directory from the step that mounts it until the process is inside.
    """

    def __init__(self, process: oci.Process, bundle: Path = Path(), container_id: str = "") -> None:
        self.process = process
        self.bundle = bundle
        self.container_id = container_id
        self.role: Where = "before"
        self.child = 0
        """The child's pid as the parent sees it; 0 in the child."""
        self.cgroup: Cgroup | None = None
        self.root = -1
        self.devices_are_bound = False
        """In a user namespace mknod(2) is forbidden: devices are the host's own, bound."""
        self.uid, self.gid, self.groups = process.user.uid, process.user.gid, tuple(process.user.additional_gids)
        self.environment = environment(process.env)
        self.stdio: tuple[int, int, int] = (0, 1, 2)
        self.terminal = -1
        self.program = ""
        """Where the program was found; "" before that."""
        self.gate: int = -1
        """start.fifo, opened for reading and writing: whoever writes a byte into it lets init go on."""
        self.hand_over_console: Callable[[int], None] = os.close
        self.result = -1
        """result.fifo, for the error when exec fails; exec closes it."""
        self.say_ready: Callable[[], None] = lambda: None
        self.report: Callable[[BaseException], None] = _raise
        self.state: Callable[[oci.Status], oci.State] | None = None
        """The container's state with this status, for hooks."""


def _raise(error: BaseException) -> None:
    raise error


def environment(entries: list[str]) -> dict[str, str]:
    """``NAME=value`` entries as a mapping; the last of one name counts."""
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)
