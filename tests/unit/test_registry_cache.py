"""Our registry as the cache of another: what it does when that one is gone, has moved a tag, or lies."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from minidock.content.store import Content
from minidock.oci import reference
from minidock.oci.platform import host
from minidock.registry.pull import Pulled, pull
from minidock.registry.server.collecting import collect
from minidock.registry.server.store import Store
from tests.registries import LyingRegistry, TestImage, make_image, own_registry, tar_of
from tests.wire_client import Answer, WireClient


@pytest.fixture
def image() -> TestImage:
    """Two layers."""
    return make_image([tar_of({f"file-{number}": bytes([number]) * 5000}) for number in range(2)])


async def bring(address: str, directory: Path) -> Pulled:
    """Pull ``seed:latest`` as our engine does."""
    content = Content(directory / "images", directory / "ingest")
    return await pull(reference.parse(f"{address}/seed:latest"), host(), content)


async def ask(address: str, method: str, path: str) -> Answer:
    """One request."""
    return await asyncio.to_thread(WireClient(address).ask, method, path)


async def test_upstream_is_down(image: TestImage, tmp_path: Path) -> None:
    """Nobody listens there any more: tag and digest are served from here, and a collection takes nothing of it away."""
    other = make_image([tar_of({"other": b"x"})])
    async with LyingRegistry(image, other).running() as upstream:
        base = upstream.base
        with own_registry(tmp_path / "cache", "--proxy", base) as address:
            await bring(address, tmp_path / "first")
    with closing(Store(tmp_path / "cache")) as store:
        assert collect(store, grace=-5).blobs == ()
    with own_registry(tmp_path / "cache", "--proxy", base) as address:
        assert (await bring(address, tmp_path / "second")).digest == image.top
        by_digest = await ask(address, "GET", f"/v2/seed/manifests/{image.top}")
        assert (by_digest.status, by_digest.body) == (200, image.manifests[image.top][1])
        for wanted in (f"seed/manifests/{other.top}", "seed/manifests/other", "never/manifests/latest"):
            answer = await ask(address, "GET", f"/v2/{wanted}")
            assert (answer.status, answer.codes) == (503, ["UNAVAILABLE"])


async def test_a_tag_moves(image: TestImage, tmp_path: Path) -> None:
    """The cache asks each time what a tag means, and has the new image; the old one is there by its digest."""
    newer = make_image([tar_of({"newer": b"x"})])
    async with LyingRegistry(image, newer).running() as upstream:
        with own_registry(tmp_path / "cache", "--proxy", upstream.base) as address:
            assert (await bring(address, tmp_path / "first")).digest == image.top
            upstream.manifests["latest"] = upstream.manifests[newer.top]
            assert (await bring(address, tmp_path / "second")).digest == newer.top
            served = dict(upstream.served)
            assert (await ask(address, "GET", f"/v2/seed/manifests/{image.top}")).status == 200
            del upstream.manifests["latest"]
            assert (await bring(address, tmp_path / "third")).digest == newer.top
            assert dict(upstream.served) == served


async def test_a_blob_that_is_another(image: TestImage, tmp_path: Path) -> None:
    """A wrong byte from upstream is kept nowhere and handed to nobody; when it is honest again, all is well."""
    layer = image.document()["layers"][0]["digest"]

    async def lie(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(body=data[:-1] + bytes([data[-1] ^ 1]), content_type="application/octet-stream")

    async with LyingRegistry(image).running() as upstream:
        with own_registry(tmp_path / "cache", "--proxy", upstream.base) as address:
            assert (await ask(address, "GET", "/v2/seed/manifests/latest")).status == 200
            upstream.blob_answer = lie
            refused = await ask(address, "GET", f"/v2/seed/blobs/{layer}")
            assert refused.status in (502, 503)
            assert image.blobs[layer][:100] not in refused.body
            with closing(Store(tmp_path / "cache")) as store:
                assert not store.content.path(layer).exists()
            upstream.blob_answer = upstream.honest_blob
            assert (await bring(address, tmp_path / "images")).digest == image.top


async def test_only_what_a_manifest_told_of(image: TestImage, tmp_path: Path) -> None:
    """The cache is no way to any blob of upstream: a manifest of that repository, asked for here, must need it."""
    async with LyingRegistry(image).running() as upstream:
        with own_registry(tmp_path / "cache", "--proxy", upstream.base) as address:
            layer = image.document()["layers"][0]["digest"]
            for repository in ("seed", "other"):
                answer = await ask(address, "GET", f"/v2/{repository}/blobs/{layer}")
                assert (answer.status, answer.codes) == (404, ["BLOB_UNKNOWN"])
            await ask(address, "GET", "/v2/seed/manifests/latest")
            assert (await ask(address, "GET", f"/v2/seed/blobs/{layer}")).body == image.blobs[layer]
            assert (await ask(address, "GET", f"/v2/other/blobs/{layer}")).status == 404
