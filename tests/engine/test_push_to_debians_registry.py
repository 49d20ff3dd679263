"""Pushes, without the daemon, to Debian's docker-registry and to ours, with each kind of authentication."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minidock.content.store import Content
from minidock.errors import Forbidden, MinidockError, NotFound, Unauthorized
from minidock.oci import reference
from minidock.oci.image import OCI_INDEX
from minidock.registry import asking
from minidock.registry.credentials import ANONYMOUS, Credentials
from minidock.registry.progress import Progress
from minidock.registry.push import push
from minidock.registry.settings import Settings
from tests.registries import (
    TestImage,
    TokenServer,
    debian_registry,
    htpasswd_auth,
    make_image,
    make_index,
    own_registry,
    tar_of,
)
from tests.unit.test_registry_push import stored
from tests.wire_client import WireClient

USER, PASSWORD = "anna", "s3cret: with a colon"
TRUSTING = Settings(trusted_realms=frozenset({"127.0.0.1"}))
ANNA = Credentials(USER, PASSWORD)


@pytest.fixture
def content(tmp_path: Path) -> Content:
    """An empty store."""
    return Content(tmp_path / "images", tmp_path / "ingest")


@pytest.fixture(scope="module")
def image() -> TestImage:
    """Five layers of 2 MB, of which the first does not pack well."""
    noise = b"".join(number.to_bytes(4, "big") for number in range(500_000))
    return make_image([tar_of({f"file-{number}": noise[number:]}) for number in range(5)])


@pytest.fixture(scope="module", params=["debian", "ours"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that asks nobody who they are."""
    directory = tmp_path_factory.mktemp("open")
    if request.param == "ours":
        with own_registry(directory) as address:
            yield address
    else:
        with debian_registry(directory) as registry:
            yield registry.address


async def send(name: str, content: Content, image: TestImage, **options: Any) -> list[str]:
    """Push an image under a name; what was told meanwhile."""
    told: list[Progress] = []
    await push(reference.parse(name), stored(content, image), content, told.append, **options)
    return [event.status for event in told]


def skopeo(*words: str, credentials: str = "") -> bytes:
    """What skopeo, which did not push, says."""
    who = ["--creds", credentials] if credentials else ["--no-creds"]
    return subprocess.run(
        ["skopeo", *words[:1], "--tls-verify=false", *who, *words[1:]], check=True, capture_output=True
    ).stdout


async def test_skopeo_finds_the_same_bytes(address: str, content: Content, image: TestImage) -> None:
    """The manifest is what it was, and skopeo copies the image, which means that it compares every digest."""
    await send(f"{address}/five:1", content, image)
    found = await asyncio.to_thread(skopeo, "inspect", "--raw", f"docker://{address}/five:1")
    assert found == image.manifests[image.top][1]
    words = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{address}/five:1"]
    copied = await asyncio.to_thread(subprocess.run, [*words, f"oci:{content.root}/../copied:x"], capture_output=True)
    assert copied.returncode == 0, copied.stderr


async def test_all_platforms(address: str, content: Content) -> None:
    """An index with three platforms and an attestation is there with all that it speaks of."""
    index = make_index("amd64", "arm64", "s390x")
    await send(f"{address}/many:1", content, index)
    words = ["skopeo", "--insecure-policy", "copy", "--all", "--src-tls-verify=false", f"docker://{address}/many:1"]
    done = await asyncio.to_thread(subprocess.run, [*words, f"dir:{content.root}/all"], capture_output=True)
    assert done.returncode == 0, done.stderr
    found = await asking.inspect(reference.parse(f"{address}/many:1"), ANONYMOUS, Settings())
    assert found.descriptor.digest == index.top
    assert {platform.architecture for platform in found.platforms} == {"amd64", "arm64", "s390x", "unknown"}


async def test_what_is_about_an_image_is_listed(address: str, content: Content) -> None:
    """Two signatures: ours lists them itself; for Debian's, which cannot, the client keeps a list under a tag."""
    image = make_image([tar_of({"signed": b"x"})])
    await send(f"{address}/signed:1", content, image)
    media_type, data = image.manifests[image.top]
    subject = {"mediaType": media_type, "digest": image.top, "size": len(data)}
    pushed = []
    for kind in ("first", "second", "second"):
        signature = TestImage(blobs=dict(image.blobs))
        document = {**image.document(), "subject": subject, "artifactType": f"a/{kind}", "annotations": {"by": kind}}
        pushed.append(signature.add_manifest(document)["digest"])
        await send(f"{address}/signed:{kind}", content, signature)
    client = WireClient(address)
    answer = await asyncio.to_thread(client.ask, "GET", f"/v2/signed/referrers/{image.top}")
    tag = image.top.replace(":", "-")
    by_hand = await asyncio.to_thread(client.ask, "GET", f"/v2/signed/manifests/{tag}", Accept=OCI_INDEX)
    assert sorted([answer.status, by_hand.status]) == [200, 404]
    listed = (answer if answer.status == 200 else by_hand).json()
    assert listed["mediaType"] == OCI_INDEX
    found = [(entry["digest"], entry["artifactType"], entry["annotations"]) for entry in listed["manifests"]]
    assert found == [(pushed[0], "a/first", {"by": "first"}), (pushed[1], "a/second", {"by": "second"})]


