"""The exercises of chapter 8: a Dockerfile is read, and a step is done only when it must be."""

from __future__ import annotations

import inspect
import os
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from chapters.course import Exercise, Wrong
from chapters.trial import Observation, Subject
from minidock.build.lines import Statement
from minidock.build.sources import Item
from minidock.build.stages import Stage
from minidock.build.syntax import Command, Copy, From
from minidock.errors import InvalidInput
from minidock.oci.image import ContainerDefaults

# --- 8.1 command_line


def law_command_line(subject: Subject) -> None:
    """What the kernel is given: always a list of words."""
    words = st.sampled_from(["echo", "a  b", "$HOME", "|", "'"])

    @given(st.lists(words, min_size=1, max_size=4), st.sampled_from([[], ["/bin/bash", "-o", "pipefail", "-c"]]))
    def law(line: list[str], shell: list[str]) -> None:
        config = ContainerDefaults(shell=list(shell))
        subject.gives(line, Command(tuple(line)), config, why="exec form: these very words, and no shell")
        text = " ".join(line)
        wanted = [*(shell or ["/bin/sh", "-c"]), text]
        subject.gives(wanted, Command((text,), shell=True), config, why="shell form: the shell's words, then the text")
        subject.expect(config == ContainerDefaults(shell=shell), "the configuration is not yours: make a new list")

    law()


# --- 8.2 with_variables


def law_with_variables(subject: Subject) -> None:
    """The new value at the old place."""

    @given(
        *[
            st.dictionaries(
                st.sampled_from(["A", "AB", "B", "C"]), st.sampled_from(["", "x", "k=v", "a=b=c"]), max_size=3
            )
        ]
        * 2
    )
    def law(before: dict[str, str], added: dict[str, str]) -> None:
        entries = [[f"{name}={value}" for name, value in values.items()] for values in (before, added)]
        names = [*before, *(name for name in added if name not in before)]
        wanted = [f"{name}={added.get(name, before.get(name))}" for name in names]
        copies = [list(each) for each in entries]
        subject.gives(wanted, *entries, why="a variable is there once, at its old place, with its new value")
        subject.expect(entries == copies, "the old list belongs to the image below: it must stay as it was", wanted)

    law()


# --- 8.3 statements


def law_statements(subject: Subject) -> None:
    """One instruction, however many lines it is written on."""

    def check(lines: list[str], wanted: list[tuple[int, str]], why: str, escape: str = "\\") -> None:
        found = list(subject(lines, escape))
        subject.last.result = found
        statements = [Statement(line, text, []) for line, text in wanted]
        subject.expect(found == statements, why, statements)

    check(["FROM a", "RUN b"], [(1, "FROM a"), (2, "RUN b")], "a line, a statement; lines count from 1")
    check(["", "# c", "RUN a"], [(3, "RUN a")], "comments and empty lines are no statements")
    check(["RUN a \\", "  b", "RUN c"], [(1, "RUN a   b"), (3, "RUN c")], "a statement begins on its first line")
    check(["RUN a \\", "# why", "", "  b"], [(1, "RUN a   b")], "comments and empty lines in the middle do not end it")
    check(["RUN a # b"], [(1, "RUN a # b")], "a comment is a whole line: this # is the shell's")
    check(["RUN a \\  ", "b"], [(1, "RUN a b")], "blanks behind the escape do not count")
    check(["  RUN a  "], [(1, "RUN a  ")], "blanks go from a statement's beginning, and only from there")
    check(["RUN a", "  # c"], [(1, "RUN a")], "blanks may stand before a comment")
    check(["RUN a \\"], [(1, "RUN a ")], "the file ends, and so does the statement: it is not lost")
    check(["RUN a `", "b\\", "RUN c"], [(1, "RUN a b\\"), (3, "RUN c")], "escape says which character joins", "`")

    pieces = st.lists(st.sampled_from([" a", "b", "  && c", " d#e"]), max_size=3)
    between = st.lists(st.sampled_from(["", "  ", "# x", "  # y"]), max_size=2)

    @given(st.lists(st.tuples(pieces, between), max_size=3), st.sampled_from("\\`"))
    def law(found: list[tuple[list[str], list[str]]], escape: str) -> None:
        lines: list[str] = []
        wanted = []
        for more, ignored in found:
            words = ["RUN", *more]
            wanted.append((len(lines) + 1, "".join(words)))
            for word in words[:-1]:
                lines += [f"{word}{escape}", *ignored]
            lines += [words[-1], *ignored]
        check(lines, wanted, "each statement once, on one line, and where it begins", escape)

    law()


