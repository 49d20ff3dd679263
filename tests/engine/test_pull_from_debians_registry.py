"""Pulls, without the daemon, from Debian's docker-registry: a real one, with each kind of authentication."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from minidock.content.store import Content
from minidock.errors import NotFound, Unauthorized
from minidock.oci import platform, reference
from minidock.oci.image import Descriptor
from minidock.registry.credentials import ANONYMOUS, Credentials
from minidock.registry.download import Ingest
from minidock.registry.progress import Progress
from minidock.registry.pull import Pulled, pull
from minidock.registry.retry import Retry
from minidock.registry.settings import Settings
from tests.registries import (
    DebianRegistry,
    TestImage,
    TokenServer,
    debian_registry,
    htpasswd_auth,
    make_image,
    make_index,
    push,
    tar_of,
)

USER, PASSWORD = "anna", "s3cret: with a colon"


@pytest.fixture
def content(tmp_path: Path) -> Content:
    """An empty store."""
    return Content(tmp_path / "images", tmp_path / "ingest")


@pytest.fixture(scope="module")
def image() -> TestImage:
    """Five layers of 1 MB."""
    return make_image([tar_of({f"file-{number}": bytes([number, 1, 2, 3]) * 250_000}) for number in range(5)])


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory, image: TestImage) -> Iterator[DebianRegistry]:
    """A registry that asks nobody who they are, with ``five:latest`` and, for many platforms, ``many:latest``."""
    directory = tmp_path_factory.mktemp("open")
    with debian_registry(directory) as registry:
        push(image, f"{registry.address}/five", directory)
        push(make_index("amd64", "arm64", "s390x"), f"{registry.address}/many", directory)
        yield registry


@pytest.fixture(scope="module")
def basic_registry(tmp_path_factory: pytest.TempPathFactory, image: TestImage) -> Iterator[DebianRegistry]:
    """A registry that wants name and password."""
    directory = tmp_path_factory.mktemp("basic")
    with debian_registry(directory, htpasswd_auth(directory, USER, PASSWORD)) as registry:
        push(image, f"{registry.address}/five", directory, f"{USER}:{PASSWORD}")
        yield registry


@pytest.fixture
async def token_server() -> AsyncIterator[TokenServer]:
    """A token server that knows one user, and lets everybody pull ``public``."""
    async with TokenServer({USER: PASSWORD}, frozenset({"public"})).running() as server:
        yield server


@pytest.fixture
async def token_registry(tmp_path: Path, token_server: TokenServer, image: TestImage) -> AsyncIterator[DebianRegistry]:
    """A registry that wants tokens of ``token_server``, with the images ``public`` and ``private``."""
    directory = tmp_path / "registry"
    with debian_registry(directory, token_server.auth(directory)) as registry:
        for name in ("public", "private"):
            # In a thread: skopeo asks the token server, which lives in this event loop.
            await asyncio.to_thread(push, image, f"{registry.address}/{name}", directory, f"{USER}:{PASSWORD}")
        token_server.requests.clear()
        yield registry


async def fetch(
    registry: DebianRegistry, name: str, content: Content, credentials: Credentials = ANONYMOUS, **settings: Any
) -> Pulled:
    """Pull ``name`` from ``registry``, showing ``credentials``."""
    return await pull(
        reference.parse(f"{registry.address}/{name}"),
        platform.host(),
        content,
        credentials=credentials,
        settings=Settings(**settings),
        retry=Retry(attempts=1),
    )


def trusting(server: TokenServer) -> dict[str, Any]:
    """Settings that let passwords go to ``server``, which is another origin than the registry."""
    return {"trusted_realms": frozenset({server.realm.split("/")[2]})}


async def test_an_open_registry(open_registry: DebianRegistry, image: TestImage, content: Content) -> None:
    """Every blob is there, byte by byte, and the digest is the one that skopeo pushed."""
    pulled = await fetch(open_registry, "five", content)
    assert pulled.digest == image.top
    assert len(pulled.layers) == 5
    for digest, data in image.blobs.items():
        assert content.path(digest).read_bytes() == data
    assert content.read(pulled.manifest) == image.manifests[image.top][1]


async def test_the_platform_is_chosen_from_an_index(open_registry: DebianRegistry, content: Content) -> None:
    """Of three platforms and an attestation, this machine's, and the index is kept as it was pushed."""
    pulled = await fetch(open_registry, "many", content)
    assert pulled.index is not None
    assert content.has(pulled.index)
    assert pulled.digest == pulled.index.digest
    config = content.read(pulled.config)
    assert f'"architecture": "{platform.host().architecture}"'.encode() in config


async def test_unknown_names_are_said_as_docker_says_it(open_registry: DebianRegistry, content: Content) -> None:
    """An unknown tag and an unknown repository, with the real registry's own code and message."""
    for name in ("five:nope", "nothing:latest"):
        with pytest.raises(NotFound) as caught:
            await fetch(open_registry, name, content)
        wanted = f"manifest for {open_registry.address}/{name} not found: manifest unknown: manifest unknown"
        assert str(caught.value) == wanted


