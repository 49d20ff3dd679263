"""minidockd as the tests start it: the same, but it writes down every JSON document that it answers.

So the test's side can hold all of them against the API's own description, whoever the client was.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from minidock.daemon import main
from minidock.daemon.api import answers, server
from minidock.daemon.engine import Engine

FILE = os.open(os.environ["MINIDOCK_TEST_ANSWERS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
JSON = "application/json"


def record(request: web.Request, status: int, body: bytes) -> None:
    """One line: the route, the status, the document."""
    resource = request.match_info.route.resource
    path = resource.canonical.removeprefix("/v{version}") if resource is not None else ""
    os.write(FILE, msgspec.json.encode((request.method, path, status, body.decode())) + b"\n")


async def record_whole(request: web.Request, response: web.StreamResponse) -> None:
    """An answer of one document."""
    if isinstance(response, web.Response) and response.content_type == JSON and isinstance(response.body, bytes):
        record(request, response.status, response.body)


def record_pieces(request: web.Request, response: web.StreamResponse) -> None:
    """A stream of documents: each is written as one piece."""
    write = response.write

    async def recorded(data: Any) -> None:
        record(request, response.status, bytes(data))
        await write(data)

    response.write = recorded  # type: ignore[method-assign]


_application, _begin = server.application, answers.begin


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


if __name__ == "__main__":
    server.application, answers.begin = application, begin
    main.main()
