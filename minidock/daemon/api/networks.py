"""``/networks``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from minidock import messages
from minidock.daemon import networking
from minidock.daemon.api import answers, parameters
from minidock.daemon.api.parameters import Asked, filters, text
from minidock.daemon.engine import Engine
from minidock.errors import InvalidInput, NoSuchNetwork
from minidock.networks import Network
from minidock.networks.store import BUILT_IN

FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")


class Listing(Asked):
    """Which ones."""

    filters = filters(*FILTERS)


async def listing(engine: Engine, request: web.Request, asked: Listing) -> web.Response:
    """``GET /networks``; ``Containers`` stays empty, as with Docker."""
    wanted = asked.filters
    parameters.decided(wanted, "dangling")
    for value in wanted.get("type", []):
        if value not in ("builtin", "custom"):
            raise InvalidInput(f"invalid filter: 'type'='{value}'")
    networks = await asyncio.to_thread(engine.networks.all)
    found = [networking.describe(engine, network) for network in networks if _matches(engine, network, wanted)]
    for network in found:
        network.containers = {}
    return answers.document(found)


def _matches(engine: Engine, network: Network, wanted: parameters.Filters) -> bool:
    built_in = network.name in BUILT_IN
    tests: dict[str, Callable[[str], bool]] = {
        "driver": lambda value: network.driver == value,
        "id": lambda value: parameters.fits(value, network.id),
        "name": lambda value: parameters.fits(value, network.name),
        "scope": lambda value: value == "local",
        "type": lambda value: (value == "builtin") == built_in,
    }
    dangling = parameters.decided(wanted, "dangling")
    if dangling is not None and dangling != (not built_in and not engine.networks.members(network)):
        return False
    if not parameters.labels_match(wanted.get("label", []), network.labels):
        return False
    return all(any(test(value) for value in wanted[name]) for name, test in tests.items() if name in wanted)


async def create(engine: Engine, request: web.Request) -> web.Response:
    """``POST /networks/create``."""
    asked = messages.decode(await request.read(), messages.NetworkCreate)
    network = await networking.create(engine, asked)
    return answers.document(messages.NetworkCreated(id=network.id), 201)


class Inspect(Asked):
    """Where it is looked for."""

    scope = text("there are only local networks here: 404 for any other", "local")


async def inspect(engine: Engine, request: web.Request, asked: Inspect) -> web.Response:
    """``GET /networks/ID``: there are no services that ``verbose`` would show."""
    network = engine.networks.get(request.match_info["name"])
    if asked.scope != "local":
        raise NoSuchNetwork(request.match_info["name"])
    return answers.document(await asyncio.to_thread(networking.describe, engine, network))


async def remove(engine: Engine, request: web.Request) -> web.Response:
    """``DELETE /networks/ID``."""
    await networking.remove(engine, engine.networks.get(request.match_info["name"]))
    return answers.nothing()


async def connect(engine: Engine, request: web.Request) -> web.Response:
    """``POST /networks/ID/connect``."""
    asked = messages.decode(await request.read(), messages.NetworkConnect)
    network, container = engine.networks.get(request.match_info["name"]), engine.container(asked.container)
    await networking.connect(engine, network, container, asked.endpoint_config or messages.EndpointSettings())
    return web.Response(status=200)


async def disconnect(engine: Engine, request: web.Request) -> web.Response:
    """``POST /networks/ID/disconnect``. ``Force`` is for containers that are gone: here they have left already."""
    asked = messages.decode(await request.read(), messages.NetworkDisconnect)
    network, container = engine.networks.get(request.match_info["name"]), engine.container(asked.container)
    await networking.disconnect(engine, network, container)
    return web.Response(status=200)


class Prune(Asked):
    """Which ones."""

    filters = filters("until", "label", "label!")


async def prune(engine: Engine, request: web.Request, asked: Prune) -> web.Response:
    """``POST /networks/prune``: those that no container is in."""
    wanted = asked.filters
    if len(wanted.get("until", [])) > 1:
        raise InvalidInput("more than one until filter specified")
    before = [networking.until(text, time.time_ns()) for text in wanted.get("until", [])]

    def chosen(network: Network) -> bool:
        unwanted = [label for label in wanted.get("label!", []) if parameters.labels_match([label], network.labels)]
        labelled = parameters.labels_match(wanted.get("label", []), network.labels) and not unwanted
        return labelled and all(network.created_ns <= moment for moment in before)

    gone = await networking.prune(engine, chosen)
    return answers.document(messages.NetworksPruned(networks_deleted=gone or None))
