"""What a demonstration has left that was killed: the next one takes it away.

SIGKILL gives nobody the time for a ``finally``. But each demonstration has one directory for all its files, with its
pid in the name (:mod:`chapters.stopping`), and the directory goes last. So whoever finds one without its process knows
what else may be there: processes, a cgroup, a bridge with its packet filter.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from minidock.containers.steps.namespaces import cgroup_path
from minidock.errors import MinidockError
from minidock.kernel import cgroups
from minidock.kernel.mounts import Mount, mounts

PREFIX = "minidock-chapter-"
#: seconds for a daemon or a registry to end as it always does
PATIENCE = 10


def sweep() -> None:
    """Take it away, and say so in one line for each that was killed. Needs root."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = directory.name.removeprefix(PREFIX).partition("-")[0]
        # Where a living process has the number now, this waits for a later time.
        if not pid.isdecimal() or Path("/proc", pid).exists() or not _is_roots_own(directory):
            continue
        print(f"chapters: taking away what was left when process {pid} was killed", file=sys.stderr)
        try:
            _end_processes(directory.name)
            _remove_cgroup(f"chapter-{pid}")
            _remove_network(f"ch7-{pid}")
        except MinidockError as error:
            print(f"chapters: {error}", file=sys.stderr)
            continue
        shutil.rmtree(directory, ignore_errors=True)  # another demonstration may be at it, too


def _is_roots_own(directory: Path) -> bool:
    """Anybody can make a directory of that name in /tmp, or a link: what it names must not be ended by root."""
    with suppress(FileNotFoundError):  # another demonstration was faster
        found = directory.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == 0
    return False


def _end_processes(name: str) -> None:
    """Programs in containers, then what was started for them, which looks after their cgroups and then ends."""
    programs = _started_with(name)
    _signal(_inside(name) - programs, signal.SIGKILL)
    _signal({pid for pid in programs if _parent(pid) not in programs}, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while _started_with(name) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(_started_with(name), signal.SIGKILL)


def _started_with(name: str) -> set[int]:
    """The daemons and registries: ``$TMPDIR`` is the directory."""
    word = re.compile(rb"(^|\0)TMPDIR=[^\0]*/" + name.encode() + rb"(\0|$)")
    return {pid for pid in _pids() if word.search(_read(pid, "environ"))}


def _inside(name: str) -> set[int]:
    """The programs in containers: their root is mounted from the directory. (A mount elsewhere is not enough: whatever
    is mounted below the directory on the host, all of the host's processes see.)"""
    return {
        pid for pid in _pids() if any(mount.mount_point == "/" and f"/{name}/" in str(mount) for mount in _mounts(pid))
    }


def _mounts(pid: int) -> list[Mount]:
    with suppress(OSError):  # it has just ended
        return mounts(pid)
    return []


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _parent(pid: int) -> int:
    """proc(5), ``/proc/pid/stat``: the second field after the name, which may have anything in it but its end."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def _read(pid: int, file: str) -> bytes:
    with suppress(OSError):  # it has just ended
        return Path("/proc", str(pid), file).read_bytes()
    return b""


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _remove_cgroup(container: str) -> None:
    group = cgroups.at(cgroup_path("", container))
    if group.exists:
        group.kill()
        group.delete()


def _remove_network(link: str) -> None:
    """As a daemon does that starts and ends: it mends what it finds, and takes it down."""
    nft = shutil.which("nft")
    tables = subprocess.run([nft, "list", "tables"], capture_output=True, text=True).stdout if nft else ""
    if link not in tables and not Path("/sys/class/net", link).exists():
        return
    # What networks need takes longer to load than most demonstrations.
    from minidock.database import Database
    from minidock.networks import Networks

    with (
        tempfile.TemporaryDirectory() as directory,
        closing(Networks(Database(Path(directory, "db")), "", link)) as left,
    ):
        left.open()
