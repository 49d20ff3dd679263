"""Shell patterns as Go's ``path.Match`` reads them: ``*`` and ``?`` stop at a slash, unlike Python's fnmatch."""

from __future__ import annotations

import re
from collections.abc import Callable

from minidock.errors import InvalidInput
from minidock.patterns import Pattern

_PARTS = re.compile(r"\*|\?|\[\^?(?:\\.|[^\]\\])+\]|\\.|[^\[\\]")


def compiled(pattern: str) -> Callable[[str], bool]:
    """A test for names. Raises InvalidInput for a pattern that is none."""
    parts = _PARTS.findall(pattern)
    if "".join(parts) != pattern:
        raise InvalidInput(f"syntax error in pattern: {pattern}")
    return Pattern("".join(map(_translated, parts))).matches


def _translated(part: str) -> str:
    if part in "*?":
        return "[^/]*" if part == "*" else "[^/]"
    if part.startswith("[") and len(part) > 1:
        return part.replace("[[", r"[\[")
    return re.escape(part.removeprefix("\\") if len(part) > 1 else part)
