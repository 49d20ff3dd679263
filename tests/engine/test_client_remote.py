"""Daemons that are somewhere else: TLS against Debian's dockerd, and ``ssh://`` through a program that plays ssh."""

from __future__ import annotations

import datetime
import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.engine.harness import running_daemon, tiny_archive
from tests.peers import Dockerd, dockerd

pytestmark = pytest.mark.root

MINIDOCK = [sys.executable, "-c", "from minidock.client.main import main; main()"]
PORT = 23760
ADDRESS = f"tcp://127.0.0.1:{PORT}"


class Certificates:
    """An authority, and what it has signed, as files of a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self._write("ca", self._sign(self.name, self.key, authority=True))

    def issue(self, name: str) -> None:
        """``name.pem`` and ``name-key.pem``, good for 127.0.0.1 and for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._write(name, self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.directory / f"{name}-key.pem").write_bytes(private)

    def flags(self, who: str) -> list[str]:
        """The options of whoever is ``who``."""
        files = {"tlscacert": "ca", "tlscert": who, "tlskey": f"{who}-key"}
        return ["--tlsverify", *(f"--{flag}={self.directory}/{file}.pem" for flag, file in files.items())]

    def _write(self, name: str, certificate: x509.Certificate) -> None:
        (self.directory / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, authority: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One authority for the daemon and a user; another one that signs for a stranger is not among them."""
    made = Certificates(tmp_path_factory.mktemp("tls") / "certificates")
    made.issue("server")
    made.issue("user")
    return made


@pytest.fixture(scope="module")
def peer(certificates: Certificates) -> Iterator[Dockerd]:
    """dockerd that also listens on TCP, for those who have a certificate."""
    with dockerd("-H", ADDRESS, *certificates.flags("server")) as daemon:
        assert daemon.docker("import", "-c", "ENV PATH=/bin", "-", "tiny", stdin=tiny_archive()).returncode == 0
        yield daemon


def inside(peer: Dockerd, *words: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run our client where dockerd's loopback is."""
    enter = ["nsenter", f"--net=/proc/{peer.pid}/ns/net", "--"]
    clean = {name: value for name, value in os.environ.items() if "DOCKER" not in name}
    return subprocess.run(
        [*enter, *MINIDOCK, *words], input=stdin, capture_output=True, timeout=60, env=clean | environment
    )


def test_a_container_runs_through_tls(peer: Dockerd, certificates: Certificates) -> None:
    """With input that ends and output that goes on after it: a half-closed connection, encrypted."""
    words = ["run", "--rm", "-i", "--network", "none", "tiny", "sh", "-c", "cat; echo end; exit 3"]
    done = inside(peer, "-H", ADDRESS, *certificates.flags("user"), *words, stdin=b"typed\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"typed\nend\n", b"", 3)


def test_much_goes_both_ways_at_once_through_tls(peer: Dockerd, certificates: Certificates) -> None:
    """More than any buffer holds, in both directions: nobody waits for the other for ever."""
    data = os.urandom(1 << 22)
    words = ["run", "--rm", "-i", "--network", "none", "tiny", "cat"]
    done = inside(peer, "-H", ADDRESS, *certificates.flags("user"), *words, stdin=data)
    assert done.stdout == data


def test_our_own_daemon_behind_tls(certificates: Certificates) -> None:
    """Our client and our daemon: input that ends, output after it, and much in both directions."""
    data = os.urandom(1 << 21)
    with running_daemon("-H", ADDRESS, *certificates.flags("server")) as daemon:
        command = [*daemon.inside(), *MINIDOCK, "-H", ADDRESS, *certificates.flags("user"), "run", "--rm", "-i", "tiny"]
        for words, sent, expected in (
            (["sh", "-c", "cat; echo end; exit 3"], b"typed\n", b"typed\nend\n"),
            (["cat"], data, data),
        ):
            done = subprocess.run([*command, *words], input=sent, capture_output=True, timeout=60)
            assert (done.stdout, done.stderr) == (expected, b"")


def test_the_environment_names_daemon_and_certificates(
    peer: Dockerd, certificates: Certificates, tmp_path: Path
) -> None:
    """$DOCKER_HOST, $DOCKER_TLS_VERIFY and $DOCKER_CERT_PATH, as Docker's users have them."""
    for ours, theirs in (("ca", "ca"), ("user", "cert"), ("user-key", "key")):
        (tmp_path / f"{theirs}.pem").write_bytes((certificates.directory / f"{ours}.pem").read_bytes())
    done = inside(peer, "images", "-q", DOCKER_HOST=ADDRESS, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path))
    assert done.returncode == 0 and len(done.stdout.split()) == 1, done.stderr


def test_who_is_not_trusted_is_not_spoken_to(peer: Dockerd, certificates: Certificates, tmp_path: Path) -> None:
    """Neither a daemon that another authority has signed for, nor one that does not know us; one line each."""
    stranger = Certificates(tmp_path / "stranger")
    stranger.issue("user")
    done = inside(peer, "-H", ADDRESS, *stranger.flags("user"), "ps")
    assert done.returncode == 1
    assert done.stderr.startswith(b"error during connect: TLS: failed to verify certificate"), done.stderr
    done = inside(peer, "-H", ADDRESS, "--tlsverify", f"--tlscacert={certificates.directory}/ca.pem", "ps")
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"Traceback" not in done.stderr
    missing = inside(peer, "-H", ADDRESS, "--tlsverify", "--tlscacert=/nothing", "ps")
    assert missing.returncode == 1 and missing.stderr.startswith(b"could not load CA certificate (/nothing)")


def test_a_context_is_stored_as_docker_stores_it(peer: Dockerd, certificates: Certificates, tmp_path: Path) -> None:
    """What we create, docker uses, with its certificates; what docker chooses, we use."""
    files = {"ca": "ca", "cert": "user", "key": "user-key"}
    docker = ",".join(
        [f"host={ADDRESS}", *(f"{key}={certificates.directory}/{file}.pem" for key, file in files.items())]
    )
    made = inside(peer, "context", "create", "far", "--docker", docker, DOCKER_CONFIG=str(tmp_path))
    assert (made.stdout, made.returncode) == (b"far\n", 0), made.stderr
    enter = ["nsenter", f"--net=/proc/{peer.pid}/ns/net", "--"]
    environment = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(tmp_path)}
    theirs = subprocess.run(
        [*enter, "docker", "--context", "far", "images", "-q"], capture_output=True, env=environment
    )
    assert theirs.returncode == 0, theirs.stderr
    subprocess.run(["docker", "context", "use", "far"], check=True, capture_output=True, env=environment)
    assert inside(peer, "images", "-q", DOCKER_CONFIG=str(tmp_path)).stdout == theirs.stdout
    assert inside(peer, "context", "show", DOCKER_CONFIG=str(tmp_path)).stdout == b"far\n"


