"""A build as it goes on: numbered steps, what they print, how long they take (``messages.BuildEvent``).

Plain, for a file or a log, each line says which step it belongs to::

    #2 [build 2/4] RUN make
    #2 0.31 cc -o hello hello.c
    #2 DONE 0.5s

On a terminal, steps that run are at the bottom, each with the last lines of its output, and go up when they are done.
"""

from __future__ import annotations

import json
import time
from typing import Any, TextIO

from minidock.client import terminal
from minidock.errors import InvalidInput

Event = dict[str, Any]
_SHOWN_LINES = 6


class Plain:
    """Line after line."""

    def __init__(self, output: TextIO) -> None:
        self.output = output
        self.total = 0
        self.started: dict[int, float] = {}
        self.partial: dict[int, str] = {}

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Nothing more will come."""
        self.output.flush()

    def show(self, event: Event) -> None:
        """One thing that happened."""
        kind, step = event["kind"], event.get("step", 0)
        if kind == "plan":
            self.total = event["total"]
        elif kind == "started":
            self.started[step] = time.monotonic()
            self.line(step, self.title(event))
        elif kind == "output":
            self.text(step, event["text"])
        elif kind == "image":
            self.image(event)
        elif kind in ("status", "done", "failed", "cancelled"):
            self.flush(step)
            self.line(step, outcome(event))

    def title(self, event: Event) -> str:
        """``[build 2/4] RUN make``"""
        stage = event.get("stage", "")
        stage = f"stage-{stage}" if stage.isdigit() else stage
        return f"[{stage} {event['step']}/{self.total}] {event['text']}"

    def text(self, step: int, text: str) -> None:
        """What a program wrote: whole lines now, the rest when its end has come."""
        *lines, self.partial[step] = (self.partial.get(step, "") + text).split("\n")
        for line in lines:
            self.written(step, line)

    def flush(self, step: int) -> None:
        """A last line without its end."""
        if rest := self.partial.pop(step, ""):
            self.written(step, rest)

    def written(self, step: int, line: str) -> None:
        """One line of a program's output."""
        self.line(step, f"{time.monotonic() - self.started.get(step, time.monotonic()):.3f} {line.rstrip()}")

    def line(self, step: int, text: str) -> None:
        """Print a line about a step."""
        self.output.write(f"#{step} {text}\n")
        self.output.flush()

    def image(self, event: Event) -> None:
        """The end: an image, and what it is called."""
        names = "".join(f"\nnamed {name}" for name in event.get("names", []))
        self.output.write(f"built {event['image']} in {event.get('seconds', 0):.1f}s{names}\n")
        self.output.flush()


def outcome(event: Event) -> str:
    """How a step ended."""
    kind, seconds = event["kind"], event.get("seconds", 0)
    if kind == "done":
        return "CACHED" if event.get("cached") else f"DONE {seconds:.1f}s"
    if kind == "failed":
        return f"ERROR: {event.get('text', '')}"
    return "CANCELED" if kind == "cancelled" else str(event.get("text", ""))


class Live(Plain):
    """What runs, at the bottom of the terminal."""

    def __init__(self, output: TextIO) -> None:
        super().__init__(output)
        self.running: dict[int, tuple[str, list[str]]] = {}
        self.drawn = 0

    def show(self, event: Event) -> None:
        """One thing that happened; and draw again what runs."""
        self._wipe()
        super().show(event)
        self._draw()

    def end(self) -> None:
        """Leave the terminal as somebody else may go on from."""
        self._wipe()
        self.drawn = 0
        super().end()

    def title(self, event: Event) -> str:
        """Keep it, for as long as the step runs."""
        self.running[event["step"]] = (super().title(event), [])
        return ""

    def line(self, step: int, text: str) -> None:
        """A step that has ended goes up, with its outcome; everything else is below its title."""
        if not text:
            return
        title, lines = self.running.get(step, ("", []))
        if text.startswith(("DONE", "CACHED", "ERROR", "CANCELED")):
            self.running.pop(step, None)
            # Of a step that failed, all that it has said is of interest.
            shown = [f"   {line}" for line in lines] if text.startswith("ERROR") else []
            self.output.write("\n".join([f"{title}  {text}", *shown, ""]))
        else:
            lines.append(text)

    def written(self, step: int, line: str) -> None:
        """Output needs no time here."""
        self.running.setdefault(step, ("", []))[1].append(line.rstrip())

    def _wipe(self) -> None:
        if self.drawn:
            self.output.write(f"\x1b[{self.drawn}A\r\x1b[J")

    def _draw(self) -> None:
        columns = terminal.size(self.output.fileno())[1] or 80
        lines = []
        for step, (title, said) in self.running.items():
            lines.append(f"{title}  {time.monotonic() - self.started[step]:.1f}s")
            lines += [f"   {line}" for line in said[-_SHOWN_LINES:]]
        self.drawn = len(lines)
        # A line that is wider than the terminal would take two, and the next wipe would miss one.
        self.output.write("".join(f"{line[: columns - 1]}\n" for line in lines))
        self.output.flush()


class Raw(Plain):
    """Each event as a line of JSON."""

    def show(self, event: Event) -> None:
        """As it came."""
        self.output.write(json.dumps(event) + "\n")


class Silent(Plain):
    """Nothing at all."""

    def show(self, event: Event) -> None:
        """Not."""


def progress_for(kind: str, output: TextIO) -> Plain:
    """How ``--progress`` wants it. Raises InvalidInput."""
    if kind == "auto":
        kind = "tty" if terminal.is_terminal(output.fileno()) else "plain"
    kinds = {"plain": Plain, "tty": Live, "rawjson": Raw, "quiet": Silent}
    if kind not in kinds:
        raise InvalidInput(f"invalid progress mode: {kind}")
    return kinds[kind](output)
