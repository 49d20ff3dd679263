"""The book does not lie: what it shows on the console is what happens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chapters.course import ROOT
from tests import first_session
from tests.chapters.console import Step, fits, sessions

PAGES = [*sorted(ROOT.glob("ch*/chapter.md")), ROOT.parent / "docs" / "instructors-guide.md"]
BIN = Path(sys.executable).parent


@pytest.mark.root
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_console_block(page: Path, tmp_path: Path) -> None:
    """Each block in a shell of its own, its commands in order."""
    for number, session in enumerate(sessions(page)):
        replay(session, tmp_path / str(number))


def test_no_console_block_is_forgotten() -> None:
    """Whoever writes one on another page has it replayed too; README's are those of its first session."""
    project = ROOT.parent
    pages = {page.resolve() for page in [*project.glob("*.md"), *project.glob("docs/**/*.md"), *ROOT.glob("*/*.md")]}
    assert {page for page in pages if "```console" in page.read_text()} == {*PAGES, first_session.README}
    assert sum(map(len, sessions(first_session.README))) == len(first_session.session())


def replay(session: list[Step], directory: Path) -> None:
    """Type a session's commands, one after the other, into one shell; compare what comes."""
    directory.mkdir()
    mark = "--- end of a command ---"
    script = "".join(f"{step.command}\necho '{mark}'\n" for step in session)
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT.parent),
        "MINIDOCK_COURSE": str(directory / "course"),
        "COLUMNS": "120",
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    for step, output in zip(session, done.stdout.split(f"{mark}\n"), strict=False):
        assert fits(step.output, output), f"{step.command}\n--- the book:\n{step.output}\n--- the console:\n{output}"


@pytest.mark.parametrize(
    ("shown", "real", "fit"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\n…\nc", "a\nc\n", True),
        ("a\n…\nc", "a\nx\ny\nc\n", True),
        ("pid …, code 0", "pid 17, code 0\n", True),
        ("a", "a\nb\n", False),
        ("", "a\n", False),
        ("", "", True),
        ("a.c", "abc\n", False),
    ],
)
def test_how_output_is_compared(shown: str, real: str, fit: bool) -> None:
    """An ellipsis stands for something, and for nothing else."""
    assert fits(shown, real) == fit
