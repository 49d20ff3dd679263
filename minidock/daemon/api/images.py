"""``/images``: pull, import, list, inspect, tag, remove."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web

from minidock import messages
from minidock.daemon import changes, picturing, pulling
from minidock.daemon.api import answers, parameters
from minidock.daemon.engine import Engine
from minidock.errors import MinidockError, NotImplementedYet
from minidock.messages import ErrorDetail, Progress
from minidock.oci import platform as platforms
from minidock.oci import reference as references
from minidock.registry import credentials

READ_AHEAD = 256 * 1024
FILTERS = ("reference", "label", "dangling", "before", "since", "until")


async def listing(engine: Engine, request: web.Request) -> web.Response:
    """``GET /images/json``."""
    wanted = parameters.filters(request, FILTERS)
    return answers.document(await asyncio.to_thread(picturing.summaries, engine, wanted))


async def inspect(engine: Engine, request: web.Request) -> web.Response:
    """``GET /images/NAME/json``."""
    return answers.document(await asyncio.to_thread(picturing.inspect, engine, request.match_info["name"]))


async def history(engine: Engine, request: web.Request) -> web.Response:
    """``GET /images/NAME/history``."""
    return answers.document(await asyncio.to_thread(picturing.history, engine, request.match_info["name"]))


async def tag(engine: Engine, request: web.Request) -> web.Response:
    """``POST /images/NAME/tag?repo=&tag=``."""
    repo, chosen = request.query.get("repo", ""), request.query.get("tag", "")
    reference = references.parse(f"{repo}:{chosen}" if chosen else repo)
    image = await asyncio.to_thread(engine.images.tag, request.match_info["name"], reference)
    engine.events.publish("image", "tag", image.id, name=reference.with_default_tag().familiar)
    return web.Response(status=201)


async def remove(engine: Engine, request: web.Request) -> web.Response:
    """``DELETE /images/NAME?force=``: a name of several goes alone; with the last, the image."""
    force = parameters.boolean(request, "force")
    deleted = await asyncio.to_thread(picturing.remove, engine, request.match_info["name"], force)
    for line in deleted:
        engine.events.publish("image", "untag" if line.untagged else "delete", line.untagged or line.deleted)
    return answers.document(deleted)


async def create(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``POST /images/create``: ``fromImage`` pulls, ``fromSrc=-`` imports the archive in the body."""
    if request.query.get("fromImage"):
        return await _pull(engine, request)
    if request.query.get("fromSrc") == "-":
        return await _import(engine, request)
    raise NotImplementedYet("import takes an archive from the request only: fromSrc=-")


async def _pull(engine: Engine, request: web.Request) -> web.StreamResponse:
    name, chosen = request.query["fromImage"], request.query.get("tag", "")
    if chosen:
        name += f"@{chosen}" if ":" in chosen else f":{chosen}"
    reference = references.parse(name)
    identity = credentials.from_header(request.headers.get("X-Registry-Auth", ""))
    asked = request.query.get("platform", "")
    platform = platforms.parse(asked) if asked else platforms.host()
    return await _tell(request, lambda tell: pulling.pull(engine, reference, platform, identity, tell))


async def _import(engine: Engine, request: web.Request) -> web.StreamResponse:
    repo, chosen = request.query.get("repo", ""), request.query.get("tag", "")
    reference = references.parse(f"{repo}:{chosen}" if chosen else repo) if repo else None
    config = changes.apply(request.query.getall("changes", []))
    comment = request.query.get("message") or "Imported from -"
    body = io.BufferedReader(Body(request), READ_AHEAD)

    async def work(tell: pulling.Tell) -> None:
        image = await asyncio.to_thread(engine.images.import_rootfs, body, reference, config, comment)
        engine.events.publish("image", "import", image.id, name=reference.familiar if reference else "")
        tell(Progress(status=image.id))

    return await _tell(request, work)


class Body(io.RawIOBase):
    """A request's body as a file, for a thread that reads an archive from it."""

    def __init__(self, request: web.Request) -> None:
        self._content = request.content
        self._loop = asyncio.get_running_loop()

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait, in this thread, until the event loop has some more."""
        data = asyncio.run_coroutine_threadsafe(self._content.read(len(buffer)), self._loop).result()
        buffer[: len(data)] = data
        return len(data)


async def _tell(request: web.Request, work: Callable[[pulling.Tell], Coroutine[Any, Any, None]]) -> web.StreamResponse:
    """Do the work and stream its progress. An error before the first line is an ordinary answer; later, a line."""
    lines: asyncio.Queue[Progress | None] = asyncio.Queue()
    task = asyncio.create_task(work(lines.put_nowait))
    task.add_done_callback(lambda _: lines.put_nowait(None))
    response: web.StreamResponse | None = None
    try:
        while (line := await lines.get()) is not None:
            response = response or await answers.begin(request)
            await response.write(messages.encode(line) + b"\r\n")
        await task
    except MinidockError as error:
        if response is None:
            raise
        line = Progress(error=error.message, error_detail=ErrorDetail(message=error.message))
        await response.write(messages.encode(line) + b"\r\n")
    finally:
        task.cancel()
    response = response or await answers.begin(request)
    await response.write_eof()
    return response
