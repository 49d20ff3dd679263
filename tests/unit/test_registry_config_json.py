"""The client's side of registry passwords: config.json and credential helpers, as ``docker login`` leaves them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from minidock.client import credentials as client
from minidock.registry.credentials import ANONYMOUS, Credentials, from_header

HELPER = """#!/bin/sh
read -r server
case "$1 $server" in
    "get r.example.com") echo '{"ServerURL": "r.example.com", "Username": "anna", "Secret": "from the helper"}' ;;
    "get https://index.docker.io/v1/") echo '{"Username": "<token>", "Secret": "identity"}' ;;
    "get locked.example.com") echo "the keychain is locked"; exit 1 ;;
    *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for config.json, and ``docker-credential-test`` on the PATH."""
    helper = tmp_path / "docker-credential-test"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def sent(home: Path, image: str, configuration: Any) -> Credentials:
    """What the daemon understands of what the client sends for ``image``."""
    (home / "config.json").write_text(json.dumps(configuration))
    return from_header(client.headers(image).get("X-Registry-Auth", ""))


def auth(user: str, password: str) -> dict[str, str]:
    """An entry of ``auths`` as ``docker login`` writes it."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "image, key",
    [
        ("debian", "https://index.docker.io/v1/"),
        ("anna/tool:1", "https://index.docker.io/v1/"),
        ("docker.io/library/debian", "https://index.docker.io/v1/"),
        ("r.example.com/tool", "r.example.com"),
        ("r.example.com:5000/a/b:c", "r.example.com:5000"),
        ("localhost/tool", "localhost"),
        ("r.example.com/old", "https://r.example.com/v1/"),
    ],
)
def test_a_password_is_found_under_its_registry(home: Path, image: str, key: str) -> None:
    """The registry of the image's name decides, however its entry is written; a password may hold a colon."""
    configuration = {"auths": {"other.example.com": auth("x", "y"), key: auth("anna", "pass:word")}}
    assert sent(home, image, configuration) == Credentials("anna", "pass:word")


def test_another_registrys_password_is_not_sent(home: Path) -> None:
    """Ports, and names that merely begin alike, make another registry."""
    configuration = {"auths": {"r.example.com": auth("anna", "secret")}}
    for image in ("r.example.com:5000/x", "r.example.com.evil.example/x", "debian"):
        assert client.headers(image) == {}
        assert sent(home, image, configuration) == ANONYMOUS


def test_identity_tokens_are_passed_on(home: Path) -> None:
    """A registry that gave a token instead of keeping the password."""
    entry = auth("anna", "") | {"identitytoken": "identity"}
    assert sent(home, "r.example.com/x", {"auths": {"r.example.com": entry}}) == Credentials("anna", "", "identity")


def test_helpers_are_asked(home: Path) -> None:
    """One for all registries, or one for each; ``<token>`` in place of a user means an identity token."""
    assert sent(home, "r.example.com/x", {"credsStore": "test"}) == Credentials("anna", "from the helper")
    helpers = {"credHelpers": {"r.example.com": "test"}, "auths": {"o.example.com": auth("o", "p")}}
    assert sent(home, "r.example.com/x", helpers) == Credentials("anna", "from the helper")
    assert sent(home, "o.example.com/x", helpers) == Credentials("o", "p")
    assert sent(home, "debian", {"credsStore": "test"}) == Credentials(identity_token="identity")
    assert sent(home, "unknown.example.com/x", {"credsStore": "test"}) == ANONYMOUS


@pytest.mark.parametrize(
    "configuration, warning",
    [
        ([], "not a JSON object"),
        ({"credsStore": "missing"}, "docker-credential-missing"),
        ({"credsStore": "../test"}, "not the name of a credential helper"),
        ({"credsStore": "test"}, "the keychain is locked"),
        ({"auths": {"locked.example.com": {"auth": "no base64"}}}, "not base64"),
        ({"auths": []}, "WARNING"),
    ],
)
def test_a_broken_configuration_is_a_warning(
    home: Path, capsys: pytest.CaptureFixture[str], configuration: Any, warning: str
) -> None:
    """Most images are public: the pull goes on as nobody, and one line says why."""
    assert sent(home, "locked.example.com/x", configuration) == ANONYMOUS
    error = capsys.readouterr().err
    assert warning in error
    assert error.count("\n") == 1


def test_without_a_configuration_nobody_asks(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A user who never logged in anywhere."""
    assert client.headers("debian") == {}
    assert capsys.readouterr().err == ""
