"""An image that is not here, and how its way here looks to the user."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

from minidock.client import terminal, walking
from minidock.client.connection import Response
from minidock.client.context import Context
from minidock.errors import ErrorFromDaemon, ErrorInStream, InvalidInput
from minidock.units import human_size

_POLICIES = ("always", "missing", "never")


def check_policy(policy: str) -> None:
    """Raises InvalidInput for a ``--pull`` that is none."""
    if policy not in _POLICIES:
        raise InvalidInput(f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"')


def split(image: str) -> tuple[str, str]:
    """Name and tag, or name and digest. The tag is ``latest`` when there is none."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    path, slash, last = image.rpartition("/")
    last, _, tag = last.partition(":")
    return path + slash + last, tag or "latest"


def familiar(image: str) -> str:
    """The name with its tag or digest, as messages show it."""
    name, tag = split(image)
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"


def with_image(
    context: Context, image: str, policy: str, platform: str, quiet: bool, action: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Do what needs ``image``; when the daemon says that it has no such image, pull it and try again."""
    if policy == "always":
        pull(context, image, platform, quiet, sys.stderr)
    try:
        return action()
    except ErrorFromDaemon as error:
        if error.status != 404 or policy != "missing":
            raise
    if not quiet:
        print(f"Unable to find image '{familiar(image)}' locally", file=sys.stderr)
    pull(context, image, platform, quiet, sys.stderr)
    return action()


def full_name(image: str) -> str:
    """``docker.io/library/alpine:latest``: what the short name stands for."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


def pull(
    context: Context,
    image: str,
    platform: str | None,
    quiet: bool,
    output: TextIO,
    every_tag: bool = False,
    explain: bool = False,
    step: bool = False,
) -> None:
    """Pull, and show the progress; with ``explain`` each exchange with the registry, too; with ``step`` after Enter.

    Raises ErrorFromDaemon, ErrorInStream.
    """
    from minidock.client import credentials  # only a pull needs passwords, and a run that pulls nothing is in a hurry

    name, tag = split(image)
    query = {"fromImage": name, "tag": None if every_tag else tag, "platform": platform, "explain": explain or None}
    response = context.client.request("POST", "/images/create", query, headers=credentials.headers(image))
    follow(response, Walk(output) if step else Progress(output), quiet)


def follow(response: Response, progress: Progress, quiet: bool = False) -> dict[str, Any] | None:
    """Show a progress stream to its end; what it said aside (``aux``), last. Raises ErrorInStream."""
    aside = None
    for document in response.documents():
        check(document)
        aside = document.get("aux", aside)
        if not quiet and "aux" not in document:
            progress.show(document)
    return aside


def check(document: dict[str, Any]) -> None:
    """Raises ErrorInStream when a document of a progress stream tells of a failure."""
    if "error" in document or "errorDetail" in document:
        raise ErrorInStream(200, (document.get("errorDetail") or {}).get("message") or document["error"])


class Progress:
    """One line for each layer, kept up to date on a terminal; only the milestones elsewhere."""

    def __init__(self, output: TextIO) -> None:
        self.output = output
        self.live = terminal.is_terminal(output.fileno())
        self.lines: dict[str, int] = {}

    def show(self, document: dict[str, Any]) -> None:
        """Show one document of the daemon's stream."""
        layer, detail = document.get("id", ""), document.get("progressDetail")
        bar = _bar(detail or {}, terminal.size(self.output.fileno())[1])
        if bar and not self.live:
            return
        up = self._line_of(layer) if layer and detail is not None else self._other_line()
        text = (f"{layer}: " if layer else "") + str(document.get("status", document.get("stream", "")))
        text += f" {bar}" if bar else ""
        # On a terminal: up to its line, clear it, write, and down again.
        moved = f"\x1b[{up}A\r\x1b[2K{text}\r\x1b[{up}B"
        self.output.write(moved if self.live and up else text.rstrip("\n") + "\n")
        self.output.flush()

    def _line_of(self, layer: str) -> int:
        """How far up the layer's line is; a new layer gets a new line."""
        if layer not in self.lines:
            self.lines[layer] = len(self.lines)
            if self.live:
                self.output.write("\n")
        return len(self.lines) - self.lines[layer]

    def _other_line(self) -> int:
        """Something that is not about a layer scrolls what is above it away for good."""
        self.lines = {}
        return 0


class Walk(Progress):
    """The milestones, and Enter between the lines that are about no layer: what was asked, and what came of it."""

    def __init__(self, output: TextIO) -> None:
        super().__init__(output)
        self.live = False
        self.pace = walking.Pace()

    def show(self, document: dict[str, Any]) -> None:
        """Show one document of the daemon's stream. Raises KeyboardInterrupt."""
        if not document.get("id"):
            self.pace.wait()
        super().show(document)


def _bar(detail: dict[str, Any], columns: int) -> str:
    """``[=====>     ]  12.3MB/45MB``; without a total, how much there is; nothing without numbers."""
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if current <= 0 and total <= 0:
        return ""
    if total <= 0 or current > total:
        return f"{human_size(current):>8}"
    half = min(current * 50 // total, 50)
    box = f"[{'=' * half}>{' ' * (50 - half)}] " if columns > 110 else ""
    return f"{box}{human_size(current):>8}/{human_size(total)}"
