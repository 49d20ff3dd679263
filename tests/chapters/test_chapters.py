"""The chapters as a whole: they grow by composition, reach only what was introduced, and leave the host alone."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import minidock
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


@pytest.mark.parametrize("number", ["5", "6"])
def test_the_servers_of_a_chapter_load_nothing_of_the_current_directory(number: str, tmp_path: Path) -> None:
    """``python -m`` would look there first, be it a downloaded archive; the course itself is started with -P here."""
    (tmp_path / "aiohttp.py").write_text("raise SystemExit('planted')")
    command = [sys.executable, "-P", "-m", "chapters", "run", number, "--", "sh", "-c", "echo hello"]
    environment = os.environ | {"PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "hello\n" and "planted" not in done.stderr, done.stderr


@EACH
def test_a_chapters_problem_can_be_seen(chapter: Chapter) -> None:
    """The failure or attack that the chapter begins with happens, and is survived."""
    done = run("problem", str(chapter.number))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 3


@EACH
def test_a_chapter_reaches_only_what_was_introduced(chapter: Chapter) -> None:
    """The engine's objects that the program names are introduced in this chapter or an earlier one."""
    introduced = [name for each in chapters() if each.number <= chapter.number for name in each.introduces]
    for name in named_in(chapter.folder / "container.py"):
        assert any(covers(pattern, name) for pattern in introduced), f"{name} is not introduced up to {chapter.number}"


def test_what_is_introduced_exists() -> None:
    """A manifest names objects of the engine, and no object is introduced twice."""
    seen: dict[str, int] = {}
    for each in chapters():
        for pattern in each.introduces:
            assert pattern not in seen, f"{pattern} is introduced in {seen[pattern]} and {each.number}"
            seen[pattern] = each.number
            assert find(pattern.removesuffix(".*")) is not None, f"{pattern} (chapter {each.number})"


def covers(pattern: str, name: str) -> bool:
    """Does a manifest's line mean this object?"""
    return name == pattern or (pattern.endswith(".*") and name.startswith(pattern[:-1]))


def find(name: str) -> object:
    """The object or module with a dotted name, or None."""
    module, _, attribute = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        try:
            return getattr(importlib.import_module(module), attribute, None)
        except ModuleNotFoundError:
            return None


def named_in(file: Path) -> set[str]:
    """The engine's objects that a chapter's file names, by import or as an attribute of an imported module."""
    tree = ast.parse(file.read_text())
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minidock"):
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            names.add(f"{aliases[node.value.id]}.{node.attr}")
    return names | {name for name in aliases.values() if not inspect.ismodule(find(name))}


def test_every_module_is_somewhere() -> None:
    """Each module of the engine is introduced by a chapter, or listed in beyond.txt as beyond the course."""
    listed = (ROOT / "beyond.txt").read_text().split("\n")
    beyond = {line.split("#")[0].strip() for line in listed} - {""}
    patterns = {name for each in chapters() for name in each.introduces} | beyond
    modules = [module.name for module in pkgutil.walk_packages(minidock.__path__, "minidock.") if not module.ispkg]
    lost = [
        name
        for name in modules
        if not any(pattern.startswith(f"{name}.") or covers(pattern, f"{name}.x") for pattern in patterns)
    ]
    assert not lost, lost
    for pattern in beyond:
        assert find(pattern.removesuffix(".*")) is not None, pattern


@pytest.mark.parametrize("exercise", list(exercises()), ids=lambda exercise: exercise.name)
def test_an_exercise_has_its_place_in_the_book(exercise: Exercise) -> None:
    """A row that can be linked to, with its number and the function's name."""
    text = (chapter(str(exercise.chapter)).folder / "chapter.md").read_text()
    anchor = f'<a id="exercise-{exercise.chapter}-{exercise.number}"></a>'
    assert f"| {anchor}{exercise.id} | `{exercise.name}` |" in text
