"""One repository in one registry: manifests and blobs (distribution-spec, "Pull" and "Push").

::

    async with Transport(settings) as transport:
        registry = await Registry.connect(transport, addresses("docker.io", settings), reference, credentials)
        manifest = await registry.manifest("3.20")
        async with await registry.blob(descriptor.digest, offset=0) as response: ...

Nothing is tried again here: see :mod:`minidock.registry.retry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
from yarl import URL

from minidock.errors import (
    CorruptContent,
    Forbidden,
    InvalidSpec,
    MinidockError,
    NotFound,
    RegistryError,
    RegistryUnreachable,
    Unauthorized,
)
from minidock.oci import digest as digests
from minidock.oci.distribution import Challenge, parse_challenges, pull_scope
from minidock.oci.image import INDEX_TYPES, MANIFEST_TYPES, MAX_MANIFEST, Descriptor
from minidock.oci.reference import Reference
from minidock.registry.answers import denied, read_limited, read_refusal
from minidock.registry.authorization import Authorizer
from minidock.registry.credentials import Credentials
from minidock.registry.transport import Body, Transport

_ACCEPT = {"Accept": ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))}


@dataclass(frozen=True)
class RawManifest:
    """A manifest or an index as it came: its bytes are its name, so they are kept."""

    descriptor: Descriptor
    content: bytes


class Registry:
    """An open door to the repository of ``reference``."""

    def __init__(
        self,
        transport: Transport,
        base: URL,
        reference: Reference,
        credentials: Credentials,
        scopes: Sequence[str] | None = None,
    ) -> None:
        self.transport = transport
        self.base = base
        self._reference = reference
        self._scopes = [pull_scope(reference.path)] if scopes is None else scopes
        self.authorizer = Authorizer(transport, base, self._scopes, reference.familiar_name, credentials)

    @classmethod
    async def connect(
        cls,
        transport: Transport,
        addresses: Sequence[URL],
        reference: Reference,
        credentials: Credentials,
        scopes: Sequence[str] | None = None,
    ) -> Registry:
        """Knock at each of ``addresses`` until somebody is there. ``scopes`` are what is to be done: else, to pull.

        :raises RegistryUnreachable: nobody is at the last one either
        """
        *others, last = addresses
        for base in others:
            with suppress(RegistryUnreachable):
                return await cls(transport, base, reference, credentials, scopes)._knock()
        return await cls(transport, last, reference, credentials, scopes)._knock()

    async def _knock(self) -> Registry:
        """Is anybody at ``/v2/``, and do they want to know who we are?"""
        async with await self.transport.request("GET", self.base / "v2" / "") as response:
            # Whatever else is wrong, the next request will meet it and report it.
            self.authorizer.challenged(self._challenges(response), sent=None)
        return self

    async def head(self, tag: str) -> Descriptor | None:
        """What ``tag`` names now; None when the registry does not tell without sending it, or refuses: then use GET.

        Docker Hub counts the manifests that it sends against a user's limit, but not questions like this one.
        """
        async with await self.exchange("HEAD", self.url(f"manifests/{tag}"), _ACCEPT) as response:
            digest, length = response.headers.get("Docker-Content-Digest"), response.content_length
            if not response.ok or digest is None or length is None or "Content-Type" not in response.headers:
                return None
            return Descriptor(media_type=response.content_type, digest=digests.check(digest), size=length)

    async def manifest(self, wanted: str) -> RawManifest:
        """The manifest or index with the tag or digest ``wanted``.

        :raises CorruptContent: it is larger than any manifest may be, or not what its digest says
        :raises InvalidSpec: the registry does not tell which of the kinds it is
        :raises NotFound: there is none, or not for us
        """
        async with await self._good("manifests", wanted, _ACCEPT) as response:
            if "Content-Type" not in response.headers:
                raise InvalidSpec(f"{self.base.authority} does not tell what kind of manifest {wanted} is")
            content = await read_limited(response, MAX_MANIFEST)
            told = response.headers.get("Docker-Content-Digest")
        digest = wanted if ":" in wanted else told or digests.of(content)
        digests.verify(digests.check(digest), content)
        return RawManifest(Descriptor(media_type=response.content_type, digest=digest, size=len(content)), content)

    async def blob(self, digest: str, offset: int) -> aiohttp.ClientResponse:
        """The answer that carries a blob: from byte ``offset`` on if the registry can (206), otherwise from 0 (200)."""
        return await self._good("blobs", digest, {"Range": f"bytes={offset}-"} if offset else {})

    async def _good(self, kind: str, name: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """The answer to a GET, which is a good one."""
        response = await self.exchange("GET", self.url(f"{kind}/{name}"), headers)
        if response.ok:
            return response
        async with response:
            raise await self.refused(response, kind)

    async def has_blob(self, descriptor: Descriptor) -> bool:
        """Is the blob there already?"""
        async with await self.exchange("HEAD", self.url(f"blobs/{descriptor.digest}")) as response:
            return response.ok and response.content_length in (None, descriptor.size)

    async def put_manifest(self, descriptor: Descriptor, content: bytes, name: str) -> bool:
        """Give the repository a manifest or index, under a tag or its digest. All that it speaks of must be there.

        True if the registry lists by itself what is about another manifest: see :mod:`minidock.registry.referrers`.

        :raises RegistryError: the registry does not want it
        """
        headers = {"Content-Type": descriptor.media_type}
        async with await self.exchange("PUT", self.url(f"manifests/{name}"), headers, lambda: content) as response:
            if not response.ok:
                raise await self.refused(response, "push")
            told = response.headers.get("Docker-Content-Digest", descriptor.digest)
            has_list = "OCI-Subject" in response.headers
        if told != descriptor.digest:
            raise CorruptContent(f"{self.base.authority} took manifest {descriptor.digest} for {told}")
        return has_list

    def url(self, path: str) -> URL:
        """Where something of this repository is: ``blobs/sha256:…``."""
        return self.base.joinpath("v2", *self._reference.path.split("/"), *path.split("/"))

    async def exchange(
        self, method: str, url: URL, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> aiohttp.ClientResponse:
        """The answer to an authorised request. An authorization that has run out is renewed once.

        A ``url`` at another host, as an upload's may be, is shown no authorization.
        """
        if url.origin() != self.base.origin():
            return await self.transport.request(method, url, None, headers, body=body)
        authorization = await self.authorizer.header()
        response = await self.transport.request(method, url, authorization, headers, body=body)
        challenges = self._challenges(response)
        if challenges and self.authorizer.challenged(challenges, authorization):
            response.release()
            authorization = await self.authorizer.header()
            response = await self.transport.request(method, url, authorization, headers, body=body)
        return response

    def _challenges(self, response: aiohttp.ClientResponse) -> list[Challenge]:
        """What the registry wants to see. A place that it redirected to has nothing to ask of us."""
        if response.status != 401 or response.url.origin() != self.base.origin():
            return []
        try:
            return parse_challenges(response.headers.getall("WWW-Authenticate", []))
        except InvalidSpec as error:
            raise RegistryError(f"{self.base.authority}: {error}") from error

    async def refused(self, response: aiohttp.ClientResponse, kind: str) -> MinidockError:
        """The error for an answer that is not a good one; Docker's own words where a user can do something about it."""
        refusal = await read_refusal(response)
        if response.url.origin() != self.base.origin():
            return refusal.error()
        challenges = self._challenges(response)
        out_of_scope = any(challenge.parameters.get("error") == "insufficient_scope" for challenge in challenges)
        hint = self.authorizer.hint()
        if kind == "push" and (refusal.status == 403 or out_of_scope):
            return Forbidden(f"denied: requested access to the resource is denied{hint}")
        if refusal.status == 403 or out_of_scope:
            return denied(self._reference.familiar_name, "denied: requested access to the resource is denied", hint)
        if refusal.status == 404 and kind == "manifests":
            return NotFound(f"manifest for {self._reference.familiar} not found: {refusal.reason}")
        if refusal.status == 404 and kind == "tags":
            return NotFound(f"repository {self._reference.familiar_name} not found: {refusal.reason}")
        if refusal.status == 401:
            reason = "no basic auth credentials" if self.authorizer.lacks_password() else refusal.reason
            return Unauthorized(f"{refusal.what}: {reason}{hint}")
        return refusal.error()
