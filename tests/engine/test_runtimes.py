"""``--runtime``: runc and crun in our own runtime's place, named in daemon.json; all else stays as it is."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.harness import Daemon, Terminal, running_daemon, wait_for

pytestmark = pytest.mark.root

# crun refuses hybrid hosts whose version 2 tree has a controller.
UNIFIED = Path("/sys/fs/cgroup/unified/cgroup.controllers")
NAMES = ("runc",) if UNIFIED.exists() and UNIFIED.read_text().strip() else ("runc", "crun")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon that knows both, and one that is not there."""
    found = {name: {"path": shutil.which(name) or name} for name in NAMES} | {"ghost": {"path": "/nonsense"}}
    with running_daemon() as daemon:
        daemon.kill()
        (daemon.root / "daemon.json").write_text(json.dumps({"runtimes": found}))
        daemon.start()
        yield daemon


@pytest.mark.parametrize("name", NAMES)
def test_a_container_s_life(daemon: Daemon, name: str) -> None:
    """Output, input, exit code, user by name, network, limits, exec, kill, log, removal."""
    run = ("run", "--runtime", name)
    assert daemon.ok(*run, "--rm", "-i", "tiny", "cat", input=b"through") == "through"
    assert daemon.docker(*run, "--rm", "tiny", "sh", "-c", "exit 23").returncode == 23
    container = daemon.ok(*run, "-d", "-m", "64m", "-u", "nobody", "tiny", "sh", "-c", "id -u; sleep 1000")
    assert daemon.inspect(container)["HostConfig"]["Runtime"] == name
    wait_for(lambda: daemon.ok("logs", container), "its output")
    user = daemon.ok("logs", container)
    assert user.isdecimal() and user != "0"
    assert (
        daemon.ok("exec", container, "id", "-u") == user and daemon.ok("exec", "-u", "0", container, "id", "-u") == "0"
    )
    assert daemon.docker("exec", container, "sh", "-c", "exit 7").returncode == 7
    address = daemon.inspect(container)["NetworkSettings"]["IPAddress"]
    assert address in daemon.ok("exec", container, "cat", "/etc/hosts")
    limit = daemon.json("GET", f"/containers/{container}/stats?stream=0&one-shot=1")["memory_stats"]["limit"]
    assert limit == 64 << 20
    daemon.ok("kill", container)
    assert daemon.ok("wait", container) == "137"
    daemon.ok("rm", container)


@pytest.mark.parametrize("name", NAMES)
def test_a_terminal(daemon: Daemon, name: str) -> None:
    """The program's; its size arrives, from an older client only after the start."""
    script = "until stty size 2>&1 | grep '33 77'; do sleep 0.1; done; read x; echo got $x"
    command = ["docker", "run", "--runtime", name, "--rm", "-it", "tiny", "sh", "-c", script]
    terminal = Terminal(command, daemon.environment, rows=33, columns=77)
    terminal.expect("33 77")
    terminal.type("typed\r")
    terminal.expect("got typed")
    assert terminal.wait() == 0
    terminal.close()


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_run(daemon: Daemon, name: str) -> None:
    """Docker's exit codes, and nothing is left behind (the fixture looks)."""
    done = daemon.docker("run", "--rm", "--runtime", name, "tiny", "/nonsense")
    assert done.returncode == 127, done.stderr
    assert daemon.docker("run", "--rm", "--runtime", name, "tiny", "/etc/hostname").returncode == 126


@pytest.mark.parametrize("name", NAMES)
def test_through_a_crash_of_the_daemon(daemon: Daemon, name: str) -> None:
    """It runs on, is known again, and can be stopped."""
    container = daemon.ok("run", "--runtime", name, "-d", "tiny", "sleep", "1000")
    daemon.kill()
    daemon.start()
    assert daemon.inspect(container)["State"]["Running"] and daemon.ok("exec", container, "echo", "yes") == "yes"
    daemon.ok("stop", "-t", "0", container)
    listed = subprocess.run([name, "--root", f"{daemon.root}/exec/oci", "list", "-q"], capture_output=True, text=True)
    assert container not in listed.stdout
    daemon.ok("start", container)
    daemon.ok("rm", "-f", container)


def test_runtimes_that_are_none(daemon: Daemon) -> None:
    """Unknown, or known but not there; info shows what there is."""
    assert "unknown or invalid runtime name: x" in daemon.docker("run", "--runtime", "x", "tiny", "true").stderr
    assert "there is no program /nonsense" in daemon.docker("run", "--runtime", "ghost", "tiny", "true").stderr
    assert set(daemon.json("GET", "/info")["Runtimes"]) == {"minidock-runtime", "ghost", *NAMES}
