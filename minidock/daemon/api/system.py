"""``/_ping``, ``/version``, ``/info``, ``/events``: about the engine itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from minidock import messages
from minidock.daemon import description
from minidock.daemon.api import answers, parameters
from minidock.daemon.engine import Engine
from minidock.messages import Event

FILTERS = ("container", "image", "network", "volume", "type", "event", "label", "scope", "daemon", "node", "plugin")


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


async def events(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``GET /events?since=&until=&filters=``: one JSON document a line."""
    wanted = parameters.filters(request, FILTERS)
    since, until = parameters.moment(request, "since"), parameters.moment(request, "until")
    response = await answers.begin(request)
    async for event in engine.events.listen(since, until, lambda event: _matches(event, wanted)):
        await response.write(messages.encode(event) + b"\n")
    await response.write_eof()
    return response


def _matches(event: Event, wanted: parameters.Filters) -> bool:
    name = event.actor.attributes.get("name", "")
    tests: dict[str, Callable[[str], bool]] = {
        "type": lambda value: event.type == value,
        # "exec_create: sh -c …" is found under "exec_create".
        "event": lambda value: event.action == value or event.action.startswith(f"{value}:"),
        "scope": lambda value: event.scope == value,
        "container": lambda value: event.type == "container" and _is(event, value, name),
        "network": lambda value: event.type == "network" and _is(event, value, name),
        "image": lambda value: value in (event.actor.id, name, event.actor.attributes.get("image")),
    }
    if not parameters.labels_match(wanted.get("label", []), event.actor.attributes):
        return False
    if any(name in wanted for name in ("volume", "daemon", "node", "plugin")):
        return False
    return all(any(test(value) for value in wanted[key]) for key, test in tests.items() if key in wanted)


def _is(event: Event, value: str, name: str) -> bool:
    return value == name or event.actor.id.startswith(value)