async def test_a_password_opens_a_basic_registry(
    basic_registry: DebianRegistry, image: TestImage, content: Content
) -> None:
    """Basic authentication, with a password that has a colon and a space."""
    pulled = await fetch(basic_registry, "five", content, Credentials(USER, PASSWORD))
    assert pulled.digest == image.top


async def test_a_basic_registry_stays_closed(basic_registry: DebianRegistry, content: Content) -> None:
    """Nobody, and somebody with a wrong password, are told apart."""
    address = basic_registry.address
    with pytest.raises(Unauthorized, match=rf'^Get "http://{address}/v2/five/.*": no basic auth credentials$'):
        await fetch(basic_registry, "five", content)
    with pytest.raises(Unauthorized, match=r"unauthorized: authentication required"):
        await fetch(basic_registry, "five", content, Credentials(USER, "wrong"))


async def test_a_token_opens_a_private_repository(
    token_registry: DebianRegistry, token_server: TokenServer, image: TestImage, content: Content
) -> None:
    """One token, got with the password, serves the whole pull, blobs side by side included."""
    credentials = Credentials(USER, PASSWORD)
    pulled = await fetch(token_registry, "private", content, credentials, **trusting(token_server))
    assert pulled.digest == image.top
    assert token_server.requests == [
        {
            "method": "GET",
            "authorization": credentials.basic(),
            "scope": "repository:private:pull",
            "service": TokenServer.SERVICE,
            "account": USER,
        }
    ]


async def test_everybody_may_pull_what_is_public(
    token_registry: DebianRegistry, token_server: TokenServer, image: TestImage, content: Content
) -> None:
    """Nobody in particular gets a token too, as on Docker Hub."""
    pulled = await fetch(token_registry, "public", content)
    assert pulled.digest == image.top
    assert [request["authorization"] for request in token_server.requests] == [""]


async def test_a_token_without_the_right_is_denied_as_docker_says_it(
    token_registry: DebianRegistry, content: Content
) -> None:
    """Nobody in particular gets a token for a private repository, but one that opens nothing."""
    with pytest.raises(NotFound) as caught:
        await fetch(token_registry, "private", content)
    assert str(caught.value) == (
        f"pull access denied for {token_registry.address}/private, repository does not exist or may require "
        "'docker login': denied: requested access to the resource is denied"
    )


async def test_a_wrong_password_is_refused_by_the_token_server(
    token_registry: DebianRegistry, token_server: TokenServer, content: Content
) -> None:
    """The token server's own words."""
    with pytest.raises(Unauthorized, match="unauthorized: incorrect username or password"):
        await fetch(token_registry, "public", content, Credentials(USER, "wrong"), **trusting(token_server))


async def test_an_identity_token_is_exchanged(
    token_registry: DebianRegistry, token_server: TokenServer, image: TestImage, content: Content
) -> None:
    """What ``docker login`` keeps instead of a password (OAuth 2, a refresh token) opens the repository."""
    credentials = Credentials(identity_token=token_server.refresh_token)
    pulled = await fetch(token_registry, "private", content, credentials, **trusting(token_server))
    assert pulled.digest == image.top
    assert [request["method"] for request in token_server.requests] == ["POST"]


async def test_a_registry_token_is_used_as_it_is(
    token_registry: DebianRegistry, token_server: TokenServer, image: TestImage, content: Content
) -> None:
    """A caller that has a token already needs no token server."""
    answer = token_server._answer(USER, ["repository:private:pull"])
    pulled = await fetch(token_registry, "private", content, Credentials(registry_token=answer["token"]))
    assert pulled.digest == image.top
    assert token_server.requests == []


async def test_a_token_that_runs_out_is_renewed(
    token_registry: DebianRegistry, token_server: TokenServer, image: TestImage, content: Content
) -> None:
    """Tokens that end at once make the pull ask for new ones, and succeed."""
    token_server.expires_in = 0
    credentials = Credentials(USER, PASSWORD)
    pulled = await fetch(token_registry, "private", content, credentials, **trusting(token_server))
    assert pulled.digest == image.top
    # The manifest by tag and by digest, the config, five layers.
    assert len(token_server.requests) == 8


async def test_the_registry_dies_and_comes_back(tmp_path: Path, image: TestImage, content: Content) -> None:
    """A registry that is killed between two blobs and started again at the same address: the pull waits and ends."""
    directory = tmp_path / "registry"
    first = debian_registry(directory)
    registry = first.__enter__()
    push(image, f"{registry.address}/five", directory)
    second: list[Any] = []

    class Killing(Content):
        """Kills the registry when the first blob is to be taken in."""

        def ingest(self, descriptor: Descriptor) -> Ingest:  # type: ignore[override]
            if not second:
                first.__exit__(None, None, None)
                second.append(None)
            return super().ingest(descriptor)

    async def restart(seconds: float) -> None:
        if second == [None]:
            second[0] = debian_registry(directory, address=registry.address)
            await asyncio.to_thread(second[0].__enter__)

    killing = Killing(tmp_path / "images", tmp_path / "ingest")
    told: list[Progress] = []
    try:
        name = reference.parse(f"{registry.address}/five")
        pulled = await pull(name, platform.host(), killing, told.append, retry=Retry(sleep=restart))
    finally:
        for context in second:
            context.__exit__(None, None, None)
    assert pulled.digest == image.top
    assert second != [None]
