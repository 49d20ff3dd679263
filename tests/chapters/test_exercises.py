"""Every exercise is fair: the stub fails, the engine passes, and a known mistake gets the hint that is meant for it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from chapters.course import Exercise, Wrong, chapter, chapters, exercises
from chapters.grading import judge
from chapters.stubs import stub
from chapters.trial import Broken, Subject

ALL = list(exercises())
MISTAKES = [(exercise, wrong) for exercise in ALL for wrong in exercise.wrong]


@pytest.mark.root
@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: f"{exercise.id}-{exercise.name}")
def test_the_engine_is_a_solution(exercise: Exercise) -> None:
    """The law that grades students holds for the engine itself."""
    exercise.law(Subject(exercise.solution(), exercise.name))


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: f"{exercise.id}-{exercise.name}")
def test_the_stub_is_no_solution(exercise: Exercise, tmp_path: Path) -> None:
    """The stub can be loaded, keeps the engine's signature and docstring, and is told from a wrong answer."""
    file = tmp_path / "answer.py"
    file.write_text(stub(exercise))
    assert judge(exercise, file).status == "todo"
    assert f"{exercise.name}(" in file.read_text() or f"class {exercise.name}" in file.read_text()


OFFERING = [exercise for exercise in ALL if exercise.uses]


@pytest.mark.parametrize("exercise", OFFERING, ids=lambda exercise: f"{exercise.id}-{exercise.name}")
def test_the_stub_shows_what_may_be_used(exercise: Exercise) -> None:
    """Each name is imported, and shown without what it does: nobody needs to open the file with the solution."""
    code, _, rest = stub(exercise).partition("# What you may use:")
    shown = [line for line in rest.splitlines() if line.startswith("#")]
    for each in exercise.uses:
        owner, _, member = each.partition(":")[2].partition(".")
        assert re.search(rf"^from minidock\S* import .*\b{owner}\b", code, re.MULTILINE), each
        assert any(re.match(rf"# +(class |def )?{member or owner}\b", line) for line in shown), each
    assert not any(re.match(r"# +(return|yield|with|raise|try)\b", line) for line in shown)


def test_the_stub_shows_the_fields_of_the_types_in_its_signature() -> None:
    """What a Mount consists of stands beside the exercise that makes one."""
    assert "#     mount_point: str\n" in stub(next(exercises("parse_line")))
    assert "#     subject: str | None = None\n" in stub(next(exercises("mark")))


def test_a_stub_has_no_asynchronous_body_and_imports_under_the_names_that_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the file would hold a piece of the solution, or names that mean nothing."""
    source = (
        "import socket as net\n\nclass Line:\n    async def read(self, wire: net.socket) -> int:\n        return 42\n"
    )
    (tmp_path / "asynchronous_line.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    text = stub(Exercise("asynchronous_line:Line", "A line", "", lambda _subject: None, ()))
    assert "42" not in text
    assert "import socket as net\n" in text


@pytest.mark.root
@pytest.mark.parametrize(
    ("exercise", "wrong"), MISTAKES, ids=lambda value: value.file if isinstance(value, Wrong) else value.id
)
def test_a_known_mistake_gets_its_own_hint(exercise: Exercise, wrong: Wrong) -> None:
    """The recorded wrong answer fails, and the hint is the one for this mistake."""
    file = chapter(str(exercise.chapter)).folder / "wrong" / f"{wrong.file}.py"
    verdict = judge(exercise, file)
    assert verdict.status in ("failed", "crashed", "slow"), verdict
    assert verdict.hint == wrong.hint, verdict


# An exercise, a piece of the engine's own, and what somebody may write there; and the helper that has the piece.
SLIPS = [
    ("resolve", 'entry[0] in f[3].split(",")', "entry[0] in f[3]", ""),
    ("parse_cpus", "(ValueError, ZeroDivisionError)", "ValueError", ""),
    ("parse_size", "* base**power", "* 1024**power", ""),
    ("parse_size", "return int(size)", "return round(size)", ""),
    ("verify", "found != digest", "found[:20] != digest[:20]", ""),
    ("lookup", "return found or [here]", "found = found or [here]; continue", "step"),
    ("lookup", "here.lstat()", "here.stat()", "step"),
    ("components", "part for part in", "part.strip() for part in", ""),
    ("is_insecure", 'url.host == "localhost"', 'url.host.endswith("localhost")', "is_loopback"),
    ("may_see_credentials", "is_acceptable(realm, settings)", "True", ""),
    ("may_see_credentials", " or is_insecure(realm, settings)", "", ""),
    ("may_see_credentials", ' or registry.scheme != "https"', "", ""),
    ("from_header", "config.auth and not username", "config.auth", ""),
]


@pytest.mark.root
@pytest.mark.parametrize(("name", "right", "slip", "helper"), SLIPS)
def test_nearly_right_is_wrong(name: str, right: str, slip: str, helper: str) -> None:
    """The engine's own with one slip: the law finds it."""
    exercise = next(exercises(name))
    parts = [getattr(exercise.module, helper)] if helper else []
    source = "\n".join(inspect.getsource(part) for part in [*parts, exercise.solution()])
    assert right in source
    names = dict(vars(exercise.module))
    exec(source.replace(right, slip), names)
    with pytest.raises(Broken):
        exercise.law(Subject(names[name], name))


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: f"{exercise.id}-{exercise.name}")
def test_what_an_exercise_brings(exercise: Exercise) -> None:
    """A task, hints that escalate, and two to four mistakes that are known."""
    assert len(exercise.task.split()) >= 10
    assert 2 <= len(exercise.hints) <= 5
    assert 2 <= len(exercise.wrong) <= 4


def test_a_chapter_has_enough_to_do() -> None:
    """Five to eight exercises a chapter, and no name twice in the course."""
    for each in chapters():
        assert 5 <= len(each.exercises) <= 8, each.title
    names = [exercise.name for exercise in ALL]
    assert len(names) == len(set(names))
    for each in chapters():
        recorded = {wrong.file for exercise in each.exercises for wrong in exercise.wrong}
        assert recorded == {path.stem for path in (each.folder / "wrong").glob("*.py")}
