"""The chapters as a whole: their programs run, their problems can be seen, their exercises have a place in the book."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chapters.course import ROOT, Chapter, Exercise, chapter, chapters, exercises

pytestmark = pytest.mark.root
EACH = pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: str(chapter.number))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """``python -m chapters``."""
    return subprocess.run(
        [sys.executable, "-m", "chapters", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )


def test_the_chapters_count() -> None:
    """1, 2, 3, …: none is missing."""
    assert [each.number for each in chapters()] == list(range(1, len(chapters()) + 1))


@EACH
def test_a_chapters_program_is_short(chapter: Chapter) -> None:
    """At most 60 lines: the rest is the engine's."""
    assert len((chapter.folder / "container.py").read_text().splitlines()) <= 60


@EACH
def test_a_chapters_program_runs(chapter: Chapter) -> None:
    """The program built so far runs a command, and its exit code comes back."""
    done = run("run", str(chapter.number), "--", "sh", "-c", "echo hello; exit 3")
    assert (done.stdout, done.returncode) == ("hello\n", 3), done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [("run 5 echo hello", "hello\n"), ("run 6 echo hello", "hello\n"), ("problem 6", "the container says: working\n")],
)
def test_what_a_chapter_starts_loads_nothing_of_the_current_directory(words: str, said: str, tmp_path: Path) -> None:
    """``python -m`` would look there first, be it a downloaded archive; the course itself is started with -P here."""
    for name in ("aiohttp", "msgspec"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')")
    command = [sys.executable, "-P", "-m", "chapters", *words.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(said) and "planted" not in done.stderr, done.stderr


@EACH
def test_a_chapters_problem_can_be_seen(chapter: Chapter) -> None:
    """The failure or attack that the chapter begins with happens, and is survived."""
    done = run("problem", str(chapter.number))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 3


@pytest.mark.parametrize("exercise", list(exercises()), ids=lambda exercise: exercise.name)
def test_an_exercise_has_its_place_in_the_book(exercise: Exercise) -> None:
    """A row that can be linked to, with its number and the function's name."""
    text = (chapter(str(exercise.chapter)).folder / "chapter.md").read_text()
    anchor = f'<a id="exercise-{exercise.chapter}-{exercise.number}"></a>'
    assert f"| {anchor}{exercise.id} | `{exercise.name}` |" in text
