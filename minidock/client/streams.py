"""The container's output on its way to the user.

Without a terminal, the daemon sends standard output and standard error in one stream, cut into frames: one byte says
which (1 or 2), three are zero, four are the length, big-endian, and the payload follows (Engine API, "Stream format").
With a terminal there is only one output, and it comes as it is.
"""

from __future__ import annotations

import os
import select
import signal
from typing import NoReturn

HEADER = 8


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write everything. A reader that has gone away ends this process, as it ends any Unix program."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BrokenPipeError:
            die_of_broken_pipe()
        except BlockingIOError:  # somebody who shares this terminal or pipe has made it non-blocking
            select.select([], [fd], [])


def die_of_broken_pipe() -> NoReturn:
    """Python ignores SIGPIPE; a filter such as ``head`` expects that it ends whoever writes to it. signal(7)."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    os._exit(128 + signal.SIGPIPE)


class Raw:
    """Output of a terminal: every byte goes to ``fd``."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def feed(self, data: bytes) -> None:
        """Take what came from the daemon."""
        write_all(self.fd, data)


class Frames:
    """Output in frames: payloads of stream 1 go to standard output, of 2 to standard error."""

    def __init__(self, stdout: int = 1, stderr: int = 2) -> None:
        self.targets = {0: stdout, 1: stdout, 2: stderr}
        self._head = b""
        self._left = 0
        self._target = stdout

    def feed(self, data: bytes) -> None:
        """Take what came from the daemon, cut anywhere; pass on each payload at once, also part of one."""
        view = memoryview(data)
        while view:
            if not self._left:
                view = self._read_head(view)
                continue
            piece, view = view[: self._left], view[self._left :]
            write_all(self._target, piece)
            self._left -= len(piece)

    def _read_head(self, view: memoryview) -> memoryview:
        missing = HEADER - len(self._head)
        self._head += view[:missing]
        if len(self._head) == HEADER:
            self._target = self.targets.get(self._head[0], self.targets[2])
            self._left = int.from_bytes(self._head[4:])
            self._head = b""
        return view[missing:]