# --- 8.4 step_key


def law_step_key(subject: Subject) -> None:
    """Equal for equal input, and for nothing else."""
    keys: dict[str, tuple[str, ...]] = {}

    def add(why: str, *words: str) -> None:
        key = subject(*words)
        is_hex = isinstance(key, str) and len(key) == 64 and set(key) <= set(string.hexdigits.lower())
        subject.expect(is_hex, "a key is 64 hex digits: a SHA-256")
        known = keys.setdefault(key, words)
        subject.expect(known == words, f"{why}: this is also the key of {known}")
        subject.expect(subject(*words) == key, "the same input has the same key")

    add("", "p", "RUN make", "x")
    add("another step before", "q", "RUN make", "x")
    add("the order is another", "p", "x", "RUN make")
    add("the border is elsewhere", "p", "RUN make ", "x")
    add("the border is elsewhere", "p", "RUN makex")
    add("the border is elsewhere", "p", "RUN make", "", "x")
    add("the border is elsewhere", "p", "RUN", "make", "x")
    # To write each length before its word is not enough: where does the length end?
    add("the border is elsewhere", "1", "bbbbbbbbb", "")
    add("the border is elsewhere", "9bbbbbbbbb0")

    @given(st.lists(st.sampled_from(["a", "b", "ab", " ", ",", "\n", "\0", '"', "', '", ""]), min_size=1, max_size=5))
    def law(words: list[str]) -> None:
        add("the border is elsewhere", *words)

    law()
    key = subject("q", "RUN make", "x")
    subject.expect(_elsewhere(subject, "q", "RUN make", "x") == key, "in another process the key is another")


def _elsewhere(subject: Subject, *words: str) -> str:
    """What another process gets from the same file, with other hashes (PYTHONHASHSEED)."""
    file = inspect.getfile(subject.implementation)
    script = "import runpy, sys; print(runpy.run_path(sys.argv[1])[sys.argv[2]](*sys.argv[3:]))"
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, file, subject.name, *words]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return "".join(done.stdout.split()[-1:])


# --- 8.5 content_digest


def law_content_digest(subject: Subject) -> None:
    """A changed byte misses; a touched file hits."""
    plain = {"a": b"one", "d/b": b"two"}
    with _tree(plain) as item:
        first = subject(item)
        subject.expect(isinstance(first, str) and len(first) == 64, "a digest is 64 hex digits: a SHA-256")
    with _tree(dict(reversed(plain.items()))) as item:
        subject.expect(
            subject(item) == first, "the same files in another place, made in another order: the same digest"
        )
    with _tree(dict(reversed(plain.items())), time=1) as item:
        subject.expect(subject(item) == first, "the same files, changed at another time: the same digest")
    with _tree(plain) as item, _turned_round():
        subject.expect(subject(item) == first, "the kernel lists the same files in another order: the same digest")
    for why, files in (
        ("a byte is another", {"a": b"onf", "d/b": b"two"}),
        ("a name is another", {"c": b"one", "d/b": b"two"}),
        ("a byte has moved from one file to the next", {"a": b"onet", "d/b": b"wo"}),
        ("a file is missing", {"a": b"one"}),
        ("a file is in another directory", {"a": b"one", "e/b": b"two"}),
        ("an empty directory is there, too", {"a": b"one", "d/b": b"two", "e/": b""}),
    ):
        with _tree(files) as item:
            subject.expect(subject(item) != first, f"{why}: another digest")
    for mode in (0o755, 0o600):
        with _tree(plain, mode=mode) as item:
            subject.expect(subject(item) != first, f"the mode is another, {mode:o} for 644: another digest")
    with _tree(plain) as item:
        (item.path / "d").chmod(0o700)
        subject.expect(subject(item) != first, "a directory's mode is another: another digest")
    with _tree(plain) as item:
        one = subject(Item("a", item.path / "a"))
        (item.path / "a").write_bytes(b"two")
        subject.expect(subject(Item("a", item.path / "a")) != one, "a file alone, and a byte is another")


