"""Requests to the daemon, over any of the sockets that :mod:`minidock.client.address` makes.

A :class:`Client` speaks one version of the API, agreed upon by ``HEAD /_ping``, and turns answers of 400 and more into
:class:`~minidock.errors.ErrorFromDaemon`.

A connection is used for one request after another while answers are read to their end. Two kinds of answer keep their
connection for longer: a stream (logs, progress, wait), which the reader takes as it comes, and a *hijacked* one
(attach, exec), which after ``101 UPGRADED`` is no longer HTTP but the container's own bytes in both directions.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from minidock.client.address import Address
from minidock.client.flags import Flags
from minidock.client.http1 import Connection
from minidock.errors import DaemonUnreachable, ErrorFromDaemon, InvalidInput

API_VERSION = "1.44"


class Response:
    """An answer whose status and headers are known. The body is read once: ``read``, ``json`` or ``pieces``."""

    def __init__(self, client: Client, connection: Connection, method: str) -> None:
        self.status, self.headers = connection.head()
        self._client = client
        self._connection = connection
        self._method = method

    def fileno(self) -> int:
        """The socket, for ``poll``: readable when there is more to read."""
        return self._connection.socket.fileno()

    def ready(self) -> bool:
        """Whether some of the body has come already: it may have come with the head, and the socket stays silent."""
        return bool(self._connection.buffer)

    def receive(self) -> None:
        """Take from the socket what is there, without waiting for more. Raises DaemonUnreachable at its end."""
        if not self._connection.receive():
            raise self._client.address.unreachable()

    def pieces(self) -> Iterator[bytes]:
        """The body, as it comes. Raises DaemonUnreachable when the connection breaks."""
        yield from self._connection.body(self._method, self.status, self.headers)
        self._client.give_back(self._connection)

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces())

    def json(self) -> Any:
        """The whole body, as JSON. An empty one is None."""
        body = self.read()
        return json.loads(body) if body.strip() else None

    def documents(self) -> Iterator[dict[str, Any]]:
        """A stream of JSON documents, each as soon as its line is complete: progress, events."""
        rest = b""
        for piece in self.pieces():
            *lines, rest = (rest + piece).split(b"\n")
            yield from (json.loads(line) for line in lines if line.strip())
        if rest.strip():
            yield json.loads(rest)

    def hijack(self) -> Hijacked:
        """What was an HTTP connection, after ``101 UPGRADED``."""
        return Hijacked(self._connection.socket, self._connection.buffer)


class Client:
    """Requests to one daemon."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._idle: Connection | None = None
        self._version = ""
        self._is_ours = False

    @property
    def version(self) -> str:
        """The API's version that both sides speak, such as ``1.44``: asked for when first needed."""
        if not self._version:
            self.ping()
        return self._version

    def at_least(self, version: str) -> bool:
        """Whether the daemon speaks this version of the API."""
        return _numbers(self.version) >= _numbers(version)

    def since(self, flags: Flags, name: str, version: str, or_ours: bool = False) -> None:
        """Raises InvalidInput when the user gave a flag that only later versions of the API know.

        ``or_ours``: our own daemon knows it too, though it does not know all of that version.
        """
        if name in flags.given and not (self.at_least(version) or (or_ours and self._is_ours)):
            spoken = f"the Docker daemon API version is {self.version}"
            raise InvalidInput(f'"--{name}" requires API version {version}, but {spoken}')

    def another(self) -> Client:
        """A client of the same daemon with connections of its own, for another thread."""
        other = Client(self.address)
        other._version, other._is_ours = self.version, self._is_ours
        return other

    def ping(self) -> None:
        """Ask the daemon which version it speaks. Raises DaemonUnreachable."""
        answer = self._send("HEAD", "/_ping", None, {})
        answer.read()
        self._is_ours = answer.headers.get("server", "").startswith("minidock/")
        self._version = min(answer.headers.get("api-version", "1.24"), API_VERSION, key=_numbers)

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request, wait for the answer's head.

        Values of the query that are None, False or empty are left out, True is 1, dictionaries are JSON. A body of
        bytes is sent as it is, an iterator of bytes in chunks, all else as JSON. Raises ErrorFromDaemon and
        DaemonUnreachable.
        """
        response = self._send(method, f"/v{self.version}{path}{_encode(query)}", body, headers or {})
        if response.status >= 400:
            raise ErrorFromDaemon(response.status, _message(response))
        return response

    def hijack(self, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Hijacked:
        """Turn a request's connection into a stream of bytes in both directions. Raises as ``request`` does."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
        response = self.request("POST", path, query, body, upgrade)
        if response.status != 101:
            raise DaemonUnreachable(f"unable to upgrade to tcp, received {response.status}")
        return response.hijack()

    def give_back(self, connection: Connection) -> None:
        """A connection whose answer was read to its end may carry the next request."""
        if connection.reusable and self._idle is None:
            self._idle = connection
        else:
            connection.socket.close()

    def _send(self, method: str, target: str, body: Any, headers: Mapping[str, str]) -> Response:
        connection, self._idle = self._idle or Connection(self.address.connect(), self.address.text), None
        fields = dict(headers)
        if body is None:
            body = b""
        elif not isinstance(body, (bytes, Iterator)):
            fields["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        connection.send(method, target, fields, body)
        return Response(self, connection, method)


class Hijacked(NamedTuple):
    """What was an HTTP connection. ``early`` are bytes that came right behind the answer's head."""

    socket: socket.socket
    early: bytes


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _encode(query: Mapping[str, Any] | None) -> str:
    """``?all=1&filters={…}``, or nothing."""
    pairs = []
    for name, value in (query or {}).items():
        if value is None or value is False or value == "" or value == {}:
            continue
        values = value if isinstance(value, list) else [value]
        for one in values:
            text = "1" if one is True else json.dumps(one) if isinstance(one, dict) else str(one)
            pairs.append(f"{name}={_quote(text, safe='')}")
    return "?" + "&".join(pairs) if pairs else ""


def _message(response: Response) -> str:
    """The daemon's words: ``{"message": …}``, or whatever else it said."""
    body = response.read()
    try:
        return str(json.loads(body)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip() or f"status {response.status}"


def segment(name: str) -> str:
    """A container's or image's name as part of a path: ``/`` and ``:`` stay as they are."""
    return _quote(name, safe="/:@")


def _quote(text: str, safe: str) -> str:
    """Percent-encoding (RFC 3986): every byte but letters, digits, ``-._~`` and those that are ``safe``."""
    unreserved = f"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~{safe}".encode()
    return "".join(chr(byte) if byte in unreserved else f"%{byte:02X}" for byte in text.encode())
