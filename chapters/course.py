"""The course as data: chapters, the exercises in them, and the laws that an answer must obey.

A chapter is a folder ``chNN_name`` with

- ``chapter.md``: the text, a page of the book;
- ``manifest.toml``: number, title, idea, and the engine's objects that it introduces;
- ``problem.py``: the failure or attack that the chapter begins with, to be run (``main(arguments) -> exit code``);
- ``container.py``: the program built so far, the last chapter's plus this chapter's idea (the same ``main``);
- ``exercises.py``: ``EXERCISES``.

An exercise is a function (or class) of the engine that the student writes again. The engine's own is the solution, its
signature and docstring are the stub, and one law holds for both: nothing is written twice.
"""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from chapters.trial import Observation, Subject
from minidock.errors import NotFound

ROOT = Path(__file__).parent
AS_ROOT = f"sudo -E {sys.executable} -m chapters"
"""What to type in order to be root: sudo's own search path leads past a virtual environment."""


@dataclass(frozen=True)
class Wrong:
    """A wrong answer that students give, and what helps them. It is the file ``wrong/<file>.py`` of the chapter.

    ``when`` recognises the mistake in what was observed; CI proves that this answer fails and gets this very ``hint``.
    """

    file: str
    when: Callable[[Observation], bool]
    hint: str


@dataclass(frozen=True)
class Exercise:
    """One function to write.

    ``engine`` is where the engine's own is, as ``package.module:name``. ``law`` takes the implementation, in the form
    of a :class:`~chapters.trial.Subject`, and fails when it is wrong. ``hints`` go from a nudge to nearly everything.
    """

    engine: str
    title: str
    task: str
    law: Callable[[Subject], None]
    hints: tuple[str, ...]
    wrong: tuple[Wrong, ...] = ()
    uses: tuple[str, ...] = ()
    """What else of the engine the answer may stand on, as ``package.module:name``: the stub imports and outlines it."""
    needs_root: bool = False
    number: int = field(default=0, compare=False)
    chapter: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """The function's name."""
        return self.engine.rpartition(":")[2]

    @property
    def id(self) -> str:
        """``3.2``: chapter and number."""
        return f"{self.chapter}.{self.number}"

    @property
    def module(self) -> ModuleType:
        """The engine's module that has the solution."""
        return importlib.import_module(self.engine.partition(":")[0])

    def solution(self) -> Any:
        """The engine's own."""
        return getattr(self.module, self.name)


@dataclass(frozen=True)
class Chapter:
    """A folder of the course. ``introduces`` names objects of the engine: ``minidock.units.parse_size``."""

    number: int
    folder: Path
    title: str
    idea: str
    introduces: tuple[str, ...]

    def part(self, name: str) -> ModuleType:
        """Its module ``container``, ``problem`` or ``exercises``."""
        return importlib.import_module(f"chapters.{self.folder.name}.{name}")

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """In order, numbered from 1."""
        listed: tuple[Exercise, ...] = self.part("exercises").EXERCISES
        return tuple(replace(one, number=number, chapter=self.number) for number, one in enumerate(listed, 1))


@cache
def chapters() -> tuple[Chapter, ...]:
    """All chapters, in order."""
    return tuple(sorted((_read(path.parent) for path in ROOT.glob("ch*/manifest.toml")), key=lambda one: one.number))


def _read(folder: Path) -> Chapter:
    manifest = tomllib.loads((folder / "manifest.toml").read_text())
    introduces = tuple(f"{module}.{name}" for module, names in manifest["introduces"].items() for name in names)
    return Chapter(manifest["number"], folder, manifest["title"], manifest["idea"], introduces)


def chapter(number: str) -> Chapter:
    """The chapter with a number. Raises NotFound."""
    for one in chapters():
        if str(one.number) == number:
            return one
    there = ", ".join(str(one.number) for one in chapters())
    raise NotFound(f"there is no chapter {number}; there are {there}")


def exercises(what: str = "") -> Iterator[Exercise]:
    """All exercises; those of chapter ``3``; the one that is ``3.2`` or has that function's name. Raises NotFound."""
    number, dot, _ = what.partition(".")
    if number.isdecimal() and not dot:
        yield from chapter(number).exercises
        return
    # Of 3.2, chapter 3 alone is loaded.
    among = [chapter(number)] if number.isdecimal() else chapters()
    found = [one for each in among for one in each.exercises if what in ("", one.id, one.name)]
    if not found:
        raise NotFound(f"there is no exercise {what}: `python -m chapters` lists them")
    yield from found
