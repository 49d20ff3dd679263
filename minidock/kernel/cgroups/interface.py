"""One cgroup, whatever the host's version: what the rest of the engine sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from minidock.errors import Conflict
from minidock.kernel.cgroups.resources import Resources, Stats


class Cgroup(ABC):
    """A named group of processes that share limits and are counted together (cgroups(7)).

    ``path`` counts from where the hierarchy is mounted, e.g. ``/minidock/4f2a…``. Making the object touches nothing.
    Every method may raise :class:`~minidock.errors.SystemCallFailed`.
    """

    path: str

    @abstractmethod
    def directories(self) -> dict[str, Path]:
        """Where the group is, by controller; cgroup v2 has one directory, under the name ``""``."""

    @abstractmethod
    def create(self) -> None:
        """Make the group and its missing parents. An existing one is used as it is if it is empty.

        Raises ``Conflict`` when it has processes: they would be limited, and killed, with the container.
        """

    def refuse_if_in_use(self) -> None:
        """Raises ``Conflict`` when the group has processes already."""
        if self.exists and (pids := self.processes()):
            raise Conflict(f"the cgroup {self.path} has processes already ({pids[0]}, …): choose another path")

    @abstractmethod
    def enter(self) -> None:
        """Move the calling *thread* into the group; meant for a process that has no other (init before exec)."""

    @abstractmethod
    def join(self, pid: int) -> None:
        """Move a process with all its threads into the group. Some 10 ms: the kernel waits for a grace period."""

    @abstractmethod
    def adopt(self, pid: int) -> None:
        """Make the group in the scope that systemd has made for ``pid``, which moves into it."""

    @abstractmethod
    def apply(self, resources: Resources) -> None:
        """Set limits, of a new group or of one in use. What is None stays as it is.

        Raises ``KernelFeatureMissing``, naming the controller that a limit needs and the host lacks, and
        ``InvalidSpec`` for limits that contradict each other.
        """

    @abstractmethod
    def freeze(self) -> None:
        """Stop every process of the group where it is; returns when all stand still."""

    @abstractmethod
    def thaw(self) -> None:
        """Let a frozen group go on."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL to every process of the group and of those below; none can escape by forking."""

    @abstractmethod
    def stats(self) -> Stats:
        """What the group has used until now."""

    @abstractmethod
    def oom_kills(self) -> int:
        """How many processes of the group the kernel killed for want of memory."""

    @abstractmethod
    def processes(self) -> list[int]:
        """The processes of the group and of those below, as pids of the caller's namespace."""

    @abstractmethod
    def delete(self, timeout: float = 10.0) -> None:
        """Remove the group and those below, waiting at most ``timeout`` seconds for their processes to be gone.

        No error when there is none. Raises ``SystemCallFailed`` (EBUSY) when processes remain.
        """

    @property
    @abstractmethod
    def exists(self) -> bool:
        """Whether the group is there."""
