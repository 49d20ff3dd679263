"""``--chmod=755`` and ``--chmod=u=rwX,go=rX``: what chmod(1) understands, with a umask of 0.

Source: POSIX, chmod, "extended description"; https://docs.docker.com/reference/dockerfile/#copy---chown---chmod.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from minidock.errors import InvalidInput

_SHIFT = {"u": 6, "g": 3, "o": 0}
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")


@dataclass(frozen=True)
class Mode:
    """``text`` is either kind, checked. Raises InvalidInput."""

    text: str

    def __post_init__(self) -> None:
        if re.fullmatch("0*[0-7]{1,4}", self.text):
            return
        if not all(_CLAUSE.fullmatch(clause) for clause in self.text.split(",")):
            raise InvalidInput(
                f"invalid chmod parameter: '{self.text}'. it should be octal string and between 0 and 07777, "
                "or symbolic as u=rwX,go=rX"
            )

    def of(self, mode: int, is_directory: bool) -> int:
        """The new mode of something whose mode is ``mode``."""
        if self.text.isdecimal():
            return int(self.text, 8)
        for clause in self.text.split(","):
            named, actions = _CLAUSE.findall(clause)[0]
            who = set(named) if named and "a" not in named else set("ugo")
            for sign, letters in _ACTION.findall(actions):
                mode = _changed(mode, who, sign, letters, is_directory)
        return mode


def _changed(mode: int, who: set[str], sign: str, letters: str, is_directory: bool) -> int:
    """One action: ``sign`` and ``letters`` for each of ``who``."""
    if letters in _SHIFT:
        bits = mode >> _SHIFT[letters] & 7
    else:
        runs = "x" in letters or ("X" in letters and (is_directory or mode & 0o111))
        bits = 4 * ("r" in letters) | 2 * ("w" in letters) | bool(runs)
    wanted = sum(bits << _SHIFT[one] for one in who)
    special = {"u": 0o4000 * ("s" in letters), "g": 0o2000 * ("s" in letters), "o": 0}
    wanted |= sum(special[one] for one in who) | 0o1000 * ("t" in letters and who == set("ugo"))
    if sign == "+":
        return mode | wanted
    if sign == "-":
        return mode & ~wanted
    cleared = sum(7 << _SHIFT[one] for one in who)
    if not is_directory:  # a directory keeps them, as with GNU's chmod
        cleared |= 0o4000 * ("u" in who) | 0o2000 * ("g" in who)
    return mode & ~(cleared | 0o1000 * (who == set("ugo"))) | wanted
