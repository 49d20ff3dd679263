"""Holds what the daemon answered (as :mod:`tests.engine.recorded` wrote it down) against the API's description."""

from __future__ import annotations

import base64
import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

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
            method, path, status, headers, body = json.loads(line)
            answer = Answered(method, path, status, headers, body)
            problem = problem_with(answer)
            assert problem is None, f"{str(answer)[:3000]}: {problem}"


class Answered(NamedTuple):
    """One of them."""

    method: str
    path: str
    """The route's."""
    status: int
    headers: dict[str, str]
    body: str | None
    """When it is a JSON document."""


JSON = "application/json"

# What HTTP and the Web socket need for themselves.
TRANSPORT = {
    *("Connection", "Content-Type", "Content-Encoding", "Transfer-Encoding"),
    *("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"),
}
ERROR: dict[str, Any] = description()["paths"]["/info"]["get"]["responses"]["default"]
"""That of every route."""


def problem_with(answer: Answered) -> str | None:
    """What the description does not say of this answer."""
    operation = description()["paths"].get(answer.path, {}).get(answer.method.lower())
    if operation is None:  # what Docker has and we have not is in no description: it is refused, or an empty list
        if answer.status < 400:
            return None if json.loads(answer.body or "0") == [] else "a route that is not described"
        response = ERROR
    else:
        response = operation["responses"].get(str(answer.status)) or (ERROR if answer.status >= 400 else {})
        if not response:
            return "a status that is not described"
    return _problem_with_headers(answer.headers, response) or _problem_with_body(answer, response)


def _problem_with_headers(headers: dict[str, str], response: dict[str, Any]) -> str | None:
    told = {name: _resolved(header)["schema"] for name, header in response["headers"].items()}
    if told.keys() - headers or headers.keys() - told - TRANSPORT:
        return f"headers: {sorted(told.keys() ^ headers.keys() - TRANSPORT)}"
    for name, schema in told.items():
        found: Any = headers[name]
        if "contentSchema" in schema:
            found, schema = json.loads(base64.b64decode(found, validate=True)), schema["contentSchema"]
        if problem := _mismatch(found, schema):
            return f"{name}: {problem}"
    return None


def _resolved(header: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in header:
        return header
    found: dict[str, Any] = description()["components"]["headers"][header["$ref"].rpartition("/")[2]]
    return found


def _problem_with_body(answer: Answered, response: dict[str, Any]) -> str | None:
    media = answer.headers.get("Content-Type", "").partition(";")[0]
    described = response.get("content", {})
    if media == "" and JSON not in described:  # an empty body
        return None
    if media not in described:
        return f"{media or 'nothing'} is answered where {sorted(described)} is described"
    return _mismatch(json.loads(answer.body), described[media]["schema"]) if answer.body is not None else None


def _mismatch(document: Any, schema: dict[str, Any]) -> str | None:
    error = jsonschema.exceptions.best_match(_validator(json.dumps(schema)).iter_errors(document))
    return f"{error.json_path}: {error.message}" if error is not None else None


@functools.cache
def _validator(schema: str) -> Any:
    named = description()["components"]["schemas"]
    # A reader of the description may meet more fields than it knows; that we do not answer any is tested.
    closed = {
        name: kind | ({"additionalProperties": False} if "properties" in kind else {}) for name, kind in named.items()
    }
    return jsonschema.Draft202012Validator(json.loads(schema) | {"components": {"schemas": closed}})
