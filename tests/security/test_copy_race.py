"""CVE-2018-15664: while a file is copied, the container exchanges a directory for a link that leads to the host."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.harness import Daemon, running_daemon
from tests.security.test_runtime_roots import renaming

pytestmark = pytest.mark.root

TIMES = 60


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon of this module's own."""
    with running_daemon() as made:
        yield made


def archive(name: str, data: bytes) -> bytes:
    """One file as an archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as opened:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        opened.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("running", [True, False])
def test_nothing_of_the_host_is_read_or_written(daemon: Daemon, tmp_path: Path, running: bool) -> None:
    """A few hundred copies each way into a directory that is a link half of the time: the canary stays as it was."""
    volume, canary = tmp_path / "volume", tmp_path / "canary"
    (volume / "a").mkdir(parents=True)
    canary.mkdir()
    (canary / "file").write_text("the host's secret")
    (volume / "a/file").write_text("the container's")
    # By the host's view the link leads to the canary, by the container's to nothing.
    (volume / "b").symlink_to("../" * 12 + str(canary).lstrip("/"))
    name = f"racer{running}"
    words = ("-d",) if running else ("--entrypoint", "true")
    daemon.ok("run", *words, "--name", name, "-v", f"{volume}:/v", "tiny", "sleep", "1000")
    answers = set()
    with renaming(volume, "a", "b"):
        for number in range(TIMES):
            for path in ("/v/a/file", "/v/a/", "/v/a/."):
                status, body = daemon.request("GET", f"/containers/{name}/archive?path={path}")
                assert b"the host's secret" not in body
                answers.add(("out", status))
            changed = archive("file" if number % 2 else f"new{number}", b"the container's")
            status, _ = daemon.request("PUT", f"/containers/{name}/archive?path=/v/a", changed)
            answers.add(("in", status))
            deep = archive("a/file", b"the container's")
            daemon.request("PUT", f"/containers/{name}/archive?path=/v", deep)
    assert [path.name for path in canary.iterdir()] == ["file"]
    assert (canary / "file").read_text() == "the host's secret"
    # Both kinds of moments were hit: a directory stood there, and a link.
    assert answers >= {("out", 200), ("out", 404), ("in", 200), ("in", 404)}, answers
    daemon.ok("rm", "-f", name)


def test_magic_links_lead_nowhere(daemon: Daemon) -> None:
    """With the host's pids, /proc/1/root is the host's root: a link to it is not followed."""
    daemon.ok(
        "run", "-d", "--name", "peeker", "--pid", "host", "tiny", "sh", "-c", "ln -s /proc/1/root /out; sleep 1000"
    )
    daemon.ok("exec", "peeker", "sh", "-c", "until [ -L /out ]; do :; done")
    for path in ("/out/", "/out/etc/hostname", "/proc/1/root/etc/hostname", "/proc/self/root/etc/hostname"):
        assert daemon.request("GET", f"/containers/peeker/archive?path={path}")[0] == 404
    assert daemon.request("PUT", "/containers/peeker/archive?path=/out", archive("x", b"x"))[0] == 404
    daemon.ok("rm", "-f", "peeker")


def test_what_a_container_planted_is_not_run(daemon: Daemon) -> None:
    """CVE-2019-14271: hostile modules and libraries where a helper inside might look; copying loads none of them."""
    script = """
    for d in / /usr/lib/python3 /usr/lib/python3/encodings /etc; do mkdir -p $d
    for f in encodings sitecustomize grp pwd tarfile; do echo 'open("/loaded", "w")' > $d/$f.py; done; done
    echo garbage > /etc/nsswitch.conf; exec sleep 1000
    """
    daemon.ok("run", "-d", "--name", "planter", "-u", "root", "tiny", "sh", "-c", script)
    daemon.ok("exec", "planter", "sh", "-c", "until [ -s /etc/nsswitch.conf ]; do :; done")
    for url in ("archive?path=/tmp&copyUIDGID=1", "archive?path=/tmp"):
        assert daemon.request("PUT", f"/containers/planter/{url}", archive("x", b"x"))[0] == 200
    assert daemon.request("GET", "/containers/planter/export")[0] == 200
    assert daemon.request("HEAD", "/containers/planter/archive?path=/loaded")[0] == 404
    daemon.ok("rm", "-f", "planter")
