"""Builds that end badly: the daemon killed at any moment, the client gone, hostile. Nothing stays behind."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.daemon.main import MOST_THREADS
from minidock.images.archive import CHARACTER, HARDLINK, Entry
from tests.archives import archive, directory, file, symlink
from tests.engine.build_contexts import Builder, assert_nothing_left, context
from tests.engine.harness import PATIENCE, Daemon, running_daemon, wait_for

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon of this module's own: it is killed."""
    with running_daemon() as running:
        yield running


LONG = """FROM tiny AS one
COPY . /c
RUN echo marked; sleep 1000
FROM tiny AS two
RUN --mount=type=cache,target=/k head -c 300000 /dev/urandom > /f; echo marked; sleep 1000
FROM tiny
COPY --from=one /c /c
COPY --from=two /f /f
"""


def stream(daemon: Daemon, body: bytes) -> socket.socket:
    """A build that goes on as long as the connection is open."""
    connection = daemon.connection()
    head = f"POST /v1.44/build?t=never HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def read_until(connection: socket.socket, words: bytes, times: int = 1) -> bytes:
    """Read until the words came so often."""
    data = b""
    while data.count(words) < times:
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data


def is_clean(daemon: Daemon) -> bool:
    """No container, no directory of a build, no image but ``tiny``."""
    assert_nothing_left(daemon)
    assert [image["RepoTags"] for image in daemon.json("GET", "/images/json?all=1")] == [["tiny:latest"]]
    bundles = list(daemon.root.glob("data/containers/*")) + list(daemon.root.glob("exec/containers/*"))
    assert bundles == []
    with sqlite3.connect(f"file:{daemon.root}/data/minidock.db?mode=ro", uri=True) as database:
        assert database.execute("select count(*) from snapshots").fetchone() == (0,)
    return True


def test_a_client_that_goes_ends_its_build(daemon: Daemon) -> None:
    """^C while two stages run: their programs are killed, their containers and files are gone; the cache is kept."""
    connection = stream(daemon, context(LONG, f="x"))
    # Only the first stage's text is shown while it runs; both have their container then.
    read_until(connection, b"marked\\n")
    wait_for(lambda: len(daemon.json("GET", "/containers/json")) == 2, "both steps to run")
    connection.close()
    wait_for(lambda: daemon.json("GET", "/containers/json?all=1") == [], "the containers to go")
    wait_for(lambda: not list(daemon.root.glob("data/builds/*")), "the build's directory to go")
    assert is_clean(daemon)
    assert Builder(daemon).build("FROM tiny AS one\nCOPY . /c", {"f": "x"}).image
    daemon.json("POST", "/build/prune?all=1")
    daemon.ok("image", "prune", "-f")


def test_a_context_that_never_ends(daemon: Daemon) -> None:
    """The client dies while it sends: the daemon notices, and keeps nothing."""
    connection = daemon.connection()
    body = context("FROM tiny", big="x" * 100_000)
    head = f"POST /v1.44/build HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) * 9}\r\n\r\n"
    connection.sendall(head.encode() + body[:60_000])
    wait_for(lambda: list(daemon.root.glob("data/builds/*/context")), "the build to begin")
    connection.close()
    wait_for(lambda: not list(daemon.root.glob("data/builds/*")), "the build's directory to go")
    assert is_clean(daemon)


def test_many_contexts_that_come_slowly(daemon: Daemon) -> None:
    """More clients than the daemon has threads have sent half of a context: they hold up nobody else."""
    body = context("FROM tiny", big="x" * 1000)
    head = f"POST /v1.44/build HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    slow = [daemon.connection() for _ in range(MOST_THREADS + 6)]
    for connection in slow:
        connection.sendall(head + body[:700])
    wait_for(lambda: len(list(daemon.root.glob("data/builds/*"))) == len(slow), "all builds to begin")
    assert daemon.ok("run", "--rm", "--network=none", "tiny", "echo", "alive") == "alive"
    for connection in slow:
        connection.close()
    wait_for(lambda: not list(daemon.root.glob("data/builds/*")), "the builds' directories to go")
    assert is_clean(daemon)


