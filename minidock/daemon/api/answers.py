"""How the API answers: one JSON document, nothing, or a stream of them."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from minidock import messages


def document(message: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """One JSON document."""
    body = messages.encode(message) + b"\n"
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def nothing() -> web.Response:
    """Done, and there is nothing to say."""
    return web.Response(status=204)


async def begin(request: web.Request, content_type: str = "application/json") -> web.StreamResponse:
    """Headers now, the rest as it happens."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    return response
