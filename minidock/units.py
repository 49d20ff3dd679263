"""Sizes, durations and times, as Docker's users write and read them.

Whole numbers inside, text outside: sizes are bytes, durations and times are nanoseconds (times since 1970, UTC), CPUs
are billionths. The rules and the error texts are those of Docker's ``go-units`` and of Go's ``time`` package, because
scripts depend on both.
"""

from __future__ import annotations

import re
import time

from minidock.errors import InvalidInput

SECOND = 1_000_000_000

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter: Go takes both
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}


def is_number(text: str) -> bool:
    """Is it one that ``int`` takes and anybody means: ASCII digits, at most 18? (``"²".isdigit()`` holds, and Python
    refuses to read 5000 digits.)"""
    return text.isascii() and text.isdecimal() and len(text) <= 18


# --- sizes ---------------------------------------------------------------------------------------------------------


def parse_size(text: str, base: int = 1024) -> int:
    """Bytes from ``"512m"``, ``"1.5GiB"``, ``"64 kb"``, ``"100"``. Every unit is a power of 1024, as for memory; or of
    ``base``: for the sizes of logs Docker counts with 1000.

    Raises InvalidInput, with go-units' words.
    """
    end = max((text.rfind(character) for character in "0123456789. "), default=-1)
    if end == -1:
        raise InvalidInput(f"invalid size: '{text}'")
    number, suffix = text[: end + 1].removesuffix(" "), text[end + 1 :].lower()
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", number, re.ASCII | re.IGNORECASE):
        raise InvalidInput(f'strconv.ParseFloat: parsing "{number}": invalid syntax')
    if float(number) < 0:
        raise InvalidInput(f"invalid size: '{text}'")
    if not re.fullmatch(r"|b|[kmgtp](b|ib)?", suffix):
        raise InvalidInput(f"invalid suffix: '{suffix}'")
    power = "bkmgtp".index(suffix[0]) if suffix else 0
    size = float(number) * base**power
    if size == float("inf"):
        raise InvalidInput(f'strconv.ParseFloat: parsing "{number}": value out of range')
    return int(size)


