"""The kernel layer announces each system call that it makes to whoever listens.

This is what ``--explain`` prints, and what a test holds against ``strace`` of the same process: what we claim that we
did is what the kernel saw. With no listener an announcement costs one ``if``.

A call is announced by the process that made it. Listeners are inherited over fork, as everything else is.
"""

from __future__ import annotations

import errno as errno_names
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct


class Call(Struct, frozen=True):
    """One system call, as strace would print it.

    ``args`` are in the kernel's own notation: ``("\\"proc\\"", "MS_NOSUID|MS_NODEV", "NULL")``. ``result`` is what the
    call returned (-1 when it failed; then ``errno`` is the reason, otherwise 0). ``pid`` is the caller's, as the caller
    itself sees it: 1 for the first process of a new pid namespace. ``start_ns`` counts on ``CLOCK_MONOTONIC``.
    ``shell`` is a command with the same effect, where the caller knows it (netlink); otherwise ask ``equivalents``.
    """

    pid: int
    name: str
    args: tuple[str, ...]
    result: int
    errno: int
    start_ns: int
    duration_ns: int
    shell: str = ""

    def __str__(self) -> str:
        outcome = (
            f"-1 {errno_names.errorcode.get(self.errno, self.errno)} ({os.strerror(self.errno)})"
            if self.errno
            else str(self.result)
        )
        return f"{self.name}({', '.join(self.args)}) = {outcome}"


Listener = Callable[[Call], None]

listeners: list[Listener] = []


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Hand every call that this process makes to ``listener``, until the block ends.

    The listener is called in the thread that made the call, right after it. It must not raise.
    """
    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)


def announce(call: Call) -> None:
    """Tell all listeners. Whoever announces asks first whether there are any: rendering arguments costs time."""
    for listener in tuple(listeners):
        listener(call)
