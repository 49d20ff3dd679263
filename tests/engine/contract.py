"""Holds what the daemon answered (as :mod:`tests.engine.recorded` wrote it down) against the API's description."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema

from minidock.daemon.api.routes import description


class Contract:
    """One daemon's answers; each is looked at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.seen: set[bytes] = set()

    def check(self) -> None:
        """All that came since the last time. Raises AssertionError, with the first that is not as described."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            lines = file.readlines()
        whole = [line for line in lines if line.endswith(b"\n")]
        self._read += sum(map(len, whole))
        for line in {*whole} - self.seen:
            self.seen.add(line)
            method, path, status, body = json.loads(line)
            problem = problem_with(method, path, status, json.loads(body))
            assert problem is None, f"{method} {path}: {status} {body[:2000]}: {problem}"


def problem_with(method: str, path: str, status: int, document: Any) -> str | None:
    """What the description does not say of this answer."""
    operation = description()["paths"].get(path, {}).get(method.lower())
    if operation is None:  # what Docker has and we have not is in no description: it is refused, or an empty list
        return None if status >= 400 or document == [] else "a route that is not described"
    response = operation["responses"].get(str(status)) or (operation["responses"]["default"] if status >= 300 else {})
    if "application/json" not in response.get("content", {}):
        return "no JSON is described here"
    error = jsonschema.exceptions.best_match(_validator(json.dumps(response)).iter_errors(document))
    return f"{error.json_path}: {error.message}" if error is not None else None


@functools.cache
def _validator(response: str) -> Any:
    schema = json.loads(response)["content"]["application/json"]["schema"]
    named = description()["components"]["schemas"]
    # A reader of the description may meet more fields than it knows; that we do not answer any is tested.
    closed = {
        name: kind | ({"additionalProperties": False} if "properties" in kind else {}) for name, kind in named.items()
    }
    return jsonschema.Draft202012Validator(schema | {"components": {"schemas": closed}})
