"""``.dockerignore``: which files of a directory do not belong to a build's context.

A pattern is matched against a path and against each of its parents; the last pattern that matches decides, and one
that begins with ``!`` takes files back in. ``*`` and ``?`` stop at a slash, ``**`` does not.

Both sides need it: the client so that it does not send what nobody wants, the daemon for contexts that come as a
tarball or from a URL.

Source: https://github.com/moby/patternmatcher (patternmatcher.go, ignorefile/ignorefile.go), whose surprises are kept:
``**foo`` matches ``barfoo``, although ``**f?o`` does not.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from minidock.errors import InvalidInput
from minidock.patterns import Pattern

FILE_NAME = ".dockerignore"
_WILD = re.compile(r"[*?\[\\]")


def read(text: str) -> list[str]:
    """The patterns in a file: comments and empty lines left out, the rest made clean."""
    found = []
    for line in text.removeprefix("\ufeff").split("\n"):
        pattern = line.strip()
        if line.startswith("#") or not pattern:
            continue
        exception = "!" if pattern.startswith("!") else ""
        pattern = pattern.removeprefix("!").strip()
        if pattern:
            pattern = _clean(pattern)
            pattern = pattern[1:] if len(pattern) > 1 and pattern.startswith("/") else pattern
        found.append(exception + pattern)
    return found


class Ignore:
    """A list of patterns, ready to be asked. Raises InvalidInput for a pattern that is none."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [_compile(_clean(pattern.strip())) for pattern in patterns if pattern.strip()]

    def excludes(self, path: str) -> bool:
        """Does ``path`` (relative, with slashes) not belong to the context?"""
        parts = path.split("/")
        prefixes = ["/".join(parts[:end]) for end in range(1, len(parts))]
        excluded = False
        for pattern in self._patterns:
            # Only a pattern that could change the answer is looked at.
            if pattern.exception == excluded and any(map(pattern.matches, (path, *prefixes))):
                excluded = not pattern.exception
        return excluded

    def excludes_all_below(self, directory: str) -> bool:
        """Is the directory excluded, with no exception that could lie in it? Then nobody need look inside."""
        exceptions = (pattern for pattern in self._patterns if pattern.exception)
        return self.excludes(directory) and not any(pattern.may_lie_below(directory) for pattern in exceptions)


@dataclass(frozen=True)
class _Pattern:
    """``kind`` is how it is matched: exact, prefix (``dir/**``), suffix (``**/name``) or regex."""

    text: str
    exception: bool
    kind: str
    regex: Pattern

    def matches(self, path: str) -> bool:
        """Does it match this very path?"""
        if self.kind == "exact":
            return path == self.text
        if self.kind == "prefix":
            return path.startswith(self.text[:-2])
        if self.kind == "suffix":
            suffix = self.text[2:]
            return path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
        return self.regex.matches(path)

    def may_lie_below(self, directory: str) -> bool:
        """Could a path below ``directory`` match?"""
        for wanted, have in zip(self.text.split("/"), directory.split("/"), strict=False):
            if _WILD.search(wanted):
                return True
            if wanted != have:
                return False
        return True


def _compile(pattern: str) -> _Pattern:
    exception = pattern.startswith("!")
    text = pattern.removeprefix("!")
    if not text:
        raise InvalidInput(f'illegal exclusion pattern: "{pattern}"')
    kind, expression = _translate(text)
    return _Pattern(text, exception, kind, Pattern(expression))


def _translate(text: str) -> tuple[str, str]:
    """A pattern's kind and regular expression."""
    kind, expression, position = "exact", "(?s)", 0
    while position < len(text):
        first, start = text[position], position
        position += 1
        if text.startswith("**", start):
            position += 2 if text.startswith("/", start + 2) else 1
            at_end = position >= len(text)
            expression += ".*" if at_end else "(.*/)?"
            kind = "prefix" if at_end and kind == "exact" else "regex"
            kind = "suffix" if start == 0 else kind
        elif first in "*?":
            expression += "[^/]*" if first == "*" else "[^/]"
            kind = "regex"
        elif first == "\\":
            if position >= len(text):
                raise InvalidInput(f"syntax error in pattern: {text}")
            expression += re.escape(text[position])
            position += 1
            kind = "regex"
        elif first in "[]":
            expression += first
            kind = "regex"
        else:
            expression += f"\\{first}" if first in ".+()|{}$" else first
    return kind, expression


def _clean(path: str) -> str:
    """Go's filepath.Clean: unlike posixpath's, two slashes in front are one."""
    clean = posixpath.normpath(path)
    return clean[1:] if clean.startswith("//") else clean
