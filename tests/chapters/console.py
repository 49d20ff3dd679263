"""Replays the book's ``console`` blocks: what the reader types is typed, and what is printed must be what stands there.

In a block, a line that begins with ``# `` or ``$ `` is typed (one that ends with a backslash goes on in the next, and
lines that begin with ``> `` are typed at the shell's second prompt); the lines below are its output. ``…`` stands for
any text within a line, and alone on a line for any number of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Step:
    """A command, and the output that the book shows for it."""

    command: str
    output: str


def sessions(page: Path) -> list[list[Step]]:
    """The console blocks of a page."""
    return [_steps(match[1]) for match in _BLOCK.finditer(page.read_text())]


def _steps(block: str) -> list[Step]:
    steps: list[Step] = []
    lines = block.splitlines()
    while lines:
        line = lines.pop(0)
        if not line.startswith(("# ", "$ ")):
            raise ValueError(f"output before the first command: {line!r}")
        command = line[2:]
        while command.endswith("\\") and lines:
            command = f"{command[:-1]}{lines.pop(0).lstrip()}"
        while lines and lines[0].startswith("> "):
            command += f"\n{lines.pop(0)[2:]}"
        output: list[str] = []
        while lines and not lines[0].startswith(("# ", "$ ")):
            output.append(lines.pop(0))
        steps.append(Step(command, "\n".join(output)))
    return steps


def fits(shown: str, real: str) -> bool:
    """Is this the output that the book shows?"""
    pattern = ""
    for line in shown.splitlines():
        pattern += r"(?:.*\n)*?" if line == "…" else ".*?".join(map(re.escape, line.split("…"))) + r"[ \t]*\n"
    return re.fullmatch(pattern, real.rstrip("\n") + "\n" if real.strip() else "") is not None