@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.5])
def test_kill_at_any_moment(daemon: Daemon, after: float) -> None:
    """SIGKILL while a context comes, while files are copied, while programs run: the next daemon sweeps it all."""
    body = context(LONG, **{f"d__f{number}": "x" * 5000 for number in range(200)})
    connection = stream(daemon, body)
    wait_for(lambda: list(daemon.root.glob("data/builds/*")), "the build to begin")
    if after == 0.5:
        read_until(connection, b"marked\\n")
    else:
        time.sleep(after)  # no event: at any moment
    daemon.kill()
    connection.close()
    daemon.start()
    assert is_clean(daemon)
    built = Builder(daemon).build("FROM tiny\nCOPY d /d\nRUN ls /d | wc -l", {"d__f": "x"})
    assert "\n1\n" in built.text
    daemon.json("POST", "/build/prune?all=1")
    daemon.ok("image", "prune", "-f")
    assert "Traceback" not in daemon.log.split("ready:")[-1]


# ------------------------------------------------------------------------------------------------ hostile builds


@pytest.fixture
def canary(daemon: Daemon) -> Iterator[Path]:
    """A directory of the host that no build may touch."""
    place = daemon.root / "canary"
    place.mkdir()
    (place / "file").write_text("untouched")
    yield place
    assert [path.name for path in place.iterdir()] == ["file"]
    assert (place / "file").read_text() == "untouched"
    (place / "file").unlink()
    place.rmdir()
    assert daemon.request("GET", "/_ping") == (200, b"OK")
    Builder(daemon).daemon.json("POST", "/build/prune?all=1")
    daemon.ok("image", "prune", "-f")
    assert is_clean(daemon)


UPS = ["", "/.." * 20, "../../../.."]
"""What makes a link to the canary absolute, or lead above the root."""


@pytest.mark.parametrize(
    ("step", "up"),
    [
        ("COPY f /p/new", UPS[0]),
        ("COPY d /p/", UPS[1]),
        ("COPY --link f /p/new", UPS[0]),
        ("COPY --chown=1:1 --chmod=777 d /p", UPS[2]),
        ("ADD ball.tar /p/", UPS[0]),
        ("ADD ball.tar /p/", UPS[1]),
        ("ADD --unpack=false ball.tar /p/new", UPS[2]),
        ("WORKDIR /p/new", UPS[0]),
        ("WORKDIR /p/new", UPS[1]),
        ("RUN --mount=type=cache,target=/p/new true", UPS[0]),
        ("RUN --mount=type=bind,source=f,target=/p/new true", UPS[1]),
        ("RUN --mount=type=tmpfs,target=/p/a/b true", UPS[2]),
    ],
)
def test_a_directory_that_becomes_a_link(daemon: Daemon, canary: Path, step: str, up: str) -> None:
    """CVE-2024-23651 and kin: RUN puts a link where the next step will go. It ends in the image, or it is refused.

    The image has a directory of the canary's name, too: that is where it may go.
    """
    ball = archive([file("file", b"bad"), symlink("l", str(canary)), file("l/file", b"bad"), file("new", b"bad")])
    items = [file("f", b"bad"), directory("d"), file("d/file", b"bad"), file("ball.tar", ball)]
    text = f"FROM tiny\nRUN mkdir -p {canary} && ln -s {up}{canary} /p\n{step}"
    seen = f"{text}\nRUN echo in the image: $(ls {canary})" if step.startswith(("ADD", "WORKDIR", "COPY")) else text
    built = Builder(daemon).post(archive([file("Dockerfile", seen.encode()), *items]))
    if "--link" in step:
        # What is linked is copied into nothing, where no link is: then it hides the one below.
        assert "\nin the image:\n" in built.text
    elif seen != text:
        assert re.search("in the image: .*(new|file)", built.text), built.error
    else:
        assert built.image
    # And where the image has no such directory.
    nowhere = text.replace(f"mkdir -p {canary} && ", "")
    built = Builder(daemon).post(archive([file("Dockerfile", nowhere.encode()), *items]))
    assert "\n" not in built.error


