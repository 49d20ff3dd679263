"""A build's progress, from the daemon's events to what a person reads."""

from __future__ import annotations

import io
import re

import pytest

from minidock.client.building import Event, Live, Plain, progress_for
from minidock.errors import InvalidInput

EVENTS: list[Event] = [
    {"kind": "plan", "total": 3},
    {"kind": "started", "step": 1, "total": 3, "stage": "base", "text": "FROM tiny AS base"},
    {"kind": "done", "step": 1, "cached": True},
    {"kind": "started", "step": 2, "total": 3, "stage": "base", "text": "RUN one"},
    {"kind": "started", "step": 3, "total": 3, "stage": "1", "text": "RUN two"},
    {"kind": "running", "step": 2, "container": "x"},
    {"kind": "output", "step": 2, "stream": "stdout", "text": "half a "},
    {"kind": "output", "step": 3, "stream": "stderr", "text": "other\n"},
    {"kind": "output", "step": 2, "stream": "stdout", "text": "line\nno end"},
    {"kind": "done", "step": 2, "seconds": 1.24},
    {"kind": "failed", "step": 3, "text": "it returned 3", "seconds": 2.0},
    {"kind": "image", "image": "sha256:1", "names": ["a:1"], "seconds": 3},
]


class Terminal(io.StringIO):
    """What a file needs to be asked for its size."""

    def fileno(self) -> int:
        """Of no terminal: 80 columns are assumed."""
        return 9999


def shown(kind: type[Plain]) -> str:
    """Everything that was written."""
    output = Terminal()
    with kind(output) as progress:
        for event in EVENTS:
            progress.show(event)
    return output.getvalue()


def test_plain_lines_say_whose_they_are() -> None:
    """Whole lines, in the order that they came; a last one without its end when the step ends."""
    text = re.sub(r"\d+\.\d{3} ", "T ", shown(Plain))
    assert text.splitlines() == [
        "#1 [base 1/3] FROM tiny AS base",
        "#1 CACHED",
        "#2 [base 2/3] RUN one",
        "#3 [stage-1 3/3] RUN two",
        "#3 T other",
        "#2 T half a line",
        "#2 T no end",
        "#2 DONE 1.2s",
        "#3 ERROR: it returned 3",
        "built sha256:1 in 3.0s",
        "named a:1",
    ]


def screen(text: str) -> list[str]:
    """What a terminal shows after cursor movements up and wipes to its end."""
    lines = [""]
    for part in re.split("(\x1b\\[\\d*[AJ]|\r|\n)", text):
        if part.endswith("A") and part.startswith("\x1b"):
            lines = [*lines[: -1 - int(part[2:-1])], ""]
        elif part == "\n":
            lines.append("")
        elif not part.startswith(("\x1b", "\r")):
            lines[-1] += part
    return lines


def test_a_terminal_ends_with_what_has_happened() -> None:
    """One line a step; the output only of the one that failed."""
    output = Terminal()
    with Live(output) as progress:
        for event in EVENTS[:9]:
            progress.show(event)
        running = output.getvalue()
        for event in EVENTS[9:]:
            progress.show(event)
    assert "   half a line\n" in running
    final = screen(output.getvalue())
    assert [line for line in final if line] == [
        "[base 1/3] FROM tiny AS base  CACHED",
        "[base 2/3] RUN one  DONE 1.2s",
        "[stage-1 3/3] RUN two  ERROR: it returned 3",
        "   other",
        "built sha256:1 in 3.0s",
        "named a:1",
    ]


def test_a_mode_that_is_none_is_refused() -> None:
    """``auto`` is plain where there is no terminal."""
    assert type(progress_for("auto", Terminal())) is Plain
    with pytest.raises(InvalidInput, match="invalid progress mode: loud"):
        progress_for("loud", Terminal())
