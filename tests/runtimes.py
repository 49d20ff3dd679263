"""Containers for tests, made by the runtime without any daemon: busybox in a temporary bundle."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, NamedTuple

from minidock.containers import runtime
from minidock.containers.runtime import Stdio
from minidock.errors import NoSuchContainer
from minidock.kernel import syscalls
from minidock.oci import runtime as oci
from tests import bundles


def children() -> set[int]:
    """The pids of the children that this process's main thread has; daemons of other tests' fixtures among them."""
    return set(map(int, Path("/proc/self/task", str(os.getpid()), "children").read_text().split()))


class Outcome(NamedTuple):
    """How a program ended, and what it printed (standard output and error together)."""

    code: int
    output: str


class Container:
    """One bundle, and the container that is made of it. ``spec`` may be changed until :meth:`create`."""

    def __init__(self, directory: Path, *args: str, **process: Any) -> None:
        # The cgroup's name: unique on this machine, and recognised by the check for leftovers.
        self.id = f"test-{os.getpid()}-{abs(hash(directory)) % 10**6}"
        self.directory = directory
        self.children_before = children()
        self.bundle = directory / "bundle"
        self.state_dir = directory / "run" / self.id
        self.rootfs = self.bundle / "rootfs"
        if not self.rootfs.exists():
            bundles.rootfs(self.rootfs)
        self.spec = bundles.config(*args, **process)
        self.pid = 0
        self.console: int | None = None
        self.reading = -1

    @property
    def linux(self) -> dict[str, Any]:
        """The linux part of config.json."""
        part: dict[str, Any] = self.spec["linux"]
        return part

    def create(self, explain: bool = False) -> Container:
        """Create, with a pipe for what the program prints."""
        bundles.write(self.bundle, self.spec)
        self.reading, writing = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        try:
            stdio = Stdio(null, writing, writing)
            created = runtime.create(self.bundle, self.state_dir, self.id, stdio, explain)
        finally:
            os.close(writing)
            os.close(null)
        self.pid, self.console = created.pid, created.console
        return self

    def start(self) -> Container:
        """Start what was created."""
        runtime.start(self.state_dir)
        return self

    def output(self) -> str:
        """All that the program prints, to its end."""
        source = self.reading if self.console is None else self.console
        pieces = []
        while True:
            try:
                piece = os.read(source, 1 << 16)
            except OSError:  # a terminal whose last program has ended answers EIO
                break
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces).decode(errors="replace")

    def run(self) -> Outcome:
        """Create, start, wait, delete."""
        try:
            self.create().start()
            output = self.output()
            return Outcome(syscalls.wait_for(self.pid).code, output)
        finally:
            self.close()

    def execute(self, *args: str, **process: Any) -> Outcome:
        """Run one more program in it, and wait for that."""
        wanted = {"cwd": "/", "args": list(args), "env": ["PATH=/bin"], **process}
        reading, writing = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        try:
            parsed = oci.parse_process(json.dumps(wanted).encode())
            running = runtime.execute(self.state_dir, parsed, Stdio(null, writing, writing))
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            os.close(null)
        with os.fdopen(reading, "rb") as stream:
            output = stream.read().decode(errors="replace")
        return Outcome(syscalls.wait_for(running.pid).code, output)

    def close(self) -> None:
        """Leave nothing behind."""
        for descriptor in (self.reading, self.console):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self.reading, self.console = -1, None
        try:
            runtime.delete(self.state_dir, force=True)
        except NoSuchContainer:
            return

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop(self) -> int:
        """Kill init and wait for it; its exit code."""
        runtime.kill(self.state_dir, signal.SIGKILL)
        return syscalls.wait_for(self.pid).code


def read_line(descriptor: int) -> bytes:
    """From a terminal, which may give a line in pieces."""
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(descriptor, 1)
    return line
