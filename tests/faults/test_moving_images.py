"""The daemon is killed, or the disk is full, while an image is committed, loaded or pushed: half an image is none."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from minidock.daemon.main import MOST_THREADS
from minidock.errors import NoSpace
from minidock.images.loading import load
from minidock.images.saving import choose, save
from minidock.kernel import syscalls
from minidock.oci.image import ContainerDefaults, History
from tests.archives import Machine, archive, file
from tests.engine.harness import PATIENCE, Daemon, running_daemon, wait_for
from tests.registries import debian_registry

pytestmark = pytest.mark.root

HERE = "127.0.0.1:5011"
WRITE = "dd if=/dev/urandom of=/large bs=1M count=20 2>/dev/null; for i in $(seq 100); do echo $i > /small-$i; done"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with an image of 20 MB, ``large``, and the container that it was made of."""
    with running_daemon() as found:
        found.ok("run", "--name", "made", "--network", "none", "tiny", "sh", "-c", WRITE)
        found.ok("commit", "made", "large")
        yield found


def state(daemon: Daemon) -> dict[str, list[str]]:
    """All that there is of images on the disk, but for the size of what SQLite keeps."""
    data = daemon.root / "data"
    places = {"blobs": data / "images/blobs/sha256", "layers": data / "layers", "ingest": data / "ingest"}
    found = {name: sorted(path.name for path in place.iterdir()) for name, place in places.items()}
    return found | {"images": sorted(daemon.ok("images", "--no-trunc", "-q").split())}


def give(client: subprocess.Popen[bytes], data: bytes) -> None:
    """Write a command's input, as far as it is read."""
    assert client.stdin is not None
    with suppress(BrokenPipeError), client.stdin:
        client.stdin.write(data)


