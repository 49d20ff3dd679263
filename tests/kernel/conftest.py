"""Fixtures of the tests of networks; and cgroups.

What is about the one version of cgroups is collected where that version has the controllers: the other is elsewhere.
Not a skip: nothing is missing on such a host. CI runs both kinds, this machine's and a guest's (``tests/guest``).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from minidock.database import Database
from minidock.kernel import syscalls
from tests.kernel.groups import CONTROLLED
from tests.kernel.hosts import Bridge, Spawn, ip

collect_ignore = ["test_cgroups_v1.py" if CONTROLLED == "v2" else "test_cgroups_v2.py"]


@pytest.fixture
def host() -> Iterator[None]:
    """This thread, and all that it starts, live in a new network namespace meanwhile."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        ip("link", "set", "lo", "up")
        yield
    finally:
        syscalls.setns(before, syscalls.CLONE_NEWNET)
        os.close(before)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database of its own."""
    database = Database(tmp_path / "minidock.db")
    yield database
    database.close()


@pytest.fixture
def bridge(database: Database) -> Iterator[Bridge]:
    """An open bridge."""
    bridge = Bridge(database, "minidock0")
    bridge.open()
    yield bridge
    bridge.close()


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts a process with an empty network namespace, like a container's init, and returns its pid."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        unshare = partial(syscalls.unshare, syscalls.CLONE_NEWNET)
        started.append(subprocess.Popen(["sleep", "1000"], preexec_fn=unshare))
        return started[-1].pid

    yield start
    for process in started:
        process.kill()
        process.wait()