@contextmanager
def _tree(files: dict[str, bytes], time: int = 1_000_000_000, mode: int = 0o644) -> Iterator[Item]:
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as directory:
        root = Path(directory)
        for name, content in files.items():
            file = root / name
            if name.endswith("/"):
                file.mkdir()
                continue
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
            file.chmod(mode)
        for path in sorted(root.rglob("*"), reverse=True):
            os.utime(path, (time, time))
        yield Item("", root, is_directory=True)


class _TurnedRound:
    """``os.scandir``, from the last entry to the first."""

    def __init__(self, scandir: Callable[[Any], Any], path: Any = ".") -> None:
        with scandir(path) as found:
            self._entries = iter(list(found)[::-1])

    def __enter__(self) -> _TurnedRound:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __iter__(self) -> _TurnedRound:
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self._entries)

    def close(self) -> None:
        """All is read already."""


@contextmanager
def _turned_round() -> Iterator[None]:
    """Directories are listed the other way round: in which order a file system does it, nobody can know."""
    scandir, listdir = os.scandir, os.listdir
    with (
        mock.patch("os.scandir", lambda path=".": _TurnedRound(scandir, path)),
        mock.patch("os.listdir", lambda path=".": listdir(path)[::-1]),
    ):
        yield


# --- 8.6 needed_stages


def _stage(number: int, base: int | None, sources: list[str]) -> Stage:
    steps = tuple(Copy(sources=("x",), destination="/", source_stage=source) for source in sources)
    return Stage(number, f"s{number}", From(image="tiny"), "tiny", "", base, steps)


def law_needed_stages(subject: Subject) -> None:
    """Everything that the target is built from, directly or not, and nothing else."""

    def check(wanted: set[int], stages: list[Stage], target: int, why: str) -> None:
        names = {stage.name: stage.number for stage in stages}
        result = subject(stages, names, target)
        subject.expect(set(result) == wanted, why, wanted)

    check({0}, [_stage(0, None, [])], 0, "the target itself is needed")
    check({0, 1}, [_stage(0, None, []), _stage(1, 0, [])], 1, "FROM s0: a stage goes on from another")
    chain = [_stage(0, None, []), _stage(1, None, ["s0"]), _stage(2, None, ["s1"]), _stage(3, None, [])]
    check({0, 1, 2}, chain, 2, "what is needed by what is needed is needed")
    check({1}, [_stage(0, None, []), _stage(1, None, ["alpine"])], 1, "--from=alpine is an image, no stage")
    check({0, 1}, [_stage(0, None, []), _stage(1, None, ["0"])], 1, "--from=0 is a stage by its number")
    check({0, 1}, [_stage(0, None, []), _stage(1, None, ["S0"])], 1, "the case of a stage's name does not matter")
    check({0}, [_stage(0, None, ["s1"]), _stage(1, None, [])], 0, "a later stage cannot be meant: then it is an image")

    choices = st.lists(st.sampled_from(["s0", "S1", "2", "s3", "alpine"]), max_size=2)

    @given(st.lists(st.tuples(st.booleans(), choices), min_size=1, max_size=4), st.data())
    def law(shape: list[tuple[bool, list[str]]], data: st.DataObject) -> None:
        stages = [
            _stage(number, number - 1 if number and goes_on else None, sources)
            for number, (goes_on, sources) in enumerate(shape)
        ]
        target = data.draw(st.integers(0, len(stages) - 1))
        wanted = {target}
        for number in range(target, -1, -1):  # whatever is used stands above
            if number in wanted:
                used = {int(source[-1]) for source in shape[number][1] if source[-1].isdecimal()}
                wanted |= {each for each in used if each < number}
                wanted |= {number - 1} if stages[number].base is not None else set()
        check(wanted, stages, target, "the target, what it uses, what that uses, …")

    law()


# --- 8.7 Ignore

_PATHS = [
    "/".join(parts)
    for parts in [[a] for a in "ab"] + [[a, b] for a in "ab" for b in ("a", "b", "ab")] + [["a", "b", c] for c in "ab"]
]
_PATTERNS = ["a", "b", "*", "a*", "?", "a/b", "*/a", "a/*", "**", "**/a", "a/**", "a/**/b", "**/a*", "*b"]


