"""``/_ping``, ``/version``, ``/info``, ``/events``: about the engine itself."""

from __future__ import annotations

import asyncio

from aiohttp import web

from minidock import messages
from minidock.daemon import description, rooms
from minidock.daemon.api import answers, parameters
from minidock.daemon.api.parameters import Asked, filters, moment, texts
from minidock.daemon.engine import Engine
from minidock.daemon.events import FILTERS, matches
from minidock.errors import InvalidInput
from minidock.messages import Event


async def ping(engine: Engine, request: web.Request) -> web.Response:
    """Are you there? The headers, which every answer has, tell a client which version to speak."""
    headers = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}
    return web.Response(text="" if request.method == "HEAD" else "OK", headers=headers)


async def version(engine: Engine, request: web.Request) -> web.Response:
    """``GET /version``."""
    return answers.document(description.version())


async def info(engine: Engine, request: web.Request) -> web.Response:
    """``GET /info``."""
    return answers.document(await asyncio.to_thread(description.info, engine, len(asyncio.all_tasks())))


class DiskUsage(Asked):
    """Of what."""

    type = texts(f"only of these: {', '.join(rooms.KINDS)}")


async def disk_usage(engine: Engine, request: web.Request, asked: DiskUsage) -> web.Response:
    """``GET /system/df``."""
    return answers.document(await asyncio.to_thread(rooms.usage, engine, asked.type))


class Events(Asked):
    """Which ones."""

    since = moment("those from then on, which are remembered")
    until = moment("the stream ends then")
    filters = filters(*FILTERS)


async def events(engine: Engine, request: web.Request, asked: Events) -> web.StreamResponse:
    """``GET /events``: one JSON document a line."""
    wanted, since, until = asked.filters, asked.since, asked.until
    if since is not None and until is not None and since > until:
        times = [asked.said(name)[0] for name in ("since", "until")]
        raise InvalidInput(f"`since` time ({times[0]}) cannot be after `until` time ({times[1]})")

    def is_wanted(event: Event) -> bool:
        labels = wanted.get("label", [])
        return matches(event, wanted) and parameters.labels_match(labels, event.actor.attributes)

    response = await answers.begin(request)
    async for event in engine.events.listen(since, until, is_wanted):
        await response.write(messages.encode(event) + b"\n")
    await response.write_eof()
    return response
