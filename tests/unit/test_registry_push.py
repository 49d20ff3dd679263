"""Pushes to a registry that plays tricks: it breaks off, forgets, sends elsewhere, refuses."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from minidock.content.store import Content
from minidock.errors import MinidockError, NotFound, RegistryError, RegistryUnreachable
from minidock.oci import reference
from minidock.oci.image import Descriptor
from minidock.registry.credentials import ANONYMOUS, Credentials
from minidock.registry.progress import Progress
from minidock.registry.push import push
from minidock.registry.retry import Retry
from minidock.registry.settings import Settings
from tests.registries import TestImage, digest_of, make_image, make_index, serve, tar_of

Trick = Callable[[web.Request], Any]
STATE = "state=a%2Fb%3D"
ANNA = Credentials("anna", "secret")


class Receiver:
    """A registry in memory that is written to. ``trick`` sees each request first, and may answer or raise."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}
        self.requests: list[tuple[str, str]] = []
        self.authorizations: list[str] = []
        self.received = self.begun = 0
        self.trick: Trick = lambda request: None
        self.location = ""
        self.base = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Receiver]:
        """Serve on a free port of loopback."""
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", self._dispatch)
        async with serve(application) as self.base:
            yield self

    def methods(self, part: str) -> list[str]:
        """The methods of the requests whose path holds ``part``."""
        return [method for method, path in self.requests if part in path]

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        if "Authorization" in request.headers:
            self.authorizations.append(request.headers["Authorization"])
        if (answer := self.trick(request)) is not None:
            return answer if isinstance(answer, web.StreamResponse) else await answer
        match request.method, request.path.split("/")[-2:]:
            case "GET", ["v2", ""]:
                return web.json_response({})
            case "HEAD", ["blobs", digest]:
                there = self.blobs.get(digest)
                return web.Response(status=404) if there is None else web.Response(body=there)
            case "POST", ["uploads", ""]:
                return self._begin(request)
            case "PUT", ["manifests", name]:
                self.manifests[name] = await request.read()
                return web.Response(status=201)
            case method, ["uploads", key]:
                return await self._upload(request, method, key)
        return web.Response(status=404)

    def _begin(self, request: web.Request) -> web.Response:
        if request.query.get("mount", "") in self.blobs:
            return web.Response(status=201)
        self.begun += 1
        key = f"u{self.begun}"
        self.uploads[key] = bytearray()
        return web.Response(status=202, headers={"Location": f"{self.location}/v2/x/blobs/uploads/{key}?{STATE}"})

    async def _upload(self, request: web.Request, method: str, key: str) -> web.Response:
        assert request.raw_path.partition("?")[2].startswith(STATE), "a Location is used exactly as it is"
        if key not in self.uploads:
            return web.json_response({"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]}, status=404)
        there = self.uploads[key]
        if method in ("PATCH", "PUT"):
            found = re.match(r"(\d+)-", request.headers.get("Content-Range", f"{len(there)}-"))
            if not found or int(found[1]) != len(there):
                return web.Response(status=416)
            async for piece in request.content.iter_any():
                there += piece
                self.received += len(piece)
        if method == "PUT":
            if digest_of(bytes(there)) != request.query["digest"]:
                return web.json_response({"errors": [{"code": "DIGEST_INVALID"}]}, status=400)
            self.blobs[digest_of(bytes(there))] = bytes(there)
            return web.Response(status=201)
        headers = {"Range": f"0-{max(0, len(there) - 1)}", "Location": f"/v2/x/blobs/uploads/{key}?{STATE}"}
        return web.Response(status=202 if method == "PATCH" else 204, headers=headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An honest one, as long as nobody gives it a trick."""
    async with Receiver().running() as found:
        yield found


@pytest.fixture
def content(tmp_path: Path) -> Content:
    """An empty store."""
    return Content(tmp_path / "images", tmp_path / "ingest")


@pytest.fixture(scope="module")
def image() -> TestImage:
    """One large layer that does not pack well, and a small one."""
    noise = random.Random(5).randbytes(3_000_000)
    return make_image([tar_of({"large": noise}), tar_of({"small": b"x"})])


def stored(content: Content, image: TestImage) -> Descriptor:
    """Everything of an image in a store; what its name stands for."""
    for data in image.blobs.values():
        content.add(data, "application/octet-stream")
    for media_type, data in image.manifests.values():
        content.add(data, media_type)
    media_type, data = image.manifests[image.top]
    return Descriptor(media_type=media_type, digest=image.top, size=len(data))


async def send(receiver: Receiver, content: Content, image: TestImage, **options: Any) -> list[Progress]:
    """Push it as ``x:1``; what was told meanwhile."""
    told: list[Progress] = []
    settings = Settings(**options.pop("settings", {}))
    name = reference.parse(f"{receiver.base.removeprefix('http://')}/x:1")
    no_wait = Retry(attempts=3, sleep=_no_sleep)
    options = {"credentials": ANONYMOUS, "retry": no_wait, **options}
    await push(name, stored(content, image), content, told.append, settings=settings, **options)
    return told


async def _no_sleep(seconds: float) -> None:
    """Tests do not wait."""


def arrived(receiver: Receiver, image: TestImage) -> bool:
    """Is everything there, byte for byte, and the name last?"""
    assert list(receiver.manifests)[-1] == "1"
    return receiver.blobs == image.blobs and receiver.manifests["1"] == image.manifests[image.top][1]


async def test_a_push(receiver: Receiver, content: Content, image: TestImage) -> None:
    """Large blobs by PATCH, small ones with the PUT; a second push sends nothing but the manifest."""
    told = await send(receiver, content, image)
    assert arrived(receiver, image)
    assert sorted(receiver.methods("/uploads/")) == ["PATCH", *["POST"] * 3, *["PUT"] * 3]
    large = [event.status for event in told if event.id == image.document()["layers"][0]["digest"][7:19]]
    assert large[0] == "Preparing"
    assert large[-1] == "Pushed"
    assert "Pushing" in large
    receiver.requests.clear()
    told = await send(receiver, content, image)
    assert receiver.methods("/uploads/") == []
    assert [event.status for event in told if event.status != "Preparing"] == ["Layer already exists"] * 2


async def test_at_most_five_blobs_at_a_time(receiver: Receiver, content: Content) -> None:
    """Docker's max-concurrent-uploads: side by side, and the sixth waits until one of five is there."""
    image = make_image([tar_of({str(number): b"x"}) for number in range(9)])
    now, most, five = 0, 0, asyncio.Event()

    async def counting() -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == 5:
            five.set()
        await five.wait()
        now -= 1
        return web.Response(status=404)

    receiver.trick = lambda request: counting() if request.method == "HEAD" else None
    told = await send(receiver, content, image)
    assert arrived(receiver, image)
    assert most == 5
    assert "Waiting" in [event.status for event in told]


async def test_everything_of_an_index(receiver: Receiver, content: Content) -> None:
    """All platforms, and the attestation that nobody here understands, before the index that speaks of them."""
    image = make_index("amd64", "arm64", "s390x")
    await send(receiver, content, image)
    assert arrived(receiver, image)
    assert {data for _, data in image.manifests.values()} == set(receiver.manifests.values())


@pytest.mark.parametrize("chunk", [1 << 19, 1_000_003])
async def test_in_chunks(receiver: Receiver, content: Content, image: TestImage, chunk: int) -> None:
    """Where a proxy limits the size of a request: several PATCH, each going on where the one before ended."""
    await send(receiver, content, image, settings={"upload_chunk": chunk})
    assert arrived(receiver, image)
    size = image.document()["layers"][0]["size"]
    assert receiver.methods("/uploads/").count("PATCH") == -(-size // chunk)


async def test_a_blob_that_another_repository_has(receiver: Receiver, content: Content, image: TestImage) -> None:
    """It is mounted; if the registry cannot, it is uploaded, without another word."""
    large, small = (layer["digest"] for layer in image.document()["layers"])
    receiver.blobs[large] = image.blobs[large]
    receiver.trick = lambda request: web.Response(status=404) if request.method == "HEAD" else None
    told = await send(receiver, content, image, mounts={large: "other/place", small: "other/place"})
    assert arrived(receiver, image)
    assert ("POST", f"/v2/x/blobs/uploads/?mount={large}&from=other/place") in receiver.requests
    assert {event.status for event in told} >= {"Mounted from other/place", "Pushed"}


async def test_a_connection_that_breaks(receiver: Receiver, content: Content, image: TestImage) -> None:
    """The registry dies in the middle of a blob, twice: what it has is not sent again."""
    broken = 0

    def trick(request: web.Request) -> Any:
        nonlocal broken
        if request.method != "PATCH" or broken == 2:
            return None
        broken += 1
        return break_off(request)

    async def break_off(request: web.Request) -> web.StreamResponse:
        there = receiver.uploads[request.path.rpartition("/")[2]]
        there += await request.content.readexactly(700_000)
        receiver.received += 700_000
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    receiver.trick = trick
    await send(receiver, content, image)
    assert arrived(receiver, image)
    assert receiver.methods("/uploads/u").count("GET") == 2
    assert receiver.received == sum(map(len, image.blobs.values()))


async def test_an_upload_that_was_forgotten(receiver: Receiver, content: Content, image: TestImage) -> None:
    """The registry restarted, and knows nothing of what it had: the blob is begun anew."""
    forgot = False

    def trick(request: web.Request) -> Any:
        nonlocal forgot
        if request.method == "PATCH" and not forgot:
            forgot = True
            receiver.uploads.pop(request.path.rpartition("/")[2])
            return web.Response(status=503)
        return None

    receiver.trick = trick
    await send(receiver, content, image)
    assert arrived(receiver, image)


async def test_a_registry_that_stays_away(receiver: Receiver, content: Content, image: TestImage) -> None:
    """After some tries the push fails, with what the registry said; no name was changed, and a retry works."""
    receiver.trick = lambda request: web.Response(status=503) if request.method in ("PATCH", "PUT") else None
    with pytest.raises(RegistryError, match="unexpected status 503"):
        await send(receiver, content, image)
    assert receiver.manifests == {}
    receiver.trick = lambda request: None
    await send(receiver, content, image)
    assert arrived(receiver, image)


async def test_it_took_other_bytes(receiver: Receiver, content: Content, image: TestImage) -> None:
    """A blob that is damaged on our disk is refused by its digest, and so is the image."""
    stored(content, image)
    path = content.path(image.document()["layers"][0]["digest"])
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(RegistryError, match="digest invalid"):
        await send(receiver, content, image)
    assert receiver.manifests == {}


async def test_a_location_elsewhere_sees_no_credentials(content: Content, image: TestImage) -> None:
    """An upload may go to another host, as long as it is one that we may speak to: our password does not."""
    wants = {"WWW-Authenticate": 'Basic realm="here"'}

    def ask(request: web.Request) -> Any:
        return None if "Authorization" in request.headers else web.Response(status=401, headers=wants)

    async with Receiver().running() as registry, Receiver().running() as store:
        registry.trick = ask
        registry.location, store.uploads, store.blobs = store.base, registry.uploads, registry.blobs
        store.location = store.base
        await send(registry, content, image, credentials=ANNA)
        assert arrived(registry, image)
        assert set(registry.authorizations) == {ANNA.basic()}
        assert store.authorizations == []
        assert "PUT" in store.methods("/uploads/")


@pytest.mark.parametrize("location", ["http://203.0.113.1", "ftp://127.0.0.1", "https://["])
async def test_a_location_that_is_not_safe(
    receiver: Receiver, content: Content, image: TestImage, location: str
) -> None:
    """Plain http to a host that is not trusted, other protocols, nonsense: refused before a byte is sent."""
    receiver.location = location
    with pytest.raises(RegistryError, match="not safe to follow"):
        await send(receiver, content, image)


async def test_redirected_bytes(receiver: Receiver, content: Content, image: TestImage) -> None:
    """A redirect in answer to an upload's bytes is not followed: Location of the upload says where they go."""
    elsewhere = {"Location": f"{receiver.base}/elsewhere"}
    receiver.trick = lambda request: web.Response(status=307, headers=elsewhere) if request.method == "PATCH" else None
    with pytest.raises(RegistryError, match="not safe to follow"):
        await send(receiver, content, image)
    assert receiver.methods("/elsewhere") == []


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "DENIED", "denied: requested access to the resource is denied"),
        (401, "UNAUTHORIZED", "unauthorized"),
        (405, "UNSUPPORTED", "unsupported"),
        (413, "SIZE_INVALID", "size invalid"),
    ],
)
async def test_a_registry_that_does_not_want_it(
    receiver: Receiver, content: Content, image: TestImage, status: int, code: str, message: str
) -> None:
    """Its reason is told, once, and nothing is tried again."""
    answer = {"errors": [{"code": code}]}
    receiver.trick = lambda request: web.json_response(answer, status=status) if request.method == "POST" else None
    with pytest.raises(MinidockError, match=message):
        await send(receiver, content, image)
    assert receiver.methods("/uploads/").count("POST") <= 3


async def test_nothing_to_push(receiver: Receiver, content: Content, image: TestImage) -> None:
    """A blob that is not here is missed before anything is sent; nobody at home is said after some tries."""
    top = stored(content, image)
    content.remove([image.document()["layers"][1]["digest"]])
    with pytest.raises(NotFound, match="is not here"):
        await push(reference.parse(f"{receiver.base[7:]}/x:1"), top, content)
    assert receiver.requests == []
    stored(content, image)
    with pytest.raises(RegistryUnreachable, match="connection refused"):
        await push(reference.parse("127.0.0.1:1/x:1"), top, content)
