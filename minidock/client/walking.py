"""``--step``: the story of a start or a pull, step by step, as fast as whoever shows it to a class presses Enter."""

from __future__ import annotations

import os
import sys

from minidock.client import terminal
from minidock.errors import InvalidInput

MARK = "\x1e"
"""RS, the record separator: it stands before each step in a story that was asked for with ``mark=1``."""


def check(form: str | None) -> None:
    """Raises InvalidInput where nobody can press a key, and for a form that is for programs."""
    if form == "json":
        raise InvalidInput("--step walks through a story for people: --explain=compact or full")
    if not terminal.is_terminal(terminal.STDIN):
        raise InvalidInput("--step waits for Enter, and standard input is not a terminal")


def walk(story: str, newline: str) -> None:
    """Print a marked story to standard error, waiting for Enter before each step; ``q`` prints the rest at once.

    The terminal may be raw: then a key is one byte, Enter is a carriage return, and ^C must be looked for.
    Raises KeyboardInterrupt.
    """
    pace = Pace()
    for step in story.split(MARK):
        pace.wait()
        sys.stderr.write(step.replace("\n", newline))
        sys.stderr.flush()


class Pace:
    """Enter between the steps; after ``q``, no more."""

    def __init__(self) -> None:
        self._begun = self._hurries = False

    def wait(self) -> None:
        """Before a step: wait for a key, but not before the first. Raises KeyboardInterrupt."""
        if self._begun and not self._hurries:
            self._hurries = _key() == b"q"
        self._begun = True


def _key() -> bytes:
    key = os.read(terminal.STDIN, 1)
    if key == b"\x03":
        raise KeyboardInterrupt
    return key or b"q"
