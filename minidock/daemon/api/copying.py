"""A container's files over HTTP: ``archive`` (cp), ``export``, ``changes`` (diff)."""

from __future__ import annotations

import asyncio
import base64

from aiohttp import web

from minidock import messages
from minidock.daemon import archiving, files
from minidock.daemon.api import answers, parameters, progress
from minidock.daemon.api.answers import Outlet
from minidock.daemon.api.containers import named
from minidock.daemon.engine import Engine
from minidock.images.archive_writer import Writer
from minidock.images.walk import Walk


def _stat_header(found: messages.PathStat) -> dict[str, str]:
    return {"X-Docker-Container-Path-Stat": base64.b64encode(messages.encode(found)).decode()}


def _place(request: web.Request) -> archiving.Place:
    return archiving.Place(request.query.get("path", ""), request.match_info["name"])


async def look(engine: Engine, request: web.Request) -> web.Response:
    """``HEAD /containers/ID/archive?path=``: what is there, in a header."""
    container, place = named(engine, request), _place(request)
    found = await files.inside(engine, container, lambda root: archiving.look(root, place))
    return web.Response(headers=_stat_header(found))


async def send(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``GET /containers/ID/archive?path=``: the same, and an archive."""
    container, place, outlet = named(engine, request), _place(request), Outlet(request)

    def begin(found: messages.PathStat) -> None:
        outlet.headers = _stat_header(found)

    async def work() -> None:
        await files.inside(engine, container, lambda root: archiving.send(root, place, begin, outlet.write))
        engine.tell(container, "archive-path")

    return await outlet.filled_by(work)


async def receive(engine: Engine, request: web.Request) -> web.Response:
    """``PUT /containers/ID/archive?path=&noOverwriteDirNonDir=&copyUIDGID=``: the body is an archive."""
    container, place = named(engine, request), _place(request)
    keep_kinds = parameters.boolean(request, "noOverwriteDirNonDir")
    as_user = parameters.boolean(request, "copyUIDGID")
    body = progress.opened(request.content)
    await files.inside(
        engine,
        container,
        lambda root: archiving.receive(root, place, container.record, body, keep_kinds, as_user),
    )
    engine.tell(container, "extract-to-dir")
    return web.Response(status=200)


async def export(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``GET /containers/ID/export``: the whole root as an archive; where something is mounted, the directory below."""
    container, outlet = named(engine, request), Outlet(request)

    def write(root: int) -> None:
        writer = Writer(outlet.write)
        Walk(root, writer).write()
        writer.close()

    async def work() -> None:
        await files.inside(engine, container, write, only_root=True)
        engine.tell(container, "export")

    return await outlet.filled_by(work)


async def changes(engine: Engine, request: web.Request) -> web.Response:
    """``GET /containers/ID/changes``: what is changed, added or deleted; null when nothing is."""
    container = named(engine, request)
    found = await asyncio.to_thread(engine.images.snapshots.changes, container.bundle)
    return answers.document([messages.Change(path=path, kind=kind) for path, kind in found] or None)
