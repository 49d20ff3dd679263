"""``pull``: from a registry into the store, layers unpacked as they arrive, told as Docker tells it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from minidock import units
from minidock.daemon.engine import Engine
from minidock.messages import Progress, ProgressDetail
from minidock.oci.platform import Platform
from minidock.oci.reference import Reference
from minidock.registry import asking, progress
from minidock.registry import pull as registry
from minidock.registry.credentials import Credentials
from minidock.registry.settings import Settings

Tell = Callable[[Progress], None]

BAR = 50


async def pull(
    engine: Engine,
    reference: Reference,
    platform: Platform,
    credentials: Credentials,
    tell: Tell,
    explain: bool = False,
) -> None:
    """Bring an image here, or, with neither tag nor digest, one for every tag that the repository has.

    Raises what the registry raises. ``tell`` is called on the event loop, a line a time; with ``explain`` it hears of
    each exchange with the registry, too.
    """
    names = [reference]
    if not reference.tag and not reference.digest:
        names = [replace(reference, tag=tag) for tag in await asking.tags(reference, credentials, settings(engine))]
    new = [await _bring(engine, name, platform, credentials, tell, explain) for name in names]
    outcome = "Downloaded newer image for" if any(new) else "Image is up to date for"
    tell(Progress(status=f"Status: {outcome} {reference.familiar}"))


async def _bring(
    engine: Engine, reference: Reference, platform: Platform, credentials: Credentials, tell: Tell, explain: bool
) -> bool:
    """One image; is it another than the name meant before?"""
    loop = asyncio.get_running_loop()
    before = engine.images.find(str(reference))

    def on_progress(event: progress.Progress) -> None:
        if event.status == "Downloading":
            tell(bar(event.id, event.status, event.current, event.total))
        else:
            tell(Progress(id=event.id, status=event.status))

    async def on_layer(layer: registry.Layer) -> None:
        last = 0.0

        def unpacking(done: int) -> None:
            nonlocal last
            if time.monotonic() - last >= progress.REPORT_EVERY:
                last = time.monotonic()
                loop.call_soon_threadsafe(tell, bar(layer.id, "Extracting", done, layer.descriptor.size))

        was_there = engine.images.layers.has(layer.diff_id)
        await asyncio.to_thread(engine.images.layers.unpack, layer.descriptor, layer.diff_id, unpacking)
        if not was_there:
            tell(Progress(id=layer.id, status="Pull complete"))

    with engine.images.bringing():
        pulled = await registry.pull(
            reference,
            platform,
            engine.images.content,
            on_progress,
            on_layer,
            credentials=credentials,
            settings=settings(engine),
            told=(lambda line: tell(Progress(status=line))) if explain else None,
        )
        image = await asyncio.to_thread(engine.images.put, pulled.manifest, reference, pulled.digest)
    tell(Progress(status=f"Digest: {pulled.digest}"))
    engine.tell_image("pull", reference.familiar, reference.familiar_name)
    return before is None or before.id != image.id


def settings(engine: Engine) -> Settings:
    """The daemon's options, as the registry's client wants them."""
    config = engine.config
    return Settings(
        mirrors=tuple(config.registry_mirrors),
        insecure=frozenset(config.insecure_registries),
        trusted_realms=frozenset(config.trusted_realms),
    )


def bar(id: str, status: str, current: int, total: int) -> Progress:
    """A line with numbers for programs and a bar for people: ``[====>      ]  1.2MB/5MB``."""
    filled = min(BAR, current * BAR // total) if total else 0
    drawn = "=" * (filled - 1) + ">" + " " * (BAR - filled) if filled else ">" + " " * (BAR - 1)
    text = f"[{drawn}] {units.human_size(current):>8}/{units.human_size(total)}"
    return Progress(id=id, status=status, progress_detail=ProgressDetail(current=current, total=total), progress=text)
