"""Patterns that come from outside: what they mean, and that none of them takes for ever."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock import globs
from minidock.build import lines, words
from minidock.dockerignore import Ignore
from minidock.errors import InvalidInput
from minidock.patterns import Pattern

# Each of these takes Python's re longer than anybody waits.
_MANY = "a" * 200
_STARS = "*a" * 40 + "b"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("expression", ["(a*)*b", "(a|a)*b", "(a|aa)+$b", "a?" * 100 + "a" * 201, "(.*a){40}b"])
def test_no_expression_takes_for_ever(expression: str) -> None:
    """What makes a matcher that tries one way after another try 2**n ways is refuted at once."""
    assert not Pattern(expression).occurs_in(_MANY)


@pytest.mark.timeout(20)
def test_no_shell_pattern_takes_for_ever() -> None:
    """Nor do forty stars in the name of a file to copy, in .dockerignore, or in a variable of a Dockerfile."""
    assert not globs.compiled(_STARS)(_MANY)
    assert not Ignore([_STARS, "**/" * 30 + "b"]).excludes(f"{_MANY}/" * 5 + "c")
    for operation in ("#", "##", "%", "%%", "/", "//"):
        end = "/x" if operation.startswith("/") else ""
        assert words.expand(f"${{V{operation}{_STARS}{end}}}", {"V": _MANY}) == _MANY


@pytest.mark.timeout(20)
def test_no_directive_takes_for_ever() -> None:
    """A first line of a Dockerfile with very many blanks in it is read in one go."""
    assert lines.directives(["# a=x" + " " * 50_000 + "x\0"]) == "\\"


def test_names_that_are_no_text() -> None:
    """A byte that is not UTF-8 is one character, as for Go."""
    assert globs.compiled("a?b")("a\udcffb")
    assert not globs.compiled("a?b")("a\udcff\udcffb")


@pytest.mark.parametrize("expression", ["(", "[", "a**", "(?=a)", "a{1001}"])
def test_what_is_no_expression(expression: str) -> None:
    """Refused by name; so is what RE2, and so Docker, has not."""
    with pytest.raises(InvalidInput, match="syntax error in pattern"):
        Pattern(expression)


@given(st.text("ab*?", max_size=6), st.text("ab", max_size=8), st.sampled_from(["#", "##", "%", "%%"]))
def test_trimming_is_the_shortest_or_longest_that_fits(pattern: str, value: str, operation: str) -> None:
    """``${V#pattern}`` and its kin, against a model that tries every cut."""
    regex = re.compile(pattern.replace("*", ".*").replace("?", "."))
    if operation[0] == "#":
        rests = [value[cut:] for cut in range(len(value) + 1) if regex.fullmatch(value[:cut])]
    else:
        rests = [value[:cut] for cut in reversed(range(len(value) + 1)) if regex.fullmatch(value[cut:])]
    expected = rests[-1 if len(operation) == 2 else 0] if rests else value
    assert words.expand(f"${{V{operation}{pattern}}}", {"V": value}) == expected
