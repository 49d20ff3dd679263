"""Requests and containers that try to keep everybody else from being served."""

from __future__ import annotations

import gzip
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
import zstandard

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


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_bomb_holds_nobody_up(daemon: Daemon, pack: Callable[[bytes], bytes]) -> None:
    """A gigabyte and a half of zeros, packed: the import is refused, others are served meanwhile, nothing is left."""
    before = files(daemon)
    size = 3 << 29
    header = tarfile.TarInfo("zeros")
    header.size = size
    piece = pack(bytes(1 << 24))
    packed = pack(header.tobuf()) + piece * (size >> 24) + pack(bytes(1024))
    with ThreadPoolExecutor(1) as pool:
        imported = pool.submit(daemon.request, "POST", "/images/create?fromSrc=-&repo=bomb", packed)
        while not imported.done():
            assert answers(daemon)
    assert b"bytes when unpacked: refused" in imported.result()[1]
    assert daemon.json("GET", "/images/json?filters=" + quote('{"reference": ["bomb"]}')) == []
    assert files(daemon) == before


def files(daemon: Daemon) -> set[Path]:
    """What lies in the store of images and layers."""
    return {path for name in ("ingest", "layers", "images") for path in (daemon.root / "data" / name).glob("**/*")}
