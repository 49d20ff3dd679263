"""Somebody is killed: the daemon, a shim, or both, at any moment. No status, no line of a log, nothing left over."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from minidock.containers import state
from minidock.containers.control import LaunchRequest, Shim, ShimGone, bury, read_exit
from minidock.kernel import cgroups, syscalls
from tests.runtimes import children
from tests.shims import PATIENCE, Containers, Watched, containers, logged, parent_of

pytestmark = pytest.mark.root

# Says 1, waits until somebody makes /go, says the other numbers, and ends with 7.
COUNTING = "echo 1; while [ ! -e /go ]; do sleep 0.02; done; seq 2 3000; exit 7"
COUNTED = b"".join(b"%d\n" % number for number in range(1, 3001))


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Containers]:
    """A launcher, and containers that are gone after the test."""
    async with containers(tmp_path) as made:
        yield made


@pytest.fixture
def adopted() -> Iterator[set[int]]:
    """Orphans become this process's children, so that it can see that none is left. The children that it has before:
    other tests' fixtures may have daemons that live on."""
    syscalls.set_child_subreaper(True)
    yield children()
    syscalls.set_child_subreaper(False)


class Daemon:
    """``tests.faults.small_daemon``, in a process of its own."""

    def __init__(self, request: LaunchRequest) -> None:
        self.request = request
        self.state_dir = Path(request.state_dir)
        self.bundle = Path(request.bundle)
        command = [sys.executable, "-m", "tests.faults.small_daemon", msgspec.json.encode(request).decode()]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def reaches(self, stage: str) -> str:
        """Wait until it says this word; the rest of what it says."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, _, rest = line.decode().strip().partition(" ")
            if word == stage:
                return rest
        raise AssertionError(f"the daemon ended before it was {stage}")

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.communicate()

    def kill_when(self, stage: str) -> Watched:
        """SIGKILL once it has reached ``stage``. The container's shim."""
        self.reaches(stage)
        keeper = Watched(parent_of(state.read(self.state_dir).pid))
        self.kill()
        return keeper

    def logged_lines(self) -> int:
        """How many lines the container's log has."""
        return Path(self.request.log or "").read_bytes().count(b"\n")

    def go(self) -> None:
        """Let the counting go on."""
        (self.bundle / "rootfs/go").touch()


@pytest.mark.parametrize("stage", ["started", "attached", "executed"])
async def test_the_next_daemon_finds_the_container(made: Containers, stage: str) -> None:
    """The daemon is killed and the container runs on: the next one knows it, its whole output, and its code."""
    daemon = Daemon(made.request("sh", "-c", COUNTING, open_stdin=True))
    daemon.kill_when(stage)
    shim = await Shim.reconnect(daemon.state_dir)
    assert shim.started and read_exit(daemon.bundle) is None
    daemon.go()
    how = await shim.wait()
    assert (how.code, logged(shim)) == (7, COUNTED)


async def test_a_container_that_ends_while_nobody_looks(made: Containers) -> None:
    """Without any daemon the program ends: its status and its output are on disk, and the shim is gone."""
    daemon = Daemon(made.request("sh", "-c", COUNTING))
    keeper = daemon.kill_when("attached")
    daemon.go()
    assert keeper.has_ended()
    with pytest.raises(ShimGone):
        await Shim.reconnect(daemon.state_dir)
    how = read_exit(daemon.bundle)
    assert how is not None and how.code == 7 and bury(daemon.state_dir, daemon.bundle) == how
    assert daemon.logged_lines() == 3000


async def test_a_container_that_was_only_created_ends_with_the_daemon(made: Containers) -> None:
    """Nobody knows of it any more, so it goes: no process, no state, no status."""
    request = made.request("sh", "-c", COUNTING)
    daemon = Daemon(request)
    launcher = Watched(int(daemon.reaches("spawned")))
    keeper = daemon.kill_when("created")
    if not keeper.has_ended(patience=1):
        # The daemon was quick: it had asked for the start before it was killed.
        assert (await Shim.reconnect(daemon.state_dir)).started
        return
    assert launcher.has_ended()
    assert not daemon.state_dir.exists() and read_exit(daemon.bundle) is None


@pytest.mark.parametrize("milliseconds", [0, 30, 60, 80, 95, 110, 125, 140, 160, 190])
async def test_the_daemon_is_killed_at_any_moment(made: Containers, adopted: set[int], milliseconds: int) -> None:
    """Afterwards the container runs and is found, or has never been: nothing in between."""
    daemon = Daemon(made.request("sleep", "1000"))
    launcher = Watched(int(daemon.reaches("spawned")))
    await asyncio.sleep(milliseconds / 1000)  # the moment
    daemon.kill()
    assert launcher.has_ended()
    deadline = time.monotonic() + PATIENCE
    while (shim := await found(daemon.state_dir)) is None and orphans(adopted | {made.launcher.pid}):
        assert time.monotonic() < deadline
    if shim is None:
        assert not daemon.state_dir.exists() and read_exit(daemon.bundle) is None
        return
    started = shim.started
    if started:
        await shim.kill(signal.SIGKILL)
        assert (await shim.wait()).code == 137
    await shim.close()
    while orphans(adopted | {made.launcher.pid}):
        assert time.monotonic() < deadline
    assert not daemon.state_dir.exists() and (read_exit(daemon.bundle) is not None) == started


async def found(state_dir: Path) -> Shim | None:
    """The container's shim, if it answers."""
    try:
        return await Shim.reconnect(state_dir)
    except ShimGone:
        return None


def orphans(before: set[int]) -> bool:
    """Are there processes whose parent died, and which are ours now? Those that have ended are buried."""
    orphans = children() - before
    for orphan in orphans:
        Watched(orphan).has_ended(patience=0.02)
        os.waitpid(orphan, os.WNOHANG)
    return bool(orphans)


async def test_a_killed_shim_takes_the_container_along(made: Containers) -> None:
    """A container that nobody looks after is killed; whoever waits learns that its own code is lost."""
    shim = await made.start("sleep", "1000")
    init, cgroup = Watched(shim.init_pid), cgroups.at(state.read(shim.state_dir).cgroup)
    os.kill(parent_of(shim.init_pid), signal.SIGKILL)
    how = await shim.wait()
    assert how.code == 255 and "shim" in how.error and read_exit(shim.bundle) == how
    assert init.has_ended() and not shim.state_dir.exists() and not cgroup.exists
    with pytest.raises(ShimGone):
        await shim.kill(signal.SIGTERM)


async def test_shim_and_daemon_are_killed(made: Containers) -> None:
    """The next daemon finds a container without a shim, and ends it."""
    daemon = Daemon(made.request("sleep", "1000"))
    keeper = daemon.kill_when("started")
    init = Watched(state.read(daemon.state_dir).pid)
    os.kill(keeper.pid, signal.SIGKILL)
    assert keeper.has_ended()
    with pytest.raises(ShimGone):
        await Shim.reconnect(daemon.state_dir)
    assert bury(daemon.state_dir, daemon.bundle).code == 255
    assert init.has_ended() and not daemon.state_dir.exists()
