"""Reading Dockerfiles: what is written down is read back, and each form of the language that people use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.build import syntax
from minidock.build.parser import parse
from minidock.build.syntax import Command, Heredoc
from minidock.errors import InvalidInput


def one(text: str) -> syntax.Instruction:
    """The only instruction of a Dockerfile."""
    (found,) = parse(text).instructions
    return found


# -------------------------------------------------------------------------------------------- print and parse again

_WORD = st.text("abcXYZ019_./:${}-", min_size=1, max_size=8).filter(lambda word: not word.startswith("-"))
_SPACED = st.text("ab 'x\"$\\,", max_size=8)
_NAME = st.text("abcXYZ_", min_size=1, max_size=6)
_VALUE = st.one_of(_WORD, _SPACED.map(lambda text: '"' + text.replace("\\", "").replace('"', "") + '"'), st.just(""))
_EXEC = st.lists(_SPACED, min_size=1, max_size=3).map(lambda words: Command(tuple(words)))
_TEXT = st.text("abc $'\"&|;=.#", min_size=1, max_size=16).map(str.strip).filter(bool)
_COMMAND = st.one_of(_EXEC, _TEXT.map(lambda text: Command((text,), shell=True)))
_FLAG = st.one_of(st.just(""), st.text("abc=,/ \"'\\", min_size=1, max_size=8))
_HEREDOC = st.builds(
    lambda lines, strips: Heredoc("EOF", "".join(f"{line}\n" for line in lines), False, strips),
    st.lists(st.text("ab \t#\\$", max_size=6), max_size=3),
    st.booleans(),
)
_PATHS = st.lists(st.one_of(_WORD, _SPACED.filter(str.strip)), min_size=1, max_size=3).map(tuple)


def _with_heredoc(heredoc: Heredoc) -> syntax.Run:
    command = Command(("cat <<-EOF" if heredoc.strips_tabs else "cat <<EOF",), shell=True)
    return syntax.Run(command=command, heredocs=(heredoc,))


_INSTRUCTIONS = st.one_of(
    st.builds(syntax.From, image=_WORD, name=st.sampled_from(["", "a", "b-1"]), platform=st.sampled_from(["", "a/b"])),
    st.builds(syntax.Run, command=_COMMAND, mounts=st.lists(_FLAG.filter(bool), max_size=2).map(tuple), network=_FLAG),
    _HEREDOC.map(_with_heredoc),
    st.builds(
        syntax.Copy, sources=_PATHS, destination=_WORD, source_stage=_FLAG, chown=_FLAG, chmod=_FLAG,
        link=st.booleans(), parents=st.booleans(), exclude=st.lists(_FLAG.filter(bool), max_size=2).map(tuple),
    ),
    st.builds(syntax.Add, sources=_PATHS, destination=_WORD, checksum=_FLAG),
    st.builds(syntax.Env, pairs=st.lists(st.tuples(_NAME, _VALUE), min_size=1, max_size=3).map(tuple)),
    st.builds(syntax.Label, pairs=st.tuples(st.tuples(_NAME, _TEXT.filter(lambda text: "  " not in text)))),
    st.builds(syntax.Arg, names=st.lists(st.tuples(_NAME, st.none() | _VALUE), min_size=1, max_size=3).map(tuple)),
    st.builds(syntax.Workdir, value=_TEXT),
    st.builds(syntax.User, value=_TEXT),
    st.builds(syntax.Expose, ports=st.lists(_WORD, min_size=1, max_size=3).map(tuple)),
    st.builds(syntax.Volume, paths=_PATHS),
    st.builds(syntax.Cmd, command=_COMMAND),
    st.builds(syntax.Shell, command=_EXEC),
    st.builds(syntax.HealthCheck, command=st.none() | _COMMAND, interval=_FLAG, retries=_FLAG),
    st.builds(syntax.OnBuild, value=_TEXT.map("RUN {}".format)),
)  # fmt: skip


@given(st.lists(_INSTRUCTIONS, min_size=1, max_size=4))
def test_what_is_written_is_read_back(instructions: list[syntax.Instruction]) -> None:
    """parse(print(x)) is x, for every instruction with every flag."""
    assert list(parse("\n".join(map(str, instructions))).instructions) == instructions


# -------------------------------------------------------------------------------------------- forms people write


def test_lines_comments_and_continuations() -> None:
    """Comments and empty lines vanish, also within a statement; an escaped escape joins nothing."""
    text = "# comment\n  \n  FROM a\nRUN one \\\n  # comment\n\n  two \\  \n  three\nRUN four\\\\\nCMD five"
    commands = [item.command.words[0] for item in parse(text).instructions if isinstance(item, syntax.Run)]
    assert commands == ["one   two   three", "four\\\\"]
    assert [item.line for item in parse(text).instructions] == [3, 4, 9, 10]


def test_the_escape_directive() -> None:
    """With a backtick as escape a backslash at the end of a line is a backslash."""
    found = parse("# escape=`\nFROM a\nCOPY b C:\\\nRUN c `\nd\n")
    assert found.escape == "`"
    copy, run = found.instructions[1:]
    assert isinstance(copy, syntax.Copy) and copy.destination == "C:\\"
    assert isinstance(run, syntax.Run) and run.command.words == ("c d",)


def test_directives_stand_at_the_top_only() -> None:
    """After anything else a directive is a comment; our own language may be named, another may not."""
    assert parse("# a comment\n# escape=`\nFROM a").escape == "\\"
    assert parse("# syntax=docker/dockerfile:1.7-labs\n# check=skip=all\nFROM a").instructions
    with pytest.raises(InvalidInput, match="other languages"):
        parse("# syntax=example.org/other:1\nFROM a")
    with pytest.raises(InvalidInput, match="line 2: only one escape"):
        parse("# escape=`\n# escape=`\nFROM a")


def test_heredocs() -> None:
    """Several in a row, with tabs stripped, quoted, and with what looks like instructions inside."""
    text = "COPY --chmod=600 <<a <<-'b' /x/\none\n# not a comment\na\n\ttwo $X \\\n\tb\nRUN <<EOF cat\nFROM x\nEOF\n"
    copy, run = parse(text).instructions
    assert isinstance(copy, syntax.Copy) and copy.sources == ("<<a", "<<-'b'") and copy.chmod == "600"
    first, second = copy.heredocs
    assert (first.name, first.text, first.verbatim) == ("a", "one\n# not a comment\n", False)
    assert (second.name, second.text, second.verbatim) == ("b", "two $X \\\n", True)
    assert run.heredocs[0].content == "FROM x\n"


def test_pairs_in_both_forms() -> None:
    """``ENV a=1 b="2 3"`` and the old ``ENV a the whole rest``."""
    assert one('ENV a=1 b="2 3" c=d\\ e f=').pairs == (("a", "1"), ("b", '"2 3"'), ("c", "d\\ e"), ("f", ""))  # type: ignore[attr-defined]
    assert one("ENV a the = rest").pairs == (("a", "the = rest"),)  # type: ignore[attr-defined]


def test_what_looks_like_json_but_is_not_is_for_the_shell() -> None:
    """``[ -f x ]`` is a test; a list of strings is an exec form; a list of other things is an error."""
    assert one("RUN [ -f x ] && y").command == Command(("[ -f x ] && y",), shell=True)  # type: ignore[attr-defined]
    assert one('CMD [ "a", "b" ]').command == Command(("a", "b"))  # type: ignore[attr-defined]
    assert one("ENTRYPOINT []").command == Command(())  # type: ignore[attr-defined]
    with pytest.raises(InvalidInput, match="only string type"):
        one("RUN [1]")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM a\nFOO b", "line 2: unknown instruction: FOO"),
        ("FROM a b", "line 1: FROM requires either one or three arguments"),
        ("FROM a AS 1b", "invalid name for build stage"),
        ("FROM a\nCOPY b", "COPY requires at least two arguments"),
        ("FROM a\nCOPY --foo=b c d", "unknown flag: --foo"),
        ("FROM a\nCOPY --chown b c", "missing a value on flag: --chown"),
        ("FROM a\nCOPY --from=b --from=c d e", "duplicate flag specified: from"),
        ("FROM a\nRUN <<EOF\nx", "line 2: unterminated heredoc"),
        ("FROM a\nRUN", "RUN requires at least one argument"),
        ("FROM a\nENV a", "ENV must have two arguments"),
        ("FROM a\nENV a=b c", "Syntax error - can't find = in"),
        ("FROM a\nSHELL sh", "SHELL requires the arguments to be in JSON form"),
        ("FROM a\nONBUILD ONBUILD RUN x", "Chaining ONBUILD"),
        ("FROM a\nONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a\nHEALTHCHECK FOO", "Unknown type"),
        ('FROM a\nVOLUME [""]', "VOLUME specified can not be an empty string"),
        ("# nothing\n", "file with no instructions"),
    ],
)
def test_mistakes_are_told_with_their_line(text: str, words: str) -> None:
    """Docker's words, and where."""
    with pytest.raises(InvalidInput, match=r"dockerfile parse error|failed to parse") as caught:
        parse(text)
    assert words in str(caught.value)


@given(st.text("FROMUNCPYADEV abc<\\\n\"'#=-$[]{}\t\r\0", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever a stranger sends, there are instructions or one clear error."""
    try:
        parse(text)
    except InvalidInput as error:
        assert "\n" not in str(error)
