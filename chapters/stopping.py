"""How a demonstration ends: with everything taken away that it has made, also after ^C, a hang-up or SIGTERM.

The first of these signals unwinds what is going on: each ``finally`` and each ``with`` does what it would do anyway.
The next ones are not heard, for an unwinding that is interrupted leaves half of it. What is left then, because nobody
had noted it yet when the signal came, goes at the end: processes, orphans among them, and temporary files. SIGKILL
unwinds nothing: :mod:`chapters.sweeping`.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from chapters.sweeping import PREFIX, sweep
from minidock.kernel import syscalls

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal has come. Not an Exception: nobody shall take it for an error and go on."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def clean_end() -> Iterator[None]:
    """A block that leaves no process and no temporary file behind. Raises Stopped in it when a signal comes.

    What another left that was killed goes first, where we are root.
    """
    if os.geteuid() == 0:
        sweep()
    syscalls.set_child_subreaper()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    handlers = {number: signal.signal(number, _stop) for number in SIGNALS}
    try:
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as own, _temporary_files_in(own):
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
                yield
            finally:
                _end_children()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    for each in SIGNALS:
        # Not SIG_IGN: a program that is started from here would inherit it.
        signal.signal(each, lambda *_: None)
    raise Stopped(number)


@contextmanager
def _temporary_files_in(directory: str) -> Iterator[None]:
    """Those of this process and of what it starts."""
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = tempfile.tempdir = directory
    try:
        yield
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before[1]


def _end_children() -> None:
    """Until there are none: the children of one that ends become ours."""
    while pids := _children():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _children() -> list[int]:
    """Those of every thread: proc(5), ``/proc/pid/task/tid/children``."""
    return [int(pid) for children in Path("/proc/self/task").glob("*/children") for pid in children.read_text().split()]
