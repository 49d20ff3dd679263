"""A container's files over HTTP: ``archive`` (cp), ``export``, ``changes`` (diff)."""

from __future__ import annotations

import asyncio
import base64

from aiohttp import web

from minidock import messages
from minidock.daemon import archiving, files
from minidock.daemon.api import answers, progress
from minidock.daemon.api.answers import Outlet
from minidock.daemon.api.containers import named
from minidock.daemon.api.parameters import Asked, flag, needed, text
from minidock.daemon.engine import Engine
from minidock.images.archive_writer import Writer
from minidock.images.walk import Walk


def _stat_header(found: messages.PathStat) -> dict[str, str]:
    return {"X-Docker-Container-Path-Stat": base64.b64encode(messages.encode(found)).decode()}


class Look(Asked):
    """Where."""

    path = needed(text("a path in the container"))

    def place(self) -> archiving.Place:
        """Of which container, too."""
        return archiving.Place(self.path, self.request.match_info["name"])


async def look(engine: Engine, request: web.Request, asked: Look) -> web.Response:
    """``HEAD /containers/ID/archive``: what is there, in a header."""
    container, place = named(engine, request), asked.place()
    found = await files.inside(engine, container, lambda root: archiving.look(root, place))
    return web.Response(headers=_stat_header(found))


async def send(engine: Engine, request: web.Request, asked: Look) -> web.StreamResponse:
    """``GET /containers/ID/archive``: the same, and an archive."""
    container, place, outlet = named(engine, request), asked.place(), Outlet(request)

    def begin(found: messages.PathStat) -> None:
        outlet.headers = _stat_header(found)

    async def work() -> None:
        await files.inside(engine, container, lambda root: archiving.send(root, place, begin, outlet.write))
        engine.tell(container, "archive-path")

    return await outlet.filled_by(work)


class Receive(Look):
    """How."""

    keep_kinds = flag(
        "a directory does not take the place of something else, nor it of one", name="noOverwriteDirNonDir"
    )
    as_user = flag("all belongs to the container's user, whoever owns it in the archive", name="copyUIDGID")


async def receive(engine: Engine, request: web.Request, asked: Receive) -> web.Response:
    """``PUT /containers/ID/archive``: the body is an archive."""
    container, place = named(engine, request), asked.place()
    keep_kinds, as_user = asked.keep_kinds, asked.as_user
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
