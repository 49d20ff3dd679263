"""``push``: from the store into a registry, told as Docker tells it."""

from __future__ import annotations

import asyncio

from minidock.daemon.engine import Engine
from minidock.daemon.pulling import Tell, bar, settings
from minidock.errors import InvalidInput, NotFound
from minidock.images import Image
from minidock.images.saving import top_of
from minidock.messages import Progress
from minidock.oci import digest as digests
from minidock.oci.image import Descriptor
from minidock.oci.platform import Platform
from minidock.oci.reference import Reference
from minidock.registry import progress, push
from minidock.registry.credentials import Credentials


async def push_all(
    engine: Engine, reference: Reference, platform: Platform | None, credentials: Credentials, tell: Tell
) -> None:
    """Push the image that ``reference`` names, or without a tag all of that repository; raises what a registry raises.

    An image that came with its whole index is pushed with all of it, unless ``platform`` says that one is enough.
    """
    if reference.digest:
        raise InvalidInput("cannot push a digest reference")
    tell(Progress(status=f"The push refers to repository [{reference.name}]"))
    with engine.images.bringing():  # nothing is removed while it is being read
        images = await asyncio.to_thread(engine.images.all)
        tagged = [(name, image) for image in images for name in image.names if name.name == reference.name and name.tag]
        if not tagged:
            raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
        chosen = [(name, image) for name, image in tagged if reference.tag in (None, name.tag)]
        if not chosen:
            raise NotFound(f"tag does not exist: {reference.familiar}")
        for name, image in sorted(chosen, key=lambda pair: pair[0]):
            top = top_of(engine.images.content, image, platform)
            await _push(engine, name, image, top, _mounts(name, images), credentials, tell)


async def _push(
    engine: Engine,
    name: Reference,
    image: Image,
    top: Descriptor,
    mounts: dict[str, str],
    credentials: Credentials,
    tell: Tell,
) -> None:
    # Docker calls a layer by what it is, not by how it is packed.
    shown = {digests.encoded(layer.digest)[:12]: digests.encoded(diff_id)[:12] for layer, diff_id in image.layers}

    def on_progress(event: progress.Progress) -> None:
        layer = shown.get(event.id, event.id)
        if event.status == "Pushing":
            tell(bar(layer, event.status, event.current, event.total))
        else:
            tell(Progress(id=layer, status=event.status))

    await push.push(
        name,
        top,
        engine.images.content,
        on_progress,
        mounts=mounts,
        credentials=credentials,
        settings=settings(engine),
    )
    await asyncio.to_thread(engine.images.put, image.descriptor, name, top.digest)
    tell(Progress(status=f"{name.tag}: digest: {top.digest} size: {top.size}"))
    tell(Progress(aux={"Tag": name.tag, "Digest": top.digest, "Size": top.size}))
    engine.tell_image("push", name.familiar, name.familiar_name)


def _mounts(name: Reference, images: list[Image]) -> dict[str, str]:
    """Where else in the same registry blobs are: in the repositories that their images came from, or went to."""
    return {
        layer.digest: other.path
        for image in images
        for other in image.names
        if other.digest and other.domain == name.domain and other.path != name.path
        for layer in image.manifest.layers
    }
