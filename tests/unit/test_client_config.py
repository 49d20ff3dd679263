"""The user's ``config.json``: what cannot be read is a warning to who wants a setting, and an error to who writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidock.client import config, contexts
from minidock.errors import InvalidInput


@pytest.mark.parametrize("content", ["{", "[]", None])
def test_unreadable(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands go on with what they have by default, warned once; it is never overwritten by what could not be read."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    file = tmp_path / "config.json"
    if content is None:
        file.mkdir()
    else:
        file.write_text(content)
    assert (contexts.chosen(""), config.setting("psFormat")) == (contexts.DEFAULT, "")
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("WARNING: Error loading config file: ") and str(file) in warning
    assert "Errno" not in warning
    with pytest.raises(InvalidInput):
        config.read()


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that is there, one that is not; and no file at all."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert config.setting("psFormat") == ""
    (tmp_path / "config.json").write_text('{"psFormat": "{{.ID}}"}')
    assert (config.setting("psFormat"), config.setting("imagesFormat")) == ("{{.ID}}", "")
