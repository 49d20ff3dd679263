"""``.dockerignore``: Docker's documented examples, and a reference matcher that shares nothing with ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.dockerignore import Ignore, read
from minidock.errors import InvalidInput


# The first table is from moby/patternmatcher's own tests (patternmatcher_test.go, multiPatternTests and matchTests).
@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        (["**"], "file", True), (["**"], "dir/file", True), (["**/"], "file", True), (["**/**"], "dir/file", True),
        (["dir/**"], "dir/file", True), (["dir/**"], "dir/dir2/file", True), (["**/dir"], "dir", True),
        (["**/dir"], "dir/file", True), (["**/dir2/*"], "dir/dir2/file", True),
        (["**file"], "file", True), (["**file"], "dir/file", True), (["**/file"], "dir/dir/file", True),
        (["**/file*"], "dir/dir/file.txt", True), (["**/file*txt"], "dir/dir/file.txt", True),
        (["**/**/*.txt"], "dir/dir/file.txt", True), (["**/**/*.txt2"], "dir/dir/file.txt", False),
        (["a[b-d]e"], "ace", True), (["a[b-d]e"], "aee", False), (["abc.def"], "abcdef", False),
        (["abc?def"], "abc/def", False), (["a\\\\"], "a\\", True), (["**/foo/bar"], "foo/bar", True),
        (["abc/**"], "abc", False), (["abc/**"], "abc/def/ghi", True), (["**/.foo"], "bar.foo", False),
        (["a(b)c/def"], "a(b)c/def", True), (["a.|)$(}+{bc"], "a.|)$(}+{bc", True),
        (["dist/*.whl"], "dist/proxy-2.4.0_beta2-py3.whl", True),
        (["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", True),
        (["**/*.md", "!README*.md", "README-secret.md"], "README-secret.md", True),
        (["**/*.md", "!README*.md", "README-secret.md"], "README.md", False),
        (["docs", "!docs/README.md"], "docs/README.md", False), (["docs", "!docs/README.md"], "docs/other.md", True),
        (["**foo"], "barfoo", True), (["*/temp*"], "somedir/temporary.txt", True), (["*/temp*"], "a/b/temp", False),
        (["*/*/temp*"], "a/b/temp", True), (["temp?"], "tempa", True), (["temp?"], "temp", False),
        (["**/dir2/**"], "dir/dir2/dir2/f", True), (["**", "!util/docker/web"], "util/docker/web", False),
    ],
)  # fmt: skip
def test_docker_s_examples(patterns: list[str], path: str, excluded: bool) -> None:
    """What Docker's own tests and reference say of each pattern."""
    assert Ignore(patterns).excludes(path) is excluded


def test_a_file_is_read_as_docker_reads_it() -> None:
    """Comments, blanks, a byte order mark, leading slashes and ``.`` parts mean nothing."""
    text = "\ufeff# comment\n\n  /a/./b/../c  \n!  /keep\r\n #not a comment\n/\none\x0ctwo\n"
    assert read(text) == ["a/c", "!keep", "#not a comment", "/", "one\x0ctwo"]


@pytest.mark.parametrize("pattern", ["!", "a\\", "[", "[^"])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    """One clear error, not a pattern that silently never matches."""
    with pytest.raises(InvalidInput):
        Ignore([pattern])


_PIECES = st.sampled_from(["a", "b", "ab", "*", "?", "**", "a*", "*b", "a?"])
_PATTERNS = st.lists(
    st.tuples(st.booleans(), st.lists(_PIECES, min_size=1, max_size=4)).map(lambda t: "!" * t[0] + "/".join(t[1])),
    max_size=4,
)
_PATHS = st.lists(st.sampled_from(["a", "b", "ab", "abb", "ba"]), min_size=1, max_size=4).map("/".join)


@given(_PATTERNS, _PATHS)
def test_like_the_reference(patterns: list[str], path: str) -> None:
    """A matcher that goes component by component, without regular expressions, says the same."""
    assert Ignore(patterns).excludes(path) == _reference(patterns, path)


@given(_PATTERNS, _PATHS, _PATHS)
def test_what_is_skipped_holds_nothing(patterns: list[str], directory: str, below: str) -> None:
    """A directory into which nobody looks holds only what is excluded."""
    ignore = Ignore(patterns)
    if ignore.excludes_all_below(directory):
        assert ignore.excludes(f"{directory}/{below}")


def _reference(patterns: list[str], path: str) -> bool:
    parts = path.split("/")
    excluded = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!").split("/")
        if any(_matches(wanted, parts[:end]) for end in range(1, len(parts) + 1)):
            excluded = not pattern.startswith("!")
    return excluded


def _matches(wanted: list[str], parts: list[str]) -> bool:
    if not wanted:
        return not parts
    if wanted == ["**"]:
        return bool(parts)  # at the end it stands for something, elsewhere also for nothing
    if wanted[0] == "**":
        return any(_matches(wanted[1:], parts[start:]) for start in range(len(parts) + 1))
    return bool(parts) and _component(wanted[0], parts[0]) and _matches(wanted[1:], parts[1:])


def _component(wanted: str, name: str) -> bool:
    if not wanted:
        return not name
    if wanted[0] == "*":
        return any(_component(wanted[1:], name[start:]) for start in range(len(name) + 1))
    return bool(name) and wanted[0] in ("?", name[0]) and _component(wanted[1:], name[1:])
