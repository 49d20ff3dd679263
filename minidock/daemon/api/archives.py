"""``/images/get`` and ``/images/load``: images as archives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from aiohttp import web

from minidock.daemon import pulling
from minidock.daemon.api import answers, progress
from minidock.daemon.api.parameters import Asked, flag, json_platform, needed, texts
from minidock.daemon.engine import Engine
from minidock.daemon.own_thread import in_own_thread
from minidock.errors import InvalidInput
from minidock.images.loading import Loaded, load
from minidock.images.saving import choose, save
from minidock.messages import Progress
from minidock.oci import digest as digests
from minidock.registry.progress import REPORT_EVERY


class Get(Asked):
    """How much of it."""

    platform = json_platform("only the manifest for this one")


async def get(engine: Engine, request: web.Request, asked: Get) -> web.StreamResponse:
    """``GET /images/NAME/get``."""
    return await _get(engine, asked, [request.match_info["name"]])


class GetSeveral(Get):
    """Which ones."""

    names = needed(texts("of images, several in a text with commas between"))


async def get_several(engine: Engine, request: web.Request, asked: GetSeveral) -> web.StreamResponse:
    """``GET /images/get``."""
    names = [name for text in asked.names for name in text.split(",") if name]
    if not names:
        raise InvalidInput("names of images are needed")
    return await _get(engine, asked, names)


async def _get(engine: Engine, asked: Get, names: Sequence[str]) -> web.StreamResponse:
    platform = asked.platform
    with engine.images.bringing():  # nothing is removed while it is being read
        chosen = await asyncio.to_thread(choose, engine.images, names, platform)

        def produce(write: Callable[[bytes], None]) -> None:
            save(engine.images.content, chosen, write)

        response = await answers.stream(asked.request, produce)
    for item in chosen:
        engine.tell_image("save", item.image.id)
    return response


class Put(Get):
    """And what is told."""

    quiet = flag("without the progress of each layer")


async def put(engine: Engine, request: web.Request, asked: Put) -> web.StreamResponse:
    """``POST /images/load``: the archive is the body."""
    quiet, platform = asked.quiet, asked.platform
    file = progress.opened(request.content)
    loop = asyncio.get_running_loop()

    async def work(tell: pulling.Tell) -> None:
        last: dict[str, float] = {}

        def unpacking(diff_id: str, done: int, size: int) -> None:
            if time.monotonic() - last.get(diff_id, 0) >= REPORT_EVERY or done == size:
                last[diff_id] = time.monotonic()
                line = pulling.bar(digests.encoded(diff_id)[:12], "Loading layer", done, size)
                loop.call_soon_threadsafe(tell, line)

        loaded = await in_own_thread(lambda: load(engine.images, file, None if quiet else unpacking, platform))
        for item in loaded:
            _tell_loaded(item, tell)
            engine.tell_image("load", item.image.id)

    return await progress.tell(request, work)


def _tell_loaded(item: Loaded, tell: pulling.Tell) -> None:
    """In Docker's words, which scripts read."""
    for name, before in item.moved:
        text = f"The image {name.familiar} already exists, renaming the old one with ID {before} to empty string"
        tell(Progress(stream=f"{text}\n"))
    for name in item.names:
        tell(Progress(stream=f"Loaded image: {name.familiar}\n"))
    if not item.names:
        tell(Progress(stream=f"Loaded image ID: {item.image.id}\n"))
