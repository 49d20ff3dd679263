"""``python -m minidock.registry.documents``: the registry's half of ``minidock manifest``, a program of its own.

The client imports nothing of the engine, and needs no daemon for this: it writes one :class:`Request` as JSON to this
program's stdin, and reads one :class:`Answer` from its stdout.

A list is pushed like an image whose blobs are all in the registry already: blobs of another repository there are
mounted, the manifests are put under their digests, and at last the list under its tag.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Literal

import msgspec

from minidock.errors import InvalidInput, MinidockError, NotFound, RegistryError
from minidock.oci import digest as digests
from minidock.oci import reference
from minidock.oci.distribution import pull_scope, push_scope
from minidock.oci.image import MAX_CONFIG, Descriptor, Index, parse_config, parse_manifest
from minidock.oci.reference import Reference
from minidock.registry.answers import read_limited
from minidock.registry.client import Registry
from minidock.registry.credentials import Credentials, from_header
from minidock.registry.endpoints import addresses
from minidock.registry.retry import Retry
from minidock.registry.settings import Settings
from minidock.registry.transport import Transport
from minidock.registry.upload import Upload


class Document(msgspec.Struct, kw_only=True):
    """A manifest or an index: what it is called, what it is (with the platform, for a manifest), its bytes."""

    name: str
    descriptor: Descriptor
    raw: bytes
    is_index: bool = False


class Request(msgspec.Struct, kw_only=True):
    """Get what ``name`` stands for; or put ``index`` there, and before it the ``manifests`` that it speaks of."""

    action: Literal["get", "put"]
    name: str
    auth: str = ""
    insecure: bool = False
    manifests: list[Document] = []
    index: bytes = b""
    media_type: str = ""


class Answer(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What was there, or the digest that was put; or else an ``error``. ``missing``: there is no such name."""

    document: Document | None = None
    digest: str = ""
    error: str = ""
    missing: bool = False


async def answer(request: Request) -> Answer:
    """Do what is asked. Raises what a pull or push raises."""
    name = reference.parse(request.name).with_default_tag()
    credentials = from_header(request.auth)
    settings = Settings(insecure=frozenset([name.domain] if request.insecure else []))
    async with Transport(settings) as transport:
        if request.action == "get":
            return Answer(document=await _get(transport, name, credentials))
        return Answer(digest=await _put(transport, name, credentials, request))


async def _get(transport: Transport, name: Reference, credentials: Credentials) -> Document:
    registry = await Registry.connect(transport, addresses(name.domain, transport.settings), name, credentials)
    raw = await registry.manifest(name.digest or name.tag or "latest")
    document = parse_manifest(raw.content, raw.descriptor.media_type)
    if isinstance(document, Index):
        return Document(name=str(name), descriptor=raw.descriptor, raw=raw.content, is_index=True)
    async with await registry.blob(document.config.digest, 0) as response:
        config = parse_config(await read_limited(response, MAX_CONFIG), document.config)
    descriptor = msgspec.structs.replace(raw.descriptor, platform=config.platform)
    return Document(name=str(name), descriptor=descriptor, raw=raw.content)


async def _put(transport: Transport, name: Reference, credentials: Credentials, request: Request) -> str:
    if name.digest:
        raise InvalidInput("a list is pushed under a tag, not under a digest")
    sources = [reference.parse(document.name) for document in request.manifests]
    scopes = [push_scope(name.path), *sorted({pull_scope(source.path) for source in sources} - {pull_scope(name.path)})]
    places = addresses(name.domain, transport.settings)
    registry = await Registry.connect(transport, places, name, credentials, scopes)
    for document, source in zip(request.manifests, sources, strict=True):
        digests.verify(document.descriptor.digest, document.raw)
        manifest = parse_manifest(document.raw, document.descriptor.media_type)
        if isinstance(manifest, Index):
            raise InvalidInput(f"{document.name} is a manifest list")
        for blob in [manifest.config, *manifest.layers]:
            await _mount(registry, blob, source)
        await registry.put_manifest(document.descriptor, document.raw, document.descriptor.digest)
    descriptor = Descriptor(media_type=request.media_type, digest=digests.of(request.index), size=len(request.index))
    await registry.put_manifest(descriptor, request.index, name.tag or "latest")
    return descriptor.digest


async def _mount(registry: Registry, blob: Descriptor, source: Reference) -> None:
    """Have the registry show a blob of another repository here. Raises RegistryError when it does not."""

    def nothing_to_send() -> BinaryIO:
        raise RegistryError(f"{registry.base.authority} does not mount {blob.digest} from {source.path}: push it first")

    if not await registry.has_blob(blob):
        with ThreadPoolExecutor(1) as executor:
            upload = Upload(
                registry, blob, nothing_to_send, Retry(), executor, lambda count: None, lambda seconds: None
            )
            await upload.run(source.path)


def main() -> None:
    """One request from stdin, one answer to stdout."""
    try:
        found = asyncio.run(answer(msgspec.json.decode(sys.stdin.buffer.read(), type=Request)))
    except MinidockError as error:
        found = Answer(error=str(error), missing=isinstance(error, NotFound))
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
