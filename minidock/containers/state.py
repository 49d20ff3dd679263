"""The state of one container, as files in its state directory.

``state.json`` is the record, written once by create and renamed into place; whether the container is created, running
or stopped is not stored but *seen*: does init (this pid, started at this time) live, and has it opened the gate?
What is not written down cannot become wrong when somebody is killed.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec

from minidock.errors import NoSuchContainer
from minidock.oci import runtime as oci

RECORD = "state.json"
START_FIFO = "start.fifo"
RESULT_FIFO = "result.fifo"
EXPLAIN = "explain.jsonl"


class Record(msgspec.Struct, frozen=True):
    """What create writes down. ``pid`` and ``start_time`` (clock ticks since boot) together name init for ever."""

    id: str
    bundle: str
    pid: int
    start_time: int
    cgroup: str
    created: str
    explain: bool
    spec: oci.Spec
    """The spec as it was at create: later edits of config.json have no effect."""
    runtime: str = ""
    """The program that made the container; empty when it was we (see :mod:`minidock.containers.foreign`)."""


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when there is none, or only its zombie.

    Pids are used again; a pid together with its start time is not. Source: proc_pid_stat(5), field 22.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name, in parentheses, may hold spaces and parentheses of its own: count from the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def write(state_dir: Path, record: Record) -> None:
    """Put the record into place, whole or not at all."""
    temporary = state_dir / f".{RECORD}"
    temporary.write_bytes(msgspec.json.encode(record))
    temporary.rename(state_dir / RECORD)


def read(state_dir: Path) -> Record:
    """The record. Raises :class:`NoSuchContainer`."""
    try:
        data = (state_dir / RECORD).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NoSuchContainer(state_dir.name) from None
    return msgspec.json.decode(data, type=Record)


def remove(state_dir: Path) -> None:
    """Remove the directory and the files in it; it has no directories."""
    for file in state_dir.iterdir():
        file.unlink(missing_ok=True)
    state_dir.rmdir()


def status(state_dir: Path, record: Record) -> oci.Status:
    """``created`` while init waits at the gate, ``running`` after it, ``stopped`` when there is no init any more."""
    if record.pid == 0 or start_time(record.pid) != record.start_time:
        return "stopped"
    return "created" if _gate_is_closed(state_dir) else "running"


def _gate_is_closed(state_dir: Path) -> bool:
    """Does init still wait? Then it holds start.fifo open for reading; exec closes it.

    Opened for writing only, without blocking, a FIFO that nobody reads answers ENXIO. fifo(7).
    """
    try:
        os.close(os.open(state_dir / START_FIFO, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise
    return True


def state(state_dir: Path) -> oci.State:
    """The runtime-spec's answer to ``state``. Raises :class:`NoSuchContainer`."""
    record = read(state_dir)
    now = status(state_dir, record)
    return oci.State(
        oci_version=oci.OCI_VERSION,
        id=record.id,
        status=now,
        bundle=record.bundle,
        pid=0 if now == "stopped" else record.pid,
        annotations=record.spec.annotations,
    )
