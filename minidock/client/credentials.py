"""Passwords for registries: Docker's own ``config.json``, and the helper programs that it names.

The daemon keeps no passwords; with each pull and push the client sends what it knows about that registry, in the header
``X-Registry-Auth``. Somebody who has run ``docker login`` need not do anything more.

::

    {
      "auths":       {"registry.example.com": {"auth": "<base64 of user:password>"}},
      "credsStore":  "pass",                         docker-credential-pass knows all passwords
      "credHelpers": {"other.example.com": "ecr"}    docker-credential-ecr knows those of this registry
    }

Source: https://docs.docker.com/reference/cli/docker/login/ and https://github.com/docker/docker-credential-helpers
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
from typing import Any

from minidock.client import config
from minidock.errors import InvalidInput

#: the name under which passwords for docker.io have been kept since before there was a v2
HUB_KEY = "https://index.docker.io/v1/"
#: what a helper says instead of a user's name when the secret is an identity token
TOKEN_USER = "<token>"
#: seconds: a helper may ask the user to unlock something
HELPER_TIMEOUT = 60


def headers(image: str) -> dict[str, str]:
    """``X-Registry-Auth`` for pulling ``image``, or no header at all. Problems are warnings: most images are public."""
    try:
        found = lookup(_key(image), config.read())
    except (InvalidInput, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"WARNING: no credentials for {_key(image)}: {error}", file=sys.stderr)
        return {}
    if not found:
        return {}
    document = json.dumps({key: value for key, value in found.items() if value})
    return {"X-Registry-Auth": base64.urlsafe_b64encode(document.encode()).decode()}


def everything() -> dict[str, dict[str, str]]:
    """What is known of every registry that ``config.json`` names."""
    document = config.read()
    keys = {*document.get("auths", {}), *document.get("credHelpers", {})}
    found = {key: known(key) for key in sorted(keys)}
    return {key: value for key, value in found.items() if value}


def lookup(key: str, configuration: dict[str, Any]) -> dict[str, str]:
    """The Engine API's AuthConfig for a registry; empty when nothing is known.

    A helper for this registry goes first, then the helper for all, then what is in the file itself.
    """
    if helper := _helper(key, configuration):
        return _get(helper, key)
    entries = configuration.get("auths", {})
    entry: dict[str, str] = entries.get(key) or next(
        (value for name, value in entries.items() if _host(name) == _host(key)), {}
    )
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        try:
            username, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError("its auth in config.json is not base64 of user:password") from None
    identity = entry.get("identitytoken", "")
    if not (username or identity):
        return {}
    return {"username": username, "password": password, "identitytoken": identity, "serveraddress": key}


def server(name: str) -> str:
    """The key of a registry that the user has named, or of Docker Hub."""
    host = _host(name)
    return HUB_KEY if host in ("", "docker.io", "index.docker.io", "registry-1.docker.io") else host


def known(key: str) -> dict[str, str]:
    """What has been kept for a registry; nothing when it cannot be read."""
    try:
        return lookup(key, config.read())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def store(key: str, found: dict[str, str]) -> None:
    """Keep credentials: with the helper for that registry, or else, readable, in config.json. Raises OSError."""
    document = config.read()
    user, secret = found.get("username", ""), found.get("password", "")
    token = found.get("identitytoken", "")
    if helper := _helper(key, document):
        entry = {"ServerURL": key, "Username": TOKEN_USER if token else user, "Secret": token or secret}
        _ask(helper, "store", json.dumps(entry))
        document.setdefault("auths", {})[key] = {}
    else:
        text = base64.b64encode(f"{user}:{secret}".encode()).decode()
        document.setdefault("auths", {})[key] = {"auth": text} | ({"identitytoken": token} if token else {})
        print(
            f"\nWARNING! Your credentials are stored unencrypted in '{config.path('config.json')}'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n",
            file=sys.stderr,
        )
    config.write(document)


def erase(key: str) -> None:
    """Forget a registry's credentials. Raises OSError when the helper cannot."""
    document = config.read()
    if helper := _helper(key, document):
        _ask(helper, "erase", key)
    if document.get("auths", {}).pop(key, None) is not None:
        config.write(document)


def _helper(key: str, configuration: dict[str, Any]) -> str:
    return str(configuration.get("credHelpers", {}).get(key) or configuration.get("credsStore") or "")


def _key(image: str) -> str:
    """The registry of an image's name, as config.json writes it."""
    first, slash, _ = image.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    return first if is_host and first not in ("docker.io", "index.docker.io") else HUB_KEY


def _host(key: str) -> str:
    """Old versions of Docker wrote URLs: ``https://registry.example.com/v1/``."""
    return re.sub(r"^https?://", "", key).partition("/")[0]


def _get(helper: str, key: str) -> dict[str, str]:
    """What a helper program knows about a registry."""
    said = _ask(helper, "get", key)
    if not said:
        return {}
    answer = json.loads(said)
    username, secret = answer["Username"], answer["Secret"]
    if username == TOKEN_USER:
        return {"identitytoken": secret, "serveraddress": key}
    return {"username": username, "password": secret, "serveraddress": key}


def _ask(helper: str, action: str, words: str) -> str:
    """Run a helper program: the question on its stdin, the answer on its stdout. Empty when it knows nothing."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", helper):
        raise ValueError(f"{helper!r} is not the name of a credential helper")
    import subprocess  # late: few have helpers, and every command waits for its imports

    program = f"docker-credential-{helper}"
    try:
        asked = subprocess.run([program, action], input=words, capture_output=True, text=True, timeout=HELPER_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise OSError(f"{program} did not answer within {HELPER_TIMEOUT} seconds") from None
    if asked.returncode:
        said = (asked.stdout or asked.stderr).strip()
        if "credentials not found" in said:
            return ""
        raise OSError(f"{program}: {said}")
    return asked.stdout
