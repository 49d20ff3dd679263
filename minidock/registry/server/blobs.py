"""Requests for blobs that are here: sent, looked for, forgotten.

Source: distribution-spec 1.1, "Pulling blobs", "Deleting blobs".
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from minidock.registry.server.registry import Registry
from minidock.registry.server.store import check_digest


async def get(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``GET`` and ``HEAD /v2/NAME/blobs/DIGEST``; ranges are aiohttp's work, and the kernel sends the file."""
    repository, digest = request.match_info["name"], check_digest(request.match_info["digest"])
    if registry.upstream is not None:
        await registry.upstream.bring_blob(repository, digest)
    path = await asyncio.to_thread(registry.store.blob, repository, digest)
    headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
    return web.FileResponse(path, headers=headers)


async def delete(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``DELETE /v2/NAME/blobs/DIGEST``."""
    digest = check_digest(request.match_info["digest"])
    await asyncio.to_thread(registry.store.forget_blob, request.match_info["name"], digest)
    return web.Response(status=202)
