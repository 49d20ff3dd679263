"""A cgroup is a directory: making it, walking it, emptying it, removing it. The same in both versions."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from minidock.errors import SystemCallFailed
from minidock.kernel.cgroups.files import make_directory, read, remove_directory
from minidock.kernel.cgroups.values import parse_flat_keyed

# The file was removed; the file is open, but its cgroup was removed; the group is threaded, and its processes are
# listed where their domain begins.
_NONE = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)
_GONE = (errno.ENOENT, errno.ENODEV)


def line_of_descent(mount: Path, directory: Path) -> list[Path]:
    """``directory`` and all between it and ``mount``, from above: ``[mount/a, mount/a/b]``."""
    between = [directory, *directory.parents]
    return between[: between.index(mount)][::-1]


def make(directory: Path) -> None:
    """``mkdir``; an existing one is fine, also when somebody else makes it at this very moment."""
    if directory.is_dir():
        return
    try:
        make_directory(directory)
    except SystemCallFailed as failure:
        if failure.errno != errno.EEXIST:
            raise


def groups(directory: Path) -> Iterator[Path]:
    """The group and all those below it, the deepest first: the order in which they can be removed."""
    for name, _, _ in os.walk(directory, topdown=False):
        yield Path(name)


def processes(directory: Path) -> list[int]:
    """The pids in the group and in those below."""
    pids: set[int] = set()
    for group in groups(directory):
        try:
            pids.update(int(pid) for pid in read(group / "cgroup.procs").split())
        except SystemCallFailed as failure:
            if failure.errno not in _NONE:
                raise
    return sorted(pids)


def signal_all(directory: Path) -> int:
    """SIGKILL to every process there is at this moment. Returns how many there were."""
    pids = processes(directory)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(pids)


def wait_for_event(directory: Path, key: str, value: int, timeout: float) -> bool:
    """Wait until ``cgroup.events`` (version 2) says so; False after ``timeout`` seconds.

    The kernel raises POLLPRI on the open file whenever its text changes after it was last read.
    """
    deadline = time.monotonic() + timeout
    with (directory / "cgroup.events").open() as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while True:
            events.seek(0)
            if parse_flat_keyed(events.read())[key] == value:
                return True
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                return False


def wait_for_exit(pids: list[int], timeout: float) -> None:
    """Wait until all these processes have ended, or ``timeout`` seconds. A pidfd becomes readable at the end."""
    deadline = time.monotonic() + timeout
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            left = max(0.0, deadline - time.monotonic())
            select.select([descriptor], [], [], left)
        finally:
            os.close(descriptor)


def remove(directory: Path, wait: Callable[[float], object], timeout: float) -> None:
    """``rmdir`` of the group and those below; while processes are in the way, ``wait(seconds)`` for them to go.

    Raises ``SystemCallFailed`` (EBUSY) when some are still there after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            for group in groups(directory):
                _remove_one(group)
            return
        except SystemCallFailed as failure:
            left = deadline - time.monotonic()
            if failure.errno != errno.EBUSY or left <= 0:
                raise
            wait(left)
            # Kernels differ in whether a process leaves its group before or just after its end is told, and the latter
            # has no event of its own.
            time.sleep(0.001)


def _remove_one(group: Path) -> None:
    try:
        remove_directory(group)
    except SystemCallFailed as failure:
        if failure.errno not in _GONE:
            raise