def kill_when(daemon: Daemon, seen: Callable[[], object], *command: str, stdin: bytes = b"") -> None:
    """Kill the daemon as soon as something can be seen of what a command does; then start it again."""
    with subprocess.Popen(
        ["docker", *command],
        env=daemon.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as client:
        writer = threading.Thread(target=give, args=(client, stdin))
        writer.start()
        wait_for(seen, "a trace of the work")
        daemon.kill()
        client.wait()
        writer.join()
    daemon.start()


def growing(daemon: Daemon, pattern: str) -> Callable[[], object]:
    """Is there a file of this pattern below the data root, with something in it?"""

    def look() -> bool:
        return any(path.exists() and path.stat().st_size for path in (daemon.root / "data").glob(pattern))

    return look


STAGES = ["ingest/new.*", "layers/.tmp-*/fs/*"]


@pytest.mark.parametrize("stage", STAGES)
def test_killed_while_it_commits(daemon: Daemon, stage: str) -> None:
    """While the blob is written, and while it is unpacked: after the next start there is nothing of it; then retry."""
    daemon.ok("run", "--name", "other", "--network", "none", "tiny", "sh", "-c", WRITE)
    before = state(daemon)
    kill_when(daemon, growing(daemon, stage), "commit", "other", "again")
    assert state(daemon) == before
    daemon.ok("commit", "other", "again")
    daemon.ok("run", "--rm", "--network", "none", "again", "sh", "-c", "test -s /large -a -s /small-100")
    daemon.ok("rmi", "again")
    daemon.ok("rm", "other")
    assert state(daemon) == before


@pytest.mark.parametrize("stage", STAGES)
def test_killed_while_it_loads(daemon: Daemon, stage: str) -> None:
    """The same for an archive that is being loaded."""
    done = subprocess.run(["docker", "save", "large"], env=daemon.environment, capture_output=True, check=True)
    with_it = state(daemon)
    daemon.ok("rmi", "large")
    before = state(daemon)
    kill_when(daemon, growing(daemon, stage), "load", stdin=done.stdout)
    assert state(daemon) == before
    daemon.ok("load", input=done.stdout)
    assert state(daemon) == with_it


def test_many_who_send_and_read_slowly(daemon: Daemon) -> None:
    """More clients than the daemon has threads have sent half of an archive, or read nothing of one: they hold up
    nobody else, and what they brought goes with them."""
    daemon.ok("run", "-d", "--name", "runs", "--network=none", "--stop-signal=KILL", "large", "sleep", "1000")
    before, whole = state(daemon), daemon.request("GET", "/images/tiny/get")[1]
    threads = Path(f"/proc/{daemon.pid}/task")
    idle = len([*threads.iterdir()])
    half = f"Host: x\r\nContent-Length: {len(whole)}\r\n\r\n".encode() + whole[: len(whole) // 2]
    slow = [
        *many_of(daemon, b"POST /images/load HTTP/1.1\r\n" + half),
        *many_of(daemon, b"POST /images/create?fromSrc=- HTTP/1.1\r\n" + half),
        *many_of(daemon, b"GET /images/large/get HTTP/1.1\r\nHost: x\r\n\r\n"),
        *many_of(daemon, b"GET /containers/runs/export HTTP/1.1\r\nHost: x\r\n\r\n"),
    ]
    wait_for(lambda: len(state(daemon)["ingest"]) == len(slow) // 2, "all to have begun")
    for connection in slow[len(slow) // 2 :]:
        assert connection.recv(12) == b"HTTP/1.1 200"
    begin = time.monotonic()
    assert daemon.ok("run", "--rm", "--network=none", "tiny", "echo", "alive") == "alive"
    assert "large" in daemon.ok("images") and "runs" in daemon.ok("ps")
    assert daemon.ok("load", input=whole) == "Loaded image: tiny:latest"
    assert time.monotonic() - begin < PATIENCE / 2
    for connection in slow:
        connection.close()
    wait_for(lambda: state(daemon) == before, "the halves to go")
    wait_for(lambda: len([*threads.iterdir()]) < idle + MOST_THREADS, "the threads to end")
    daemon.ok("rm", "-f", "runs")


def many_of(daemon: Daemon, request: bytes) -> list[socket.socket]:
    """Connections on each of which this was said."""
    opened = [daemon.connection() for _ in range(MOST_THREADS + 6)]
    for connection in opened:
        connection.sendall(request)
    return opened


def test_killed_while_it_pushes(daemon: Daemon, tmp_path: Path) -> None:
    """The registry has no such name then; nothing has changed here; the second push succeeds."""
    with debian_registry(tmp_path, address=HERE, inside=daemon.inside()):
        daemon.ok("tag", "large", f"{HERE}/large")
        before = state(daemon)

        def uploading() -> bool:
            parts = tmp_path.glob("storage/docker/registry/v2/repositories/large/_uploads/*/data")
            return any(path.exists() and path.stat().st_size > 1_000_000 for path in parts)

        kill_when(daemon, uploading, "push", f"{HERE}/large")
        assert not list(tmp_path.glob("storage/docker/registry/v2/repositories/large/_manifests"))
        assert state(daemon) == before
        daemon.ok("push", f"{HERE}/large")
        daemon.ok("rmi", f"{HERE}/large")
        daemon.ok("pull", f"{HERE}/large")
        daemon.ok("rmi", f"{HERE}/large")


@pytest.mark.parametrize("stage", ["ingest/sha256-*", "layers/.tmp-*/fs/*"])
def test_killed_while_it_pulls(daemon: Daemon, tmp_path: Path, stage: str) -> None:
    """No half image is listed then; the second pull brings it, and nothing of the first stays."""
    with debian_registry(tmp_path, address=HERE, inside=daemon.inside()):
        daemon.ok("tag", "large", f"{HERE}/large")
        daemon.ok("push", f"{HERE}/large")
        daemon.ok("rmi", f"{HERE}/large")
        with_it = state(daemon)
        daemon.ok("rm", "made")
        daemon.ok("rmi", "large")
        images = state(daemon)["images"]
        kill_when(daemon, growing(daemon, stage), "pull", f"{HERE}/large")
        assert state(daemon)["images"] == images
        daemon.ok("pull", f"{HERE}/large")
        assert state(daemon)["ingest"] == []
        daemon.ok("tag", f"{HERE}/large", "large")
        daemon.ok("rmi", f"{HERE}/large")
        assert state(daemon)["layers"] == with_it["layers"]
        assert daemon.ok("run", "--name", "made", "--network", "none", "large", "cat", "/small-7") == "7"


def test_a_container_that_a_killed_commit_had_paused(daemon: Daemon) -> None:
    """It goes on after the restart; one that a user has paused still stands."""
    daemon.ok("run", "-d", "--name", "busy", "--network", "none", "tiny", "sh", "-c", f"{WRITE}; sleep 1000")
    bundle = daemon.root / "data/containers" / daemon.inspect("busy")["Id"]
    wait_for((bundle / "upper/small-100").exists, "its files")
    daemon.ok("run", "-d", "--name", "asleep", "--network", "none", "tiny", "sleep", "1000")
    daemon.ok("pause", "asleep")
    kill_when(daemon, growing(daemon, STAGES[0]), "commit", "busy")
    assert daemon.inspect("busy")["State"]["Status"] == "running"
    daemon.ok("exec", "busy", "true")
    assert daemon.inspect("asleep")["State"]["Status"] == "paused"
    daemon.ok("pause", "busy")
    daemon.ok("commit", "busy")  # of what stands still already: it does not go on
    assert daemon.inspect("busy")["State"]["Status"] == "paused"
    daemon.ok("rm", "-f", "busy", "asleep")
    daemon.ok("image", "prune", "-f")


# ---------------------------------------------------------------------------------------------------- a full disk


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Machine]:
    """A machine whose data root is a file system of 6 MB."""
    (tmp_path / "small").mkdir()
    syscalls.mount("tmpfs", tmp_path / "small", "tmpfs", 0, "size=6m")
    found = Machine(tmp_path / "small")
    try:
        yield found
    finally:
        found.close()
        syscalls.umount2(tmp_path / "small", syscalls.MNT_DETACH)


def nothing_is_left(machine: Machine) -> bool:
    """No image, and nothing that would become one."""
    rest = machine.blobs() | machine.layer_names() | {path.name for path in machine.on_the_way()}
    return not rest and machine.images.all() == []


@pytest.mark.parametrize("size", [4_000_000, 8_000_000], ids=["unpacking", "packing"])
def test_a_commit_on_a_full_disk(small: Machine, tmp_path: Path, size: int) -> None:
    """Whether the blob or its files find no room: a clear error, and the room is there again."""
    (tmp_path / "upper").mkdir()
    (tmp_path / "upper" / "large").write_bytes(os.urandom(size))
    with pytest.raises(NoSpace, match="no space left on device"), small.images.bringing():
        small.images.layer_from(tmp_path / "upper")
    assert nothing_is_left(small)
    (tmp_path / "upper" / "large").write_bytes(b"small")
    with small.images.bringing():
        layer = small.images.layer_from(tmp_path / "upper")
        assert layer is not None
        small.images.derive(None, [layer], ContainerDefaults(), [History(created="2024-01-01T00:00:00Z")])
    assert len(small.images.all()) == 1


@pytest.mark.parametrize("size", [4_000_000, 8_000_000], ids=["unpacking", "storing"])
def test_a_load_on_a_full_disk(small: Machine, tmp_path: Path, size: int) -> None:
    """The same for an archive of two images, of which the second is too large: neither is there."""
    other = Machine(tmp_path / "other")
    other.add("good", archive([file("good", b"1")]))
    other.add("large", archive([file("large", os.urandom(size))]))
    parts: list[bytes] = []
    save(other.images.content, choose(other.images, ["good", "large"]), parts.append)
    with pytest.raises(NoSpace, match="no space left on device"):
        load(small.images, io.BytesIO(b"".join(parts)))
    assert nothing_is_left(small)
    parts.clear()
    save(other.images.content, choose(other.images, ["good"]), parts.append)
    assert load(small.images, io.BytesIO(b"".join(parts)))[0].image.tags == ["good:latest"]
    other.close()
