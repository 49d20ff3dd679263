"""Regular expressions that come from outside: what they cost grows with the text, whatever the pattern is.

Python's own ``re`` tries one way after another. ``(a*)*b`` makes it try 2**n of them, and nothing else runs in the
process meanwhile: one request, or one Dockerfile, would stop the daemon. Go's regular expressions, and so Docker's, are
RE2's, which reads the text once. Patterns that we wrote ourselves keep to ``re``.

Source: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import re2

from minidock.errors import InvalidInput

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # RE2 would write them to standard error


class Pattern:
    """An expression, ready to be asked. Raises InvalidInput for one that is none."""

    def __init__(self, expression: str) -> None:
        try:
            self._regex = re2.compile(_decodable(expression), _OPTIONS)
        except re2.error:
            raise InvalidInput(f"syntax error in pattern: {expression}") from None

    def occurs_in(self, text: str) -> bool:
        """Does it match a part of ``text``?"""
        return self._regex.search(_decodable(text)) is not None

    def matches(self, text: str) -> bool:
        """Does it match ``text`` as a whole?"""
        return self._regex.fullmatch(_decodable(text)) is not None

    def beginning(self, text: str) -> int | None:
        """The length of what it matches at the beginning of ``text``, by its own preference (``*`` or ``*?``)."""
        found = self._regex.match(_decodable(text))
        return None if found is None else int(found.end())

    def replaced(self, text: str, word: str, count: int = 0) -> str:
        """``text`` with ``word`` in place of the first ``count`` matches; 0: of all."""
        return str(self._regex.sub(lambda _: word, _decodable(text), count))


def _decodable(text: str) -> str:
    """A byte that is not UTF-8, which Python keeps in names as a surrogate, is U+FFFD: so it is for Go, too."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if not text.isascii() else text