def law_ignore(subject: Subject) -> None:
    """The last pattern that fits a path, or a directory above it, decides."""

    def check(patterns: list[str], path: str, wanted: bool, why: str, below: bool = False) -> None:
        ignore = subject(patterns)
        subject.last.name = f"Ignore({patterns}).excludes{'_all_below' if below else ''}"
        subject.last.arguments = (path,)
        subject.last.result = (ignore.excludes_all_below if below else ignore.excludes)(path)
        subject.expect(subject.last.result == wanted, why, wanted)

    check(["a"], "a", True, "the pattern is the path")
    check(["a"], "b/a", False, "a pattern begins at the root of the context, unlike .gitignore's")
    check(["a"], "a/b", True, "what is in an excluded directory is excluded")
    check(["*.pyc"], "a/b.pyc", False, "* stops at a slash")
    check(["**/*.pyc"], "a/b.pyc", True, "**/ is any number of directories")
    check(["**/*.pyc"], "b.pyc", True, "any number: none, too")
    check(["*.md", "!README.md"], "README.md", False, "! takes a file back in")
    check(["!README.md", "*.md"], "README.md", True, "the last one that fits decides")
    check(["a", "!a/b"], "a", False, "an exception may lie in it: one has to look inside", below=True)
    check(["a", "b"], "a", True, "no exception can lie in it: nobody need look inside", below=True)

    @given(st.lists(st.tuples(st.booleans(), st.sampled_from(_PATTERNS)), max_size=3), st.sampled_from(_PATHS))
    def law(lines: list[tuple[bool, str]], path: str) -> None:
        patterns = ["!" * exception + text for exception, text in lines]
        check(patterns, path, _excluded(lines, path), "the last pattern that fits it, or a directory above, decides")
        if not any(exception for exception, _ in lines):
            check(patterns, path, _excluded(lines, path), "there is no exception, so no doubt", below=True)
        if subject.implementation(patterns).excludes_all_below(path):
            for below in _PATHS:
                if below.startswith(f"{path}/"):
                    check(patterns, path, _excluded(lines, below), f"{below} belongs to the context", below=True)

    law()


def _excluded(lines: list[tuple[bool, str]], path: str) -> bool:
    parts = path.split("/")
    above = [parts[:end] for end in range(1, len(parts) + 1)]
    decisive = [exception for exception, text in lines if any(_fits(text.split("/"), each) for each in above)]
    return bool(decisive) and not decisive[-1]


def _fits(pattern: list[str], path: list[str]) -> bool:
    """Part by part."""
    if not pattern or not path:
        return not pattern and not path
    if pattern[0] == "**":
        return pattern == ["**"] or any(_fits(pattern[1:], path[begin:]) for begin in range(len(path)))
    return fnmatchcase(path[0], pattern[0]) and _fits(pattern[1:], path[1:])


# --- 8.8 expand

_VARIABLES = {"A": "x y", "E": "", "B": "b"}


def law_expand(subject: Subject) -> None:
    """As the shell does it: the shell is asked."""

    def check(wanted: str, text: str, why: str) -> None:
        subject.gives(wanted, text, _VARIABLES, why=why)

    check("x y", "$A", "a variable's value")
    check("x yb", "${A}b", "braces say where the name ends")
    check("", "$U$E", "a variable that is not set is empty")
    check("x y", "'x y'", "quotes are taken away")
    check("$A", "'$A'", "nothing is expanded in single quotes")
    check("x y'", '"$A\'"', "in double quotes variables are, and a single quote is text")
    check("$A", "\\$A", "an escape takes the next character's meaning away")
    check("w", "${E:-w}", ":- counts what is empty as not set")
    check("", "${E-w}", "- does not: E is set, and empty")
    check("w", "${A:+w}", ":+ is the opposite")
    check("wb}", "${U:-w$B}}", "the default may name variables itself")
    check("x y-", "${U:-${A}}-", "the default ends with its own brace")
    check("5$", "5$", "a dollar before anything else is a dollar")
    subject.gives("$A\\", "`$A\\", _VARIABLES, "`", why="the escape may be another: # escape=` at the file's top")
    for text in ("'a", '"a', "${A", "${U:-w", "${U:?no}", "${A!}"):
        subject.raises(InvalidInput, text, _VARIABLES, why="no end, an unknown form, or a variable that must be set")

    plain = st.sampled_from(["a", "/", "-", "$A", "$E", "$U", "${B}", "\\$"])
    form = st.tuples(
        st.sampled_from(["A", "E", "U"]), st.sampled_from([":-", "-", ":+", "+"]), st.lists(plain, max_size=2)
    )
    braces = form.map(lambda parts: f"${{{parts[0]}{parts[1]}{''.join(parts[2])}}}")
    inside = st.lists(plain | braces | st.sampled_from([" ", "'", "\\\\", "\\a"]), max_size=3).map("".join)
    quoted = st.sampled_from(["'$A'", "' '", "'\\'", "'\"'"]) | inside.map(lambda text: f'"{text}"')

    @given(st.lists(plain | braces | quoted | st.sampled_from(["\\a", "\\\\", "\\'"]), max_size=4).map("".join))
    def law(text: str) -> None:
        script = f'A="x y" B=b E=; unset U; word={text}; printf "%s" "$word"'
        wanted = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout
        check(wanted, text, "so says the shell")

    law()


