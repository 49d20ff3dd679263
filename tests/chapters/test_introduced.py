"""What the chapters introduce: each object of the engine once, and none is used before.

An object is a function or a class of a module; a method comes with its class, a constant with whatever uses it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import minidock
from chapters.course import ROOT, Chapter, chapters

EACH = pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: str(chapter.number))
REST = "the rest of "


@cache
def modules() -> dict[str, list[str]]:
    """Each module of the engine, and the public objects that are defined in it."""
    names = [one.name for one in pkgutil.walk_packages(minidock.__path__, "minidock.") if "__main__" not in one.name]
    return {name: [each for each in vars(importlib.import_module(name)) if is_public(name, each)] for name in names}


def is_public(module: str, name: str) -> bool:
    """Defined here, not imported, and not for this module alone."""
    return not name.startswith("_") and is_object(module, name)


def is_object(module: str, name: str) -> bool:
    """Is this a function or class that is defined in this module?"""
    found = vars(importlib.import_module(module)).get(name)
    return callable(found) and getattr(found, "__module__", "") == module and getattr(found, "__name__", "") == name


def beyond() -> list[str]:
    """The lines of beyond.txt."""
    return [line for line in (ROOT / "beyond.txt").read_text().splitlines() if line and not line.startswith("#")]


def is_beyond(module: str) -> bool:
    """Is the module, or the package that it is in, listed as a whole? Then no chapter takes anything of it."""
    return any(f"{module}.".startswith(f"{line}.") for line in beyond())


def introduced() -> list[str]:
    """By all chapters."""
    return [name for each in chapters() for name in each.introduces]


@EACH
def test_what_is_introduced_exists(chapter: Chapter) -> None:
    """A manifest names functions and classes where they are defined."""
    wrong = [name for name in chapter.introduces if not is_object(*name.rpartition(".")[::2])]
    assert not wrong, wrong


def test_nothing_is_introduced_twice() -> None:
    """The second chapter to use an object need not name it."""
    assert [name for name, times in Counter(introduced()).items() if times > 1] == []


def test_every_public_object_is_introduced_or_beyond_the_course() -> None:
    """By a chapter's manifest, or by beyond.txt, and not by both."""
    known = set(introduced())
    for module, names in modules().items():
        missing = [name for name in names if f"{module}.{name}" not in known]
        if is_beyond(module):
            assert missing == names, f"{module} is beyond the course, but something of it is introduced"
        elif f"{REST}{module}" not in beyond():
            assert not missing, f"no chapter introduces {missing} of {module}"


def test_what_is_beyond_the_course_exists() -> None:
    """A line names a module or package; "the rest" is a part that there is, of a module that is taken in part."""
    assert len(set(beyond())) == len(beyond())
    known = set(introduced())
    for line in beyond():
        module = line.removeprefix(REST)
        importlib.import_module(module)
        if line.startswith(REST):
            taken = [f"{module}.{name}" in known for name in modules()[module]]
            private = any(name.startswith(f"{module}._") for name in known)
            assert (any(taken) or private) and not all(taken), line


@EACH
def test_a_chapter_reaches_only_what_was_introduced(chapter: Chapter) -> None:
    """Program, problem, exercises, and the code that the text shows: objects of this chapter, or of an earlier one."""
    known = {name for each in chapters() if each.number <= chapter.number for name in each.introduces}
    unknown = {name for name in reached(chapter) if name not in known}
    assert not unknown, f"not introduced up to chapter {chapter.number}: {unknown}"


@EACH
def test_what_a_chapter_introduces_is_in_it(chapter: Chapter) -> None:
    """Program, problem or exercises use the object; or the text names it, or its module, or shows code that does."""
    sources = "".join(inspect.getsource(pkgutil.resolve_name(name)) for name in shown(chapter))
    sources += "".join(inspect.getsource(exercise.solution()) for exercise in chapter.exercises)
    # Names are English words too (read, begin): in prose they stand in backticks, and in code prose is left out.
    quoted = re.findall(r"`[^`\n]+`", (chapter.folder / "chapter.md").read_text() + sources)
    text = " ".join(quoted) + re.sub(r"#.*", "", re.sub(r'"""(.|\n)*?"""', "", sources))
    not_named = set(chapter.introduces) - set(reached(chapter))
    for name in list(not_named):
        module, _, last = name.rpartition(".")
        if re.search(rf"\b{last}\b|{re.escape(module)}`", text):
            not_named.remove(name)
    assert not not_named, not_named


def test_a_name_is_followed_to_where_its_object_is_defined() -> None:
    """Through the packages that hand it on, and to the class of a method; constants are nobody's business."""
    assert list(home("minidock.containers.steps.Chroot")) == ["minidock.containers.steps.roots.Chroot"]
    assert list(home("minidock.content.store.Ingest.commit")) == ["minidock.content.store.Ingest"]
    assert list(home("minidock.containers.launcher._be_shim")) == ["minidock.containers.launcher._be_shim"]
    assert list(home("minidock.containers.steps.DEFAULT_DEVICES")) == []
    with pytest.raises(AttributeError):
        list(home("minidock.containers.steps.Nothing"))


def reached(chapter: Chapter) -> Iterator[str]:
    """The engine's objects that a chapter names, where they are defined."""
    for name in shown(chapter):
        yield from home(name)
    for part in ("container", "problem"):
        for name in named_in(chapter.folder / f"{part}.py"):
            yield from home(name)
    for exercise in chapter.exercises:
        yield from home(exercise.engine.replace(":", "."))


def shown(chapter: Chapter) -> list[str]:
    """Whose code the chapter's text shows."""
    return re.findall(r"^```\{engine\} (\S+)$", (chapter.folder / "chapter.md").read_text(), re.M)


def named_in(file: Path) -> set[str]:
    """The engine's objects that a file names, by import or as attributes of an imported module."""
    tree = ast.parse(file.read_text())
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minidock"):
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    names = set(aliases.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, dot, rest = ast.unparse(node).partition(".")
            if first in aliases and re.fullmatch(r"[\w.]+", rest):
                names.add(f"{aliases[first]}{dot}{rest}")
    return names


def home(name: str) -> Iterator[str]:
    """Where the object that a dotted name leads to is defined; nothing for a module or a constant."""
    parts = name.split(".")
    found: object = minidock
    for at, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            try:
                importlib.import_module(".".join(parts[:at]))
            except ModuleNotFoundError:
                raise AttributeError(name) from None
        found = getattr(found, part)
        module, own = getattr(found, "__module__", ""), getattr(found, "__name__", "")
        if module and is_object(module, own):
            yield f"{module}.{own}"
            return
