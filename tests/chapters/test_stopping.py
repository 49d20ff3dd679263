"""A demonstration that is stopped leaves the host as it was."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chapters.course import Chapter, chapters
from minidock.containers.steps.namespaces import cgroup_path
from minidock.kernel import cgroups, syscalls
from tests import cgroup_tree

pytestmark = pytest.mark.root
EACH = pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: str(chapter.number))


@pytest.fixture
def foster_parent() -> Iterator[None]:
    """What a demonstration leaves behind becomes our child, where we see it."""
    syscalls.set_child_subreaper()
    yield
    syscalls.set_child_subreaper(False)


@pytest.fixture
def directory() -> Iterator[Path]:
    """For temporary files. Short: the path of a unix socket has room for 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="minidock-stopped-") as name:
        yield Path(name)


def children() -> list[str]:
    """Our processes."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def running(chapter: Chapter, directory: Path) -> subprocess.Popen[bytes]:
    """The chapter's program, with a container that says ``on`` and waits."""
    return subprocess.Popen(
        [sys.executable, "-m", "chapters", "run", str(chapter.number), "--", "sh", "-c", "echo on; sleep 1000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(directory)},
        start_new_session=True,
    )


@EACH
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_container_that_runs(chapter: Chapter, number: signal.Signals, directory: Path, foster_parent: None) -> None:
    """^C is for all of the terminal's programs, SIGTERM for one: the container ends, and all that was made is gone."""
    before = children()
    process = running(chapter, directory)
    assert process.stdout is not None
    assert process.stdout.readline() == b"on\n"
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (output, process.returncode) == (b"", 128 + number), errors
    assert errors.endswith(f"\nchapters: stopped by {number.name}\n".encode())
    assert children() == before
    nothing_is_left_of(process.pid, directory)


def nothing_is_left_of(pid: int, directory: Path) -> None:
    """Files, mounts, cgroups, links, packet filters."""
    assert list(directory.iterdir()) == []
    assert str(directory) not in Path("/proc/self/mountinfo").read_text()
    assert not cgroups.at(cgroup_path("", f"chapter-{pid}")).exists
    assert [link for _, link in socket.if_nameindex() if str(pid) in link] == []
    assert str(pid) not in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout


def test_what_nobody_had_noted(directory: Path, foster_parent: None) -> None:
    """A process, its own child, and a file go, though no code of the block cares for them; a second signal waits."""
    before = children()
    script = """
import os, signal, subprocess, tempfile
from chapters.stopping import clean_end
with clean_end():
    subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!; exec sleep 1000"])
    tempfile.mkdtemp()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env=os.environ | {"TMPDIR": str(directory)}, timeout=30
    )
    assert b"Stopped: SIGTERM" in done.stderr
    assert children() == before
    assert list(directory.iterdir()) == []


@EACH
@pytest.mark.parametrize("seconds", [None, 0.7])
def test_killed(chapter: Chapter, seconds: float | None, directory: Path, foster_parent: None) -> None:
    """SIGKILL, while the container runs or somewhere on the way to it: the next demonstration takes all away."""
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = children(), forwarding.read_text()
    process = running(chapter, directory)
    assert process.stdout is not None
    if seconds is None:
        assert process.stdout.readline() == b"on\n"
    else:
        time.sleep(seconds)
    process.kill()
    process.wait()
    left = list(directory.iterdir())
    containers = {path.name for path in directory.rglob("data/containers/*")}  # of chapter 6's daemon
    following = [sys.executable, "-m", "chapters", "run", "1", "--", "true"]
    done = subprocess.run(
        following, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(directory)}, timeout=60
    )
    words = f"chapters: taking away what was left when process {process.pid} was killed\n" if left else ""
    assert (done.returncode, done.stderr) == (0, words)
    reap(before[0])
    assert (children(), forwarding.read_text()) == before
    assert [path for path in cgroup_tree.directories() if path.name in containers] == []
    nothing_is_left_of(process.pid, directory)
    process.communicate()


def test_what_is_not_a_demonstrations(directory: Path) -> None:
    """A directory of that name that another user has made stays; who merely sees a mount below one, as all of the
    host's processes would, is not ended with it."""
    name = "minidock-chapter-99999999"  # more than any pid
    theirs, ours = directory / f"{name}-theirs", directory / f"{name}-ours"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    (ours / "below").mkdir(parents=True)
    script = f"mount -t tmpfs tmpfs {ours}/below; echo mounted; exec sleep 1000"
    with subprocess.Popen(["unshare", "--mount", "sh", "-ec", script], stdout=subprocess.PIPE) as witness:
        assert witness.stdout is not None and witness.stdout.readline() == b"mounted\n"
        command = [sys.executable, "-c", "from chapters.sweeping import sweep; sweep()"]
        subprocess.run(command, env=os.environ | {"TMPDIR": str(directory)}, check=True)
        assert list(directory.iterdir()) == [theirs]
        assert witness.poll() is None
        witness.kill()


def reap(known: list[str]) -> None:
    """What was orphaned and has ended was ours to wait for."""
    for pid in set(children()) - set(known):
        if "\nState:\tZ" in Path("/proc", pid, "status").read_text():
            os.waitpid(int(pid), 0)