def human_size(size: float, precision: int = 4) -> str:
    """``12.3MB``: powers of 1000, ``precision`` significant digits. For what a disk or a network holds."""
    return _scaled(size, precision, 1000, ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"))


def bytes_size(size: float) -> str:
    """``64MiB``: powers of 1024, four significant digits. For what memory holds."""
    return _scaled(size, 4, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"))


def _scaled(size: float, precision: int, base: int, names: tuple[str, ...]) -> str:
    unit = 0
    while size >= base and unit < len(names) - 1:
        size /= base
        unit += 1
    return f"{size:.{precision}g}{names[unit]}"


# --- CPUs ----------------------------------------------------------------------------------------------------------


def parse_cpus(text: str) -> int:
    """Billionths of a CPU from ``"1.5"``: what the API calls NanoCpus. Raises InvalidInput."""
    from fractions import Fraction  # slow to import, and hardly ever needed

    try:
        billionths = Fraction(text) * 1_000_000_000
    except (ValueError, ZeroDivisionError):
        raise InvalidInput(f"failed to parse {text} as a rational number") from None
    if billionths.denominator != 1:
        raise InvalidInput("value is too precise")
    return int(billionths)


# --- durations -----------------------------------------------------------------------------------------------------


def parse_duration(text: str) -> int:
    """Nanoseconds from Go's notation: ``"1h30m"``, ``"1.5s"``, ``"-10ms"``, ``"0"``. Raises InvalidInput."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise InvalidInput(f'time: invalid duration "{text}"')
    total = 0
    while rest:
        match = re.match(r"(\d*)(?:\.(\d*))?", rest, re.ASCII)
        whole, fraction = (match[1], match[2] or "") if match else ("", "")
        if (not whole and not fraction) or len(whole) > 18:
            raise InvalidInput(f'time: invalid duration "{text}"')
        rest = rest[match.end() :] if match else rest
        unit = re.match(r"[^.\d]*", rest, re.ASCII)[0]  # type: ignore[index]  # it matches the empty string too
        if not unit:
            raise InvalidInput(f'time: missing unit in duration "{text}"')
        if unit not in _NANOSECONDS:
            raise InvalidInput(f'time: unknown unit "{unit}" in duration "{text}"')
        fraction = fraction[:18]
        total += int(whole + fraction) * _NANOSECONDS[unit] // 10 ** len(fraction)
        rest = rest[len(unit) :]
    return sign * total


def format_duration(nanoseconds: int) -> str:
    """Go's notation, ``"1h30m0s"``, from nanoseconds: as the API writes a health check's interval in messages."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < SECOND:
        unit = next(unit for unit in ("ms", "µs", "ns") if rest >= _NANOSECONDS[unit])
        return sign + _decimal(rest, _NANOSECONDS[unit]) + unit
    minutes, seconds = divmod(rest, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{_decimal(seconds, SECOND)}s"


def _decimal(value: int, unit: int) -> str:
    """``value / unit`` in full, without trailing zeros. ``unit`` is a power of ten."""
    whole, fraction = divmod(value, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{fraction:0{digits}d}".rstrip("0").rstrip(".")


def human_duration(nanoseconds: int) -> str:
    """``About an hour``, ``5 minutes``, ``3 weeks``: the largest unit that says enough. As go-units does it."""
    seconds = nanoseconds // SECOND
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = (nanoseconds + 1800 * SECOND) // (3600 * SECOND)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{seconds // 3600 // 24 // 365} years"


# --- points in time ------------------------------------------------------------------------------------------------

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?(?:([Zz])|([+-])(\d\d):(\d\d))?", re.ASCII
)


def parse_time(text: str, now: int) -> int:
    """A point in time, in nanoseconds, from what ``--since`` and ``--until`` take. Raises InvalidInput.

    A duration counts back from ``now`` (``"10m"``); digits are seconds since 1970 (``"1136073600.000000001"``); all
    else is RFC 3339, of which everything after the day may be left out. Without a zone it is local time.
    """
    try:
        return now - parse_duration(text) if text != "0" else 0
    except InvalidInput:
        pass
    if match := re.fullmatch(r"(-?\d{1,18})(?:\.(\d{1,9}))?", text, re.ASCII):
        return int(match[1]) * SECOND + int((match[2] or "0").ljust(9, "0"))
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise InvalidInput(f'failed to parse value as time or duration: "{text}"')
    return _from_match(text, match)


def parse_rfc3339(text: str) -> int:
    """Nanoseconds since 1970 from ``2006-01-02T15:04:05.999999999Z``, as the API writes times. Raises InvalidInput.

    Go's zero time, ``0001-01-01T00:00:00Z``, which stands for "never", is a large negative number.
    """
    match = _RFC3339.fullmatch(text)
    if match is None or match[6] is None or not (match[8] or match[9]):
        raise InvalidInput(f'not an RFC 3339 time: "{text}"')
    return _from_match(text, match)


def format_rfc3339(nanoseconds: int) -> str:
    """``2006-01-02T15:04:05.123456789Z``: UTC, without trailing zeros of the fraction, as Go writes JSON."""
    seconds, fraction = divmod(nanoseconds, SECOND)
    parts = time.gmtime(seconds)
    text = f"{parts.tm_year:04d}-{parts.tm_mon:02d}-{parts.tm_mday:02d}T"
    text += f"{parts.tm_hour:02d}:{parts.tm_min:02d}:{parts.tm_sec:02d}"
    return f"{text}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"


def local_time(nanoseconds: int) -> str:
    """``2006-01-02 15:04:05 +0100 CET``: the reader's own clock, as ``ps`` and ``images`` show a time of creation."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(nanoseconds // SECOND))


def _from_match(text: str, match: re.Match[str]) -> int:
    """Nanoseconds since 1970 of a matched RFC 3339 time. Raises InvalidInput for a day or hour that does not exist."""
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (1 <= month <= 12 and 1 <= day <= lengths[month - 1] and hour < 24 and minute < 60 and second < 60):
        raise InvalidInput(f'parsing time "{text}": out of range')
    fraction = int((match[7] or "0")[:9].ljust(9, "0"))
    if not (match[8] or match[9]):
        return int(time.mktime((year, month, day, hour, minute, second, 0, 0, -1))) * SECOND + fraction
    # Days since 1970 by the Gregorian rule, counted in years that begin in March: the leap day is then a year's last.
    shifted = year - (month <= 2)
    days = shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400 - 719468
    days += (153 * ((month - 3) % 12) + 2) // 5 + day - 1
    offset = (int(match[10]) * 60 + int(match[11])) * (-1 if match[9] == "-" else 1) if match[9] else 0
    return ((days * 24 + hour) * 60 + minute - offset) * 60 * SECOND + second * SECOND + fraction
