"""What builds keep: how much room it takes, what prune takes away, and what the daemon itself takes away."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from minidock.content.disk import tree_size
from tests.engine.build_contexts import Builder
from tests.engine.harness import running_daemon, wait_for

pytestmark = pytest.mark.root

RANDOM = "head -c 100000 /dev/urandom > /made"
"""Makes a layer of 100,000 bytes, which cannot be packed: it takes 200,000 and a bit."""
ROOM = range(200_000, 203_000)


@pytest.fixture(scope="module")
def module_builder() -> Iterator[Builder]:
    """A daemon of this module's own."""
    with running_daemon() as daemon:
        yield Builder(daemon)


@pytest.fixture
def builder(module_builder: Builder) -> Builder:
    """The same, with nothing kept."""
    module_builder.daemon.json("POST", "/build/prune?all=1")
    return module_builder


def kept(builder: Builder) -> list[dict[str, Any]]:
    """What ``system df`` tells of the build cache, the latest first."""
    return list(builder.daemon.json("GET", "/system/df?type=build-cache")["BuildCache"])


def own_size(builder: Builder) -> int:
    """The bytes that Docker's client adds up: what no image has too."""
    return sum(item["Size"] for item in kept(builder) if not item["Shared"])


def steps(builder: Builder) -> list[str]:
    """What was kept, by the last word of each instruction; the latest first."""
    return [item["Description"].split()[-1] for item in kept(builder)]


def build(builder: Builder, *names: str) -> int:
    """One step of 200 kB for each name, of which no image stays: how many came from the cache."""
    cached = sum(builder.build(f"FROM tiny\nRUN {RANDOM} # {name}", t=f"{name}:gone").cached for name in names)
    builder.daemon.ok("rmi", *(f"{name}:gone" for name in names))
    return cached


def test_the_size_is_what_is_on_the_disk(builder: Builder) -> None:
    """Files and blobs and cache directories; a layer that two steps have made counts once, an image's not at all."""
    places = [builder.daemon.root / "data" / name for name in ("layers", "images/blobs", "build-cache")]

    def on_disk() -> int:
        return sum(tree_size(place) for place in places if place.exists())

    builder.run("tiny", "true")  # its layers have got their short names
    before = on_disk()
    big: dict[str, str | bytes] = {"big": bytes(range(256)) * 400}
    builder.build("FROM tiny\nCOPY --link big /big", big, t="one")
    builder.build("FROM tiny\nENV A=1\nCOPY --link big /big", big, t="two")
    builder.build("FROM two\nRUN --mount=type=cache,target=/c cp /big /c/", t="three")
    assert own_size(builder) == 256 * 400 and len(kept(builder)) == 5
    builder.daemon.ok("rmi", "one", "two", "three")
    size = own_size(builder)
    assert size == builder.daemon.json("GET", "/system/df")["BuilderSize"] > 2 * 256 * 400
    # Beside what counts there are, for each layer, a short name and a note of its size.
    assert size <= on_disk() - before < size + 300
    freed = builder.daemon.json("POST", "/build/prune?all=1")["SpaceReclaimed"]
    assert (freed, own_size(builder), on_disk()) == (size, 0, before)


def test_an_image_s_steps_are_shared(builder: Builder) -> None:
    """They take no room of the cache's own, and go only with --all."""
    builder.build(f"FROM tiny\nRUN {RANDOM} # shared", t="image")
    (item,) = kept(builder)
    assert item["Shared"] and item["Size"] in ROOM and own_size(builder) == 0
    assert builder.daemon.ok("builder", "prune", "-f") == "Total reclaimed space: 0B"
    assert steps(builder) == ["shared"]
    told = builder.daemon.ok("builder", "prune", "-af")
    assert told == f"Deleted build cache objects:\n{item['ID']}\n\nTotal reclaimed space: 0B" and not kept(builder)
    builder.daemon.ok("rmi", "image")


def test_keep_storage(builder: Builder) -> None:
    """What was not used for longest goes first, until so much is left; a hit is a use."""
    build(builder, "one", "two", "three", "four")
    assert build(builder, "one") == 1
    assert steps(builder) == ["one", "four", "three", "two"]
    told = builder.daemon.ok("builder", "prune", "-f", "--keep-storage", "500kb")
    assert steps(builder) == ["one", "four"]
    assert told.count("\n") == 4 and "Total reclaimed space: 400" in told
    assert builder.daemon.json("POST", "/build/prune?keep-storage=500000")["CachesDeleted"] == []
    assert builder.daemon.json("POST", "/build/prune?keep-storage=1")["SpaceReclaimed"] in range(400_000, 406_000)


