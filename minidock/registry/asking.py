"""What one may ask a registry beside images: am I welcome (login), what is behind a name, what do you have (search).

Source: https://distribution.github.io/distribution/spec/api/ (base, catalog); Docker Hub's search is older than
registries and lives at ``/v1/search``; some private registries imitate it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from yarl import URL

from minidock.errors import NotFound, RegistryError, Unauthorized
from minidock.oci.distribution import CATALOG_SCOPE
from minidock.oci.image import MAX_CONFIG, Descriptor, Index, parse_config, parse_manifest
from minidock.oci.platform import Platform
from minidock.oci.reference import Reference, is_tag
from minidock.registry.answers import read_limited, read_refusal
from minidock.registry.client import Registry
from minidock.registry.credentials import ANONYMOUS, Credentials
from minidock.registry.endpoints import HUB, addresses
from minidock.registry.settings import Settings
from minidock.registry.transport import Transport

#: Docker Hub's search is not where its registry is.
HUB_SEARCH = URL("https://index.docker.io/v1/search")
#: how many repositories are asked for at a time, and how often at most
PAGE, MOST_PAGES = 1000, 20
LARGEST_PAGE = 4 << 20

Document = TypeVar("Document")


async def login(domain: str, credentials: Credentials, settings: Settings) -> str:
    """Show ``credentials`` to a registry: an identity token to be used from now on, or nothing.

    :raises Unauthorized: the registry does not believe them
    """
    async with Transport(settings) as transport:
        nowhere = Reference(domain, "")
        registry = await Registry.connect(transport, addresses(domain, settings), nowhere, credentials, scopes=[])
        async with await registry.exchange("GET", registry.base / "v2" / "") as response:
            if not response.ok:
                refusal = await read_refusal(response)
                if refusal.status == 401:
                    raise Unauthorized(f"{refusal.what}: {refusal.reason}{registry.authorizer.hint()}")
                raise refusal.error()
    return registry.authorizer.refresh_token


@dataclass(frozen=True)
class Inspected:
    """What a name stands for in its registry, and for which platforms there is an image."""

    descriptor: Descriptor
    platforms: list[Platform] = field(default_factory=list)


async def inspect(reference: Reference, credentials: Credentials, settings: Settings) -> Inspected:
    """Ask, and bring nothing but documents. Raises what a pull raises."""
    async with Transport(settings) as transport:
        registry = await Registry.connect(transport, addresses(reference.domain, settings), reference, credentials)
        raw = await registry.manifest(reference.digest or reference.tag or "latest")
        document = parse_manifest(raw.content, raw.descriptor.media_type)
        if isinstance(document, Index):
            return Inspected(raw.descriptor, [entry.platform for entry in document.manifests if entry.platform])
        async with await registry.blob(document.config.digest, 0) as response:
            data = await read_limited(response, MAX_CONFIG)
        return Inspected(raw.descriptor, [parse_config(data, document.config).platform])


class Result(msgspec.Struct, kw_only=True):
    """One line of a search, as Docker Hub answers it and the API passes it on."""

    name: str
    description: str = ""
    star_count: Annotated[int, Meta(ge=0)] = 0
    is_official: bool = False
    is_automated: bool = False


class _Results(msgspec.Struct):
    results: list[Result]


class _Page(msgspec.Struct):
    """Of one of the two lists."""

    repositories: list[str] | None = None
    tags: list[str] | None = None


async def search(
    domain: str, term: str, limit: int, settings: Settings, credentials: Credentials = ANONYMOUS
) -> list[Result]:
    """Repositories whose name (and where there is a search, description) has something to do with ``term``.

    :raises NotFound: this registry offers neither a search nor a catalog
    """
    async with Transport(settings) as transport:
        nowhere, scopes = Reference(domain, ""), [CATALOG_SCOPE]
        registry = await Registry.connect(transport, addresses(domain, settings), nowhere, credentials, scopes)
        url = HUB_SEARCH if domain == HUB else registry.base / "v1" / "search"
        async with await registry.exchange("GET", url.with_query({"q": term, "n": str(limit)})) as response:
            if response.ok and response.content_type == "application/json":
                return _decode(await read_limited(response, LARGEST_PAGE), _Results, domain).results[:limit]
            if domain == HUB:
                raise (await read_refusal(response)).error()
        none = f"registry {domain} offers no search and no catalog of its repositories"
        found = [name for name in await _names(registry, registry.base / "v2" / "_catalog", none) if term in name]
        return [Result(name=f"{domain}/{name}") for name in found[:limit]]


async def tags(reference: Reference, credentials: Credentials, settings: Settings) -> list[str]:
    """All tags of the repository. Raises what a pull raises."""
    async with Transport(settings) as transport:
        registry = await Registry.connect(transport, addresses(reference.domain, settings), reference, credentials)
        return [tag for tag in await _names(registry, registry.url("tags/list")) if is_tag(tag)]


async def _names(registry: Registry, url: URL, none: str = "") -> list[str]:
    """All tags or repositories, a page at a time. ``none`` says what it means that there is no such list."""
    names: list[str] = []
    for _ in range(MOST_PAGES):
        query = {"n": str(PAGE)} | ({"last": names[-1]} if names else {})
        async with await registry.exchange("GET", url.with_query(query)) as response:
            if none and response.status in (404, 405):
                raise NotFound(none)
            if not response.ok:
                raise await registry.refused(response, "tags")
            found = _decode(await read_limited(response, LARGEST_PAGE), _Page, registry.base.authority)
            page = found.repositories or found.tags or []
            names += page
            if "Link" not in response.headers or not page:
                break
    return names


def _decode(data: bytes, kind: type[Document], domain: str) -> Document:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise RegistryError(f"registry {domain}: {error}") from error
