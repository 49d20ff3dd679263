"""Push, save and load of an image of 300 MB in five layers, and of one with 50,000 small files; against dockerd.

Each daemon pulls the image from one registry and pushes it to another, which is empty. What dockerd pulled it keeps
unpacked, and packs it again for a push; minidock keeps what came. Beside the times: the most memory that our daemon
took meanwhile, more than before, against the size of the image's files: it must not depend on that.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.pull import archive
from tests.benchmarks.report import Row, timed
from tests.engine.harness import running_daemon
from tests.peers import dockerd
from tests.registries import TestImage, debian_registry, make_image, push

FILES = 50_000
LAYERS, COMPRESSED = 5, 60_000_000
#: ours/docker's, of everything
BUDGET = 1.0
#: megabytes of memory for each megabyte of the image's files
MEMORY = 0.1


def measure() -> list[Row]:
    """Seconds and megabytes of both, one after the other."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-moving-") as directory:
        for what, make, size in (
            ("300 MB in 5 layers", _large, 2 * LAYERS * COMPRESSED),
            ("50,000 small files", _many, FILES * 1000),
        ):
            rows += _measure(what, make(), size / 1_000_000, Path(directory) / what.partition(" ")[0])
    return rows


def _large() -> TestImage:
    return make_image([archive(f"large-{number}", COMPRESSED) for number in range(LAYERS)])


def _many() -> TestImage:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(FILES):
            entry = tarfile.TarInfo(f"usr/share/{number // 500}/{number}")
            entry.size = 1000
            tar.addfile(entry, io.BytesIO(b"%010d" % number * 100))
    return make_image([buffer.getvalue()])


def _measure(what: str, image: TestImage, size: float, directory: Path) -> list[Row]:
    with (
        running_daemon(image=False) as ours,
        dockerd(own_network=False) as peer,
        debian_registry(directory / "from", inside=ours.inside()) as here,
        debian_registry(directory / "peers-from") as there,
        debian_registry(directory / "to", inside=ours.inside()) as to_here,
        debian_registry(directory / "peers-to") as to_there,
    ):
        push(image, f"{here.address}/image:1", directory, inside=ours.inside())
        push(image, f"{there.address}/image:1", directory)
        sides = [
            _Side(ours.host, ours.pid, here.address, to_here.address, directory / "ours.tar"),
            _Side(peer.host, peer.pid, there.address, to_there.address, directory / "peers.tar"),
        ]
        rows = []
        for verb in ("pull", "push", "save", "rmi", "load"):
            seconds, memory = zip(*(side.timed(getattr(side, verb)) for side in sides), strict=True)
            if verb != "rmi":
                rows.append(Row(f"{verb} of {what}", seconds[0], seconds[1], "s", BUDGET))
                rows.append(Row(f"{verb} of {what}: memory, of its size", memory[0], size, "MB", MEMORY))
        return rows


class _Side:
    """One daemon, and what it is told."""

    def __init__(self, host: str, pid: int, source: str, target: str, file: Path) -> None:
        self._host = host
        self._pid = pid
        self._name, self._other = f"{source}/image:1", f"{target}/image:1"
        self._file = file

    def timed(self, work: Callable[[], None]) -> tuple[float, float]:
        """Seconds, and by how many megabytes the daemon's memory grew at most."""
        os.sync()
        # 5 resets the mark: proc(5), /proc/pid/clear_refs.
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")
        before = self._status("VmRSS")
        seconds = timed(work)
        return seconds, max(0.0, self._status("VmHWM") - before)

    def _status(self, field: str) -> float:
        for line in Path(f"/proc/{self._pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
        raise ValueError(field)

    def _docker(self, *words: str) -> None:
        subprocess.run(["docker", "-H", self._host, *words], check=True, capture_output=True)

    def pull(self) -> None:
        self._docker("pull", "-q", self._name)

    def push(self) -> None:
        self._docker("tag", self._name, self._other)
        self._docker("push", "-q", self._other)

    def save(self) -> None:
        self._docker("save", "-o", str(self._file), self._name)

    def rmi(self) -> None:
        self._docker("rmi", self._name, self._other)

    def load(self) -> None:
        self._docker("load", "-q", "-i", str(self._file))
