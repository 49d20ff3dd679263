"""The numbers in README.md are those of the source, within a quarter."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TABLE = re.findall(r"^\| (`.*`) \| ([\d,]+) \|$", (PROJECT / "README.md").read_text(), re.MULTILINE)
NOT_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def lines_of_code(path: Path) -> int:
    """Lines that hold anything but comments and docstrings."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        is_docstring = token.type == tokenize.STRING and token.line.lstrip().startswith('"""')
        if token.type not in NOT_CODE and not is_docstring:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines)


def test_the_table_is_there() -> None:
    """Three rows, so that the test below tests something."""
    assert len(TABLE) == 3


@pytest.mark.parametrize(("packages", "claimed"), TABLE)
def test_the_claimed_size_is_the_real_one(packages: str, claimed: str) -> None:
    """Whoever reads "7,100 lines" before they start will not find 9,000."""
    names = re.findall(r"`(\w+)`", packages)
    real = sum(lines_of_code(path) for name in names for path in (PROJECT / "minidock" / name).rglob("*.py"))
    assert real == pytest.approx(int(claimed.replace(",", "")), rel=0.25)