async def test_chunks_and_a_mount(address: str, content: Content, image: TestImage) -> None:
    """In pieces of 100 kB; then into another repository, where every layer is mounted and none is sent."""
    await send(f"{address}/from:1", content, image, settings=Settings(upload_chunk=100_000))
    mounts = {layer["digest"]: "from" for layer in image.document()["layers"]}
    told = await send(f"{address}/into:1", content, image, mounts=mounts)
    assert told.count("Mounted from from") == 5
    again = await send(f"{address}/into:2", content, image)
    assert again.count("Layer already exists") == 5


async def test_search_without_a_search(address: str, content: Content, image: TestImage) -> None:
    """A private registry has no search, but a list of its repositories."""
    await send(f"{address}/some/where:1", content, image)
    found = await asking.search(address, "me/wh", 10, Settings())
    assert [result.name for result in found] == [f"{address}/some/where"]


async def test_name_and_password(tmp_path: Path, content: Content, image: TestImage) -> None:
    """Basic authentication: the right ones, the wrong ones, none; and what login says to each."""
    with debian_registry(tmp_path, htpasswd_auth(tmp_path, USER, PASSWORD)) as registry:
        name = f"{registry.address}/mine:1"
        with pytest.raises(Unauthorized, match="no basic auth credentials"):
            await send(name, content, image)
        with pytest.raises(MinidockError, match="unauthorized: authentication required"):
            await send(name, content, image, credentials=Credentials(USER, "wrong"))
        await send(name, content, image, credentials=ANNA)
        config = await asyncio.to_thread(
            skopeo, "inspect", "--config", f"docker://{name}", credentials=f"{USER}:{PASSWORD}"
        )
        assert json.loads(config)["rootfs"]["type"] == "layers"
        assert await asking.login(registry.address, ANNA, Settings()) == ""
        with pytest.raises(Unauthorized, match=r"^Get .*unauthorized"):
            await asking.login(registry.address, Credentials(USER, "wrong"), Settings())


async def test_tokens(tmp_path: Path, content: Content, image: TestImage) -> None:
    """A token for pushing, for reading where it is to be mounted from, and for login; nobody may not push."""
    async with TokenServer({USER: PASSWORD}, frozenset({"public"})).running() as server:
        with debian_registry(tmp_path / "r", server.auth(tmp_path / "r")) as registry:
            await send(f"{registry.address}/first:1", content, image, credentials=ANNA, settings=TRUSTING)
            assert server.requests[-1]["scope"] == "repository:first:pull,push"
            mounts = {layer["digest"]: "first" for layer in image.document()["layers"]}
            second = f"{registry.address}/second:1"
            told = await send(second, content, image, credentials=ANNA, mounts=mounts, settings=TRUSTING)
            assert told.count("Mounted from first") == 5
            with pytest.raises((Forbidden, NotFound), match="denied: requested access to the resource is denied"):
                await send(f"{registry.address}/public:1", content, image, settings=TRUSTING)
            server.requests.clear()
            await asking.login(registry.address, ANNA, TRUSTING)
            asked = {"method": "GET", "service": server.SERVICE, "account": USER, "offline_token": "true"}
            assert server.requests[-1] == asked | {"authorization": ANNA.basic()}
            with pytest.raises(Unauthorized, match="incorrect username or password"):
                await asking.login(registry.address, Credentials(USER, "wrong"), TRUSTING)


async def test_a_token_that_runs_out(tmp_path: Path, content: Content, image: TestImage) -> None:
    """A push that takes longer than a token lives gets a new one, in the middle."""
    async with TokenServer({USER: PASSWORD}).running() as server:
        server.expires_in = 6  # a token is no longer used five seconds before its end
        with debian_registry(tmp_path / "r", server.auth(tmp_path / "r")) as registry:
            settings = replace(TRUSTING, upload_chunk=50_000, max_concurrent_uploads=1)
            await send(f"{registry.address}/slow:1", content, image, credentials=ANNA, settings=settings)
            assert len(server.requests) >= 1
            await asyncio.to_thread(
                skopeo, "inspect", f"docker://{registry.address}/slow:1", credentials=f"{USER}:{PASSWORD}"
            )
