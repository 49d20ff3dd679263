"""A real minidockd for tests: in a network namespace of its own, on roots of its own, watched for what it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker

from tests import cgroup_tree
from tests.engine.contract import Contract

PATIENCE = float(os.environ.get("MINIDOCK_TEST_PATIENCE", "30"))
"""Seconds after which something that should happen will not happen; an emulated machine needs more."""
BRIDGE = "minidocktest0"
MARK = "MINIDOCK_TEST_ROOT"
MINIDOCKD = (
    [str(Path(__file__).with_name("recorded.py"))] if "pytest" in sys.modules else ["-m", "minidock.daemon.main"]
)
"""In tests it writes down what it answers; a benchmark has it as it is."""


class Daemon:
    """One data root and network namespace, and the daemon that lives there now (or does not)."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.options = options
        self.host = f"unix://{root}/minidock.sock"
        self.environment = os.environ | {
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": f"{root}/docker-config",
            MARK: str(root),
        }
        self.environment |= {"MINIDOCK_HOST": self.host, "MINIDOCK_TEST_ANSWERS": f"{root}/answers"}
        self.contract = Contract(root / "answers")
        self.process: subprocess.Popen[bytes] | None = None
        # Holds the network namespace: a daemon that is killed must find its bridge again, as after a real crash.
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--", "sh", "-c", "ip link set lo up && echo ready && exec sleep infinity"],
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"

    @property
    def pid(self) -> int:
        """The daemon's own."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """What every daemon here has logged so far."""
        path = self.root / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start minidockd; returns when it says that it is ready."""
        notify_path = self.root / "notify"
        notify_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, (self.root / "log").open("ab") as log:
            notify.bind(str(notify_path))
            notify.settimeout(0.1)
            self.process = subprocess.Popen(
                [*self.inside(), sys.executable, *MINIDOCKD, *self.arguments()],
                stdout=log,
                stderr=log,
                env=self.environment | {"NOTIFY_SOCKET": str(notify_path)},
                start_new_session=True,
            )
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(TimeoutError):
                    assert notify.recv(100) == b"READY=1"
                    return
                assert self.process.poll() is None and time.monotonic() < deadline, f"no daemon:\n{self.log[-3000:]}"

    def inside(self) -> list[str]:
        """The words before a command that is to run in the daemon's network namespace."""
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--"]

    def arguments(self) -> list[str]:
        """The daemon's command line."""
        roots = ["--data-root", f"{self.root}/data", "--exec-root", f"{self.root}/exec"]
        network = ["--bridge", BRIDGE, "--bip", "10.213.0.1/16", "--config-file", f"{self.root}/daemon.json"]
        return ["-H", self.host, *roots, *network, "--log-level", "debug", *self.options]

    def kill(self) -> None:
        """As a crash: SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self) -> None:
        """As a service manager: SIGTERM, and wait."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, self.log[-3000:]

    def close(self) -> None:
        """End everything; what is left then is a failure."""
        try:
            if self.process is not None and self.process.poll() is None:
                for container in self.json("GET", "/containers/json?all=1"):
                    self.docker("rm", "-f", container["Id"])
                self.stop()
            self.assert_nothing_left()
            self.contract.check()
        finally:
            for pid in marked(self.root):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._holder.kill()
            self._holder.wait()

    def assert_nothing_left(self) -> None:
        """No process, mount, cgroup, link or packet filter table of this daemon."""
        wait_for(lambda: not marked(self.root), "its processes to end")
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.root) in line]
        assert not mounts, mounts
        ids = set(re.findall("[0-9a-f]{64}", self.log))
        cgroups = [path for path in cgroup_tree.directories() if path.parent.name == "minidock" and path.name in ids]
        assert not cgroups, cgroups
        assert not [*self.root.glob("exec/containers/*")]
        # The kernel takes a container's link away with its network namespace, in its own time.
        wait_for(lambda: self.links() == ["lo"], "its links to go")
        tables = subprocess.run([*self.inside(), "nft", "list", "tables"], capture_output=True, text=True).stdout
        assert tables == "", tables

    def links(self) -> list[str]:
        """The names of the network links in the daemon's namespace."""
        shown = subprocess.run([*self.inside(), "ip", "-o", "link"], capture_output=True, text=True).stdout
        return [line.split(":")[1].strip().partition("@")[0] for line in shown.splitlines()]

    # ------------------------------------------------------------------------------------------------- talking to it

    def docker(
        self, *arguments: str, input: bytes | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run Docker's own command line against this daemon."""
        # Never the tests' own standard input: docker asks a person there for a password.
        done = subprocess.run(
            ["docker", *arguments], input=input or b"", capture_output=True, timeout=timeout, env=self.environment
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def ok(self, *arguments: str, input: bytes | None = None) -> str:
        """The same, which has to succeed: its output without the last line end."""
        done = self.docker(*arguments, input=input)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.rstrip("\n")

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Docker's command line, left running."""
        return subprocess.Popen(["docker", *arguments], env=self.environment, **options)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """One HTTP request by hand: status and body. A header of no value is none."""
        with self.connection() as connection:
            sent = {"Host": "minidock", "Connection": "close", "Content-Length": str(len(body or b""))}
            sent |= {"Content-Type": "application/json"} | {name.replace("_", "-"): headers[name] for name in headers}
            head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
            connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head_bytes, _, rest = answer.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head_bytes.lower():
            rest = _unchunk(rest)
        return int(head_bytes.split(b" ")[1]), rest

    def json(self, method: str, path: str, document: object = None) -> Any:
        """One request with JSON both ways; the status must be a success."""
        body = None if document is None else json.dumps(document).encode()
        status, answer = self.request(method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer!r}"
        return json.loads(answer) if answer.strip() else None

    def connection(self) -> socket.socket:
        """A connection to its socket."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(PATIENCE)
        connection.connect(f"{self.root}/minidock.sock")
        return connection

    def client(self) -> Any:
        """docker-py."""
        return docker.DockerClient(base_url=self.host, version="auto", timeout=int(PATIENCE))

    def inspect(self, name: str) -> Any:
        """What the API says of a container."""
        return self.json("GET", f"/containers/{name}/json")


def _unchunk(data: bytes) -> bytes:
    content = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        content, data = content + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return content


def marked(root: Path) -> list[int]:
    """The processes of the daemons on this root: they carry a mark in their environment, their containers do not."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={root}\0".encode() in (directory / "environ").read_bytes() + b"\0":
                name = (directory / "cmdline").read_bytes()
                if b"minidock" in name:
                    found.append(int(directory.name))
    return found


def wait_for(condition: Any, what: str, patience: float = PATIENCE) -> Any:
    """Ask until the answer is true. For what no event tells."""
    deadline = time.monotonic() + patience
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {patience} s for {what}"
        time.sleep(0.01)
    return answer


@contextlib.contextmanager
def running_daemon(*options: str, image: bool = True) -> Iterator[Daemon]:
    """A daemon with the image ``tiny``, ended and looked after at the end."""
    with tempfile.TemporaryDirectory(prefix="minidock-test-") as directory:
        daemon = Daemon(Path(directory), *options)
        (Path(directory) / "daemon.json").write_text("{}")
        try:
            daemon.start()
            if image:
                daemon.ok("import", "-", "tiny", input=tiny_archive())
            yield daemon
        finally:
            daemon.close()


_archive: bytes | None = None


def tiny_archive() -> bytes:
    """The root file system of ``tiny``, as a tar archive; made once."""
    global _archive
    if _archive is None:
        _archive = subprocess.run(
            [sys.executable, "-c", "from minidock.images.tiny import main; main()"], capture_output=True, check=True
        ).stdout
    return _archive


class Terminal:
    """A command with a terminal, and a person in front of it."""

    def __init__(self, arguments: list[str], environment: dict[str, str], rows: int = 24, columns: int = 80) -> None:
        self._master, slave = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        self.seen = ""

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size; the kernel tells the foreground process (SIGWINCH)."""
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def expect(self, pattern: str) -> str:
        """Read until the pattern is there; what was matched. What came before it is forgotten."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.seen)) is None:
            ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no {pattern!r} in {self.seen!r}"
            try:
                data = os.read(self._master, 65536)
            except OSError:
                data = b""
            assert data, f"the end, but no {pattern!r} in {self.seen!r}"
            self.seen += data.decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found.group()

    def wait(self) -> int:
        """The exit code, once the command has ended; its last output stays in ``seen``."""
        while True:
            ready, _, _ = select.select([self._master], [], [], PATIENCE)
            assert ready, f"still running after {self.seen!r}"
            try:
                data = os.read(self._master, 65536)
            except OSError:
                break
            if not data:
                break
            self.seen += data.decode(errors="replace")
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Hang up."""
        os.close(self._master)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _take_terminal() -> None:
    """In the child: the terminal becomes its controlling one, so that ^C and SIGWINCH reach it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
