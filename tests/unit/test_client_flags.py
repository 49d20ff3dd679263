"""Flags as pflag reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.client.flags import Command, Flag, parse
from minidock.client.usage import usage
from minidock.errors import InvalidArguments, InvalidFlag

TABLE = (
    Flag("rm", "", "bool", "Remove it"),
    Flag("tty", "t", "bool", "Allocate a pseudo-TTY"),
    Flag("interactive", "i", "bool", "Keep stdin open"),
    Flag("memory", "m", "bytes", "Memory limit"),
    Flag("env", "e", "list", "Set environment variables"),
    Flag("name", "", "string", "Assign a name", ""),
    Flag("network", "", "string", "Connect to a network"),
    Flag("explain", "", "string", "Show what happens", alone="compact"),
    Flag("number", "n", "int", "A number", -1),
)
RUN = Command("run", "[OPTIONS] IMAGE [ARG...]", "Run it", lambda *_: 0, TABLE, interspersed=False)
PS = Command("ps", "[OPTIONS]", "List", lambda *_: 0, TABLE)


def test_every_way_to_write_a_flag() -> None:
    """Long and short, with ``=`` and without, joined and apart, and several values."""
    words = [
        "-it",
        "--rm=false",
        "-m512m",
        "-e",
        "A=b",
        "-e=C=d",
        "--env=E",
        "--name",
        "x",
        "-n=5",
        "image",
        "-t",
        "--rm",
    ]
    flags, arguments = parse(RUN, words)
    assert arguments == ["image", "-t", "--rm"]
    assert flags["interactive"] is True and flags["tty"] is True and flags["rm"] is False
    assert flags["memory"] == 512 * 2**20
    assert flags["env"] == ["A=b", "C=d", "E"]
    assert (flags["name"], flags["number"]) == ("x", 5)
    assert flags.given == {"interactive", "tty", "rm", "memory", "env", "name", "number"}


def test_a_flag_with_an_optional_value_leaves_the_next_word_alone() -> None:
    """``--explain IMAGE`` is not ``--explain=IMAGE``."""
    assert parse(RUN, ["--explain", "image"])[0]["explain"] == "compact"
    assert parse(RUN, ["--explain=full", "image"])[0]["explain"] == "full"
    assert parse(RUN, ["image"])[0]["explain"] is None


def test_flags_and_arguments_may_be_mixed_unless_the_rest_is_a_command() -> None:
    """``rm x -f`` works; in ``run IMAGE sh -c …`` everything behind IMAGE is the container's."""
    mixed = RUN._replace(interspersed=True)
    assert parse(mixed, ["a", "--rm", "b"])[1] == ["a", "b"]
    assert parse(mixed, ["a", "--", "--rm", "b"])[1] == ["a", "--rm", "b"]
    assert parse(RUN, ["--", "--rm"])[1] == ["--rm"]
    assert parse(RUN, ["-"])[1] == ["-"]


def test_older_names_are_still_taken() -> None:
    """``--net`` is in many scripts."""
    assert parse(RUN, ["--net", "host", "image"])[0]["network"] == "host"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["--t"], "unknown flag: --t"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["-tx"], "unknown shorthand flag: 'x' in -tx"),
        (["--=x"], "bad flag syntax: --=x"),
        (["--memory"], "flag needs an argument: --memory"),
        (["-tm"], "flag needs an argument: 'm' in -tm"),
        (["-m", "3x"], 'invalid argument "3x" for "-m, --memory" flag: invalid suffix: \'x\''),
        (["--rm=x"], 'invalid argument "x" for "--rm" flag: strconv.ParseBool: parsing "x": invalid syntax'),
        (["-n", "x"], 'invalid argument "x" for "-n, --number" flag: strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
def test_a_wrong_flag_is_refused_in_dockers_words(words: list[str], message: str) -> None:
    """And with exit code 125."""
    with pytest.raises(InvalidFlag) as caught:
        parse(RUN, words)
    assert str(caught.value) == message
    assert caught.value.exit_code == 125


def test_arguments_are_counted() -> None:
    """With exit code 1."""
    with pytest.raises(InvalidArguments, match=r"'minidock run' requires at least 1 argument$") as caught:
        parse(RUN, [])
    assert caught.value.exit_code == 1
    with pytest.raises(InvalidArguments, match="'minidock ps' accepts no arguments"):
        parse(PS, ["x"])
    with pytest.raises(InvalidArguments, match="requires 2 arguments"):
        parse(RUN._replace(arguments="A B"), ["x"])
    with pytest.raises(InvalidArguments, match="requires at least 1 and at most 2 arguments"):
        parse(RUN._replace(arguments="A [B]"), ["x", "y", "z"])


def test_help_is_given_whatever_else_is_wrong() -> None:
    """``run --help`` lacks an image, and that is fine; every flag is in the text."""
    flags, _ = parse(RUN, ["--help"])
    assert flags["help"]
    text = usage(RUN)
    assert text.startswith("Usage:  minidock run [OPTIONS] IMAGE [ARG...]\n\nRun it\n\nOptions:\n")
    assert all(f"--{flag.name}" in text for flag in TABLE)
    assert "  -m, --memory bytes " in text


@given(
    st.dictionaries(st.sampled_from(["name", "network"]), st.text(st.characters(exclude_categories=["Cs"]))),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
    st.booleans(),
)
def test_whatever_is_written_is_read(values: dict[str, str], entries: list[str], joined: bool) -> None:
    """Any text can be a value, also one that looks like a flag, and comes out as it went in."""
    words = []
    for name, value in [*values.items(), *(("env", entry) for entry in entries)]:
        words += [f"--{name}={value}"] if joined else [f"--{name}", value]
    flags, arguments = parse(RUN, [*words, "image", *entries])
    assert {name: flags[name] for name in values} == values
    assert flags["env"] == entries
    assert arguments == ["image", *entries]
