"""Requests and containers that try to keep everybody else from being served."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.engine.harness import Daemon, running_daemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon of this module's own."""
    with running_daemon() as made:
        yield made


def answers(daemon: Daemon) -> bool:
    """Whether it answers within a second."""
    start = time.monotonic()
    return daemon.request("GET", "/_ping")[0] == 200 and time.monotonic() - start < 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["name", "id", "reference"])
def test_a_filter_cannot_hold_the_daemon(daemon: Daemon, name: str) -> None:
    """A regular expression or shell pattern that makes Python's re try 2**n ways is as quick as any."""
    daemon.ok("tag", "tiny", "a" * 100)
    daemon.ok("create", "--name", "a" * 100, "tiny", "true")
    pattern = "*a" * 30 + "b" if name == "reference" else "([0-9a-f]*)*x"
    where = "images" if name == "reference" else "containers"
    filters = quote(json.dumps({name: [pattern]}))
    assert daemon.json("GET", f"/{where}/json?all=1&filters={filters}") == []
    assert answers(daemon)
    daemon.ok("rm", "a" * 100)
