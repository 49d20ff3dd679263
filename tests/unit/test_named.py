"""What the book and README name is there: files, modules, targets of make; and decisions bear their number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = [
    page
    for page in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("chapters/ch*/chapter.md")]
    if not page.is_symlink() and "_build" not in page.parts and page.name != "CHANGELOG.md"
]
DECISIONS = sorted((PROJECT / "docs" / "decisions").glob("0*.md"))
TARGETS = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
OURS = (
    "minidock",
    "chapters",
    "tests",
    "docs",
    "packaging",
    "vagrant",
    *(each.name for each in PROJECT.glob("minidock/[a-z]*/")),
)


def names(text: str) -> set[str]:
    """All that stands between single backquotes."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)))


def missing(name: str) -> bool:
    """Does it look like a path of ours (a module may go without its ``.py``), and is not there?"""
    if not re.fullmatch(rf"(?:{'|'.join(OURS)})/[\w./-]*\w/?", name):
        return False
    places = [base / name for base in (PROJECT, PROJECT / "minidock", PROJECT / "minidock" / "daemon")]
    return not any(place.exists() or place.with_name(f"{place.name}.py").exists() for place in places)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    """A path that was renamed, a target that is gone: the page is to follow."""
    text = page.read_text()
    assert [name for name in names(text) if missing(name)] == []
    assert {match for name in names(text) for match in re.findall(r"^make ([a-z-]+)", name)} <= TARGETS


def test_a_name_that_is_gone_would_be_seen() -> None:
    """So that the test above tests something."""
    assert missing("minidock/nowhere.py")
    assert missing("daemon/nowhere")
    assert not missing("daemon/files")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_bears_its_number(page: Path) -> None:
    """In the list of decisions, and wherever one refers to it."""
    assert page.read_text().startswith(f"# {int(page.stem[:4])}. ")
