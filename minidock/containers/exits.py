"""How a container ended: ``exit.json`` in its bundle, on disk before anybody is told."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

EXIT_NAME = "exit.json"


class Exit(msgspec.Struct, frozen=True):
    """How a container ended.

    ``code`` is what the program returned, or 128 plus the signal that killed it. ``oom_killed``: the kernel killed a
    process of the container for want of memory. Times are nanoseconds since 1970; ``started_ns`` is 0 when the program
    never started. ``error`` is empty unless minidock itself failed.
    """

    code: int
    oom_killed: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    error: str = ""


def code_of(wait_status: int) -> int:
    """The exit code as shells and Docker count it, from a status of waitpid(2)."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


def write_exit(bundle: Path, how: Exit) -> None:
    """Put ``how`` into the bundle so that after a crash, of the machine even, there is all of it or nothing."""
    temporary = bundle / f".{EXIT_NAME}.{os.getpid()}"
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(how))
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(bundle / EXIT_NAME)
    # The name is the directory's: without this, rename(2) may be forgotten in a power cut.
    directory = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_exit(bundle: Path) -> Exit | None:
    """How the container of this bundle ended; None while it has not."""
    try:
        return msgspec.json.decode((bundle / EXIT_NAME).read_bytes(), type=Exit)
    except FileNotFoundError:
        return None
