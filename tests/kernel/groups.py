"""Groups for tests, in each cgroup tree that this host has."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minidock.kernel import cgroups
from minidock.kernel.cgroups import Cgroup
from minidock.kernel.cgroups.v1 import CgroupV1
from minidock.kernel.cgroups.v2 import CgroupV2

LAYOUT = cgroups.detect()
PREFIX = f"/minidock-test-{os.getpid()}"
CONTROLLED = "v2" if LAYOUT.kind == "v2" else "v1"
"""The version that has the controllers."""
KINDS = list(dict.fromkeys([CONTROLLED, *(["v2"] if LAYOUT.v2 else [])]))
"""Versions in which groups can be made: a hybrid host's version 2 has no controllers, but all else."""


def make(kind: str, name: str) -> Cgroup:
    """A group of our own in one of the host's trees."""
    if kind == "v1":
        return CgroupV1(f"{PREFIX}/{name}", LAYOUT.v1)
    assert LAYOUT.v2
    return CgroupV2(f"{PREFIX}/{name}", LAYOUT.v2)


@contextmanager
def existing(kind: str, name: str = "group") -> Iterator[Cgroup]:
    """A group that exists; everything of ours in that tree is ended and removed afterwards."""
    made = make(kind, name)
    made.create()
    try:
        yield made
    finally:
        remove(make(kind, ""))


def remove(parent: Cgroup) -> None:
    """End and remove all there is."""
    if parent.exists:
        parent.kill()
    parent.delete()


def start(group: Cgroup, *command: str) -> subprocess.Popen[bytes]:
    """A program that is in the group from its first instruction on."""
    return subprocess.Popen(command, preexec_fn=group.enter, stdout=subprocess.PIPE)


DEVICES = {"null": os.makedev(1, 3), "zero": os.makedev(1, 5), "full": os.makedev(1, 7)}


class Prober:
    """A process inside a group that tries, whenever asked, what it may do with a few devices."""

    def __init__(self, group: Cgroup, scratch: Path) -> None:
        ours, its = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ours.close()
                group.enter()
                while its.recv(1) == b"?":
                    its.send(",".join(["allowed", *self._try(scratch)]).encode())
            finally:
                os._exit(0)
        its.close()
        self._socket = ours

    @staticmethod
    def _try(scratch: Path) -> Iterator[str]:
        for name, device in DEVICES.items():
            for letter, flags in (("r", os.O_RDONLY), ("w", os.O_WRONLY)):
                try:
                    os.close(os.open(f"/dev/{name}", flags))
                    yield f"{name}:{letter}"
                except PermissionError:
                    continue
            try:
                os.mknod(scratch / "node", stat.S_IFCHR | 0o600, device)
                (scratch / "node").unlink()
                yield f"{name}:m"
            except PermissionError:
                continue

    def allowed(self) -> set[str]:
        """What is allowed now: ``null:r``, …"""
        self._socket.send(b"?")
        answer = self._socket.recv(4096).decode()
        assert answer.startswith("allowed"), "the prober has ended"
        return set(answer.split(",")) - {"allowed"}

    def close(self) -> None:
        """End the process."""
        self._socket.send(b".")
        os.waitpid(self.pid, 0)
        self._socket.close()
