"""``/volumes``: create, list, inspect, remove, prune."""

from __future__ import annotations

import asyncio

from aiohttp import web

from minidock import messages
from minidock.daemon import pruning, volume_use, volumes
from minidock.daemon.api import answers, parameters
from minidock.daemon.api.parameters import Asked, filters, flag
from minidock.daemon.engine import Engine
from minidock.daemon.volumes import Volume

FILTERS = ("dangling", "driver", "label", "name")


class Listing(Asked):
    """Which ones."""

    filters = filters(*FILTERS)


async def listing(engine: Engine, request: web.Request, asked: Listing) -> web.Response:
    """``GET /volumes``."""
    wanted = asked.filters
    found = [volume.describe() for volume in engine.volumes.all() if _matches(engine, volume, wanted)]
    return answers.document(messages.VolumeList(volumes=found))


def _matches(engine: Engine, volume: Volume, wanted: parameters.Filters) -> bool:
    dangling = parameters.decided(wanted, "dangling")
    if dangling is not None and dangling == bool(volume_use.users(engine, volume.name)):
        return False
    return (
        any(parameters.fits(value, volume.name) for value in wanted.get("name", [""]))
        and any(value == "local" for value in wanted.get("driver", ["local"]))
        and parameters.labels_match(wanted.get("label", []), volume.labels)
    )


async def create(engine: Engine, request: web.Request) -> web.Response:
    """``POST /volumes/create``; for a name that exists, the volume that there is."""
    body = await request.read()
    asked = messages.decode(body, messages.VolumeCreate) if body else messages.VolumeCreate()
    volumes.check_driver(asked.name, asked.driver)
    volume, is_new = await asyncio.to_thread(engine.volumes.create, asked.name, asked.labels, asked.driver_opts)
    if is_new:
        engine.events.publish("volume", "create", volume.name, driver="local")
    return answers.document(volume.describe(), 201)


async def inspect(engine: Engine, request: web.Request) -> web.Response:
    """``GET /volumes/NAME``."""
    return answers.document(engine.volumes.get(request.match_info["name"]).describe())


class Remove(Asked):
    """Whether there is one or not."""

    force = flag("no error when there is no such volume")


async def remove(engine: Engine, request: web.Request, asked: Remove) -> web.Response:
    """``DELETE /volumes/NAME``."""
    await volume_use.remove(engine, request.match_info["name"], asked.force)
    return answers.nothing()


class Prune(Asked):
    """Which ones."""

    filters = filters("all", "label", "label!")


async def prune(engine: Engine, request: web.Request, asked: Prune) -> web.Response:
    """``POST /volumes/prune``: those that nobody uses and nobody named; with ``all``, the named ones too."""
    wanted = asked.filters
    if parameters.version(request) < (1, 42):
        wanted.setdefault("all", ["true"])
    return answers.document(await pruning.volumes(engine, wanted))
