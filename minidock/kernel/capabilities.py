"""Capabilities: what root may do, in 41 pieces. Names, bit masks, the five sets of a thread. capabilities(7).

A mask has bit N set for capability number N. The five sets, for a program without file capabilities and a user other
than 0: *permitted* after exec is the *ambient* set, and for user 0 it is *inheritable* or *bounding*. So for root in a
container the bounding set is the wall; for others nothing is left, unless it is ambient.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from errno import EINVAL
from pathlib import Path

from msgspec import Struct

from minidock.errors import SystemCallFailed
from minidock.kernel import syscalls

NAMES = syscalls.CAPABILITIES
"""All capabilities that we know, in the kernel's order: the position is the number."""
_NUMBERS = {name: number for number, name in enumerate(NAMES)}


def last_capability() -> int:
    """The highest number that this kernel knows; older kernels know less than :data:`NAMES`."""
    return int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def known() -> list[str]:
    """The names of all capabilities that both this kernel and this table know."""
    return list(NAMES[: last_capability() + 1])


def mask(names: Iterable[str]) -> int:
    """The bit mask for names, which begin with ``CAP_`` as in the runtime-spec. Raises KeyError for an unknown one."""
    value = 0
    for name in names:
        value |= 1 << _NUMBERS[name]
    return value


def names(value: int) -> list[str]:
    """The names for a bit mask, in the kernel's order. Bits without a name (of a younger kernel) are left out."""
    return [name for number, name in enumerate(NAMES) if value >> number & 1]


class Sets(Struct, frozen=True):
    """The five sets of a thread, as masks. A capability counts only if it is effective."""

    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    bounding: int = 0
    ambient: int = 0


_STATUS_FIELDS = {
    "CapEff": "effective",
    "CapPrm": "permitted",
    "CapInh": "inheritable",
    "CapBnd": "bounding",
    "CapAmb": "ambient",
}


def parse_status(text: str) -> Sets:
    """The five ``Cap…`` lines of /proc/PID/status: 16 hexadecimal digits each."""
    values = dict(line.split(":", 1) for line in text.split("\n") if line.startswith("Cap"))
    return Sets(**{attribute: int(values[field], 16) for field, attribute in _STATUS_FIELDS.items()})


def read(pid: int | str = "self") -> Sets:
    """The sets of a process. Raises FileNotFoundError or ProcessLookupError when it has ended."""
    # The first line is the name that the process has given itself: any bytes but a newline.
    return parse_status(os.fsdecode(Path(f"/proc/{pid}/status").read_bytes()))


def drop_bounding(keep: int) -> None:
    """Take everything but ``keep`` out of the bounding set: nobody from here on can get it back, by whatever exec.

    The first of the three parts of giving up rights: it needs CAP_SETPCAP, so it comes before the others. It reads
    nothing in /proc, which is the container's already, and also drops what a younger kernel than we know has.
    """
    for number in range(64):
        if not keep >> number & 1:
            try:
                syscalls.bounding_drop(number)
            except SystemCallFailed as error:
                if error.errno != EINVAL:
                    raise
                break  # the kernel knows no more


def assume(wanted: Sets) -> list[str]:
    """Set the effective, permitted, inheritable and ambient sets. Returns the names of those that were not to be had.

    The last part, after the change of user: for user 0 to another, call ``syscalls.set_keep_capabilities(True)``
    before it, otherwise nothing is left to keep. What is not permitted now cannot be granted: the runtime-spec wants a
    warning for that and not an error.
    """
    _, available, _ = syscalls.capget()
    asked = wanted.effective | wanted.permitted | wanted.inheritable | wanted.ambient
    permitted = wanted.permitted & available
    # The kernel's rules: effective within permitted; new inheritable ones within bounding; ambient within both
    # permitted and inheritable. It lowers an ambient capability by itself when one of these two goes.
    inheritable = mask(name for name in names(wanted.inheritable & available) if syscalls.bounding_read(_NUMBERS[name]))
    syscalls.capset(wanted.effective & permitted, permitted, inheritable)
    syscalls.ambient_clear()
    for number in range(len(NAMES)):
        if (wanted.ambient & permitted & inheritable) >> number & 1:
            syscalls.ambient_raise(number)
    return names(asked & ~available)
