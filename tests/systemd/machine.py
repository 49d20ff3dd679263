"""Commands on a machine with systemd and minidock's units."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROOF = Path("/var/lib/proof")
"""Shared with containers; lives through the reboot."""
CONFIG = Path("/etc/minidock/daemon.json")
PATIENCE = 200.0


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run it, whatever comes of it."""
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)


def ok(*command: str) -> str:
    """The output of a command that has to succeed."""
    done = run(*command)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}\n{journal()}"
    return done.stdout.strip()


def docker(*arguments: str) -> str:
    """Docker's client against the service's socket."""
    return ok("docker", "-H", "unix:///run/minidock.sock", *arguments)


def inspect(container: str) -> Any:
    """What the daemon says of a container."""
    return json.loads(docker("inspect", container))[0]


def state(unit: str) -> str:
    """``active``, ``inactive``, ``failed``, …"""
    return run("systemctl", "is-active", unit).stdout.strip()


def journal() -> str:
    """The service's last words."""
    return run("journalctl", "-u", "minidockd.service", "-n", "30", "--no-pager").stdout


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Ask until the answer is true."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}\n{journal()}"
        time.sleep(0.1)
    return answer
