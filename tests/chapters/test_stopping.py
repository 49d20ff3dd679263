"""A demonstration that is stopped leaves the host as it was."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chapters.course import Chapter, chapters
from minidock.containers.steps.namespaces import cgroup_path
from minidock.kernel import cgroups, syscalls

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


@EACH
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_container_that_runs(chapter: Chapter, number: signal.Signals, directory: Path, foster_parent: None) -> None:
    """^C is for all of the terminal's programs, SIGTERM for one: the container ends, and all that was made is gone."""
    before = children()
    command = [sys.executable, "-m", "chapters", "run", str(chapter.number), "--", "sh", "-c", "echo on; sleep 1000"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(directory)},
        start_new_session=True,
    )
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
    assert list(directory.iterdir()) == []
    assert str(directory) not in Path("/proc/self/mountinfo").read_text()
    assert not cgroups.at(cgroup_path("", f"chapter-{process.pid}")).exists
    assert [link for _, link in socket.if_nameindex() if str(process.pid) in link] == []
    assert str(process.pid) not in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout


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
