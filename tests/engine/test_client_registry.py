"""``login``, ``push``, ``pull``, ``logout`` before a registry that wants a password: both clients."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.harness import Daemon, Terminal, running_daemon
from tests.peers import words_of_docker_28
from tests.registries import debian_registry, htpasswd_auth

pytestmark = [pytest.mark.root, words_of_docker_28]

MINIDOCK = [sys.executable, "-c", "from minidock.client.main import main; main()"]
HERE = "127.0.0.1:5013"
# A store of passwords: one file for each registry.
HELPER = """#!/bin/sh
cd "$(dirname "$0")"
read -r line
case $1 in
store) echo "$line" > secret ;;
get) cat secret 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f secret ;;
esac
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Our daemon, and beside it a registry with one user."""
    directory = tmp_path_factory.mktemp("registry")
    with (
        running_daemon() as ours,
        debian_registry(directory, htpasswd_auth(directory, "me", "pass"), HERE, ours.inside()),
    ):
        yield ours


class User:
    """Somebody with a ``config.json``, and one of the two clients."""

    def __init__(self, daemon: Daemon, command: list[str], home: Path) -> None:
        self.daemon, self.command, self.home = daemon, command, home
        home.mkdir()

    def __call__(self, *words: str, stdin: str = "") -> tuple[str, str, int]:
        """Output, errors and exit code, without what differs from one run to the next."""
        environment = {"PATH": f"{self.home}:{os.environ['PATH']}", "DOCKER_CONFIG": str(self.home)}
        done = subprocess.run(
            [*self.command, "-H", self.daemon.host, *words],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment,
        )
        errors = (
            re.sub(r"\n\n(Usage|Run ).*", "", done.stderr, flags=re.DOTALL)
            .replace(str(self.home), "HOME")
            .replace("minidock", "docker")
        )
        output = done.stdout.replace("Layer already exists", "Pushed")  # whoever is first pushes it
        return "".join(sorted(output.splitlines(keepends=True))), errors.strip(), done.returncode

    @property
    def config(self) -> dict[str, object]:
        """What is kept."""
        return dict(json.loads((self.home / "config.json").read_text()))


@pytest.fixture
def users(daemon: Daemon, tmp_path: Path) -> tuple[User, User]:
    """One of each."""
    return User(daemon, ["docker"], tmp_path / "docker"), User(daemon, MINIDOCK, tmp_path / "ours")


def test_a_password_is_kept_and_used_as_dockers_is(users: tuple[User, User]) -> None:
    """Refused, accepted, kept in the same file; then push and pull work; after logout they do not."""
    name = f"{HERE}/tiny:1"
    users[0]("tag", "tiny", name)
    told: list[list[object]] = []
    for user in users:
        steps: list[object] = [
            user("push", name),
            user("login", "-u", "me", "-p", "wrong", HERE),
            user("login", "-u", "me", "--password-stdin", HERE, stdin="pass\n"),
            user.config,
            oct((user.home / "config.json").stat().st_mode),
            user("login", HERE),
            user("push", name),
            user("push", "-q", name),
            user("pull", name),
            user("pull", "-q", name),
            user("logout", HERE),
            user.config,
            user("pull", name),
        ]
        told.append(steps)
    for theirs, ours in zip(*told, strict=True):
        assert ours == theirs


def leave_in_the_registry(user: User, name: str) -> None:
    """``tiny`` under this name, there and not here."""
    user("tag", "tiny", name)
    user("login", "-u", "me", "-p", "pass", HERE)
    user("push", name)
    user("rmi", name)


def test_the_protocol_is_told(users: tuple[User, User]) -> None:
    """``pull --explain``: who was asked for what, and what the answer was, but no password."""
    user, name = users[1], f"{HERE}/explained:1"
    leave_in_the_registry(user, name)
    told = user("pull", "--explain", name)[0]
    asked, known = f"http://{HERE}/v2", r"\S+json, sha256:[0-9a-f]{64}, \d+ bytes"
    for expected in (
        f"GET {asked}/: 401 Unauthorized, it wants Basic realm=.basic-realm.",
        f"HEAD {asked}/explained/manifests/1, with Basic authorization: 200 OK, {known}",
    ):
        assert re.search(f"^{expected}$", told, re.MULTILINE), told
    assert "bWU6cGFzcw" not in told and "HEAD" not in user("pull", name)[0]


def test_a_walk_through_a_pull(users: tuple[User, User]) -> None:
    """``pull --step`` waits for Enter between the exchanges, q is the rest at once; it needs somebody who presses."""
    user, name = users[1], f"{HERE}/walked:1"
    leave_in_the_registry(user, name)
    assert "standard input is not a terminal" in user("pull", "--step", name)[1]
    environment = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(user.home)}
    terminal = Terminal([*user.command, "-H", user.daemon.host, "pull", "--step", name], environment)
    terminal.expect(r"GET \S+/v2/: 401.*\n")
    for expected in (r"HEAD \S+manifests/1, with Basic authorization: 200", "Digest: "):
        time.sleep(0.2)
        assert "http" not in terminal.seen, "it does not wait for Enter"
        terminal.type("\r")
        terminal.expect(expected + r".*\n")
    terminal.type("q\r")
    terminal.expect(r"Status: .*" + name)
    assert terminal.wait() == 0
    terminal.close()


def test_a_helper_keeps_the_password(users: tuple[User, User]) -> None:
    """It is not in config.json; docker's client finds what ours has stored."""
    docker, ours = users
    for user in users:
        helper = ours.home / "docker-credential-test"
        helper.write_text(HELPER)
        helper.chmod(0o755)
        (user.home / "config.json").write_text('{"credsStore": "test"}')
    assert ours("login", "-u", "me", "--password-stdin", HERE, stdin="pass")[0] == "Login Succeeded\n"
    assert ours.config == {"credsStore": "test", "auths": {HERE: {}}}
    stored = json.loads((ours.home / "secret").read_text())
    assert stored == {"ServerURL": HERE, "Username": "me", "Secret": "pass"}
    name = f"{HERE}/helped:1"
    ours("tag", "tiny", name)
    assert ours("push", name)[2] == 0
    (docker.home / "docker-credential-test").symlink_to(ours.home / "docker-credential-test")
    (docker.home / "secret").symlink_to(ours.home / "secret")
    assert docker("pull", name)[2] == 0
    assert ours("logout", HERE) == (f"Removing login credentials for {HERE}\n", "", 0)
    assert not (ours.home / "secret").exists() and ours.config == {"credsStore": "test", "auths": {}}
