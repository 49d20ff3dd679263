"""docs/security.md names tests: each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_attack_has_its_tests() -> None:
    """Each row of the table names at least one test, and every test that is named is defined somewhere below tests/."""
    page = (ROOT / "docs/security.md").read_text()
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| ")][1:]
    named = [set(re.findall(r"`(test_\w+)`", tests)) for _, _, tests in rows]
    files = (ROOT / "tests").rglob("test_*.py")
    defined = {name for file in files for name in re.findall(r"^ *(?:async )?def (test_\w+)", file.read_text(), re.M)}
    assert len(rows) > 30 and all(named)
    assert set().union(*named) - defined == set()
