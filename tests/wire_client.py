"""HTTP to a registry, request by request, with nothing between the test and the wire."""

from __future__ import annotations

import base64
import http.client
import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """What a registry answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """The codes of an error document; none for anything else."""
        try:
            return [error["code"] for error in self.json()["errors"]]
        except (ValueError, KeyError, TypeError):
            return []


class WireClient:
    """Speaks to the registry at ``address``. ``user`` is NAME:PASSWORD, ``token`` a bearer token."""

    def __init__(self, address: str, user: str = "", token: str = "") -> None:
        self.address = address
        self._headers = {}
        if user:
            self._headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """One request. In header names, write _ for -."""
        names = {name.replace("_", "-"): value for name, value in headers.items()} | self._headers
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, path, body or None, names)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def begin(self, repository: str) -> str:
        """Begin an upload; the path to go on at."""
        answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        assert answer.status == 202
        return path_of(answer)

    def push_blob(self, repository: str, data: bytes, digest: str) -> Answer:
        """A whole blob, in two requests."""
        location = self.begin(repository)
        return self.ask("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", data)


def path_of(answer: Answer) -> str:
    """Where ``Location`` leads, without scheme and host."""
    location = answer.headers["Location"]
    return "/" + location.split("/", 3)[3] if "://" in location else location
