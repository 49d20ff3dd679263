"""What the course prints: verdicts, hints, marks."""

from __future__ import annotations

import os
import select
import shutil
import sys
import textwrap

from chapters.course import Exercise
from chapters.grading import Verdict
from chapters.workbook import Progress
from minidock.kernel.inotify import Inotify


def paint(code: str, text: str) -> str:
    """``text`` in an ANSI colour, when somebody looks at a terminal."""
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def width() -> int:
    """Columns to fill: those of the terminal, but no more than one reads easily, and no less than a word needs."""
    return min(max(shutil.get_terminal_size((100, 24)).columns, 40), 100)


def heading(left: str, right: str) -> str:
    """A line with something at each end."""
    return f"{paint('1', left)}  {paint('2', right)}"


def tick(good: bool, needed: bool = True) -> str:
    """A mark for good, bad, or only a pity."""
    return paint("32", "✓") if good else paint("31", "✗") if needed else paint("33", "-")


def mark(progress: Progress) -> str:
    """How far an exercise is."""
    if progress.passed:
        return paint("32", "✓")
    return paint("33", "…") if progress.attempts else "·"


def verdict(exercise: Exercise, found: Verdict) -> str:
    """A verdict as a person reads it: what was called, what came out, what should have, and why."""
    lines = [f"{tick(found.passed)} {exercise.id} {exercise.name}" + ("" if found.passed else f"  ({found.status})")]
    if found.status in ("failed", "slow", "crashed") and found.call:
        lines += [_line("you were asked", found.call), _line("your answer", found.got)]
        if found.expected:
            lines.append(_line("expected", found.expected))
    for name, text in (("at", found.where), ("because", found.why), ("hint", found.hint)):
        if text:
            lines.append(_line(name, text))
    if not found.passed and found.status in ("failed", "crashed", "slow"):
        lines.append(_line("more", f"python -m chapters hint {exercise.id}"))
    return "\n".join(lines)


def _line(name: str, text: str) -> str:
    wrapped = textwrap.fill(text, width() - 20, break_long_words=False, break_on_hyphens=False)
    return f"    {name:<15} " + wrapped.replace("\n", "\n" + " " * 20)


def hint(exercise: Exercise, progress: Progress) -> str:
    """The next hint: first what the last mistake says, then one that tells more each time."""
    observed = progress.last.get("hint") if progress.last.get("status") in ("failed", "crashed", "slow") else ""
    if progress.hints == 0 and observed:
        progress.hints = 1
        return observed
    index = max(progress.hints - 1, 0) if observed else progress.hints
    progress.hints += 1
    if index < len(exercise.hints):
        return f"({index + 1} of {len(exercise.hints)}) {exercise.hints[index]}"
    return f"That was the last hint. The engine's own: python -m chapters solution {exercise.id}"


def saved(inotify: Inotify) -> list[str]:
    """Wait until something is saved; the files' names, each once."""
    select.select([inotify.fileno()], [], [])
    return list(dict.fromkeys(event.name for event in inotify.read()))
