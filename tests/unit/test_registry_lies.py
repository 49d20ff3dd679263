"""A pull from a registry that lies, breaks off, or is slow: nothing wrong is kept, and what can be saved is saved."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from minidock.content.store import Content, Ingest
from minidock.errors import (
    CorruptContent,
    Forbidden,
    InvalidSpec,
    MinidockError,
    NotFound,
    RegistryError,
    RegistryUnreachable,
)
from minidock.oci import image as media
from minidock.oci import platform, reference
from minidock.oci.image import Descriptor
from minidock.registry.progress import Progress
from minidock.registry.pull import Layer, Pulled, pull
from minidock.registry.retry import Retry, Unavailable
from minidock.registry.settings import Settings
from tests.registries import LyingRegistry, TestImage, digest_of, make_image, make_index, tar_of

HOST = platform.host()
# Large enough for several pieces, and not compressible to nothing.
LARGE = tar_of({"large": bytes((i * i * 7 + i // 256) % 251 for i in range(100_000)) * 30})


@dataclass
class Puller:
    """Pulls into a store of its own, never waiting between attempts; ``waits`` are the seconds it would have waited."""

    directory: Path
    settings: Settings = field(default_factory=Settings)
    waits: list[float] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    unpacked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory.mkdir(exist_ok=True)
        self.content = Content(self.directory / "images", self.directory / "ingest")

    async def pull(self, registry: LyingRegistry, name: str = "x:latest", image_platform: str = str(HOST)) -> Pulled:
        """Pull ``name`` from ``registry``."""

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        async def on_layer(layer: Layer) -> None:
            assert self.content.has(layer.descriptor)
            self.unpacked.append(layer.diff_id)

        return await pull(
            reference.parse(f"{registry.address}/{name}"),
            platform.parse(image_platform),
            self.content,
            self.progress.append,
            on_layer,
            settings=self.settings,
            retry=Retry(sleep=sleep, random=lambda: 1.0),
        )

    def blobs(self) -> set[str]:
        """The digests of what is in the store, whose bytes are what they are named after."""
        found = {f"sha256:{path.name}": path for path in (self.content.root / "blobs" / "sha256").iterdir()}
        assert all(digest_of(path.read_bytes()) == digest for digest, path in found.items())
        return set(found)

    def leftovers(self) -> list[str]:
        """What broken-off downloads have left, to be continued."""
        return [path.name for path in (self.directory / "ingest").iterdir()]


@pytest.fixture
def puller(tmp_path: Path) -> Puller:
    """A puller with an empty store."""
    return Puller(tmp_path / "store")


@pytest.fixture
def image() -> TestImage:
    """An image with two layers, the second of them large."""
    return make_image([tar_of({"small": b"small"}), LARGE])


@pytest.fixture
async def registry(image: TestImage) -> AsyncIterator[LyingRegistry]:
    """A registry that is honest so far, with ``image`` as ``x:latest``."""
    async with LyingRegistry(image).running() as running:
        yield running


def large_layer(image: TestImage) -> str:
    """The digest of the larger layer."""
    return str(image.document()["layers"][1]["digest"])


# --- honest ---------------------------------------------------------------------------------------------------------


async def test_an_honest_registry_gives_the_whole_image(
    puller: Puller, registry: LyingRegistry, image: TestImage
) -> None:
    """Every blob and the manifest are in the store, each layer was offered for unpacking, and the result names them."""
    pulled = await puller.pull(registry)
    assert puller.blobs() == {*image.blobs, image.top}
    assert pulled.digest == pulled.manifest.digest == image.top
    assert pulled.index is None
    assert [layer.descriptor.digest for layer in pulled.layers] == [d["digest"] for d in image.document()["layers"]]
    assert sorted(puller.unpacked) == sorted(layer.diff_id for layer in pulled.layers)
    assert puller.leftovers() == []


async def test_progress_is_told_in_dockers_words(puller: Puller, registry: LyingRegistry) -> None:
    """Each layer goes through Docker's phases, in their order."""
    pulled = await puller.pull(registry)
    assert puller.progress[0] == Progress("latest", "Pulling from x")
    for layer in pulled.layers:
        phases = list(dict.fromkeys(event.status for event in puller.progress if event.id == layer.id))
        assert [phase for phase in phases if phase != "Downloading"] == [
            "Pulling fs layer", "Verifying Checksum", "Download complete",
        ]  # fmt: skip


