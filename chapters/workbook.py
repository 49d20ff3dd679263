"""The student's own directory: a file for each exercise, and how far the student has come."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec

from chapters.course import Exercise, chapter
from chapters.grading import Verdict
from chapters.stubs import stub
from minidock.errors import InvalidInput


class Progress(msgspec.Struct):
    """What is known of one exercise."""

    passed: bool = False
    attempts: int = 0
    hints: int = 0
    last: dict[str, str] = {}
    """The last verdict."""


class Workbook:
    """The directory ``path`` (``$MINIDOCK_COURSE``, or ``course`` here)."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(os.environ.get("MINIDOCK_COURSE", "course"))
        self._file = self.path / "progress.json"
        self._progress = self._read()

    def _read(self) -> dict[str, Progress]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Progress])
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise InvalidInput(
                f"{self._file} is damaged ({error}): remove it, your answers are in other files"
            ) from None

    def file(self, exercise: Exercise) -> Path:
        """Where the answer is."""
        folder = chapter(str(exercise.chapter)).folder.name
        return self.path / folder / f"ex{exercise.number}_{exercise.name}.py"

    def start(self, exercise: Exercise, again: bool = False) -> bool:
        """Write the stub. An answer that is there stays; with ``again`` it becomes ``….bak``. False: it was there."""
        file = self.file(exercise)
        if file.exists() and not again:
            return False
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            file.replace(file.with_suffix(".py.bak"))
        file.write_text(stub(exercise))
        return True

    def progress(self, exercise: Exercise) -> Progress:
        """How far this one is."""
        return self._progress.setdefault(exercise.id, Progress())

    def record(self, exercise: Exercise, verdict: Verdict) -> None:
        """Write a verdict down."""
        known = self.progress(exercise)
        known.passed = verdict.passed
        known.attempts += verdict.status not in ("missing", "todo", "needs root")
        known.last = {name: getattr(verdict, name) for name in ("status", "call", "got", "expected", "why", "hint")}
        self.save()

    def forget(self, exercise: Exercise) -> None:
        """As if never tried."""
        self._progress.pop(exercise.id, None)
        self.save()

    def save(self) -> None:
        """Write progress.json, whole or not at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_suffix(".new")
        temporary.write_bytes(msgspec.json.format(json.dumps(msgspec.to_builtins(self._progress)).encode()))
        temporary.replace(self._file)
