"""A container as the living daemon holds it: its record, and what ends with the daemon (locks, who waits, its shim)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from minidock.containers.control import Shim, Streams
from minidock.daemon import log_drivers
from minidock.daemon.records import Record
from minidock.errors import Conflict, MinidockError

if TYPE_CHECKING:
    from minidock.daemon.execs import Exec

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(eq=False)
class Pending:
    """Somebody attached before the container was started; ``stream`` is done when the shim has the program ready."""

    streams: Streams
    stream: asyncio.Future[Stream] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Container:
    """One container.

    ``lock`` is held while the container changes from one state to another, never while somebody waits for a program.
    ``entering`` is held while a program enters the container, for which the shim waits, and while it is frozen: a
    program that froze on its way in would keep the shim from everything else. Who needs both takes ``lock`` first.
    ``next_exit`` is done at the end of the present (or next) run, ``removed`` when nothing is left of the container;
    both hold the exit code.
    """

    def __init__(self, record: Record, bundle: Path, state_dir: Path, warnings: Sequence[str] = ()) -> None:
        self.warnings = list(warnings)
        """What the user is told at its creation."""
        self.record = record
        self.bundle = bundle
        self.state_dir = state_dir
        self.lock = asyncio.Lock()
        self.entering = asyncio.Lock()
        self.shim: Shim | None = None
        self.monitor: asyncio.Task[None] | None = None
        self.cleaning: asyncio.Task[None] | None = None
        self.health_check: asyncio.Task[None] | None = None
        self.next_start: asyncio.Task[None] | None = None
        self.pause_before_start = 0.0
        self.restarted_by_hand = False
        self.ended_unseen = False
        self.pending: list[Pending] = []
        self.execs: dict[str, Exec] = {}
        self.removing = False
        self.hidden_env: list[str] = []
        """Variables of its program that are in no record: a build's secrets."""
        loop = asyncio.get_running_loop()
        self.next_exit: asyncio.Future[int] = loop.create_future()
        self.removed: asyncio.Future[int] = loop.create_future()

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self.record.id

    @property
    def name(self) -> str:
        """Without a slash."""
        return self.record.name

    @property
    def log(self) -> Path | None:
        """The log, in Docker's json-file format; None when nothing is kept (``--log-driver none``)."""
        return log_drivers.log_path(self.record, self.bundle)

    def living_shim(self) -> Shim:
        """The shim of a running container. Raises Conflict in Docker's words."""
        if self.record.state.status == "restarting":
            raise Conflict(f"Container {self.id} is restarting, wait until the container is running")
        if not self.record.running or self.shim is None:
            raise Conflict(f"container {self.id} is not running")
        return self.shim

    async def attach(self, streams: Streams) -> Stream:
        """The program's streams: now when it runs, else as soon as it is started, from its first byte on."""
        if self.record.running:
            return await self.living_shim().attach(streams.stdin, streams.stdout, streams.stderr)
        pending = Pending(streams)
        self.pending.append(pending)
        try:
            return await pending.stream
        finally:
            if pending in self.pending:
                self.pending.remove(pending)

    async def hand_over_streams(self, shim: Shim) -> None:
        """Give everybody who attached before the start their stream."""
        waiting, self.pending = self.pending, []
        for pending in waiting:
            wanted = pending.streams
            stream = await shim.attach(wanted.stdin, wanted.stdout, wanted.stderr)
            if pending.stream.cancelled():
                stream[1].close()
            else:
                pending.stream.set_result(stream)

    def turn_away(self, error: MinidockError) -> None:
        """The start failed: nobody will get a stream."""
        for pending in self.pending:
            if not pending.stream.done():
                pending.stream.set_exception(error)
        self.pending = []

    def announce_exit(self, code: int) -> None:
        """Wake everybody who waits for the end of this run."""
        ended, self.next_exit = self.next_exit, asyncio.get_running_loop().create_future()
        if not ended.done():
            ended.set_result(code)

    def announce_removal(self) -> None:
        """Wake everybody who waits for the container to be gone, and those who wait for a run that will never be."""
        if not self.removed.done():
            self.removed.set_result(self.record.state.exit_code)
        if not self.next_exit.done():
            self.next_exit.set_result(self.record.state.exit_code)

    async def wait(self, condition: str) -> int:
        """The exit code, once ``not-running``, at the ``next-exit``, or when ``removed``."""
        if condition == "removed":
            return await asyncio.shield(self.removed)
        if condition == "not-running" and not self.record.active:
            return self.record.state.exit_code
        return await asyncio.shield(self.next_exit)