def _said(word: str, seen: Observation) -> bool:
    return word in seen.why


EXERCISES = (
    Exercise(
        engine="minidock.build.settings:command_line",
        title="Two ways to write a command",
        task="""RUN ["make", "all"] is the exec form: a list of words, run as they are. RUN make all is the shell
        form: one text, for a shell to read. Given a Command (words, and shell: which form it is) and the image's
        configuration, return the list of words that is run. The shell is config.shell if the image has one (SHELL
        set it), else /bin/sh -c.""",
        law=law_command_line,
        hints=(
            "In shell form command.words has one element: the whole text. It stays one word.",
            "[*(config.shell or SHELL), command.words[0]], with SHELL = ['/bin/sh', '-c'].",
        ),
        wrong=(
            Wrong(
                "command_line_split",
                lambda seen: seen.arguments[0].shell and " ".join(seen.result) == " ".join(seen.expected),
                "Do not split the text: reading it is the shell's job. It is one word, the one after -c.",
            ),
            Wrong(
                "command_line_default_shell",
                lambda seen: seen.arguments[0].shell and seen.result[0] == "/bin/sh" != seen.expected[0],
                "This image has a shell of its own, config.shell: an instruction SHELL was there.",
            ),
            Wrong(
                "command_line_always",
                lambda seen: not seen.arguments[0].shell and len(seen.result) > len(seen.expected),
                "This is the exec form (shell is False): nobody reads the words, and there is no shell.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.build.settings:with_variables",
        title="ENV, again",
        task="""An image's environment is a list of NAME=value. ENV adds some. Return the new list: a variable that was
        there gets its new value at its old place, a new one goes to the end. A value may hold an = of its own.""",
        law=law_with_variables,
        hints=(
            "A dict keeps the order in which its keys first came, also when a value is replaced.",
            "partition('=') cuts at the first = only.",
        ),
        wrong=(
            Wrong(
                "with_variables_twice",
                lambda seen: len(seen.result) > len(seen.expected),
                "A variable is there twice. Which one a program sees then depends on the program.",
            ),
            Wrong(
                "with_variables_moved",
                lambda seen: seen.result != seen.expected and sorted(seen.result) == sorted(seen.expected),
                "The right variables in another order: a replaced one keeps its place.",
            ),
            Wrong(
                "with_variables_prefix",
                lambda seen: (
                    seen.error is None and any(each.startswith("AB=") for words in seen.arguments for each in words)
                ),
                "AB begins with A, and is another variable: compare all that stands before the =.",
            ),
            Wrong(
                "with_variables_all_equals",
                lambda seen: any(each.count("=") > 1 for words in seen.arguments for each in words),
                "A value may hold an = too: OPTS=a=b. Only the first one is a border.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.build.lines:statements",
        title="Lines and statements",
        task="""Read a Dockerfile's lines into Statement(line, text, heredocs): the number of its first line, its text
        on one line, and [] (the law knows no heredocs; look later how the engine reads them). A line that ends with the
        escape character goes on in the next one; blanks may follow it. Lines with nothing but blanks, and lines that
        begin with # (blanks may stand before it), count for nothing, also in the middle of a statement. Blanks at the
        beginning of a statement go, others stay. The end of the file ends a statement.""",
        law=law_statements,
        hints=(
            "One iterator for both loops: rest = iter(enumerate(lines, 1)); the inner loop takes lines from it too.",
            "A line goes on if line.rstrip(' \\t') ends with the escape; cut it off, and keep what stands before it.",
            "In the middle: take lines until one is neither empty nor a comment; at the file's end there is none.",
        ),
        wrong=(
            Wrong(
                "statements_last_line",
                lambda seen: [each.text for each in seen.result] == [each.text for each in seen.expected],
                "The texts are right. A statement's number is that of its first line, counted from 1.",
            ),
            Wrong(
                "statements_comment_ends",
                lambda seen: _said("in the middle", seen),
                "A comment in the middle of a statement counts as if it were not there, and so does an empty line.",
            ),
            Wrong(
                "statements_any_hash",
                lambda seen: _said("a whole line", seen),
                "Only a line that begins with # is a comment. Behind a command it is the shell's business.",
            ),
            Wrong(
                "statements_blanks",
                lambda seen: _said("behind the escape", seen),
                "Nobody sees blanks at the end of a line; Docker forgives them behind the escape.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.build.state:step_key",
        title="Was this done before?",
        task="""A step's result is remembered under a key, made of the key of the step before and of all that
        describes this one: its instruction, the digests of the files that it takes. Return 64 hex digits (a SHA-256)
        that are the same for the same input, in any process, and different for any other.""",
        law=law_step_key,
        hints=(
            "A hash sees bytes only. 'ab' + 'c' and 'a' + 'bc' are the same bytes: the borders must be hashed too.",
            "json.dumps([parent, *parts]).encode() has the borders, and quotes what is in the parts.",
        ),
        wrong=(
            Wrong(
                "step_key_joined",
                lambda seen: _said("border", seen),
                "Two different lists have the same key, for they are the same text once they are joined.",
            ),
            Wrong(
                "step_key_orphan",
                lambda seen: _said("step before", seen),
                "The same instruction after another step is another step: the parent's key belongs in.",
            ),
            Wrong(
                "step_key_sorted",
                lambda seen: _said("order", seen),
                "COPY a b is not COPY b a: the order counts.",
            ),
            Wrong(
                "step_key_hash",
                lambda seen: _said("another process", seen) or _said("64 hex digits", seen),
                "hash() is another in each process (PYTHONHASHSEED): tomorrow nothing would be found. Use hashlib.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.build.sources:content_digest",
        title="A changed byte misses, a touched file hits",
        task="""COPY is done again when what it copies has changed. Given an Item (path; is_directory), return 64 hex
        digits that change with any name, mode or byte below it, be it a file's or a directory's, and with nothing else:
        git sets times anew, and a directory has no order. exclude may be ignored. (The engine's own also counts owners
        and attributes.)""",
        law=law_content_digest,
        hints=(
            "sorted(path.rglob('*')): a directory has no order of its own.",
            "For each: its name from the item's path on, its mode, and its content. Borders again: exercise 8.4.",
            "repr((name, mode, content)).encode() has borders. path.read_bytes() will do; the engine reads pieces.",
        ),
        wrong=(
            Wrong(
                "content_digest_time",
                lambda seen: _said("another time", seen),
                "A fresh clone of the same commit has other times. With them in, nothing would ever be found.",
            ),
            Wrong(
                "content_digest_names",
                lambda seen: _said("a byte is another: ", seen),
                "The names are the same and a byte is not: read the files.",
            ),
            Wrong(
                "content_digest_joined",
                lambda seen: _said("moved", seen),
                "The end of one file is the beginning of the next: hash where each ends, too.",
            ),
            Wrong(
                "content_digest_mode",
                lambda seen: _said("mode is another", seen),
                "chmod is a change, of a file or a directory: after chmod +x a program can be run.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.build.stages:needed_stages",
        uses=("minidock.build.stages:sources_of",),
        title="Build no more than that",
        task="""A Dockerfile has many stages, and one of them is wanted. Return the numbers of all that it is made from,
        directly or not, its own too. A stage uses its base (a number, or None) and what its steps name:
        minidock.build.stages.sources_of(step) lists those names. A name means a stage by number or by name (names:
        lower case), and only one that stands above; anything else is an image.""",
        law=law_needed_stages,
        hints=(
            "A set of what is needed, and a list of what has still to be looked at.",
            "int(name) if name.isdecimal() else names.get(name.lower()) is the stage, if it is < the stage's number.",
        ),
        wrong=(
            Wrong(
                "needed_stages_direct",
                lambda seen: _said("needed by what is needed", seen),
                "You look one step far. What the used stages use is needed as well.",
            ),
            Wrong(
                "needed_stages_no_base",
                lambda seen: _said("FROM s0", seen),
                "FROM may name a stage: stage.base.",
            ),
            Wrong(
                "needed_stages_later",
                lambda seen: _said("later stage", seen),
                "A step can only use what is above it. The same name below means an image of that name.",
            ),
            Wrong(
                "needed_stages_names_only",
                lambda seen: _said("number", seen) or _said("case", seen),
                "Stages have numbers too, from 0 on, and the case of their names does not matter.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.dockerignore:Ignore",
        uses=("minidock.errors:InvalidInput",),
        title="What stays at home",
        task="""Ignore(patterns).excludes(path) says whether a path is left out of the context. A pattern counts from
        the context's root, and fits a path if it matches it or a directory above it. * and ? match all but a slash, **
        any number of directories (at the end: whatever is below). The last pattern that fits decides; one with ! in
        front takes back in. excludes_all_below(directory) may say True only if nothing below can be taken back in: then
        nobody need look inside. When in doubt it says False; without any ! there is no doubt.""",
        law=law_ignore,
        hints=(
            "Translate a pattern to a regular expression: re.escape what is plain, * is [^/]*, ? is [^/].",
            "**/ is (.*/)?, and ** at the end is .*; use fullmatch.",
            "Loop over all patterns, remember the last answer. parts[:1], parts[:2], … joined are the path's parents.",
            "False as soon as there is any exception will do. The engine compares the first parts of both.",
        ),
        wrong=(
            Wrong(
                "ignore_no_parents",
                lambda seen: _said("in an excluded directory", seen),
                "node_modules excludes all that is in it: try the pattern on the directories above, too.",
            ),
            Wrong(
                "ignore_fnmatch",
                lambda seen: _said("stops at a slash", seen),
                "fnmatch does not know slashes: its * goes through them.",
            ),
            Wrong(
                "ignore_exceptions_win",
                lambda seen: _said("the last one", seen),
                "An exception does not always win: what comes after it may exclude again.",
            ),
            Wrong(
                "ignore_prunes",
                lambda seen: seen.name.endswith("_all_below") and seen.result,
                "The directory is excluded, but an exception may take back something in it: !a/b.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.build.words:expand",
        uses=("minidock.errors:InvalidInput",),
        title="Be the shell, a little",
        task="""Expand a word of a Dockerfile: $NAME and ${NAME}, the forms ${NAME:-word}, :+, :? and the same without
        the colon, single and double quotes, and the escape character. A variable that is not set is empty; a dollar
        before anything else is a dollar. Raise InvalidInput for a quote or brace that does not end, a form unknown, and
        :? of what is not set. (The engine also has #, % and /.) sh decides what is right.""",
        law=law_expand,
        hints=(
            "A regular expression will not do: a default may hold a ${…} of its own. Walk, with a position.",
            "One method reads up to a stop character ('' or '}') and is called again for the word in a ${NAME:-word}.",
            "In double quotes the escape only works before $, the quote and itself; elsewhere it stays as it is.",
            "With a colon, empty counts as not set: not value. Without: value is None.",
        ),
        wrong=(
            Wrong(
                "expand_keeps_quotes",
                lambda seen: _said("quotes are taken away", seen),
                "The quotes are for whoever reads the word. They are no part of it.",
            ),
            Wrong(
                "expand_in_single_quotes",
                lambda seen: _said("single quotes", seen),
                "In single quotes everything is text, a dollar too.",
            ),
            Wrong(
                "expand_colon",
                lambda seen: _said("E is set", seen),
                "Without the colon only a variable that is not set counts as missing; an empty one is there.",
            ),
            Wrong(
                "expand_flat",
                lambda seen: _said("default", seen),
                "What stands after :- is a word like any other, with variables and braces: expand it, too.",
            ),
        ),
    ),
)
