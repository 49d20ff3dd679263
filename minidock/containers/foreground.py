"""A program in the foreground of our own terminal: what is typed goes to it, what it prints comes back."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty

from minidock.errors import SystemCallFailed
from minidock.kernel import pty, syscalls


def with_terminal(pid: int, console: int) -> int:
    """Join our terminal with the program's until it ends; its exit code, or 128 + the signal."""
    is_terminal = sys.stdin.isatty()
    saved = termios.tcgetattr(0) if is_terminal else None
    if saved is not None:
        signal.signal(signal.SIGWINCH, lambda _number, _frame: copy_size(console))
        copy_size(console)
        # Raw: ^C is a character like any other here; it is the program's terminal that makes a signal of it.
        tty.setraw(0)
    try:
        _pump(pid, console)
        return syscalls.wait_for(pid).code
    finally:
        if saved is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
        os.close(console)


def copy_size(console: int) -> None:
    """Give the program's terminal the size of ours, if we have one."""
    try:
        height, width = pty.get_size(0)
        pty.set_size(console, height, width)
    except SystemCallFailed:
        return  # we have none, or it has just gone


def _pump(pid: int, console: int) -> None:
    """Copy both ways until the terminal has no program any more."""
    ended = syscalls.pidfd_open(pid)
    poll = select.poll()
    for descriptor in (0, console, ended):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if console in ready:
            if not _copy(console, 1):
                break
        elif ended in ready:
            # Nothing more to read, and nobody who could write it.
            break
        if 0 in ready and not _copy(0, console):
            poll.unregister(0)
            os.write(console, b"\x04")
    os.close(ended)


def _copy(source: int, target: int) -> bool:
    """Copy what is there; False at the end. A terminal whose last program has gone answers EIO."""
    try:
        data = os.read(source, 1 << 16)
    except OSError:
        return False
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
    return bool(data)
