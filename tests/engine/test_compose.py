"""docker-compose, unchanged: a project of three services, a volume and a network, on our daemon and on dockerd."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine.harness import running_daemon, tiny_archive, wait_for
from tests.peers import dockerd

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PROJECT = """
version: "2.4"
services:
  store:
    image: tiny
    command: sh -c 'echo kept > /data/file; echo stored; exec nc -ll -p 6379 -e cat /data/file'
    volumes: ["data:/data"]
    networks: {back: {aliases: [database]}}
    stop_grace_period: 1s
  web:
    image: tiny
    command: sh -c 'until nc -w 2 database 6379 </dev/null; do sleep 0.1; done; echo served; exec sleep 1000'
    depends_on: [store]
    networks: [back, front]
    ports: ["127.0.0.1:8099:80"]
    environment: {GREETING: hello}
    restart: unless-stopped
    stop_grace_period: 1s
  sick:
    image: tiny
    command: sh -c 'echo failing >&2; exit 3'
    network_mode: none
networks: {back: {internal: true}, front: {}}
volumes: {data: {labels: {owner: compose}}}
"""

Compose = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def project(directory: Path, host: str) -> Iterator[Compose]:
    """docker-compose told about a daemon; the project goes at the end."""
    (directory / "docker-compose.yml").write_text(PROJECT)

    def compose(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["docker-compose", "--host", host, "--project-name", "shop", *words]
        return subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL
        )

    try:
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "1")


def story(compose: Compose) -> list[tuple[str, int, object]]:
    """What a user does with it, and what is seen, in so far as it is the same on every daemon."""
    told: list[tuple[str, int, object]] = []

    def say(*words: str) -> str:
        done = compose(*words)
        told.append((" ".join(words), done.returncode, done.stdout))
        return done.stdout + done.stderr

    said = say("up", "-d")
    assert "error" not in said.lower(), said
    wait_for(lambda: "served" in compose("logs", "web").stdout, "web to have found the database")
    wait_for(lambda: "failing" in compose("logs", "sick").stdout, "sick to have failed")
    for words in (
        "logs --no-color store",
        "logs --no-color --tail 1 sick",
        "ps --services",
        "exec -T web sh -c 'echo $GREETING'",
        "exec -T store cat /data/file",
        "exec -T web false",
        "port web 80",
        "stop -t 1 store",
        "start store",
        "exec -T store cat /data/file",
        "restart -t 1 web",
        "pause web",
        "unpause web",
        "up -d --scale store=2",
        "run --rm --no-deps -T web echo once",
        "run --rm --no-deps -T sick sh -c 'exit 9'",
        "config --volumes",
        "kill web",
        "rm -f web",
    ):
        say(*shlex.split(words))
    ids = compose("ps", "-q").stdout.split()
    told.append(("ps -q", len(ids), None))
    say("down", "--volumes", "-t", "1")
    told.append(("ps -q", 0, compose("ps", "-q").stdout))
    return told


def test_a_project_s_life(tmp_path: Path) -> None:
    """Every command ends with the same code and the same output as with dockerd, and nothing of it stays."""
    ours_in, theirs_in = tmp_path / "ours", tmp_path / "theirs"
    ours_in.mkdir()
    theirs_in.mkdir()
    with running_daemon() as daemon:
        with project(ours_in, daemon.host) as compose:
            ours = story(compose)
        assert daemon.ok("volume", "ls", "-q") == "" and "shop" not in daemon.ok("network", "ls")
    with dockerd() as peer:
        peer.docker("import", "-", "tiny", stdin=tiny_archive())
        with project(theirs_in, peer.host) as compose:
            theirs = story(compose)
    assert ours == theirs
