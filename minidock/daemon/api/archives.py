"""``/images/get`` and ``/images/load``: images as archives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from aiohttp import web

from minidock.daemon import pulling
from minidock.daemon.api import answers, parameters, progress
from minidock.daemon.engine import Engine
from minidock.errors import InvalidInput
from minidock.images.loading import Loaded, load
from minidock.images.saving import choose, save
from minidock.messages import Progress
from minidock.oci import digest as digests
from minidock.registry.progress import REPORT_EVERY


async def get_several(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``GET /images/get?names=&platform=``: several, or one with commas."""
    names = [name for text in request.query.getall("names", []) for name in text.split(",") if name]
    if not names:
        raise InvalidInput("names of images are needed")
    return await _get(engine, request, names)


async def get(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``GET /images/NAME/get?platform=``."""
    return await _get(engine, request, [request.match_info["name"]])


async def _get(engine: Engine, request: web.Request, names: Sequence[str]) -> web.StreamResponse:
    platform = parameters.platform(request)
    with engine.images.bringing():  # nothing is removed while it is being read
        chosen = await asyncio.to_thread(choose, engine.images, names, platform)

        def produce(write: Callable[[bytes], None]) -> None:
            save(engine.images.content, chosen, write)

        response = await answers.stream(request, produce)
    for item in chosen:
        engine.tell_image("save", item.image.id)
    return response


async def put(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``POST /images/load?quiet=&platform=``: the archive is the body."""
    quiet, platform = parameters.boolean(request, "quiet"), parameters.platform(request)
    file = progress.opened(request.content)
    loop = asyncio.get_running_loop()

    async def work(tell: pulling.Tell) -> None:
        last: dict[str, float] = {}

        def unpacking(diff_id: str, done: int, size: int) -> None:
            if time.monotonic() - last.get(diff_id, 0) >= REPORT_EVERY or done == size:
                last[diff_id] = time.monotonic()
                line = pulling.bar(digests.encoded(diff_id)[:12], "Loading layer", done, size)
                loop.call_soon_threadsafe(tell, line)

        loaded = await asyncio.to_thread(load, engine.images, file, None if quiet else unpacking, platform)
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
