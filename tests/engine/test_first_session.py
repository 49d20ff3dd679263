"""README.md's first session, on this machine: with the daemon that the client starts, at the default places."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import first_session

pytestmark = pytest.mark.root

# The default places are this machine's own, and may be in use: the session has others in their stead.
PLACES = ("/run", "/var/lib", "/var/log")


@pytest.fixture
def shell() -> Iterator[list[str]]:
    """What runs a command on a machine with these places empty and a network of its own."""
    script = "".join(f"mount -t tmpfs tmpfs {place}; " for place in PLACES) + "ip link set lo up; echo; exec cat"
    alone = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec", script]
    with subprocess.Popen(alone, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        first = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().strip()
        yield ["nsenter", f"--target={first}", "--mount", "--net", "--pid", "bash", "-c"]
        process.kill()


def test_the_first_session_of_the_readme(shell: list[str]) -> None:
    """Each command prints what README.md shows."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(command: str) -> str:
        done = subprocess.run(
            [*shell, command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        return done.stdout.decode()

    first_session.replay(run)
    assert run("ls /run/minidock.sock") != "/run/minidock.sock\n"
