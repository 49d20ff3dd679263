"""What Docker has and minidock has not: answered as dockerd answers where it can, by name where it cannot."""

from __future__ import annotations

import json

import pytest

from tests.engine.harness import Daemon
from tests.peers import words_of_docker_28

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    "command", [["node", "ls"], ["service", "ls"], ["stack", "ls"], ["secret", "ls"], ["config", "ls"], ["swarm", "ca"]]
)
def test_no_swarm(daemon: Daemon, command: list[str]) -> None:
    """dockerd's own sentence for an engine that manages no swarm."""
    done = daemon.docker(*command)
    assert done.returncode == 1 and "This node is not a swarm manager." in done.stderr
    assert daemon.ok("info", "-f", "{{.Swarm.LocalNodeState}}") == "inactive"
    assert "This node is not part of a swarm" in daemon.docker("swarm", "leave").stderr


@words_of_docker_28
def test_no_plugins(daemon: Daemon) -> None:
    """None are there; one that is asked for is not found; one cannot be got."""
    assert daemon.ok("plugin", "ls", "-q") == ""
    assert 'plugin "x" not found' in daemon.docker("plugin", "inspect", "x").stderr
    assert "plugins: minidock does not have this yet" in daemon.docker("plugin", "install", "x").stderr


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/swarm", 503),
        ("POST", "/swarm/init", 501),
        ("POST", "/swarm/join", 501),
        ("POST", "/swarm/leave", 503),
        ("GET", "/tasks/x/logs", 503),
        ("POST", "/services/create", 503),
        ("DELETE", "/secrets/x", 503),
        ("POST", "/nodes/x/update", 503),
        ("POST", "/plugins/x/enable", 404),
        ("POST", "/containers/x/checkpoints", 501),
        ("POST", "/containers/x/start?checkpoint=y", 501),
        ("POST", "/session", 501),
    ],
)
def test_every_path_has_docker_s_shape_of_error(daemon: Daemon, method: str, path: str, status: int) -> None:
    """A status that fits, and a message for people."""
    answered, body = daemon.request(method, f"/v1.44{path}")
    assert answered == status and json.loads(body)["message"]
