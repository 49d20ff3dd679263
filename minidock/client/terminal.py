"""The user's terminal: raw while a container has it, and as it was before afterwards, whatever happens."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from minidock.errors import InvalidInput

STDIN, STDOUT, STDERR = 0, 1, 2


def is_terminal(fd: int) -> bool:
    """Whether ``fd`` is a terminal. A closed one is not."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def size(fd: int = STDOUT) -> tuple[int, int]:
    """Rows and columns; zeros when ``fd`` is no terminal. ioctl_tty(2)."""
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return 0, 0
    return rows, columns


@contextmanager
def raw(fd: int = STDIN) -> Iterator[None]:
    """Hand every key to the container: no echo, no line editing, no signals from ^C. termios(3).

    Output is not processed either: the container's own terminal has already turned ``\\n`` into ``\\r\\n``.
    """
    import tty

    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


def detach_keys(text: str) -> bytes:
    """The bytes of ``ctrl-p,ctrl-q``. Raises InvalidInput for a key that is none."""
    return bytes(_key(name) for name in (text or "ctrl-p,ctrl-q").split(","))


def _key(name: str) -> int:
    if len(name) == 1 and name.isascii():
        return ord(name)
    letter = name.removeprefix("ctrl-")
    # A control key is the letter's code without its upper bits: ctrl-a is 1, ctrl-@ is 0, ctrl-_ is 31.
    if letter != name and len(letter) == 1 and letter in "@abcdefghijklmnopqrstuvwxyz[\\]^_":
        return ord(letter.upper()) & 0x1F
    raise InvalidInput(f"Invalid detach keys ({name}) provided")


class DetachKeys:
    """Watches what the user types for the detach sequence, and holds back its beginning until it is known."""

    def __init__(self, sequence: bytes) -> None:
        self.sequence = sequence
        self.matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What goes to the container, and whether the sequence is complete (what follows it is dropped)."""
        through = bytearray()
        for byte in data:
            if byte == self.sequence[self.matched]:
                self.matched += 1
                if self.matched == len(self.sequence):
                    return bytes(through), True
                continue
            through += self.sequence[: self.matched]
            # The key that broke the sequence may be the first of a new one.
            self.matched = 1 if byte == self.sequence[0] else 0
            if not self.matched:
                through.append(byte)
        return bytes(through), False
