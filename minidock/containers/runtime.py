"""The OCI runtime: create, start, execute, kill, state, delete.

Everything here is synchronous and keeps nothing in memory between calls: what is known is in the state directory.
The caller becomes the parent of init, and must be single-threaded, as everybody who forks and goes on in Python must.

Source: https://github.com/opencontainers/runtime-spec/blob/main/runtime.md
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from minidock.oci import runtime as oci


class Stdio(msgspec.Struct, frozen=True):
    """The file descriptors that become 0, 1 and 2 of a process without a terminal. The caller keeps them."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


class Created(msgspec.Struct, frozen=True):
    """Init, a child of the caller, and the master side of its terminal, when it has one; the caller closes that."""

    pid: int
    console: int | None


class Running(msgspec.Struct, frozen=True):
    """A process that joined a container, a child of the caller; ``console`` as in :class:`Created`."""

    pid: int
    console: int | None


def create(
    bundle: Path, state_dir: Path, container_id: str, stdio: Stdio | None = None, explain: bool = False
) -> Created:
    """Take every step of the bundle's plan except the last; init then waits. See :func:`start`.

    ``state_dir`` is created, and must not exist. An error leaves nothing behind: no process, cgroup or directory.
    Raises :class:`Conflict` when ``state_dir`` is taken, :class:`InvalidSpec`, :class:`SystemCallFailed`.
    """
    raise NotImplementedError


def start(state_dir: Path) -> None:
    """Let init execute the user's program; returns once it has.

    Raises :class:`Conflict` when the container is not in state created, :class:`ProgramNotFound`,
    :class:`ProgramNotExecutable`.
    """
    raise NotImplementedError


def execute(state_dir: Path, process: oci.Process, stdio: Stdio | None = None) -> Running:
    """Run one more program inside a running container; returns once exec has happened.

    Raises :class:`Conflict` when the container does not run, and what :func:`start` raises.
    """
    raise NotImplementedError


def kill(state_dir: Path, signal: int, everyone: bool = False) -> None:
    """Send a signal to init, or to every process of the container. Raises :class:`Conflict` when it has stopped."""
    raise NotImplementedError


def state(state_dir: Path) -> oci.State:
    """The container's state as the runtime-spec has it. Raises :class:`NoSuchContainer`."""
    raise NotImplementedError


def delete(state_dir: Path, force: bool = False) -> None:
    """Undo :func:`create` for a stopped container; with ``force`` kill what still runs.

    Raises :class:`NoSuchContainer`; :class:`Conflict` when it has not stopped.
    """
    raise NotImplementedError
