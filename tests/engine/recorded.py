"""minidockd as the tests start it: the same, but it writes down every answer: its head, and its JSON documents.

So the test's side can hold all of them against the API's own description, whoever the client was.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from minidock.daemon import main
from minidock.daemon.api import answers, hijack, server
from minidock.daemon.engine import Engine

FILE = os.open(os.environ["MINIDOCK_TEST_ANSWERS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
JSON = "application/json"


# They are another's each time, and would make every answer a new one.
NOT_RECORDED = ("Date", "Content-Length", "Sec-WebSocket-Accept")


def record(request: web.Request, status: int, headers: Iterable[tuple[str, str]], body: bytes | None) -> None:
    """One line: the route, the status, the headers, the document."""
    resource = request.match_info.route.resource
    path = resource.canonical.removeprefix("/v{version}") if resource is not None else ""
    kept = {name: value for name, value in headers if name not in NOT_RECORDED}
    text = body.decode() if body is not None else None
    os.write(FILE, msgspec.json.encode((request.method, path, status, kept, text)) + b"\n")


async def record_whole(request: web.Request, response: web.StreamResponse) -> None:
    """An answer of one document, or the head of one that is none."""
    is_document = isinstance(response, web.Response) and response.content_type == JSON
    body = response.body if is_document and isinstance(response, web.Response) else None
    record(request, response.status, response.headers.items(), body if isinstance(body, bytes) else None)


def record_pieces(request: web.Request, response: web.StreamResponse) -> None:
    """A stream of documents: each is written as one piece."""
    write = response.write

    async def recorded(data: Any) -> None:
        record(request, response.status, response.headers.items(), bytes(data))
        await write(data)

    response.write = recorded  # type: ignore[method-assign]


_application, _begin, _head = server.application, answers.begin, hijack._head


def application(engine: Engine) -> web.Application:
    """The API, with our ear on it."""
    app = _application(engine)
    app.on_response_prepare.append(record_whole)
    return app


async def begin(
    request: web.Request, content_type: str = JSON, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """A stream, with our ear on it."""
    response = await _begin(request, content_type, headers)
    if content_type == JSON:
        record_pieces(request, response)
    return response


def head(request: web.Request, upgrade: bool, framed: bool) -> bytes:
    """The head of an answer that takes the connection over."""
    found = _head(request, upgrade, framed)
    first, *lines = found.decode().splitlines()
    pairs = [line.split(": ", 1) for line in lines if line]
    record(request, int(first.split()[1]), [(name, value) for name, value in pairs], None)
    return found


if __name__ == "__main__":
    server.application, answers.begin, hijack._head = application, begin, head
    main.main()
