"""A build's events as the text that Docker's classic builder writes.

Stages run at the same time, but text has one order: that of the Dockerfile. So a step's text waits until all steps
before it are done; what a later one has said by then comes at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from minidock.messages import BuildEvent


class Classic:
    """Takes events, gives text."""

    def __init__(self) -> None:
        self._current = 1
        self._waiting: defaultdict[int, list[str]] = defaultdict(list)
        self._done: set[int] = set()

    def feed(self, event: BuildEvent) -> Iterator[str]:
        """The text that can be written now."""
        text = _text(event)
        if event.step == 0:
            # docker-py looks for the id in a piece of its own.
            yield from text.splitlines(keepends=True)
            return
        if event.step <= self._current:
            yield text
        else:
            self._waiting[event.step].append(text)
        if event.kind == "done":
            self._done.add(event.step)
        while self._current in self._done:
            self._current += 1
            yield from self._waiting.pop(self._current, [])

    def rest(self) -> Iterator[str]:
        """What still waits, when the build has failed."""
        for step in sorted(self._waiting):
            yield from self._waiting[step]


def _text(event: BuildEvent) -> str:
    match event.kind:
        case "started":
            return f"Step {event.step}/{event.total} : {event.text}\n"
        case "running":
            return f" ---> Running in {event.container[:12]}\n"
        case "removed":
            return f"Removing intermediate container {event.container[:12]}\n"
        case "output":
            return event.text
        case "status":
            return f"{event.text}\n"
        case "done":
            cached = " ---> Using cache\n" if event.cached else ""
            return f"{cached} ---> {_short(event.image)}\n" if event.image else ""
        case "image":
            tagged = [f"Successfully tagged {name}\n" for name in event.names]
            return f"Successfully built {_short(event.image)}\n" + "".join(tagged)
    return ""


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]
