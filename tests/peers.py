"""The real thing beside ours: Debian's dockerd, in namespaces of its own, on roots of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# dockerd brings its containerd along; both end when dockerd is told to.
STARTUP_SECONDS = 60


def _version(program: str) -> int:
    """The first number of what the program says is its version; 0 where there is none."""
    try:
        text = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return 0
    found = re.search(r"version (\d+)", text)
    return int(found[1]) if found else 0


CLIENT_VERSION, DOCKERD_VERSION = _version("docker"), _version("dockerd")

words_of_docker_28 = pytest.mark.skipif(
    CLIENT_VERSION < 28,
    reason=f"our client speaks like Docker 28; the docker here is {CLIENT_VERSION}: put a newer one on the PATH",
)
"""For tests that compare messages and requests, which change from one version of the client to the next."""


@dataclass(frozen=True)
class Dockerd:
    """A running dockerd: ``host`` is what ``docker -H`` takes; ``pid`` is dockerd's own."""

    host: str
    pid: int
    root: Path

    def docker(
        self, *arguments: str, stdin: bytes | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the docker command line against this daemon."""
        return subprocess.run(
            ["docker", "-H", self.host, *arguments], input=stdin, capture_output=True, timeout=timeout
        )

    def processes(self) -> list[int]:
        """The pids of dockerd, its containerd and their shims: everything below the root process."""
        return [self.pid, *_descendants(self.pid)]


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *_descendants(child)]
    return found


@contextmanager
def dockerd(*options: str, own_network: bool = True, inside: Sequence[str] = ()) -> Iterator[Dockerd]:
    """Start a dockerd that sees no network but its own, and end it (its containers too) afterwards.

    With ``own_network=False`` it stays in the caller's network namespace, with no bridge and no firewall rules: then a
    registry on the caller's loopback can be reached. ``inside``: the words that lead into the network namespace of
    another host, where it is to live (and leaves its bridge and its rules).
    """
    before = _cgroups()
    with tempfile.TemporaryDirectory(prefix="dockerd-") as directory:
        root = Path(directory)
        host = f"unix://{root}/d.sock"
        flags = ["--mount", "--net"] if own_network and not inside else ["--mount"]
        network = [] if own_network else ["--bridge=none", "--iptables=false", "--ip-forward=false"]
        command = [*inside, "unshare", *flags, "--", "sh", "-c", 'ip link set lo up; exec dockerd "$@"', "dockerd"]
        command += ["--data-root", f"{root}/data", "--exec-root", f"{root}/exec", "-p", f"{root}/pid", "-H", host]
        with (root / "log").open("wb") as log:
            process = subprocess.Popen([*command, *network, *options], stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_until_it_answers(host, process, root / "log")
            yield Dockerd(host, process.pid, root)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            _remove_cgroups(before)


def _wait_until_it_answers(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    waiting = 'for i in $(seq 600); do docker -H "$0" version >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1'
    if subprocess.run(["sh", "-c", waiting, host], timeout=STARTUP_SECONDS * 2).returncode != 0:
        process.kill()
        raise RuntimeError(f"dockerd did not start: {log.read_text()[-2000:]}")


def _cgroups() -> set[Path]:
    """The parent cgroups that dockerd may make, as far as they are there."""
    return {path for name in ("docker", "system.slice") for path in Path("/sys/fs/cgroup").glob(f"*/{name}")}


def _remove_cgroups(before: set[Path]) -> None:
    """dockerd leaves its (empty) parent cgroups behind; those that were here before it are not ours to remove."""
    for path in _cgroups() - before:
        if not any(child.is_dir() for child in path.iterdir()) and not (path / "cgroup.procs").read_text():
            path.rmdir()
