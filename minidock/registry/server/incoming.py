"""Requests that bring a blob: in one piece, in chunks, or from another repository.

::

    POST   /v2/NAME/blobs/uploads/              202  begin      (?mount=DIGEST&from=NAME: 201, nothing to send)
                                                     (?digest=DIGEST with a body: 201, done)
    PATCH  /v2/NAME/blobs/uploads/ID            202  more bytes
    GET    /v2/NAME/blobs/uploads/ID            204  how many are there
    PUT    /v2/NAME/blobs/uploads/ID?digest=    201  the last bytes, if any; done
    DELETE /v2/NAME/blobs/uploads/ID            204  forget it

Docker sends its chunks without ``Content-Range``: then they simply follow each other.

Source: distribution-spec 1.1, "Pushing blobs".
"""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from minidock.registry.server.refusals import Refusal
from minidock.registry.server.registry import Registry
from minidock.registry.server.store import check_digest
from minidock.registry.server.uploads import Upload

_PIECE = 1 << 20
_RANGE = re.compile(r"(?:bytes[ =])?([0-9]+)-([0-9]+)(?:/.*)?")


async def begin(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``POST``: a new upload, or one that is over at once."""
    repository, query = request.match_info["name"], request.query
    if "mount" in query and "from" in query:
        digest = check_digest(query["mount"])
        if await asyncio.to_thread(registry.store.mount, repository, digest, query["from"]):
            return _created(repository, digest)
    upload = await asyncio.to_thread(registry.uploads.start, repository)
    if "digest" in query:
        return await _finish(registry, request, upload)
    return _progress(upload, 202)


async def append(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``PATCH``."""
    upload = registry.uploads.find(request.match_info["name"], request.match_info["id"])
    async with upload.lock:
        await _receive(registry, request, upload)
    return _progress(upload, 202)


async def status(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``GET``."""
    return _progress(registry.uploads.find(request.match_info["name"], request.match_info["id"]), 204)


async def finish(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``PUT``."""
    return await _finish(registry, request, registry.uploads.find(request.match_info["name"], request.match_info["id"]))


async def cancel(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``DELETE``."""
    upload = registry.uploads.find(request.match_info["name"], request.match_info["id"])
    async with upload.lock:
        await asyncio.to_thread(registry.uploads.end, upload)
    return web.Response(status=204)


async def _finish(registry: Registry, request: web.Request, upload: Upload) -> web.StreamResponse:
    if "digest" not in request.query:
        raise Refusal("DIGEST_INVALID", "the digest is missing: ?digest=sha256:…")
    digest = check_digest(request.query["digest"])
    async with upload.lock:
        # Somebody may have ended it while we waited.
        registry.uploads.find(upload.repository, upload.id)
        await _receive(registry, request, upload)
        try:
            await asyncio.to_thread(upload.finish, digest, registry.store)
        finally:
            await asyncio.to_thread(registry.uploads.end, upload)
    return _created(upload.repository, digest)


async def _receive(registry: Registry, request: web.Request, upload: Upload) -> None:
    """The request's body goes to the end of the upload. Raises Refusal.

    What came before the line broke stays: the client asks how much it was, and goes on.
    """
    try:
        expected = chunk_length(request.headers.get("Content-Range"), upload.size)
    except Refusal as refusal:
        refusal.headers |= _whereabouts(upload)
        raise
    before, piece = upload.size, bytearray()
    async for received in request.content.iter_any():
        piece += received
        await _check_size(registry, upload, upload.size + len(piece))
        if len(piece) >= _PIECE:
            await asyncio.to_thread(upload.write, bytes(piece))
            piece.clear()
    if piece:
        await asyncio.to_thread(upload.write, bytes(piece))
    registry.metrics.received += upload.size - before
    if expected is not None and upload.size - before != expected:
        raise Refusal(
            "BLOB_UPLOAD_INVALID", f"Content-Range tells of {expected} bytes, sent were {upload.size - before}"
        )


def chunk_length(text: str | None, there: int) -> int | None:
    """How many bytes ``Content-Range: text`` announces, to follow those that are ``there``; None without the header.

    Raises Refusal: RANGE_INVALID when they do not begin where the upload ends, BLOB_UPLOAD_INVALID for no range.
    """
    if text is None:
        return None
    match = _RANGE.fullmatch(text)
    if match is None or int(match[2]) < int(match[1]) - 1:
        raise Refusal("BLOB_UPLOAD_INVALID", f"Content-Range {text!r} is not START-END")
    if int(match[1]) != there:
        raise Refusal("RANGE_INVALID", f"the next byte is {there}, not {match[1]}")
    return int(match[2]) - int(match[1]) + 1


async def _check_size(registry: Registry, upload: Upload, size: int) -> None:
    if 0 < registry.limits.upload < size:
        await asyncio.to_thread(registry.uploads.end, upload)
        raise Refusal("SIZE_INVALID", f"a blob may have {registry.limits.upload} bytes here at most")


def _progress(upload: Upload, status: int) -> web.Response:
    return web.Response(status=status, headers=_whereabouts(upload))


def _whereabouts(upload: Upload) -> dict[str, str]:
    """Where to go on. ``Range`` is of the bytes that are there; for none it is 0-0, as Docker's registry has it."""
    return {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{upload.id}",
        "Range": f"0-{max(upload.size - 1, 0)}",
        "Docker-Upload-UUID": upload.id,
    }


def _created(repository: str, digest: str) -> web.Response:
    headers = {"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)
