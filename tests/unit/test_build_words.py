"""Expansion of variables: a real shell is the oracle, and Docker's own table where it differs from a shell."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.build import words
from minidock.errors import InvalidInput

VARIABLES = {"A": "alpha", "EMPTY": "", "PATHS": "/usr/lib/lib.so", "SPACED": "one two", "STARS": "a*b?c"}


# From BuildKit's envVarTest and wordsTest, and the reference's examples.
@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("he'll'o", "hello"), ('he"ll"o', "hello"), (r"he\'llo", "he'llo"), (r"'he\x'", r"he\x"), ('"he\\x"', r"he\x"),
        (r'"he\"llo"', 'he"llo'), ("$", "$"), ("a$", "a$"), ("$A", "alpha"), ("${A}", "alpha"), ("${A}b", "alphab"),
        ("$Ab", ""), (r"\$A", "$A"), ("'$A'", "$A"), ('"$A"', "alpha"), ("${NONE:-x}", "x"), ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""), ("${A:+x}", "x"), ("${EMPTY:+x}", ""), ("${EMPTY+x}", "x"), ("${NONE:-${A}}", "alpha"),
        ("${NONE:-'}'}", "}"), ("${A:?no}", "alpha"), ("$9x", "x"), ("$$x", "x"), ("a b  c", "a b  c"),
        ("${PATHS#*/}", "usr/lib/lib.so"), ("${PATHS##*/}", "lib.so"), ("${PATHS%/*}", "/usr/lib"),
        ("${PATHS%%/*}", ""), ("${PATHS%.so}", "/usr/lib/lib"), ("${PATHS/lib/LIB}", "/usr/LIB/lib.so"),
        ("${PATHS//lib/LIB}", "/usr/LIB/LIB.so"), (r"${STARS#a\*}", "b?c"), (r"${STARS/\?/!}", "a*b!c"),
        (r"${PATHS//\//_}", "_usr_lib_lib.so"), ("${NONE#x}", ""), ("${A/}x/y}", "alpha"),
    ],
)  # fmt: skip
def test_docker_s_table(text: str, meaning: str) -> None:
    """Each form means what Docker's builder makes of it."""
    assert words.expand(text, VARIABLES) == meaning


@pytest.mark.parametrize("text", ["'x", '"x', "${", "${A", "${}", "${:}", "${A:}", "${A:-x", "${NONE:?}", "${A@Q}"])
def test_nonsense_is_refused(text: str) -> None:
    """One clear error."""
    with pytest.raises(InvalidInput):
        words.expand(text, VARIABLES)


def test_the_error_is_the_user_s_own() -> None:
    """``${NAME:?text}`` says the text."""
    with pytest.raises(InvalidInput, match="NONE: give a version"):
        words.expand("${NONE:?give a version}", VARIABLES)
    with pytest.raises(InvalidInput, match="EMPTY: is not allowed to be empty"):
        words.expand("${EMPTY:?}", VARIABLES)


def test_another_escape_character() -> None:
    """With ``# escape=``` a backslash is an ordinary character."""
    assert words.expand(r"C:\dir\$A`$A", VARIABLES, escape="`") == r"C:\dir\alpha$A"


def test_words_are_parted_at_what_is_not_quoted() -> None:
    """As a shell's arguments: an unquoted variable may hold several."""
    assert words.split("80 $SPACED \"$SPACED\" a' 'b ''", VARIABLES) == ["80", "one", "two", "one two", "a b", ""]


_PLAIN = st.text("abz/.", min_size=1, max_size=4)
_PATTERN = st.text("abl/.*?", min_size=1, max_size=4)
_NAMES = st.sampled_from([*VARIABLES, "NONE"])


def _has_no_quotes(text: str) -> bool:
    """Within double quotes a shell takes single ones literally, but not within braces there; Docker does not."""
    return "'" not in text and '"' not in text


def _form(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    name, word = _NAMES, inner
    return st.one_of(
        st.builds("${{{}{}{}}}".format, name, st.sampled_from([":-", ":+", "-", "+"]), word),
        st.builds("${{{}{}{}}}".format, name, st.sampled_from(["#", "##", "%", "%%"]), _PATTERN),
        st.builds('"{}"'.format, word.filter(_has_no_quotes)),
        st.builds("{}{}".format, word, word),
    )


_TEXTS = st.recursive(
    st.one_of(_PLAIN, _NAMES.map("${{{}}}".format), _PLAIN.map("'{}'".format), st.sampled_from([r"\$A", r"\'", r"\\"])),
    _form,
    max_leaves=6,
)


@settings(max_examples=300)
@given(_TEXTS)
def test_as_a_shell(text: str) -> None:
    """What is written in the common language means what sh makes of it in an assignment (where nothing is split)."""
    shown = subprocess.run(
        ["/bin/sh", "-c", f'X={text}\nprintf %s "$X"'], env=VARIABLES, capture_output=True, text=True
    )
    assert words.expand(text, VARIABLES) == shown.stdout
