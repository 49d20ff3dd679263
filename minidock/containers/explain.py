"""``--explain``: the steps of a container and the system calls that each of them made, written down and told.

While a container is made, every process that takes part appends JSON lines to ``explain.jsonl``: a step before it is
taken, a call after it was made. One write a line, to a file opened for appending: lines of several processes never mix.
:func:`tell` makes a story of them for people.
"""

from __future__ import annotations

import errno as errno_names
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import Literal

import msgspec

from minidock.containers.init import Story
from minidock.containers.steps import Step
from minidock.kernel import announce, equivalents

Form = Literal["compact", "full", "json"]


class StepLine(msgspec.Struct, frozen=True, tag_field="kind", tag="step"):
    """A step is about to be taken, by the process ``pid`` (as it sees itself: 1 is the container's first)."""

    pid: int
    name: str
    title: str
    where: str
    man: str
    why: str


class CallLine(msgspec.Struct, frozen=True, tag_field="kind", tag="call"):
    """A system call was made; it took ``us`` microseconds. ``shell`` is a command with the same effect, or ""."""

    pid: int
    name: str
    args: tuple[str, ...]
    result: int
    errno: int
    us: int
    man: str
    shell: str


Line = StepLine | CallLine


@contextmanager
def record(path: Path, concerns: Callable[[], bool] = lambda: True) -> Iterator[Story]:
    """Write steps and calls to ``path`` until the block ends; a child that is forked inside goes on until it execs.

    Where several threads make calls, ``concerns`` tells whether the present one is part of this story.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    shell = equivalents.Shell()
    # Not through the announcing calls: the story must not tell of its own telling.
    encode = msgspec.json.Encoder().encode

    def write(line: Line) -> None:
        os.write(descriptor, encode(line) + b"\n")

    def step_taken(step: Step) -> None:
        write(StepLine(os.getpid(), type(step).__name__, step.title, step.where, step.man, step.why))

    def call_made(call: announce.Call) -> None:
        if not concerns():
            return
        us, command = call.duration_ns // 1000, shell.command(call) or ""
        man = equivalents.man(call)
        write(CallLine(call.pid, call.name, call.args, call.result, call.errno, us, man, command))

    try:
        with announce.listen(call_made):
            yield step_taken
    finally:
        os.close(descriptor)


def read(path: Path) -> list[Line]:
    """The lines of an explain.jsonl; none when there is no such file. A last line without its end is left out."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    decoder = msgspec.json.Decoder(Line)
    return [decoder.decode(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def chapters(lines: Iterable[Line]) -> list[tuple[StepLine, list[CallLine]]]:
    """Each step with the calls that it made. Two processes write at once: a call belongs to its own last step."""
    told: list[tuple[StepLine, list[CallLine]]] = []
    last: dict[int, list[CallLine]] = {}
    for line in lines:
        if isinstance(line, StepLine):
            last[line.pid] = []
            told.append((line, last[line.pid]))
        elif line.pid in last:
            last[line.pid].append(line)
    return told


RECORD_SEPARATOR = "\x1e"


def tell(path: Path, form: Form = "compact", colour: bool = False, mark: bool = False) -> str:
    """The story of a container, for people (``compact``, ``full``) or programs (``json``).

    With ``mark`` the control character RS (record separator) stands before each step, and nowhere else.
    """
    if form == "json":
        return path.read_text() if path.exists() else ""
    pieces = _pieces(chapters(read(path)), form, colour)
    return (
        RECORD_SEPARATOR.join(piece.replace(RECORD_SEPARATOR, "\\x1e") for piece in pieces) if mark else "".join(pieces)
    )


def _pieces(told: list[tuple[StepLine, list[CallLine]]], form: Form, colour: bool) -> list[str]:
    """What stands before the first step, then a piece for each step; a part's heading goes with its first step."""
    paint = _paint if colour else _plain
    pieces = [_header(told)]
    headings = _headings([step.name for step, _ in told])
    for number, (step, calls) in enumerate(told, 1):
        heading = f"\n{paint('cyan', headings[number])}\n\n" if number in headings else ""
        pieces.append(heading + _chapter(number, step, calls, form == "full", paint))
    return pieces


def _header(told: list[tuple[StepLine, list[CallLine]]]) -> str:
    calls = [call for _, calls in told for call in calls]
    spent = sum(call.us for call in calls) / 1000
    return f"{len(told)} steps, {len(calls)} system calls, {spent:.1f} ms in the kernel; $BUNDLE is its directory\n"


PARTS = {
    "What it may use: a process under limits": ("MakeCgroup", "StartChild", "StartChildInside"),
    "What it sees: namespaces": ("MapUsers", "JoinNamespace", "NewNamespace"),
    "Its files: mounts, and a root of its own": ("KeepMountsApart", "KeepParentPrivate", "BindRoot", "Chroot"),
    "What it may do: a user with fewer rights": ("SetOomScore", "NewKeyring"),
    "What it is: the program": ("FindProgram",),
}
"""The five parts of a container's making, and the steps of which the first begins the part."""


def _headings(names: list[str]) -> dict[int, str]:
    """The heading that stands before a step, by the step's number."""
    firsts = {
        part: next((names.index(name) + 1 for name in names if name in begin), 0) for part, begin in PARTS.items()
    }
    return {number: part for part, number in firsts.items() if number}


WHO = {"before": "runtime", "parent": "runtime", "child": "child", "daemon": "daemon"}
COMMANDS_SHOWN = 2
WIDTH = 104


def _chapter(number: int, step: StepLine, calls: list[CallLine], full: bool, paint: _Painter) -> str:
    spent = sum(call.us for call in calls) / 1000
    head = f"{number:3}  {WHO[step.where]:7}  "
    lines = [
        head
        + paint("bold", step.title if full else _shorter(step.title))
        + paint("dim", f"  {step.man}  {spent:.2f} ms"),
        " " * len(head) + step.why,
        *(indent(line, " " * len(head)) for line in (_calls(calls, paint) if full else _commands(calls, paint))),
    ]
    return "\n".join(lines) + ("\n\n" if full else "\n")


def _calls(calls: list[CallLine], paint: _Painter) -> Iterator[str]:
    """Every call as strace would print it, and a shell command with the same effect under it."""
    for call in calls:
        yield f"{_call(call, paint)}  {paint('dim', f'{call.us} us')}"
        if call.shell:
            yield indent(paint("green", "$ " + call.shell), "  ")


def _commands(calls: list[CallLine], paint: _Painter) -> Iterator[str]:
    """The first calls that a shell has a word for; of the others, how many there were."""
    told = [call.shell for call in calls if call.shell]
    for command in told[:COMMANDS_SHOWN]:
        yield paint("green", "$ " + _shorter(command))
    if len(told) > COMMANDS_SHOWN:
        yield paint("dim", f"  and {len(told) - COMMANDS_SHOWN} more like these")


def _shorter(text: str) -> str:
    """The container's directory as ``$BUNDLE``, an id's first 12 digits, one line; whole only in the full form."""
    text = "; ".join(line.strip() for line in text.split("\n"))
    text = re.sub("/[^ ,=:]*/containers/[0-9a-f]{64}", "$BUNDLE", text)
    text = re.sub("([0-9a-f]{12})[0-9a-f]{52}", r"\1…", text)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _call(call: CallLine, paint: _Painter) -> str:
    text = f"{call.name}({', '.join(call.args)})"
    if call.errno:
        name = errno_names.errorcode.get(call.errno, str(call.errno))
        return f"{text} = {paint('red', f'-1 {name} ({os.strerror(call.errno)})')}"
    return f"{text} = {call.result}"


class _Painter:
    """Colours for a terminal, or none."""

    def __init__(self, codes: dict[str, str]) -> None:
        self._codes = codes

    def __call__(self, colour: str, text: str) -> str:
        code = self._codes.get(colour)
        return f"\x1b[{code}m{text}\x1b[0m" if code else text


_plain = _Painter({})
_paint = _Painter({"bold": "1", "dim": "2", "red": "31", "green": "32", "cyan": "1;36"})
