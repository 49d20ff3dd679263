"""A Dockerfile's lines become statements.

Directives at the top are read, comments go, lines that end with the escape character are joined with the next, and what
``<<NAME`` announces is read up to ``NAME``.

Source: BuildKit, frontend/dockerfile/parser (parser.go, directives.go).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from minidock.build.syntax import Heredoc
from minidock.errors import InvalidInput

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+)")
_HEREDOC = re.compile(r"(\d*)<<(-?)([^<]*)")


@dataclass
class Statement:
    """One instruction as it is written: the line where it begins, its text on one line, its heredocs."""

    line: int
    text: str
    heredocs: list[Heredoc]


def directives(lines: list[str]) -> str:
    """``# escape=`` and ``# syntax=`` in the first lines; the escape character."""
    seen: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match or match[1].lower() not in ("escape", "syntax", "check"):
            break
        name, value = match[1].lower(), match[2]
        if name in seen:
            raise InvalidInput(f"dockerfile parse error line {number}: only one {name} parser directive can be used")
        seen[name] = value
    # The language that everybody's "# syntax=docker/dockerfile:1" names is the one that we speak.
    if not re.fullmatch(
        r"(docker\.io/)?docker/dockerfile(-upstream)?([:@].*)?", seen.get("syntax", "docker/dockerfile")
    ):
        raise InvalidInput(f"# syntax={seen['syntax']}: other languages than Docker's own are not supported")
    if seen.get("escape", "\\") not in ("\\", "`"):
        raise InvalidInput(f"invalid escape token '{seen['escape']}' does not match ` or \\")
    return seen.get("escape", "\\")


def statements(lines: list[str], escape: str) -> Iterator[Statement]:
    """All statements, in order. Raises InvalidInput for a heredoc without an end."""
    joins = re.compile(rf"(^|[^{re.escape(escape)}]){re.escape(escape)}[ \t]*$")
    rest = iter(enumerate(lines, 1))
    for start, first in rest:
        text, line = "", first.lstrip()
        if not line or line.startswith("#"):
            continue
        while joins.search(line):
            text += joins.sub(r"\1", line)
            # Comments and empty lines within a statement count as if they were not there.
            line = next((later for _, later in rest if later.strip() and not later.lstrip().startswith("#")), "")
        text += line
        if not text.strip():
            continue
        yield Statement(start, text, [_heredoc(announced, rest, start) for announced in _announced(text, escape)])


def _announced(text: str, escape: str) -> list[str]:
    """The words of a statement that announce a heredoc."""
    parts = text.split(None, 2)
    if parts[0].upper() == "ONBUILD" and len(parts) > 1:
        return _announced(" ".join(parts[1:]), escape)
    if parts[0].upper() not in ("ADD", "COPY", "RUN"):
        return []
    return [word for word in raw_words(text, escape) if heredoc_name(word)]


def heredoc_name(word: str) -> str:
    """The name in ``<<NAME`` or ``3<<-"NAME"``; "" for any other word."""
    match = _HEREDOC.fullmatch(word)
    return re.sub(r"[\"'\\]", "", match[3]) if match else ""


def _heredoc(word: str, lines: Iterator[tuple[int, str]], start: int) -> Heredoc:
    match = _HEREDOC.fullmatch(word)
    assert match
    name, strips = heredoc_name(word), bool(match[2])
    content: list[str] = []
    for _, line in lines:
        if (line.lstrip("\t") if strips else line) == name:
            verbatim = any(quote in match[3] for quote in "'\"\\")
            return Heredoc(name, "".join(f"{part}\n" for part in content), verbatim, strips)
        content.append(line)
    raise InvalidInput(f"dockerfile parse error line {start}: unterminated heredoc")


def fields(flag: str) -> list[str]:
    """The parts of a flag's value between commas; one in double quotes may have commas in it. Raises InvalidInput."""
    try:
        (found,) = csv.reader([flag], strict=True)
    except (csv.Error, ValueError) as error:
        raise InvalidInput(f"failed to parse csv mounts: {error}") from None
    return found


def raw_words(text: str, escape: str) -> list[str]:
    """Words parted by white space outside of quotes; quotes and escapes stay in them."""
    pattern = rf"""(?:{re.escape(escape)}.|'[^']*'|"(?:{re.escape(escape)}.|[^"{re.escape(escape)}])*"|\S)+"""
    return re.findall(pattern, text, re.DOTALL)
