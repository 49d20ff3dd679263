"""``minidock-registry``'s command line, where it is wrong."""

from __future__ import annotations

import pytest

from minidock.registry.server import command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("serve --wings", "unrecognized arguments: --wings (see 'minidock-registry --help')"),
        ("serve --list 1", "unrecognized arguments: --list 1 (see 'minidock-registry --help')"),
        ("serve --root", "argument --root: expected one argument (see 'minidock-registry serve --help')"),
        ("serve --max-upload 3y", "invalid suffix: 'y'"),
        ("gc --grace soon", 'time: invalid duration "soon"'),
        ("gc --root /nosuch", "/nosuch is no registry's directory"),
        ("", "the following arguments are required: COMMAND (see 'minidock-registry --help')"),
    ],
)
def test_an_error_is_one_line(
    words: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong flag or value is said in one line, not with the list of all flags, nor with a traceback."""
    monkeypatch.setattr("sys.argv", ["minidock-registry", *words.split()])
    with pytest.raises(SystemExit) as ended:
        command.main()
    said = capsys.readouterr().err or f"{ended.value.code}\n"
    assert said == f"minidock-registry: {message}\n"
    assert ended.value.code not in (0, None)
