"""The API over TCP: on loopback as it is, elsewhere only with certificates on both sides, or by a loudly named flag."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.daemon import config
from minidock.errors import InvalidInput
from tests.certificates import Authority
from tests.engine.harness import PATIENCE, Daemon, running_daemon

pytestmark = pytest.mark.root

AUTHORITY, STRANGER = Authority(), Authority("somebody else")


def docker(
    daemon: Daemon, address: str, *words: str, certificates: Path | None = None, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Docker's client in the daemon's network namespace, with certificates or without."""
    tls: list[str] = []
    if certificates is not None:
        files = {"tlscacert": "ca", "tlscert": "cert", "tlskey": "key"}
        tls = ["--tlsverify", *(f"--{flag}={certificates}/{name}.pem" for flag, name in files.items())]
    environment = {key: value for key, value in daemon.environment.items() if key != "DOCKER_HOST"}
    command = [*daemon.inside(), "docker", "-H", address, *tls, *words]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE, env=environment)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for the daemon, for a client, and for one whom the daemon does not know."""
    path = tmp_path_factory.mktemp("certificates")
    AUTHORITY.issue(path / "server", server=True)
    AUTHORITY.issue(path / "client", server=False)
    STRANGER.issue(path / "stranger", server=False)
    # The stranger believes the server; the server does not believe the stranger.
    (path / "stranger/ca.pem").write_bytes((path / "client/ca.pem").read_bytes())
    return path


@pytest.fixture(scope="module")
def secured(directory: Path) -> Iterator[Daemon]:
    """A daemon that listens everywhere (in its own network namespace), with TLS."""
    server = directory / "server"
    files = ("--tlscacert", f"{server}/ca.pem", "--tlscert", f"{server}/cert.pem", "--tlskey", f"{server}/key.pem")
    with running_daemon("-H", "tcp://0.0.0.0:2376", "--tlsverify", *files) as daemon:
        yield daemon


TLS = "tcp://127.0.0.1:2376"


def test_a_client_with_a_certificate_can_do_everything(secured: Daemon, directory: Path) -> None:
    """Run with standard input, which ends before the output does; exec; follow a log; a large output."""
    client = directory / "client"
    script = "cat; sleep 0.2; echo after"
    done = docker(secured, TLS, "run", "-i", "--rm", "tiny", "sh", "-c", script, certificates=client, stdin=b"in\n")
    assert (done.returncode, done.stdout) == (0, b"in\nafter\n"), done.stderr
    big = docker(secured, TLS, "run", "--rm", "tiny", "head", "-c", "3000000", "/dev/zero", certificates=client)
    assert big.returncode == 0 and len(big.stdout) == 3_000_000
    script = "echo one; sleep 0.5; echo two"
    assert (
        docker(secured, TLS, "run", "-d", "--name", "told", "tiny", "sh", "-c", script, certificates=client).returncode
        == 0
    )
    assert docker(secured, TLS, "logs", "-f", "told", certificates=client).stdout == b"one\ntwo\n"
    failed = docker(secured, TLS, "run", "--rm", "tiny", "sh", "-c", "exit 7", certificates=client)
    assert failed.returncode == 7


def test_without_the_right_certificate_there_is_no_conversation(secured: Daemon, directory: Path) -> None:
    """Neither with none, nor with one that somebody else has signed, nor in plain text; and the daemon goes on."""
    stranger = docker(secured, TLS, "version", certificates=directory / "stranger")
    assert stranger.returncode == 1 and b"Server" not in stranger.stdout
    none = docker(secured, TLS, "--tls", "version")
    assert none.returncode == 1 and b"Server" not in none.stdout
    assert docker(secured, TLS, "version").returncode == 1
    server = directory / "server"  # a server's certificate is none for a client
    assert docker(secured, TLS, "version", certificates=server).returncode == 1
    assert docker(secured, TLS, "version", certificates=directory / "client").returncode == 0


def test_a_client_that_says_nothing_holds_nobody_up(secured: Daemon, directory: Path) -> None:
    """Half-open handshakes and garbage: others are served meanwhile."""
    script = (
        "import socket, sys\n"
        "opened = [socket.create_connection(('127.0.0.1', 2376)) for _ in range(50)]\n"
        "opened[0].send(b'x' * 99)\n"
        "print(1, flush=True)\n"
        "sys.stdin.read()"
    )
    hung = subprocess.Popen(
        [*secured.inside(), sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert hung.stdout is not None and hung.stdout.readline() == b"1\n"
    assert docker(secured, TLS, "ps", certificates=directory / "client").returncode == 0
    hung.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def open_to_this_machine() -> Iterator[Daemon]:
    """A daemon on loopback."""
    with running_daemon("-H", "tcp://127.0.0.1:2375") as daemon:
        yield daemon


def test_loopback_without_certificates(open_to_this_machine: Daemon) -> None:
    """As Docker's own documentation uses it."""
    done = docker(open_to_this_machine, "tcp://127.0.0.1:2375", "run", "-i", "--rm", "tiny", "cat", stdin=b"hello")
    assert (done.returncode, done.stdout) == (0, b"hello"), done.stderr


def refusal(tmp_path: Path, *options: str) -> str:
    """Why a daemon with these options does not start."""
    roots = ["--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/exec", "--bridge", "none"]
    command = [sys.executable, "-m", "minidock.daemon.main", *roots, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=dict(os.environ))
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_other_addresses_are_refused(tmp_path: Path, directory: Path) -> None:
    """One line that says what would be given away and what to do; nothing listens."""
    assert "would give root on this machine to whoever can reach it" in refusal(tmp_path, "-H", "tcp://0.0.0.0:2375")
    assert "--tlsverify" in refusal(tmp_path, "-H", "tcp://[::]:2375")
    half = ("--tlsverify", "--tlscert", f"{directory}/server/cert.pem")
    assert "--tlsverify needs --tlscacert, --tlscert and --tlskey" in refusal(tmp_path, "-H", "tcp://0.0.0.0:1", *half)
    wrong = ("--tlscacert", "/nonsense", "--tlscert", "/nonsense", "--tlskey", "/nonsense")
    assert "No such file or directory" in refusal(tmp_path, "-H", "tcp://127.0.0.1:0", "--tlsverify", *wrong)


def test_the_loudly_named_flag(tmp_path: Path) -> None:
    """It is a decision, so it has a name that nobody overlooks; and the log says what it means."""
    file = tmp_path / "daemon.json"
    file.write_text("{}")
    flags = ["-H", "tcp://0.0.0.0:2375", "--config-file", str(file)]
    assert config.load([*flags, "--insecure-tcp-without-authentication"]).insecure_tcp_without_authentication
    with pytest.raises(InvalidInput, match="--insecure-tcp-without-authentication"):
        config.load(flags)
