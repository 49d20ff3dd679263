"""Containers for tests that want a shim but no daemon: the test is the daemon."""

from __future__ import annotations

import asyncio
import os
import secrets
import select
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from minidock.containers.control import Launcher, LaunchRequest, Shim, bury
from minidock.containers.logread import Selection, read
from minidock.containers.streams import Unframer
from minidock.errors import Conflict, ShimGone
from minidock.oci.runtime import Process
from tests import bundles

PATIENCE = 30.0
"""Seconds after which a test that waits for an event gives up."""


class Containers:
    """Makes containers below ``root``, and removes them."""

    def __init__(self, root: Path, launcher: Launcher) -> None:
        self.root = root
        self.launcher = launcher
        self.requests: list[LaunchRequest] = []

    def request(
        self, *args: str, change: Callable[[dict[str, Any]], object] | None = None, **options: Any
    ) -> LaunchRequest:
        """A container that will run ``args``; ``change`` may alter its config.json, ``options`` are the request's."""
        name = f"minidock-test-{secrets.token_hex(4)}"
        bundle = bundles.make(self.root / name, *args, terminal=options.get("terminal", False))
        if change:
            spec = bundles.config(*args, terminal=options.get("terminal", False))
            change(spec)
            bundles.write(bundle, spec)
        log = str(bundle / f"{name}-json.log")
        request = LaunchRequest(
            id=name, bundle=str(bundle), state_dir=str(self.root / "run" / name), log=log, **options
        )
        self.requests.append(request)
        return request

    async def create(self, *args: str, **options: Any) -> Shim:
        """A container whose init waits; see :meth:`request`."""
        return await self.launcher.launch(self.request(*args, **options))

    async def start(self, *args: str, **options: Any) -> Shim:
        """A container that runs."""
        shim = await self.create(*args, **options)
        await shim.start()
        return shim

    async def remove_all(self) -> None:
        """Kill what runs, leave nothing."""
        for request in self.requests:
            try:
                shim = await Shim.reconnect(Path(request.state_dir))
                with suppress(Conflict):
                    await shim.kill(signal.SIGKILL)
                await shim.wait()
            except ShimGone:
                bury(Path(request.state_dir), Path(request.bundle))


@asynccontextmanager
async def containers(root: Path) -> AsyncIterator[Containers]:
    """A launcher, and containers below ``root``; afterwards none of them is left."""
    (root / "run").mkdir()
    made = Containers(root, await Launcher.spawn())
    try:
        yield made
    finally:
        await made.launcher.close()
        await made.remove_all()


def logged(shim: Shim) -> bytes:
    """All output in the container's log."""
    (path,) = shim.bundle.glob("*-json.log")
    return b"".join(entry.data for entry in read(path, Selection()))


def process(*args: str, **options: Any) -> Process:
    """A program for ``execute``."""
    return Process("/", list(args), env=["PATH=/bin"], **options)


async def frames(reader: asyncio.StreamReader) -> list[tuple[int, bytes]]:
    """All frames of a stream, to its end; neighbours of the same stream as one."""
    joined: list[tuple[int, bytes]] = []
    for stream, data in Unframer().feed(await reader.read()):
        if joined and joined[-1][0] == stream:
            joined[-1] = (stream, joined[-1][1] + data)
        else:
            joined.append((stream, data))
    return joined


def parent_of(pid: int) -> int:
    """The parent of a process: of an init, its shim."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


class Watched:
    """A process whose end can be waited for by anybody, not only by its parent (pidfd_open(2))."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def has_ended(self, patience: float = PATIENCE) -> bool:
        """Wait for its end, at most so many seconds."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(patience * 1000))

    def __del__(self) -> None:
        os.close(self._descriptor)
