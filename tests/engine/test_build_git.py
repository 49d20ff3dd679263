"""Git repositories that the daemon fetches: ``ADD URL`` and ``build URL``, from a real server on its loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from minidock.build.workshop import MOST_GITS
from minidock.daemon import main
from tests.engine.build_contexts import Builder, assert_nothing_left
from tests.engine.harness import Daemon, running_daemon, wait_for
from tests.repositories import add_submodule, commit, git, repository, serving

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    """A daemon of this module's own."""
    with running_daemon() as daemon:
        yield Builder(daemon)


@pytest.fixture
def served(builder: Builder, tmp_path: Path) -> Iterator[str]:
    """The address, for the daemon, of a git server for the repositories in the test's directory."""
    with serving(tmp_path, builder.daemon.inside()) as address:
        yield address


def test_a_repository_is_added(builder: Builder, tmp_path: Path, served: str) -> None:
    """A branch, a tag, a commit, a directory: root's files with git's modes; ``.git`` only where it is wanted."""
    app = repository(tmp_path / "app", {"f": "old", "sub/inner": "inside"}, {"link": "f"})
    git(app, "tag", "v1")
    first = git(app, "rev-parse", "HEAD")
    git(app, "checkout", "--quiet", "-b", "next")
    commit(app, {"f": "new"}, {})
    repository(tmp_path / "part", {"inner": "of a module"})
    add_submodule(app, tmp_path / "part", f"{served}/part")
    text = f"""FROM tiny
        ADD {served}/app#v1 /tag
        ADD {served}/app#next /next
        ADD {served}/app#{first}:sub /sub/
        ADD --keep-git-dir --chown=7:8 {served}/app#main /kept
        ADD --checksum={first[:12]} --exclude=sub {served}/app#v1 /some
        RUN cat /tag/f /next/f /next/lib/inner /sub/inner; ls -A /tag /sub /some; readlink /tag/link
        RUN stat -c '%u:%g %a' /tag /tag/f /kept/f; cat /kept/.git/HEAD; [ ! -e /tag/.git ]
        """
    told = builder.build(text).text
    assert "oldnewof a moduleinside/some:\nf\nlink\n\n/sub:\ninner\n\n/tag:\nf\nlink\nsub\nf\n" in told
    assert f"0:0 755\n0:0 644\n7:8 644\n{first}\n" in told
    assert builder.build(text).cached == 7
    commit(app, {"g": "more"}, {})
    assert builder.build(text).cached == 1


def test_what_is_not_as_it_should_be(builder: Builder, tmp_path: Path, served: str) -> None:
    """No such repository or reference, another commit, a link out of the repository, files of the daemon's disk."""
    secret = tmp_path / "secret"
    secret.mkdir()
    repository(tmp_path / "app", {"f": "x"}, {"out": str(secret)})
    for source, words in (
        (f"{served}/none", "git fetch"),
        (f"{served}/app#none", "git fetch"),
        (f"{served}/app#:none", 'path "none" not found'),
        (f"{served}/app#:out", "outside of the repository"),
        (f"{served}/app#:../..", "outside of the repository"),
        (f"--checksum=1234 {served}/app", "expected checksum to match 1234, got "),
        ("--checksum=1234 Dockerfile", "checksum can't be specified"),
        (f"ssh://-oProxyCommand=touch${{IFS}}{secret}/x/app", "no keys for ssh"),
    ):
        assert words in builder.fails(f"FROM tiny\nADD {source} /to")
    assert "file not found" in builder.fails(f"FROM tiny\nADD file://{tmp_path}/app /to")
    assert not list(secret.iterdir())
    assert_nothing_left(builder.daemon)


def test_a_context_that_is_a_repository(builder: Builder, tmp_path: Path, served: str) -> None:
    """``POST /build?remote=``: its Dockerfile, ignore file and files, also of a directory in it; links stay inside."""
    files = {"Dockerfile": "FROM tiny\nCOPY . /c\nRUN ls -A /c", ".dockerignore": "left", "left": "", "f": ""}
    in_sub = {f"sub/{name}": text for name, text in (files | {"g": "", "other": "FROM tiny\nRUN echo other"}).items()}
    repository(tmp_path / "app", files | in_sub, {"sub/up": "../../../../../etc/passwd"})
    remote = f"{served}/app"
    assert "\n.dockerignore\nDockerfile\nf\nsub\n" in builder.post(b"", remote=remote).text
    assert "\n.dockerignore\nDockerfile\nf\ng\nother\nup\n" in builder.post(b"", remote=f"{remote}#main:sub").text
    assert "\nother\n" in builder.post(b"", remote=f"{remote}#:sub", dockerfile="other").text
    assert (
        "Cannot locate specified Dockerfile"
        in builder.post(b"", remote=f"{remote}#:sub", dockerfile="../Dockerfile2").error
    )
    for name in ("../other2", "up"):
        error = builder.post(b"", remote=f"{remote}#:sub", dockerfile=name).error
        assert "Cannot locate specified Dockerfile" in error
    assert_nothing_left(builder.daemon)


@contextmanager
def web_server(daemon: Daemon, root: Path) -> Iterator[str]:
    """Repositories over HTTP, as git-http-backend(1) serves them."""
    program = root / "cgi-bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nGIT_PROJECT_ROOT={root} GIT_HTTP_EXPORT_ALL=1 exec git http-backend\n")
    program.chmod(0o755)
    for directory in (root, *root.parents[:2]):
        directory.chmod(0o755)  # the server runs its programs as nobody
    safe = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    command = [*daemon.inside(), sys.executable, "-u", "-m", "http.server", "--cgi", "--bind", "127.0.0.1", "0"]
    with subprocess.Popen(
        command, cwd=root, env=os.environ | safe, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().split()[5].decode()}/cgi-bin/git"
        finally:
            server.kill()


