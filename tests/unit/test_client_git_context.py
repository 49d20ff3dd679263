"""``build URL#REF:DIRECTORY`` with a real git server on loopback: honest repositories, and those of an enemy."""

from __future__ import annotations

import io
import random
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minidock.client.build_context import prepare
from minidock.errors import InvalidInput
from minidock.git import Git, parse
from tests.repositories import add_submodule, commit, git, repository, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a git server for the repositories in the test's directory."""
    with serving(tmp_path) as address:
        yield address


def context_of(url: str, dockerfile: str = "") -> tuple[str, dict[str, str]]:
    """The Dockerfile's name, and the regular files of the context with their text."""
    with prepare(url, dockerfile, compress=False) as context:
        assert context.body is not None
        with tarfile.open(fileobj=io.BytesIO(b"".join(context.body))) as archive:
            files = {entry.name: archive.extractfile(entry) for entry in archive if entry.isreg()}
            return context.dockerfile, {name: file.read().decode() for name, file in files.items() if file}


def test_branch_tag_commit_and_directory(tmp_path: Path, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each names one tree, which comes without .git; nothing stays on the disk."""
    (tmp_path / "clones").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "clones"))
    app = repository(tmp_path / "app", {"Dockerfile": "FROM scratch", "sub/Dockerfile": "FROM sub", "old": "1"})
    git(app, "tag", "v1")
    first = git(app, "rev-parse", "HEAD")
    git(app, "rm", "--quiet", "old")
    commit(app, {"new": "2"}, {})
    both = {"Dockerfile": "FROM scratch", "sub/Dockerfile": "FROM sub"}
    assert context_of(f"{served}/app") == ("Dockerfile", both | {"new": "2"})
    assert context_of(f"{served}/app#main") == ("Dockerfile", both | {"new": "2"})
    assert context_of(f"{served}/app#v1") == ("Dockerfile", both | {"old": "1"})
    assert context_of(f"{served}/app#{first}") == ("Dockerfile", both | {"old": "1"})
    assert context_of(f"{served}/app#:sub") == ("Dockerfile", {"Dockerfile": "FROM sub"})
    assert context_of(f"{served}/app#v1:sub/", "../sub/Dockerfile") == ("Dockerfile", {"Dockerfile": "FROM sub"})
    assert not list((tmp_path / "clones").iterdir())


def test_a_submodule_comes_along(tmp_path: Path, served: str) -> None:
    """From the server that .gitmodules names."""
    repository(tmp_path / "part", {"inner": "yes"})
    app = repository(tmp_path / "app", {"Dockerfile": "FROM scratch"})
    add_submodule(app, tmp_path / "part", f"{served}/part")
    assert context_of(f"{served}/app")[1]["lib/inner"] == "yes"


def test_a_submodule_beside_the_repository(tmp_path: Path, served: str) -> None:
    """Its address begins with ``../``: it is where the repository came from."""
    repository(tmp_path / "part", {"inner": "yes"})
    app = repository(tmp_path / "app", {"Dockerfile": "FROM scratch"})
    add_submodule(app, tmp_path / "part", "../part")
    assert context_of(f"{served}/app")[1]["lib/inner"] == "yes"


def test_a_build_in_a_hook_leaves_its_repository(tmp_path: Path, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks have GIT_DIR and others in their environment, which name the user's own repository."""
    repository(tmp_path / "app", {"Dockerfile": "FROM scratch"})
    own = repository(tmp_path / "own", {"f": "mine"})
    before = git(own, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(own / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(own / ".git/index"))
    assert context_of(f"{served}/app") == ("Dockerfile", {"Dockerfile": "FROM scratch"})
    monkeypatch.undo()
    assert git(own, "symbolic-ref", "HEAD") == "refs/heads/main" and git(own, "rev-parse", "HEAD") == before


def test_a_talkative_server_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server has to say comes through git's error output, however long it is."""
    repository(tmp_path / "app", {"Dockerfile": "FROM scratch"})
    _with_hook(tmp_path, monkeypatch, 'yes "a line of a long story" | head -c 60000000 >&2')
    fetch = (
        "import pathlib, sys; from minidock import git;"
        "git.Git().fetch(git.parse(sys.argv[1]), pathlib.Path(sys.argv[2]));"
        "print(pathlib.Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    with serving(tmp_path) as address:
        command = [sys.executable, "-c", fetch, f"{address}/app", str(tmp_path / "clone")]
        kilobytes = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert kilobytes < 60_000, kilobytes


@pytest.mark.parametrize("url", ["ext::touch CANARY", "file://PART", "PART"])
def test_a_submodule_of_an_enemy(tmp_path: Path, served: str, url: str) -> None:
    """It is no program, and nothing that is on this disk."""
    canary, part = tmp_path / "canary", repository(tmp_path / "part", {"secret": "of this machine"})
    app = repository(tmp_path / "app", {"Dockerfile": "FROM scratch"})
    add_submodule(app, part, url.replace("CANARY", str(canary)).replace("PART", str(part)))
    with pytest.raises(InvalidInput, match="git submodule"):
        context_of(f"{served}/app")
    assert not canary.exists()


def test_links_that_lead_out(tmp_path: Path, served: str) -> None:
    """The directory and the Dockerfile are in the repository, whatever its links say; other links stay links."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "Dockerfile").write_text("FROM nobody")
    links = {"out": str(secret), "Dockerfile": f"{secret}/Dockerfile", "up": "../../../../..", "in": "sub"}
    repository(tmp_path / "app", {"sub/Dockerfile": "FROM sub"}, links)
    for fragment in ("#:out", "#:up", "#:../..", "#:/../../etc", ""):
        with pytest.raises(InvalidInput, match="outside of the repository"):
            context_of(f"{served}/app{fragment}")
    for dockerfile in ("out/Dockerfile", str(secret / "Dockerfile"), "../secret/Dockerfile"):
        with pytest.raises(InvalidInput, match="outside of the repository"):
            context_of(f"{served}/app", dockerfile)
    assert context_of(f"{served}/app#:in") == ("Dockerfile", {"Dockerfile": "FROM sub"})
    assert context_of(f"{served}/app", "sub/Dockerfile") == ("sub/Dockerfile", {"sub/Dockerfile": "FROM sub"})


def test_words_that_look_like_options(tmp_path: Path, served: str) -> None:
    """A reference and a host are never read as one."""
    canary = tmp_path / "canary"
    repository(tmp_path / "app", {"Dockerfile": "FROM scratch"})
    for url in (f"{served}/app#--upload-pack=touch {canary}", f"ssh://-oProxyCommand=touch {canary}/x"):
        with pytest.raises(InvalidInput, match="git fetch"):
            context_of(url)
    assert not canary.exists()


def test_no_such_repository_reference_or_directory(tmp_path: Path, served: str) -> None:
    """Each is told in one line."""
    repository(tmp_path / "app", {"Dockerfile": "FROM scratch"})
    for url, told in (
        (f"{served}/none", "git fetch"),
        (f"{served}/app#none", "git fetch"),
        (f"{served}/app#:no", "not"),
    ):
        with pytest.raises(InvalidInput, match=told) as failed:
            context_of(url)
        assert "\n" not in str(failed.value)


def test_without_git(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is said by name."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(InvalidInput, match="unable to find 'git'"):
        context_of(f"{served}/app")


@contextmanager
def silent_server() -> Iterator[tuple[socket.socket, str]]:
    """A server that takes connections, and says nothing; and where it is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server, f"127.0.0.1:{server.getsockname()[1]}/app"


@pytest.mark.parametrize("url", ["git://{}", "http://{}.git"])
def test_git_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A server that never answers is left after it, also by a program that git has started; nothing stays."""
    (tmp_path / "clones").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "clones"))
    monkeypatch.setattr("minidock.git.PATIENCE", 1.0)
    with silent_server() as (server, place):
        with pytest.raises(InvalidInput, match="git fetch: not done after 1 seconds"):
            context_of(url.format(place))
        _said_until_the_end(server)
    assert not list((tmp_path / "clones").iterdir())


@pytest.mark.root
def test_a_daemon_s_git_is_not_silent_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing is left; one that takes its time, and tells of it, is not."""
    monkeypatch.setattr("minidock.git.SILENCE", 1.0)
    with silent_server() as (server, place):
        with pytest.raises(InvalidInput, match="git fetch: nothing came for 1 seconds"):
            Git(alone=True).fetch(parse(f"git://{place}"), tmp_path / "clone")
        _said_until_the_end(server)
    repository(tmp_path / "app", {"f": "content"})
    _with_hook(tmp_path, monkeypatch, "for n in 1 2 3 4 5; do echo still counting >&2; sleep 0.4; done")
    begin = time.monotonic()
    with serving(tmp_path) as address:
        directory, _ = Git(alone=True).fetch(parse(f"{address}/app"), tmp_path / "slow")
    assert (directory / "f").read_text() == "content" and time.monotonic() - begin > 1.5


@pytest.mark.root
@pytest.mark.parametrize(
    "script",
    [
        "while :; do echo still counting >&2; sleep 0.1; done",
        '"$@" | while head -c 1; do echo a byte has come >&2; sleep 0.1; done',
    ],
    ids=["words", "bytes"],
)
def test_a_server_that_drips_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """It is never silent, but tells of progress that is none, or sends its content byte by byte."""
    monkeypatch.setattr("minidock.git.STALL", 1.0)
    monkeypatch.setattr("minidock.git.PATIENCE_ALONE", 20.0)
    repository(tmp_path / "app", {"f": "content" * 1000})
    _with_hook(tmp_path, monkeypatch, script)
    with serving(tmp_path) as address:
        begin = time.monotonic()
        with pytest.raises(InvalidInput, match="git fetch: fewer than 307200 bytes came in 1 seconds"):
            Git(alone=True).fetch(parse(f"{address}/app"), tmp_path / "clone")
    assert 1 <= time.monotonic() - begin < 10


@pytest.mark.root
def test_a_repository_that_comes_slowly_but_steadily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one large file, in which git sees no object for long: enough comes."""
    monkeypatch.setattr("minidock.git.STALL", 2.0)
    text = random.Random(1).randbytes(2_000_000).hex()
    repository(tmp_path / "app", {"f": text})
    piece = "dd bs=300k count=1 iflag=fullblock; sleep 0.5"
    _with_hook(tmp_path, monkeypatch, f'"$@" | (for n in 1 2 3 4 5 6; do {piece}; done; cat); exit')
    with serving(tmp_path) as address:
        directory, _ = Git(alone=True).fetch(parse(f"{address}/app"), tmp_path / "clone")
    assert (directory / "f").read_text() == text


def _with_hook(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A server that is started from now on runs a script before it sends anything."""
    hook, settings = directory / "hook", directory / "settings"
    hook.write_text(f'#!/bin/sh\n{script}; exec "$@"\n')
    hook.chmod(0o755)
    settings.write_text(f"[uploadpack]\npackObjectsHook = {hook}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))


def _said_until_the_end(server: socket.socket) -> None:
    """Everything that git has told: it ends only when git does."""
    connection, _ = server.accept()
    with connection:
        connection.settimeout(30)
        assert b"/app" in b"".join(iter(lambda: connection.recv(1000), b""))
