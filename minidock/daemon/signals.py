"""Signals as users write them: ``KILL``, ``SIGKILL``, ``9``, ``RTMIN+3``."""

from __future__ import annotations

import signal

from minidock import units
from minidock.errors import InvalidInput


def signal_number(text: str) -> int:
    """The number of a signal. Raises InvalidInput (signal(7) has the list)."""
    name = text.upper().removeprefix("SIG")
    if units.is_number(name) and 1 <= int(name) <= signal.SIGRTMAX:
        return int(name)
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    found = signal.Signals.__members__.get(f"SIG{base}")
    if found is None or (sign and not units.is_number(offset)):
        raise InvalidInput(f"invalid signal: {text}")
    number = int(found) + (int(sign + offset) if sign else 0)
    if sign and not signal.SIGRTMIN <= number <= signal.SIGRTMAX:
        raise InvalidInput(f"invalid signal: {text}")
    return number