def test_bind_mounts_of_links(daemon: Daemon, canary: Path) -> None:
    """CVE-2024-23651: a bind's source is a link in the context, in a stage, in a cache: never the host's."""
    body = archive(
        [
            file("Dockerfile", b"FROM tiny\nRUN --mount=type=bind,rw,source=out,target=/m touch /m/bad\n"),
            symlink("out", str(canary)),
        ]
    )
    assert "file does not exist" in Builder(daemon).post(body).error
    text = (
        f"FROM tiny AS a\nRUN ln -s {canary} /out\nFROM tiny\nRUN --mount=from=a,source=/out,rw,target=/m touch /m/bad"
    )
    assert "file does not exist" in Builder(daemon).post(context(text)).error
    text = f"FROM tiny\nRUN --mount=type=cache,target=/c,id=l ln -s {canary} /c/out\n"
    text += "RUN --mount=type=cache,target=/c,id=l touch /c/out/bad || true\nCOPY f /c/out/"
    assert Builder(daemon).post(context(text, f="x")).image


def test_what_stood_below_a_mount_is_not_looked_for_on_the_host(daemon: Daemon, canary: Path) -> None:
    """CVE-2024-23652: the program puts a link where the mount's empty directory was, which is removed afterwards."""
    (canary / "empty").mkdir()
    (canary / "nothing").touch()
    text = f"""FROM tiny
        RUN --mount=type=cache,target=/a/empty mv /a /b && ln -s {canary} /a
        RUN --mount=type=bind,source=f,target=/c/nothing mv /c /d && ln -s {canary} /c
        RUN readlink /a; readlink /c; ls -d /b /d
        """
    assert f"\n{canary}\n{canary}\n/b\n/d\n" in Builder(daemon).build(text, {"f": "x"}).text
    (canary / "empty").rmdir()
    (canary / "nothing").unlink()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "../../../../etc/passwd", "link", "dir", "fifo"])
def test_dockerfiles_from_elsewhere(daemon: Daemon, canary: Path, name: str) -> None:
    """``-f ../x``, an absolute path, a link to the host, a directory: one clear error."""
    body = archive([symlink("link", str(canary / "file")), directory("dir"), file("x", b"FROM tiny")])
    query = name.replace("/", "%2F")
    answer = daemon.request("POST", f"/v1.44/build?dockerfile={query}", body)[1].decode()
    # For a build the context is the whole world: "../x" is its own x.
    assert ("Successfully built" in answer) == (name == "../x")
    assert "Cannot locate specified Dockerfile" in answer or "is no file" in answer or name == "../x"
    assert "root:" not in answer and "untouched" not in answer


def test_contexts_that_climb(daemon: Daemon, canary: Path) -> None:
    """Names with ``..``, through links, devices, hard links to the host: refused, or kept inside."""
    head = file("Dockerfile", b"FROM tiny\nCOPY . /c\n")
    for items in (
        [file("../" * 20 + str(canary / "new").lstrip("/"), b"bad")],
        [symlink("l", str(canary)), file("l/new", b"bad")],
        [(Entry("h", HARDLINK, link=str(canary / "file")), b""), file("h", b"bad")],
        [(Entry("dev", CHARACTER, major=1, minor=3), b"")],
    ):
        built = Builder(daemon).post(archive([head, *items]))
        assert (built.error and "\n" not in built.error) or built.image
    deep = "/".join(["d"] * 1100)
    built = Builder(daemon).post(archive([head, file(f"{deep}/f", b"x")]))
    assert built.error or built.image


def test_a_flood_of_output_is_held_back(daemon: Daemon, canary: Path) -> None:
    """A client that does not read: the program waits, the daemon's memory stays small and it answers others."""
    connection = stream(daemon, context("FROM tiny\nRUN yes | head -c 300000000; echo over"))
    read_until(connection, b"Running in")
    resident = []
    for _ in range(20):
        assert daemon.request("GET", "/_ping")[0] == 200
        resident.append(int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1]) * 4096)
        time.sleep(0.1)
    assert max(resident) < 400_000_000
    connection.close()
    wait_for(lambda: daemon.json("GET", "/containers/json?all=1") == [], "the container to go")
    wait_for(lambda: not list(daemon.root.glob("data/builds/*")), "the build's directory to go")


def test_many_builds_at_once(daemon: Daemon, canary: Path) -> None:
    """Eight clients build the same and different things: all succeed, equal input gives equal images."""
    answers: list[str] = []

    def work(number: int) -> None:
        built = Builder(daemon).post(context(f"FROM tiny\nCOPY f /f\nRUN echo {number % 2} > /x", f="x"))
        answers.append(built.image if not built.error else json.dumps(built.lines))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 2)
    assert len(answers) == 8 and all(answer.startswith("sha256:") for answer in answers), answers
