"""Be told when files change, instead of looking again and again. inotify(7)."""

from __future__ import annotations

import os
import struct
from types import TracebackType

from msgspec import Struct

from minidock.kernel import syscalls
from minidock.kernel.notation import flags, named

IN_MODIFY = 0x2
IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
_MASK = flags(named(globals(), "IN_"))

_HEADER = struct.Struct("iIII")


class Event(Struct, frozen=True):
    """Something happened to what ``watch`` stands for. ``name`` is that of an entry, when a directory is watched.

    IN_Q_OVERFLOW (watch -1) means that events were lost: look at everything again.
    """

    watch: int
    mask: int
    name: str


class Inotify:
    """A descriptor that becomes readable when a watched file changes: ``loop.add_reader(inotify.fileno(), …)``."""

    def __init__(self) -> None:
        flag = os.O_CLOEXEC | os.O_NONBLOCK
        self._descriptor = syscalls.invoke("inotify_init1", (flag, lambda _: "IN_NONBLOCK|IN_CLOEXEC"))

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def add(self, path: syscalls.Path, mask: int) -> int:
        """Watch a file or directory for the events in ``mask`` (``IN_…``); the number by which events name it."""
        return syscalls.invoke("inotify_add_watch", self._descriptor, path, (mask, _MASK), acts_on=2)

    def remove(self, watch: int) -> None:
        """Watch no longer; one IN_IGNORED follows."""
        syscalls.invoke("inotify_rm_watch", self._descriptor, watch)

    def read(self) -> list[Event]:
        """All events that wait now, oldest first; none when there are none."""
        try:
            data = os.read(self._descriptor, 64 * 1024)
        except BlockingIOError:
            return []
        events, position = [], 0
        while position < len(data):
            watch, mask, _cookie, length = _HEADER.unpack_from(data, position)
            position += _HEADER.size
            events.append(Event(watch, mask, os.fsdecode(data[position : position + length].rstrip(b"\0"))))
            position += length
        return events

    def close(self) -> None:
        """End all watches."""
        os.close(self._descriptor)

    def __enter__(self) -> Inotify:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