async def test_a_second_pull_asks_only_what_the_tag_means(puller: Puller, registry: LyingRegistry) -> None:
    """An image that is up to date costs a knock and a HEAD, and no manifest that Docker Hub would count."""
    first = await puller.pull(registry)
    registry.requests.clear()
    assert await puller.pull(registry) == first
    assert [(request.method, request.path) for request in registry.requests] == [
        ("GET", "/v2/"), ("HEAD", "/v2/x/manifests/latest"),
    ]  # fmt: skip
    assert puller.progress[-1] == Progress("latest", "Pulling from x")


async def test_a_layer_of_another_image_is_not_fetched_again(
    puller: Puller, registry: LyingRegistry, image: TestImage
) -> None:
    """An image that shares a layer: that layer exists already, and only the new one comes."""
    await puller.pull(registry)
    other = make_image([tar_of({"new": b"new"}), LARGE])
    async with LyingRegistry(other).running() as second:
        pulled = await puller.pull(second)
        assert second.served[large_layer(other)] == 0
    assert Progress(pulled.layers[1].id, "Already exists") in puller.progress


async def test_of_an_index_only_the_wanted_platform_is_pulled(puller: Puller) -> None:
    """The index is kept whole, and of its images the one for the platform."""
    image = make_index("amd64", "arm64", "s390x")
    async with LyingRegistry(image).running() as registry:
        pulled = await puller.pull(registry, image_platform="linux/arm64")
    assert pulled.digest == image.top
    assert pulled.index is not None
    assert pulled.index.digest == image.top
    assert len(puller.blobs()) == 4
    layer = pulled.layers[0]
    assert layer.diff_id == digest_of(tar_of({"arch": b"arm64"}))


async def test_an_index_without_the_platform_is_not_found(puller: Puller) -> None:
    """Docker's words for an image that does not exist for this processor."""
    async with LyingRegistry(make_index("s390x")).running() as registry:
        with pytest.raises(NotFound, match="no matching manifest for linux/arm64 in the manifest list entries"):
            await puller.pull(registry, image_platform="linux/arm64")
    assert puller.blobs() == set()


async def test_one_blob_that_is_two_layers_is_downloaded_once(puller: Puller) -> None:
    """BuildKit's empty layer occurs many times in one image."""
    layer = tar_of({"same": b"same"})
    image = make_image([layer, layer, layer])
    async with LyingRegistry(image).running() as registry:
        pulled = await puller.pull(registry)
        assert len(pulled.layers) == 3
        assert puller.unpacked == [digest_of(layer)]
        assert registry.served[pulled.layers[0].descriptor.digest] == pulled.layers[0].descriptor.size


async def test_a_pull_by_digest_needs_no_tag(puller: Puller, registry: LyingRegistry, image: TestImage) -> None:
    """A digest is asked for as it is."""
    pulled = await puller.pull(registry, f"x@{image.top}")
    assert pulled.digest == image.top
    assert not any("latest" in request.path for request in registry.requests)


