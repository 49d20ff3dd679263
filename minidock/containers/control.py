"""The daemon's handle on the launcher and on the shims (asyncio). See :mod:`minidock.containers.wire`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from minidock.containers.exits import Exit, read_exit
from minidock.containers.wire import LaunchRequest, Streams
from minidock.errors import MinidockError
from minidock.oci.runtime import Process

__all__ = ["Execution", "Exit", "LaunchRequest", "Launcher", "Shim", "ShimGone", "Streams", "read_exit"]


class ShimGone(MinidockError):
    """The container's shim does not live any more."""


class Execution:
    """A program that was started in a running container. ``reader`` and ``writer`` are its streams."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Shim:
    """One container's shim, as the daemon sees it."""

    init_pid: int
    started: bool

    @classmethod
    async def reconnect(cls, state_dir: Path, bundle: Path) -> Shim:
        """The shim that listens in ``state_dir``; raises :class:`ShimGone` when there is none."""
        raise NotImplementedError

    async def start(self) -> None:
        """Let init exec the program; raises ``ProgramNotFound``, ``ProgramNotExecutable``, …"""
        raise NotImplementedError

    async def kill(self, signal: int, everyone: bool = False) -> None:
        """Send ``signal`` to init, or to every process of the container."""
        raise NotImplementedError

    async def resize(self, height: int, width: int, exec_id: str | None = None) -> None:
        """Give the terminal of the container, or of an exec, a new size in characters."""
        raise NotImplementedError

    async def attach(
        self, stdin: bool, stdout: bool, stderr: bool, exec_id: str | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stream of the container: frames, or raw bytes when it has a terminal. ``write_eof`` ends its stdin."""
        raise NotImplementedError

    async def execute(self, exec_id: str, process: Process, streams: Streams) -> Execution:
        """Run one more program in the container, attached to its streams from its first byte on."""
        raise NotImplementedError

    async def wait(self) -> Exit:
        """How the container ended. The status is on disk before this returns, whatever became of the shim."""
        raise NotImplementedError

    async def wait_exec(self, exec_id: str) -> int:
        """The exit code of an exec."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the connection. The container goes on."""
        raise NotImplementedError


class Launcher:
    """The launcher, as the daemon sees it."""

    @classmethod
    async def spawn(cls) -> Launcher:
        """Start the launcher. It ends when the daemon does, or with :meth:`close`."""
        raise NotImplementedError

    async def launch(self, request: LaunchRequest) -> Shim:
        """Create a container, with a shim of its own. Its init waits. Raises what the runtime raised."""
        raise NotImplementedError

    async def close(self) -> None:
        """End the launcher. Shims live on."""
        raise NotImplementedError
