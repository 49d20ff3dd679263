"""Requests for manifests, and the lists made of them: tags, repositories, referrers.

Source: distribution-spec 1.1, "Pulling manifests", "Pushing manifests", "Content Discovery", "Content Management".
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from minidock.errors import CorruptContent
from minidock.oci import digest as digests
from minidock.oci.image import MAX_MANIFEST, OCI_INDEX
from minidock.oci.reference import is_tag
from minidock.registry.server.refusals import Refusal
from minidock.registry.server.registry import Registry
from minidock.registry.server.store import check_digest, index_of


async def get(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``GET`` and ``HEAD /v2/NAME/manifests/REFERENCE``: the bytes as they came, whatever ``Accept`` says."""
    repository, reference = request.match_info["name"], _reference(request)
    if registry.upstream is not None:
        await registry.upstream.bring_manifest(repository, reference)
    stored = await asyncio.to_thread(registry.store.manifest, repository, reference)
    # The entity tag is the digest: who has it need not be sent it again.
    headers = {"Docker-Content-Digest": stored.digest, "Etag": f'"{stored.digest}"', "Content-Type": stored.media_type}
    if request.headers.get("If-None-Match", "").strip('"') == stored.digest:
        return web.Response(status=304, headers=headers)
    return web.Response(body=await asyncio.to_thread(stored.path.read_bytes), headers=headers)


async def put(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``PUT /v2/NAME/manifests/REFERENCE``."""
    repository, reference = request.match_info["name"], _reference(request)
    data = await _body(request)
    digest = reference if ":" in reference else digests.of(data)
    try:
        digests.verify(digest, data)
    except CorruptContent as error:
        raise Refusal("DIGEST_INVALID", str(error)) from None
    tag = None if ":" in reference else reference
    store, content_type = registry.store, request.headers.get("Content-Type", "")
    document = await asyncio.to_thread(store.put_manifest, repository, data, content_type, digest, tag)
    headers = {"Location": f"/v2/{repository}/manifests/{digest}", "Docker-Content-Digest": digest}
    if document.subject is not None:
        # So the client knows that this registry lists referrers itself, and no list of its own is needed.
        headers["OCI-Subject"] = document.subject.digest
    return web.Response(status=201, headers=headers)


async def delete(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``DELETE /v2/NAME/manifests/REFERENCE``: a tag alone, or a manifest with all its tags."""
    await asyncio.to_thread(registry.store.forget_manifest, request.match_info["name"], _reference(request))
    return web.Response(status=202)


async def tags(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``GET /v2/NAME/tags/list[?n=&last=]``."""
    repository = request.match_info["name"]
    last, limit = _page(request)
    found = await asyncio.to_thread(registry.store.tags, repository, last, -1 if limit is None else limit + 1)
    page, headers = cut_page(request.path, found, limit)
    return web.json_response({"name": repository, "tags": page}, headers=headers)


async def catalog(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``GET /v2/_catalog[?n=&last=]``: Docker's registry has it, the specification does not."""
    last, limit = _page(request)
    found = await asyncio.to_thread(registry.store.repositories, last, -1 if limit is None else limit + 1)
    page, headers = cut_page(request.path, found, limit)
    return web.json_response({"repositories": page}, headers=headers)


async def referrers(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``GET /v2/NAME/referrers/DIGEST[?artifactType=]``: what is about a manifest; an empty list when nothing is."""
    subject, wanted = check_digest(request.match_info["digest"]), request.query.get("artifactType", "")
    found = await asyncio.to_thread(registry.store.referrers, request.match_info["name"], subject, wanted)
    headers = {"Content-Type": OCI_INDEX} | ({"OCI-Filters-Applied": "artifactType"} if wanted else {})
    return web.Response(body=msgspec.json.encode(index_of(found)), headers=headers)


def _reference(request: web.Request) -> str:
    reference = request.match_info["reference"]
    if ":" in reference:
        return check_digest(reference)
    if not is_tag(reference):
        raise Refusal("TAG_INVALID", f"{reference[:150]!r} is no tag")
    return reference


async def _body(request: web.Request) -> bytes:
    data = bytearray()
    async for piece in request.content.iter_any():
        data += piece
        if len(data) > MAX_MANIFEST:
            raise Refusal("SIZE_INVALID", f"a manifest may have {MAX_MANIFEST} bytes at most")
    return bytes(data)


def _page(request: web.Request) -> tuple[str, int | None]:
    """``last`` and ``n``. Raises Refusal."""
    number = request.query.get("n")
    if number is None:
        return request.query.get("last", ""), None
    if not number.isdecimal() or len(number) > 9:
        raise Refusal("PAGINATION_NUMBER_INVALID", f"n={number[:40]} is no number of entries")
    return request.query.get("last", ""), int(number)


def cut_page(path: str, found: list[str], limit: int | None) -> tuple[list[str], dict[str, str]]:
    """The first ``limit`` of what was found (all, when None), and headers: if there is more, a link to the rest.

    The link leads to ``path`` with the same ``n`` and, as ``last``, the last entry of this page (RFC 8288).
    """
    if limit is None or len(found) <= limit or limit == 0:
        return found[:limit], {}
    rest = urlencode({"n": limit, "last": found[limit - 1]})
    return found[:limit], {"Link": f'<{path}?{rest}>; rel="next"'}