# --- wrong content --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["config", "small layer", "large layer"])
async def test_a_blob_with_a_wrong_byte_is_thrown_away(
    puller: Puller, registry: LyingRegistry, image: TestImage, what: str
) -> None:
    """Its last byte is another: no image, nothing left of it to continue from, and a retry of the pull works."""
    document = image.document()
    blobs = {"config": document["config"], "small layer": document["layers"][0], "large layer": document["layers"][1]}
    bad = blobs[what]["digest"]

    async def tampered(request: web.Request, data: bytes) -> web.StreamResponse:
        data = data[:-1] + bytes([data[-1] ^ 1]) if digest_of(data) == bad else data
        return await LyingRegistry.honest_blob(registry, request, data)

    registry.blob_answer = tampered
    with pytest.raises(CorruptContent):
        await puller.pull(registry)
    assert not puller.blobs() & {bad, image.top}
    assert not [name for name in puller.leftovers() if bad[7:] in name]
    assert len(puller.unpacked) <= (0 if what == "config" else 1)
    registry.blob_answer = registry.honest_blob
    await puller.pull(registry)
    assert image.top in puller.blobs()


async def test_a_manifest_that_is_not_its_digest_is_refused(
    puller: Puller, registry: LyingRegistry, image: TestImage
) -> None:
    """A manifest asked for by digest must have it."""
    media_type, data = registry.manifests[image.top]
    registry.manifests[image.top] = (media_type, data + b"\n")
    with pytest.raises(CorruptContent):
        await puller.pull(registry)
    assert puller.blobs() == set()


async def test_a_manifest_must_have_the_digest_that_the_registry_told(puller: Puller, registry: LyingRegistry) -> None:
    """Without HEAD the tag is fetched at once, and Docker-Content-Digest is held against the bytes."""

    async def no_head(request: web.Request) -> web.StreamResponse | None:
        if request.method == "HEAD":
            return web.Response(status=405)
        if "/manifests/" not in request.path:
            return None
        media_type, data = registry.manifests["latest"]
        headers = {"Docker-Content-Digest": digest_of(b"another"), "Content-Type": media_type}
        return web.Response(body=data, headers=headers)

    registry.intercept = no_head
    with pytest.raises(CorruptContent):
        await puller.pull(registry)


async def test_a_registry_without_head_or_digests_will_do(
    puller: Puller, registry: LyingRegistry, image: TestImage
) -> None:
    """A plain file server that knows media types is a registry, to read from."""

    async def plain(request: web.Request) -> web.StreamResponse | None:
        if request.method == "HEAD":
            return web.Response(status=405)
        if "/manifests/" not in request.path:
            return None
        media_type, data = registry.manifests["latest"]
        return web.Response(body=data, headers={"Content-Type": media_type})

    registry.intercept = plain
    assert (await puller.pull(registry)).digest == image.top


@pytest.mark.parametrize("difference", [-1, 1])
async def test_a_wrong_size_in_the_manifest_is_found(puller: Puller, image: TestImage, difference: int) -> None:
    """A blob that is shorter or longer than its descriptor says is not that blob, whatever its digest."""
    document = image.document()
    document["layers"][1]["size"] += difference
    image.add_manifest(document)
    async with LyingRegistry(image).running() as registry:
        with pytest.raises(CorruptContent, match="sends"):
            await puller.pull(registry)
    assert image.top not in puller.blobs()
    # The other layer may have been stopped half-way: that is honest, and may stay.
    assert large_layer(image).replace(":", "-") not in puller.leftovers()


async def test_an_endless_blob_is_cut_off(puller: Puller, registry: LyingRegistry, image: TestImage) -> None:
    """A body without an announced length ends, for us, where the descriptor says."""

    async def endless(request: web.Request, data: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65536))

    registry.blob_answer = endless
    with pytest.raises(CorruptContent, match="goes on after its"):
        await puller.pull(registry)
    assert puller.leftovers() == []


