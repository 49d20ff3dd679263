"""The text in the files of cgroups, and the conversions from version 1's numbers to version 2's.

Sources: cgroup-v2.rst and the pages of cgroup-v1 in the kernel ("Format"), runtime-spec config-linux.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from minidock.errors import InvalidSpec
from minidock.kernel.cgroups.resources import Pressure

# Version 1 has no word for "no limit": it answers the largest multiple of the page size that fits in 63 bits.
_V1_UNLIMITED = 1 << 62


def parse_number(text: str) -> int | None:
    """``max``, and version 1's enormous numbers, are None: no limit."""
    text = text.strip()
    return None if text == "max" or int(text) >= _V1_UNLIMITED else int(text)


def format_number(value: int) -> str:
    """A negative ``value`` is ``max``."""
    return "max" if value < 0 else str(value)


def parse_flat_keyed(text: str) -> dict[str, int]:
    """``memory.stat`` and its like: a key and a number a line."""
    return {key: int(value) for key, value in (line.split() for line in text.splitlines())}


def parse_nested_keyed(text: str) -> dict[str, dict[str, int]]:
    """``io.stat`` and its like: a key, then ``name=number`` several times, a line."""
    parsed: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        key, *pairs = line.split()
        parsed[key] = {name: int(value) for name, _, value in (pair.partition("=") for pair in pairs)}
    return parsed


def format_nested_keyed(key: str, values: Mapping[str, int]) -> str:
    """One line of such a file, as it is written: negative numbers are ``max``."""
    return " ".join([key, *(f"{name}={format_number(value)}" for name, value in values.items())])


def parse_pressure(text: str) -> Pressure | None:
    """``some avg10=0.00 … total=123`` and the same for ``full``, in microseconds. None for an empty text."""
    totals = {words[0]: int(words[-1].removeprefix("total=")) for words in map(str.split, text.splitlines())}
    return Pressure(totals["some"] * 1000, totals.get("full", 0) * 1000) if totals else None


def cpu_max(quota: int | None, period: int | None) -> str:
    """What to write into ``cpu.max``: ``QUOTA PERIOD``, or the quota alone, which keeps the period. Microseconds."""
    limit = "max" if quota is None or quota <= 0 else str(quota)
    return limit if period is None else f"{limit} {period}"


def cpu_weight(shares: int) -> int:
    """Version 1's ``cpu.shares`` (2 to 262144, ordinary 1024) as ``cpu.weight`` (1 to 10000, ordinary 100).

    The straight line that runc used for years makes 1024 a weight of 39, so that a container with an ordinary share
    loses against every ordinary process. This is the curve that runc (1.3.2) and crun (1.23) use since 2025: through
    (2, 1), (1024, 100) and (262144, 10000).
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    log = math.log2(shares)
    exponent = (log * log + 125 * log) / 612 - 7 / 34
    return math.ceil(10**exponent)


def io_weight(weight: int) -> int:
    """The runtime-spec's block IO weight (10 to 1000) as ``io.weight`` (1 to 10000)."""
    return 1 + (weight - 10) * 9999 // 990


def swap_only(limit: int | None, swap: int | None) -> int | None:
    """Version 1 limits memory and swap together, version 2 swap alone (bytes; -1 no limit; None: leave it).

    Raises ``InvalidSpec`` when the difference is not known or negative.
    """
    if swap is None:
        return -1 if limit == -1 else None
    if swap == -1:
        return -1
    if limit is None or limit == -1:
        raise InvalidSpec("a limit of memory and swap needs a limit of memory too")
    if swap < limit:
        raise InvalidSpec(f"the limit of memory and swap ({swap}) is less than that of memory ({limit})")
    return swap - limit