def test_filters(builder: Builder) -> None:
    """By age, id, kind, and whether an image has it; what cannot be meant is refused."""
    build(builder, "one", "two")
    builder.build("FROM tiny\nRUN --mount=type=cache,target=/c echo x > /c/f", t="other")
    directory = next(item for item in kept(builder) if item["Type"] == "exec.cachemount")
    for filter_ in ("until=1h", "unused-for=1h", "id=none", "shared=true", "private=false", "inuse=true"):
        assert builder.daemon.ok("builder", "prune", "-af", "--filter", filter_) == "Total reclaimed space: 0B"
    ours = [sys.executable, "-c", "from minidock.client.main import main; main()", "-H", builder.daemon.host]
    prune = ["builder", "prune", "-af", "--keep-storage=1", "--filter=until=1h", "--filter", "type=regular"]
    assert subprocess.run([*ours, *prune], capture_output=True).stdout == b"Total reclaimed space: 0B\n"
    table = subprocess.run([*ours, "system", "df", "-v"], capture_output=True, text=True).stdout
    assert "Build cache usage: 400" in table and re.search("exec.cachemount +2B ", table)
    two = next(item["ID"] for item in kept(builder) if item["Description"].endswith("two"))
    assert f"\n{two}\n\nTotal" in builder.daemon.ok("builder", "prune", "-f", "--filter", f"id={two}")
    told = builder.daemon.ok("builder", "prune", "-f", "--filter", "type=exec.cachemount", "--filter", "until=0s")
    assert told == f"Deleted build cache objects:\n{directory['ID']}\n\nTotal reclaimed space: 2B"
    assert len(kept(builder)) == 2
    assert builder.daemon.json("POST", "/build/prune?filters={%22until%22:[%220s%22]}")["SpaceReclaimed"] in ROOM
    for filters, words in (
        ("until=x", "invalid duration"),
        ("foo=1", "filter 'foo'"),
        ("id=1 id=2", "takes one value"),
    ):
        failed = builder.daemon.docker("builder", "prune", "-f", *(f"--filter={text}" for text in filters.split()))
        assert failed.returncode and words in failed.stderr


@pytest.fixture(scope="module")
def small() -> Iterator[Builder]:
    """A daemon whose builds may keep 500 kB."""
    with running_daemon() as daemon:
        daemon.stop()
        (daemon.root / "daemon.json").write_text('{"builder": {"gc": {"defaultKeepStorage": "500kB"}}}')
        daemon.start()
        yield Builder(daemon)


def test_builds_keep_no_more_than_they_may(small: Builder) -> None:
    """The oldest go until the rest fits: steps as well as directories, and nothing that an image has. That is looked
    at after a build, and when an image is removed whose steps are now the cache's alone."""
    small.build(f"FROM tiny\nRUN {RANDOM} # shared", t="image")
    small.build("FROM tiny\nRUN --mount=type=cache,target=/c head -c 300000 /dev/zero > /c/f # cache", t="other")
    assert steps(small) == ["cache", "--mount=type=cache", "shared"]
    build(small, "one", "two", "three")
    wait_for(lambda: own_size(small) <= 500 * 1024, "the oldest to go")
    assert steps(small) == ["three", "two", "shared"]
    assert build(small, "shared", "two", "three") == 3
    assert small.run("image", "wc", "-c", "/made") == "100000 /made"


def test_what_nobody_uses_goes_in_the_end(small: Builder) -> None:
    """After sixty days, even if there is room, and even if an image has it."""
    small.build(f"FROM tiny\nRUN {RANDOM} # old", t="image")
    long_ago = "update build_cache set used = used - 61 * 24 * 3600 * 1000000000 where told like '%# old'"
    with contextlib.closing(sqlite3.connect(small.daemon.root / "data/minidock.db")) as database, database:
        assert database.execute(long_ago).rowcount == 1
    build(small, "new")
    wait_for(lambda: "old" not in steps(small), "the old step to go")
    assert "new" in steps(small) and small.run("image", "wc", "-c", "/made") == "100000 /made"
