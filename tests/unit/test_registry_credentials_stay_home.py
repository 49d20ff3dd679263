"""A registry A that points at B, in every way it can: B never sees A's credentials (CVE-2020-15157 and kin)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from minidock.content.store import Content
from minidock.errors import NotFound, RegistryError, Unauthorized
from minidock.oci import platform, reference
from minidock.registry.authorization import may_see_credentials
from minidock.registry.credentials import Credentials
from minidock.registry.pull import Pulled, pull
from minidock.registry.retry import Retry
from minidock.registry.settings import Settings
from tests.registries import LyingRegistry, TestImage, make_image, tar_of

SECRET = Credentials("canary", "canary-password")
IDENTITY = Credentials(identity_token="canary-token")


@pytest.fixture
def image() -> TestImage:
    """A small image."""
    return make_image([tar_of({"a": b"a"})])


@pytest.fixture
async def registry(image: TestImage) -> AsyncIterator[LyingRegistry]:
    """The registry A."""
    async with LyingRegistry(image).running() as running:
        yield running


@pytest.fixture
async def canary(image: TestImage) -> AsyncIterator[LyingRegistry]:
    """The server B: the same image, and it remembers what reaches it."""
    async with LyingRegistry(image).running() as running:
        yield running


async def fetch(directory: Path, registry: LyingRegistry, credentials: Credentials, **settings: Any) -> Pulled:
    """Pull x from ``registry``, showing ``credentials``; nothing is tried twice."""
    return await pull(
        reference.parse(f"{registry.address}/x"),
        platform.host(),
        Content(directory / "images", directory / "ingest"),
        credentials=credentials,
        settings=Settings(**settings),
        retry=Retry(attempts=1),
    )


def ask_for(registry: LyingRegistry, challenge: str) -> None:
    """Make ``registry`` want an Authorization, whatever it is; others are told the challenge."""

    async def guard(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/token" or "Authorization" in request.headers:
            return None
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    registry.intercept = guard


def redirect_to(registry: LyingRegistry, status: int, base: str, kind: str) -> None:
    """Make ``registry`` want Basic authentication, and redirect requests for ``kind`` to ``base``."""

    async def guard(request: web.Request) -> web.StreamResponse | None:
        if "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        if f"/{kind}/" in request.path:
            return web.Response(status=status, headers={"Location": base + request.path})
        return None

    registry.intercept = guard


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("kind", ["blobs", "manifests"])
async def test_a_redirect_leaves_credentials_behind(
    tmp_path: Path, registry: LyingRegistry, canary: LyingRegistry, status: int, kind: str
) -> None:
    """A blob store elsewhere serves the pull and sees no Authorization; A did see it."""
    redirect_to(registry, status, canary.base, kind)
    await fetch(tmp_path, registry, SECRET)
    assert registry.authorizations() == {SECRET.basic()}
    assert any(f"/{kind}/" in request.path for request in canary.requests)
    assert canary.authorizations() == set()


async def test_a_redirect_to_another_name_of_the_same_host_leaves_credentials_behind(
    tmp_path: Path, registry: LyingRegistry, canary: LyingRegistry
) -> None:
    """localhost is not 127.0.0.1: what counts is the name that credentials were given for."""
    redirect_to(registry, 307, canary.base.replace("127.0.0.1", "localhost"), "blobs")
    await fetch(tmp_path, registry, SECRET)
    assert canary.requests
    assert canary.authorizations() == set()


async def test_credentials_do_not_come_back_by_way_of_b(
    tmp_path: Path, registry: LyingRegistry, canary: LyingRegistry
) -> None:
    """A to B and back to A: once gone, they stay gone, since B chose the last address."""
    redirect_to(registry, 307, canary.base, "blobs")

    async def back(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{registry.base}/back"})

    canary.intercept = back
    with pytest.raises(Unauthorized):
        await fetch(tmp_path, registry, SECRET)
    returned = [request for request in registry.requests if request.path == "/back"]
    assert len(returned) == 1
    assert "Authorization" not in returned[0].headers


async def test_a_redirect_within_the_registry_keeps_them(tmp_path: Path, registry: LyingRegistry) -> None:
    """The same scheme, host and port is the same registry."""

    async def guard(request: web.Request) -> web.StreamResponse | None:
        if "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        if "/blobs/" in request.path and not request.query:
            return web.Response(status=307, headers={"Location": request.path + "?again=1"})
        return None

    registry.intercept = guard
    await fetch(tmp_path, registry, SECRET)


async def test_b_cannot_ask_for_credentials(tmp_path: Path, registry: LyingRegistry, canary: LyingRegistry) -> None:
    """A challenge from a place that A redirected to is not answered."""
    redirect_to(registry, 307, canary.base, "blobs")
    ask_for(canary, 'Basic realm="canary"')
    with pytest.raises(Unauthorized):
        await fetch(tmp_path, registry, SECRET)
    assert canary.authorizations() == set()


@pytest.mark.parametrize("credentials", [SECRET, IDENTITY], ids=["password", "identity token"])
async def test_a_realm_elsewhere_gets_an_anonymous_request(
    tmp_path: Path, registry: LyingRegistry, canary: LyingRegistry, credentials: Credentials
) -> None:
    """A names B as its token server: B is asked as by nobody, and what is public can still be pulled."""

    async def tokens(request: web.Request) -> web.StreamResponse:
        assert request.method == "GET"
        return web.json_response({"token": "anonymous", "expires_in": 60})

    canary.intercept = tokens
    ask_for(registry, f'Bearer realm="{canary.base}/token",service="x"')
    await fetch(tmp_path, registry, credentials)
    assert [dict(request.query) for request in canary.requests] == [{"scope": "repository:x:pull", "service": "x"}]
    assert canary.authorizations() == set()
    assert registry.authorizations() == {"Bearer anonymous"}


async def test_a_refusal_for_lack_of_credentials_says_how_to_send_them(
    tmp_path: Path, registry: LyingRegistry, canary: LyingRegistry
) -> None:
    """Denied because B was not shown the password: the error says so and names the way out."""

    async def deny(request: web.Request) -> web.StreamResponse:
        return web.json_response({"errors": [{"code": "DENIED", "message": "who are you"}]}, status=401)

    canary.intercept = deny
    ask_for(registry, f'Bearer realm="{canary.base}/token"')
    with pytest.raises(
        NotFound, match=rf"pull access denied .* start minidockd with --trusted-realm {canary.address} to allow it"
    ):
        await fetch(tmp_path, registry, SECRET)
    assert canary.authorizations() == set()


async def test_a_trusted_realm_sees_the_password(
    tmp_path: Path, registry: LyingRegistry, canary: LyingRegistry
) -> None:
    """Whoever runs a token server on a host of its own says so in the settings."""

    async def tokens(request: web.Request) -> web.StreamResponse:
        return web.json_response({"token": "good"})

    canary.intercept = tokens
    ask_for(registry, f'Bearer realm="{canary.base}/token"')
    await fetch(tmp_path, registry, SECRET, trusted_realms=frozenset({canary.address}))
    assert canary.authorizations() == {SECRET.basic()}


async def test_a_token_server_cannot_pass_the_password_on(
    tmp_path: Path, registry: LyingRegistry, canary: LyingRegistry
) -> None:
    """A realm on A that redirects to B: the password stays with A, and a form with a token is not sent on at all."""

    async def guard(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/token":
            return web.Response(status=307, headers={"Location": f"{canary.base}/token"})
        realm = f'Bearer realm="{registry.base}/token"'
        return web.Response(status=401, headers={"WWW-Authenticate": realm})

    registry.intercept = guard
    with pytest.raises(NotFound):
        await fetch(tmp_path, registry, SECRET)
    assert canary.authorizations() == set()
    canary.requests.clear()
    with pytest.raises(RegistryError, match="not safe to follow"):
        await fetch(tmp_path, registry, IDENTITY)
    assert canary.requests == []


UNSAFE_REALMS = [
    "",
    "/token",
    "ftp://x/t",
    "http://t.example/t",
    "file:///etc/passwd",
    "http://[::1",
    "https://x:99999",
]


@pytest.mark.parametrize("realm", UNSAFE_REALMS)
async def test_a_realm_that_is_not_safe_is_refused(tmp_path: Path, registry: LyingRegistry, realm: str) -> None:
    """A realm is an https URL; plain http is for loopback and what was listed as insecure."""
    ask_for(registry, f'Bearer realm="{realm}"')
    with pytest.raises(RegistryError, match="names no safe token server"):
        await fetch(tmp_path, registry, SECRET)


@pytest.mark.parametrize("target", ["http://store.example/blob", "file:///etc/passwd", "ftp://127.0.0.1/", "https://["])
async def test_a_redirect_to_somewhere_unsafe_is_refused(tmp_path: Path, registry: LyingRegistry, target: str) -> None:
    """Plain http to the outside, or no http at all."""

    async def away(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=307, headers={"Location": target}) if "/blobs/" in request.path else None

    registry.intercept = away
    with pytest.raises(RegistryError, match="not safe to follow"):
        await fetch(tmp_path, registry, SECRET)


async def test_redirects_come_to_an_end(tmp_path: Path, registry: LyingRegistry) -> None:
    """A registry that redirects to itself for ever is given up after ten."""

    async def circle(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=307, headers={"Location": request.path}) if "/blobs/" in request.path else None

    registry.intercept = circle
    with pytest.raises(RegistryError, match="redirects more than 10 times"):
        await fetch(tmp_path, registry, SECRET)


async def test_a_mirror_sees_no_credentials_of_docker_hub(
    tmp_path: Path, image: TestImage, canary: LyingRegistry
) -> None:
    """A mirror stands in for Docker Hub, but is somebody else."""
    ask_for(canary, 'Basic realm="give me"')
    public = LyingRegistry(image)
    async with public.running():
        settings = Settings(mirrors=(canary.base, public.base))
        content = Content(tmp_path / "images", tmp_path / "ingest")
        await pull(reference.parse("x"), platform.host(), content, credentials=SECRET, settings=settings)
    assert canary.requests
    assert canary.authorizations() == public.authorizations() == set()


REALMS = [
    ("https://registry-1.docker.io", "https://auth.docker.io/token", True, "Docker Hub"),
    ("https://ghcr.io", "https://ghcr.io/token", True, "the same host"),
    ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", True, "the domain above"),
    ("https://r.example.com:5000", "https://r.example.com/token", True, "the same certificate name"),
    ("http://127.0.0.1:5000", "http://127.0.0.1:5000/token", True, "the same origin"),
    ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", False, "another user's port"),
    ("https://registry-1.docker.io", "https://auth.docker.io.evil.example/token", False, "looks like the Hub"),
    ("https://registry-1.docker.io", "http://auth.docker.io/token", False, "the Hub without TLS"),
    ("https://evil.example", "https://auth.docker.io/token", False, "the Hub's realm for another's password"),
    ("https://r.example.com", "https://example.org/token", False, "another domain"),
    ("https://r.example.com", "https://com/token", False, "a domain that everybody is below"),
    ("https://gitlab.com", "https://evil.gitlab.com/token", False, "a domain below"),
    ("https://r.example.com", "https://auth.example.com/token", False, "beside it: it may be another customer's"),
    ("https://r.example.com", "http://r.example.com/token", False, "the same host without TLS"),
    ("https://badexample.com", "https://example.com/token", False, "a name that merely ends alike"),
]


@pytest.mark.parametrize("registry_url, realm, allowed, why", REALMS, ids=[row[3] for row in REALMS])
def test_which_realms_may_see_credentials(registry_url: str, realm: str, allowed: bool, why: str) -> None:
    """The rule of docs/decisions, as a table."""
    assert may_see_credentials(URL(realm), URL(registry_url), Settings()) is allowed


def test_trusted_realms_are_the_users_choice() -> None:
    """A host, or a host and port; but never plain http to the outside."""
    registry = URL("https://r.example.com")
    settings = Settings(trusted_realms=frozenset({"auth.example.com", "b.example.com:8443"}))
    assert may_see_credentials(URL("https://auth.example.com/token"), registry, settings)
    assert may_see_credentials(URL("https://b.example.com:8443/token"), registry, settings)
    assert not may_see_credentials(URL("https://b.example.com/token"), registry, settings)
    assert not may_see_credentials(URL("http://auth.example.com/token"), registry, settings)


async def test_a_proxy_is_used_for_the_outside_only(
    tmp_path: Path, image: TestImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY is obeyed, but what is on loopback stays there."""
    async with LyingRegistry(image).running() as proxy, LyingRegistry(image).running() as local:
        monkeypatch.setenv("http_proxy", proxy.base)
        monkeypatch.delenv("no_proxy", raising=False)
        await fetch(tmp_path, local, SECRET)
        assert proxy.requests == []
        # In plain http a proxy is asked for the whole URL; https to this name fails, as it does not exist.
        outside = reference.parse("registry.invalid/x")
        settings = Settings(insecure=frozenset({"registry.invalid"}))
        content = Content(tmp_path / "other-images", tmp_path / "other-ingest")
        await pull(outside, platform.host(), content, settings=settings)
        assert {request.headers["Host"] for request in proxy.requests} == {"registry.invalid"}