async def test_a_body_that_ends_early_is_no_blob(puller: Puller, registry: LyingRegistry) -> None:
    """Properly ended, but too short: trying again would not help."""

    async def short(request: web.Request, data: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(data[:-1])
        return response

    registry.blob_answer = short
    with pytest.raises(CorruptContent, match="ends after"):
        await puller.pull(registry)
    assert puller.waits == []
    assert puller.leftovers() == []


async def test_an_endless_manifest_is_cut_off(puller: Puller, registry: LyingRegistry) -> None:
    """A manifest has at most 4 MiB."""

    async def endless(request: web.Request) -> web.StreamResponse | None:
        if request.method != "GET" or "/manifests/" not in request.path:
            return None
        response = web.StreamResponse(headers={"Content-Type": media.OCI_MANIFEST})
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    registry.intercept = endless
    with pytest.raises(CorruptContent, match="4194304 bytes"):
        await puller.pull(registry)


async def test_an_endless_error_page_is_not_read(puller: Puller, registry: LyingRegistry) -> None:
    """Of an error's body only as much is read as an error message may have."""

    async def endless(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path:
            return None
        response = web.StreamResponse(status=418)
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    registry.intercept = endless
    with pytest.raises(RegistryError, match="418"):
        await puller.pull(registry)


CONFUSED = {
    "both an index and a manifest": ({"manifests": []}, media.OCI_MANIFEST, "ambiguous"),
    "another type in the document": ({"mediaType": media.DOCKER_MANIFEST}, media.OCI_MANIFEST, "was sent as"),
    "schema 1": ({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+prettyjws", "version 1"),
    "an unknown type": ({"mediaType": "text/plain"}, "text/plain", "not supported"),
}


@pytest.mark.parametrize("change, content_type, message", CONFUSED.values(), ids=CONFUSED.keys())
async def test_a_manifest_with_two_meanings_is_refused(
    puller: Puller, image: TestImage, change: dict[str, object], content_type: str, message: str
) -> None:
    """What two readers could read differently is no image (CVE-2021-41190)."""
    data = json.dumps(image.document() | change).encode()
    image.top = digest_of(data)
    image.manifests[image.top] = (content_type, data)
    async with LyingRegistry(image).running() as registry:
        with pytest.raises(InvalidSpec, match=message):
            await puller.pull(registry)
    assert puller.blobs() == set()


async def test_diff_ids_and_layers_must_match(puller: Puller, image: TestImage) -> None:
    """A manifest with a layer that the config does not know is refused before any layer is downloaded."""
    document = image.document()
    document["layers"].append(document["layers"][0])
    image.add_manifest(document)
    async with LyingRegistry(image).running() as registry:
        with pytest.raises(InvalidSpec, match="3 layers, but its config has 2 diff-ids"):
            await puller.pull(registry)
        assert registry.served[large_layer(image)] == 0


async def test_one_blob_cannot_be_two_layers(puller: Puller) -> None:
    """The same blob with two different diff-ids: one of them is wrong."""
    image = make_image([tar_of({"a": b"a"}), tar_of({"b": b"b"})])
    document = image.document()
    document["layers"][1] = document["layers"][0]
    image.add_manifest(document)
    async with LyingRegistry(image).running() as registry:
        with pytest.raises(InvalidSpec, match="two different diff-ids"):
            await puller.pull(registry)


async def test_an_index_entry_of_another_size_or_kind_is_refused(puller: Puller) -> None:
    """What an index says about a manifest is held against the manifest."""
    for key, value, error in (("size", 1, CorruptContent), ("mediaType", media.DOCKER_MANIFEST, InvalidSpec)):
        image = make_index("arm64")
        document = image.document()
        document["manifests"][1][key] = value
        image.add_manifest(document)
        async with LyingRegistry(image).running() as registry:
            with pytest.raises(error):
                await puller.pull(registry, image_platform="linux/arm64")


async def test_an_enormous_config_is_not_even_downloaded(puller: Puller, image: TestImage) -> None:
    """A config has at most 8 MiB: it is read into memory."""
    document = image.document()
    document["config"]["size"] = 1 << 40
    image.add_manifest(document)
    async with LyingRegistry(image).running() as registry:
        with pytest.raises(InvalidSpec, match="image config of 1099511627776 bytes"):
            await puller.pull(registry)
        assert not any("/blobs/" in request.path for request in registry.requests)


# --- broken lines ---------------------------------------------------------------------------------------------------


async def test_what_broke_off_is_continued(puller: Puller, registry: LyingRegistry, image: TestImage) -> None:
    """A connection that drops costs a wait, but no byte comes twice."""
    layer = large_layer(image)

    async def dropping(request: web.Request, data: bytes) -> web.StreamResponse:
        if digest_of(data) == layer and "Range" not in request.headers:
            return await registry.cut_off(request, data, 100_000)
        return await registry.honest_blob(request, data)

    registry.blob_answer = dropping
    await puller.pull(registry)
    assert image.top in puller.blobs()
    ranges = [request.headers["Range"] for request in registry.requests if "Range" in request.headers]
    assert ranges == ["bytes=100000-"]
    assert registry.served[layer] == len(image.blobs[layer])
    assert puller.waits == [1.0]


async def test_a_server_without_ranges_sends_all_again(puller: Puller, image: TestImage) -> None:
    """An answer of 200 to a Range request begins at the first byte: the known ones are skipped."""
    async with LyingRegistry(image, ranges=False).running() as registry:
        first = True

        async def dropping(request: web.Request, data: bytes) -> web.StreamResponse:
            nonlocal first
            if digest_of(data) == large_layer(image) and first:
                first = False
                return await registry.cut_off(request, data, 100_000)
            return await registry.honest_blob(request, data)

        registry.blob_answer = dropping
        await puller.pull(registry)
        assert registry.served[large_layer(image)] == 100_000 + len(image.blobs[large_layer(image)])
    assert image.top in puller.blobs()


async def test_a_range_that_was_not_asked_for_is_refused(
    puller: Puller, registry: LyingRegistry, image: TestImage
) -> None:
    """A 206 must begin where we are: its bytes would otherwise land in the wrong place."""

    async def wrong_range(request: web.Request, data: bytes) -> web.StreamResponse:
        if "Range" not in request.headers:
            return await registry.cut_off(request, data, len(data) // 2)
        headers = {"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
        return web.Response(status=206, body=data, headers=headers)

    registry.blob_answer = wrong_range
    with pytest.raises(CorruptContent, match="was asked for bytes from"):
        await puller.pull(registry)
    assert puller.leftovers() == []


async def test_the_next_pull_goes_on_where_this_one_gave_up(
    puller: Puller, registry: LyingRegistry, image: TestImage
) -> None:
    """A partial blob outlives the pull, and the process: the next one asks for the rest only."""
    layer = large_layer(image)

    async def dead_line(request: web.Request, data: bytes) -> web.StreamResponse:
        if digest_of(data) != layer:
            return await registry.honest_blob(request, data)
        if "Range" in request.headers:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return await registry.cut_off(request, data, 150_000)

    registry.blob_answer = dead_line
    with pytest.raises((Unavailable, RegistryUnreachable)):
        await puller.pull(registry)
    assert len(puller.leftovers()) == 1
    assert layer not in puller.blobs()
    assert image.top not in puller.blobs()

    registry.blob_answer = registry.honest_blob
    registry.served.clear()
    again = Puller(puller.directory)
    await again.pull(registry)
    assert registry.served[layer] == len(image.blobs[layer]) - 150_000
    assert again.leftovers() == []


async def test_a_poisoned_partial_blob_is_replaced(puller: Puller, registry: LyingRegistry, image: TestImage) -> None:
    """Wrong bytes of an earlier pull (from another registry, say) are found at the end, and all is fetched anew."""
    layer = large_layer(image)
    partial = puller.directory / "ingest" / f"sha256-{layer[7:]}"
    partial.write_bytes(b"poison" * 1000)
    await puller.pull(registry)
    assert image.top in puller.blobs()
    assert registry.served[layer] == 2 * len(image.blobs[layer]) - 6000


async def test_a_short_illness_is_waited_out(puller: Puller, registry: LyingRegistry, image: TestImage) -> None:
    """Each kind of request may fail three times with a 5xx; the waits double."""
    ill = {"manifests/latest": 0, f"manifests/{image.top}": 3, f"blobs/{large_layer(image)}": 3}

    async def failing(request: web.Request) -> web.StreamResponse | None:
        for path, times in ill.items():
            if request.path.endswith(path) and times:
                ill[path] -= 1
                return web.Response(status=503)
        return None

    registry.intercept = failing
    await puller.pull(registry)
    assert puller.waits == [1.0, 2.0, 4.0] * 2
    assert "Retrying in 4 seconds" in {event.status for event in puller.progress}


async def test_a_lasting_illness_is_reported(puller: Puller, registry: LyingRegistry) -> None:
    """After six attempts the registry's own words are the error."""

    async def failing(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/v2/":
            return None
        errors = {"errors": [{"code": "UNAVAILABLE", "message": "come back tomorrow"}]}
        return web.json_response(errors, status=503)

    registry.intercept = failing
    with pytest.raises(RegistryError, match=r'^Get "http://.*/manifests/latest": unavailable: come back tomorrow$'):
        await puller.pull(registry)
    assert puller.waits == [1.0, 2.0, 4.0, 8.0, 16.0]


async def test_retry_after_is_obeyed(puller: Puller, registry: LyingRegistry) -> None:
    """429 with a time: exactly that is waited."""
    answers = iter([web.Response(status=429, headers={"Retry-After": "17"})])

    async def busy(request: web.Request) -> web.StreamResponse | None:
        return next(answers, None) if "/blobs/" in request.path else None

    registry.intercept = busy
    await puller.pull(registry)
    assert puller.waits == [17.0]


async def test_an_exhausted_limit_is_reported_at_once(puller: Puller, registry: LyingRegistry) -> None:
    """Docker Hub's pull limit asks for hours: nobody waits that long, and the reason is told."""

    async def limited(request: web.Request) -> web.StreamResponse | None:
        if "/manifests/" not in request.path:
            return None
        errors = {"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit"}]}
        return web.json_response(errors, status=429, headers={"Retry-After": "21600"})

    registry.intercept = limited
    with pytest.raises(RegistryError, match="toomanyrequests: You have reached your pull rate limit"):
        await puller.pull(registry)
    assert puller.waits == []


async def test_silence_counts_as_a_broken_line(tmp_path: Path, registry: LyingRegistry, image: TestImage) -> None:
    """A registry that stops sending without closing is given up after the idle timeout, and asked for the rest."""
    puller = Puller(tmp_path / "store", settings=Settings(idle_timeout=0.3))
    silent = asyncio.Event()

    async def stalling(request: web.Request, data: bytes) -> web.StreamResponse:
        if digest_of(data) != large_layer(image) or "Range" in request.headers:
            return await registry.honest_blob(request, data)
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[:100_000])
        await silent.wait()
        return response

    registry.blob_answer = stalling
    await puller.pull(registry)
    silent.set()
    assert registry.served[large_layer(image)] == len(image.blobs[large_layer(image)]) - 100_000


# --- failure of one part --------------------------------------------------------------------------------------------


async def test_a_failing_unpack_stops_everything(tmp_path: Path, registry: LyingRegistry, image: TestImage) -> None:
    """When a layer cannot be unpacked, the other downloads are stopped before the error comes out."""
    reached, released = asyncio.Event(), asyncio.Event()
    content = Content(tmp_path / "images", tmp_path / "ingest")

    async def slow(request: web.Request, data: bytes) -> web.StreamResponse:
        if digest_of(data) != large_layer(image):
            return await registry.honest_blob(request, data)
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[:100_000])
        reached.set()
        await released.wait()
        return response

    async def on_layer(layer: Layer) -> None:
        await reached.wait()
        raise InvalidSpec("this layer is no archive")

    registry.blob_answer = slow
    name = reference.parse(f"{registry.address}/x")
    with pytest.raises(InvalidSpec, match="no archive"):
        await pull(name, HOST, content, on_layer=on_layer)
    released.set()
    assert not content.path(large_layer(image)).exists()
    assert not content.path(image.top).exists()
    # Nobody holds the partial blob any more: the next pull gets it and ends it.
    registry.blob_answer = registry.honest_blob
    await pull(name, HOST, content)
    assert content.path(image.top).exists()
    assert list((tmp_path / "ingest").iterdir()) == []


async def test_a_cancelled_pull_lets_go(tmp_path: Path, registry: LyingRegistry, image: TestImage) -> None:
    """A client that goes away (^C) stops the pull; its partial blobs stay for the next."""
    content = Content(tmp_path / "images", tmp_path / "ingest")
    reached, forever = asyncio.Event(), asyncio.Event()

    async def stuck(request: web.Request, data: bytes) -> web.StreamResponse:
        if digest_of(data) != large_layer(image):
            return await registry.honest_blob(request, data)
        reached.set()
        await forever.wait()
        return web.Response()

    registry.blob_answer = stuck
    task = asyncio.create_task(pull(reference.parse(f"{registry.address}/x"), HOST, content))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    forever.set()
    assert not content.path(image.top).exists()


class SlowDisk(Content):
    """The last piece of one blob takes until ``go``. Nobody may close the file meanwhile."""

    def __init__(self, root: Path, ingest: Path, slow: str) -> None:
        super().__init__(root, ingest)
        self.slow = slow
        self.writing, self.go = threading.Event(), threading.Event()
        self.closed_too_early = False

    def ingest(self, descriptor: Descriptor) -> Ingest:
        """The blob's, with that delay."""
        ingest = super().ingest(descriptor)
        if descriptor.digest == self.slow:
            self._delay(ingest, descriptor.size)
        return ingest

    def _delay(self, ingest: Ingest, size: int) -> None:
        write, close = ingest.write, ingest.close

        def slowly(data: bytes) -> None:
            if ingest.offset + len(data) == size:
                self.writing.set()
                self.go.wait(30)
            write(data)
            self.writing.clear()

        def watched() -> None:
            self.closed_too_early |= self.writing.is_set()
            close()

        ingest.write, ingest.close = slowly, watched  # type: ignore[method-assign]


@pytest.mark.parametrize("times", [1, 2])
async def test_a_pull_cancelled_while_the_last_piece_is_written(
    tmp_path: Path, registry: LyingRegistry, image: TestImage, times: int
) -> None:
    """A thread cannot be cancelled: the file is closed after its write, however often the task is cancelled."""
    disk = SlowDisk(tmp_path / "images", tmp_path / "ingest", large_layer(image))
    task = asyncio.create_task(pull(reference.parse(f"{registry.address}/x"), HOST, disk))
    assert await asyncio.to_thread(disk.writing.wait, 30)
    await asyncio.sleep(0.05)  # the end of the body is read meanwhile: now it waits for the thread alone
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    disk.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not disk.closed_too_early


async def test_at_most_three_blobs_at_a_time(puller: Puller) -> None:
    """Docker's max-concurrent-downloads: the fourth layer waits until one of three has come."""
    image = make_image([tar_of({str(number): b"x"}) for number in range(7)])
    layers = {layer["digest"] for layer in image.document()["layers"]}
    now, most, three = 0, 0, asyncio.Event()
    async with LyingRegistry(image).running() as registry:

        async def counting(request: web.Request, data: bytes) -> web.StreamResponse:
            nonlocal now, most
            if digest_of(data) not in layers:
                return await registry.honest_blob(request, data)
            now += 1
            most = max(most, now)
            if now == 3:
                three.set()
            await three.wait()
            now -= 1
            return await registry.honest_blob(request, data)

        registry.blob_answer = counting
        await puller.pull(registry)
    assert most == 3


async def test_two_pulls_of_one_image_at_once(puller: Puller, registry: LyingRegistry, image: TestImage) -> None:
    """Both succeed, and the store is as after one."""
    results = await asyncio.gather(puller.pull(registry), puller.pull(registry))
    assert results[0] == results[1]
    assert puller.blobs() == {*image.blobs, image.top}
    assert puller.leftovers() == []


# --- nobody, or nothing there ---------------------------------------------------------------------------------------


async def test_what_is_not_there_is_said_as_docker_says_it(puller: Puller, registry: LyingRegistry) -> None:
    """An unknown tag, in Docker's exact words."""
    name = f"{registry.address}/x:nope"
    with pytest.raises(NotFound) as caught:
        await puller.pull(registry, "x:nope")
    assert str(caught.value) == f"manifest for {name} not found: manifest unknown: manifest unknown"


async def test_a_missing_blob_fails_the_pull(puller: Puller, registry: LyingRegistry, image: TestImage) -> None:
    """A manifest whose layer is not there: the registry's words, and nothing listed."""
    del registry.blobs[large_layer(image)]
    with pytest.raises(NotFound, match="blob unknown"):
        await puller.pull(registry)
    assert image.top not in puller.blobs()


async def test_nobody_there_is_said_as_docker_says_it(tmp_path: Path) -> None:
    """One line, in the words that users search for."""
    async with LyingRegistry().running() as registry:
        address = registry.address
    with pytest.raises(RegistryUnreachable) as caught:
        await pull(reference.parse(f"{address}/x"), HOST, Content(tmp_path / "images", tmp_path / "ingest"))
    assert str(caught.value) == f'Get "http://{address}/v2/": dial tcp {address}: connect: connection refused'


async def test_no_such_host_is_said_as_docker_says_it(tmp_path: Path) -> None:
    """A name that does not resolve (RFC 6761: .invalid never does)."""
    with pytest.raises(RegistryUnreachable) as caught:
        await pull(reference.parse("registry.invalid/x"), HOST, Content(tmp_path / "images", tmp_path / "ingest"))
    assert str(caught.value) == 'Get "https://registry.invalid/v2/": dial tcp: lookup registry.invalid: no such host'


async def test_a_forbidden_repository_reads_as_docker_says_it(puller: Puller, registry: LyingRegistry) -> None:
    """Denied and missing are the same to somebody outside."""

    async def forbidden(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=403) if "/manifests/" in request.path else None

    registry.intercept = forbidden
    with pytest.raises(NotFound) as caught:
        await puller.pull(registry)
    assert not isinstance(caught.value, Forbidden)
    assert str(caught.value) == (
        f"pull access denied for {registry.address}/x, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied"
    )


# --- mirrors --------------------------------------------------------------------------------------------------------


async def test_a_mirror_is_asked_before_docker_hub(tmp_path: Path, image: TestImage) -> None:
    """An image of docker.io comes from the first mirror that has it; a broken mirror is passed over."""
    async with LyingRegistry().running() as empty, LyingRegistry(image).running() as mirror:
        settings = Settings(mirrors=("http://127.0.0.1:1", empty.base, mirror.base + "/"))
        content = Content(tmp_path / "images", tmp_path / "ingest")
        pulled = await pull(reference.parse("x"), HOST, content, settings=settings)
        assert pulled.digest == image.top
        assert any(request.path == "/v2/library/x/manifests/latest" for request in empty.requests)


async def test_a_plain_http_mirror_must_be_trusted() -> None:
    """A mirror elsewhere over http would let anybody on the way choose what docker.io means."""
    settings = Settings(mirrors=("http://mirror.example",))
    with pytest.raises(MinidockError, match=r"uses plain http: list mirror\.example:80 as an insecure registry"):
        await pull(reference.parse("x"), HOST, NotImplemented, settings=settings)