def test_over_http(builder: Builder, tmp_path: Path) -> None:
    """A URL that ends with ``.git`` is a repository, any other a file; a password in it is in no message."""
    repository(tmp_path / "app.git", {"Dockerfile": "FROM tiny\nRUN echo of the web", "f": "content"})
    with web_server(builder.daemon, tmp_path) as address:
        assert "content\n" in builder.build(f"FROM tiny\nADD {address}/app.git /a\nRUN cat /a/f; echo").text
        assert "\nof the web\n" in builder.post(b"", remote=f"{address}/app.git#main").text
        secretly = address.replace("//", "//me:secret@")
        kept = f"FROM tiny\nADD --keep-git-dir {secretly}/app.git /a\nRUN ! grep -r secret /a && cat /a/.git/config"
        assert "/app.git\n" in builder.build(kept).text
        git(tmp_path / "app.git", "branch", "config/x")  # among git's own files, a directory of that name
        builder.build(kept.replace("app.git /a", "app.git#config/x /a"))
    error = builder.fails(f"FROM tiny\nADD {secretly}/none.git /a")
    assert "git fetch" in error and "secret" not in error


def test_repositories_that_come_with_onbuild(builder: Builder, tmp_path: Path, served: str) -> None:
    """Each has a place of its own."""
    for name in ("one", "two"):
        repository(tmp_path / name, {name: ""})
    builder.build(f"FROM tiny\nONBUILD ADD {served}/one /1\nONBUILD ADD {served}/two /2", t="triggers")
    assert "\n/1:\none\n\n/2:\ntwo\n" in builder.build("FROM triggers\nRUN ls /1 /2").text
    builder.daemon.ok("rmi", "-f", "triggers")


def test_a_directory_that_is_called_like_a_host(builder: Builder) -> None:
    """As with BuildKit, ``github.com/…`` is in the context; only as the context itself it is on the web."""
    files: dict[str, str | bytes] = {"github.com__x": "here\n"}
    assert "here\n" in builder.build("FROM tiny\nADD github.com/ /g/\nRUN cat /g/x", files).text


@contextmanager
def silent_server(daemon: Daemon, count: int = 1) -> Iterator[tuple[IO[str], str]]:
    """A server that takes ``count`` connections and says nothing; its own words (here, gone), and its port."""
    listening = (
        "import socket, sys, threading; s = socket.create_server(('127.0.0.1', 0), backlog=99)\n"
        "def serve(c):\n"
        "    while c.recv(1000): pass\n"
        "    print('gone', flush=True)\n"
        "print(s.getsockname()[1], flush=True)\n"
        "for _ in range(int(sys.argv[1])):\n"
        "    c, _ = s.accept(); print('here', flush=True)\n"
        "    threading.Thread(target=serve, args=[c], daemon=True).start()"
    )
    command = [*daemon.inside(), sys.executable, "-c", listening, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout, server.stdout.readline().strip()
        finally:
            server.kill()


def ask(remote: str) -> bytes:
    """A request for a build of a URL."""
    return f"POST /v1.44/build?remote={remote} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()


@contextmanager
def silent_build(daemon: Daemon, url: str = "git://127.0.0.1:PORT/x") -> Iterator[socket.socket]:
    """A build whose git waits for a server that accepts and says nothing; yields the connection of the request."""
    with silent_server(daemon, 2) as (server, port):
        with daemon.connection() as connection:
            connection.sendall(ask(url.replace("PORT", port)))
            assert server.readline() == "here\n"
            yield connection
        assert server.readline() == "gone\n"  # git has let go of the connection


def test_a_server_that_says_nothing(builder: Builder) -> None:
    """Whoever gives the build up need not wait for the server."""
    with silent_build(builder.daemon) as connection:
        connection.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: not list(builder.daemon.root.glob("data/builds/*")), "the end of the build")


def test_many_servers_that_say_nothing(builder: Builder) -> None:
    """More than the daemon has threads: everybody else is served all the same, and those in the queue can leave it."""
    daemon = builder.daemon
    count = main.MOST_THREADS + 6
    with silent_server(daemon, count) as (server, port), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(daemon.connection()) for _ in range(count)]
        for number, connection in enumerate(connections):
            connection.sendall(ask(f"git://127.0.0.1:{port}/{number}"))
        assert [server.readline() for _ in range(MOST_GITS)] == ["here\n"] * MOST_GITS
        wait_for(lambda: len(list(daemon.root.glob("data/builds/*"))) == count, "all builds to begin")
        assert "fine\n" in builder.build("FROM tiny\nRUN echo fine", nocache="1").text
        assert builder.run("tiny", "echo", "fine") == "fine"
        for connection in reversed(connections):
            connection.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: not list(daemon.root.glob("data/builds/*")), "the end of the builds")


@pytest.mark.parametrize("url", ["git://127.0.0.1:PORT/x", "http://127.0.0.1:PORT/x.git"])
def test_a_daemon_that_is_killed_takes_git_along(url: str) -> None:
    """And the programs that git has started: nobody else would end them."""
    with running_daemon() as daemon, silent_build(daemon, url):
        daemon.kill()
        daemon.start()