def test_ssh_runs_dial_stdio_on_the_other_machine(peer: Dockerd, tmp_path: Path) -> None:
    """The words that ssh gets are Docker's; the connection carries a whole session."""
    program = tmp_path / "ssh"
    # What ssh would run there is found behind "--" and the machine's name.
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n'
        f'while [ "$1" != -- ]; do shift; done; shift 3\nexec {sys.executable} -c '
        f'"from minidock.client.main import main; main()" "$@"\n'
    )
    program.chmod(0o755)
    host = f"ssh://me@far:2222{peer.host.removeprefix('unix://')}"
    path = f"{tmp_path}:{os.environ['PATH']}"
    words = ["-H", host, "run", "--rm", "-i", "--network", "none", "tiny", "sh", "-c", "cat; exit 4"]
    done = inside(peer, *words, stdin=b"over ssh\n", PATH=path)
    assert (done.stdout, done.returncode) == (b"over ssh\n", 4), done.stderr
    called = (tmp_path / "called").read_text().splitlines()[0]
    socket = f"unix:///{peer.host.removeprefix('unix:///')}"
    assert called == f"-l me -p 2222 -o ConnectTimeout=30 -T -- far minidock --host {socket} system dial-stdio"


@pytest.mark.parametrize(
    "host", ["ssh://", "ssh://-oProxyCommand=x", "ssh://a:b@c", "tcp://x", "unix://", "http://x:1"]
)
def test_an_address_that_is_none_is_refused(peer: Dockerd, host: str) -> None:
    """In one line, and no program is started for it."""
    done = inside(peer, "-H", host, "ps")
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"Traceback" not in done.stderr
