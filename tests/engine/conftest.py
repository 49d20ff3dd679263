"""The daemon that the tests of one module share, and a way to get one of one's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.harness import Daemon, Terminal, running_daemon


@pytest.fixture(scope="session")
def shared_daemon() -> Iterator[Daemon]:
    """One daemon for the whole run; at its end nothing may be left of it."""
    with running_daemon() as daemon:
        yield daemon


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Iterator[Daemon]:
    """The shared daemon, without containers afterwards; what it answered was as its description says."""
    yield shared_daemon
    for container in shared_daemon.json("GET", "/containers/json?all=1"):
        shared_daemon.request("DELETE", f"/containers/{container['Id']}?force=1")
    shared_daemon.contract.check()


@pytest.fixture
def terminal(daemon: Daemon) -> Iterator[object]:
    """Start a docker command in front of a terminal: ``terminal("run", "-it", …)``."""
    opened: list[Terminal] = []

    def start(*arguments: str, rows: int = 24, columns: int = 80) -> Terminal:
        opened.append(Terminal(["docker", *arguments], daemon.environment, rows, columns))
        return opened[-1]

    yield start
    for item in opened:
        item.close()
