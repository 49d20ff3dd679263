"""``/exec``: one more program in a running container."""

from __future__ import annotations

import asyncio

from aiohttp import web

from minidock import messages
from minidock.containers.streams import STDOUT, frame
from minidock.daemon import execs
from minidock.daemon.api import answers, hijack
from minidock.daemon.api.containers import Resize, named, size
from minidock.daemon.api.parameters import Asked, upgrade
from minidock.daemon.container import Stream
from minidock.daemon.engine import Engine
from minidock.errors import CannotRun, Conflict, MinidockError

FAILED = "OCI runtime exec failed: exec failed: unable to start container process: {}"
"""Docker's words, by which its client knows which exit code is meant."""


async def create(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/exec``."""
    container = named(engine, request)
    asked = messages.decode(await request.read(), messages.ExecCreate)
    if asked.detach_keys:
        hijack.DetachKeys(asked.detach_keys, "escape keys")
    item = execs.create(engine, container, asked)
    return answers.document(messages.ExecCreated(id=item.id), 201)


class Start(Asked):
    """Over the connection of the request."""

    upgrade = upgrade()


async def start(engine: Engine, request: web.Request, asked: Start) -> web.StreamResponse:
    """``POST /exec/ID/start``: detached it answers 200 at once, else the connection becomes the program's."""
    item = execs.find(engine, request.match_info["id"])
    body = await request.read()
    options = messages.decode(body, messages.ExecStart) if body else messages.ExecStart()
    execs.shim_for(item.container)
    if options.detach:
        try:
            _, writer = await asyncio.shield(execs.start(engine, item, options.console_size, detach=True))
        except CannotRun as error:
            raise CannotRun(FAILED.format(error)) from error
        writer.close()
        return web.Response(status=200)
    if item.started:
        raise Conflict(f"Error: Exec command {item.id} is already running")
    tty = item.request.tty
    async with hijack.upgraded(request, asked.upgrade, framed=not tty) as client:
        try:
            program = await execs.start(engine, item, options.console_size, detach=False)
        except MinidockError as error:
            # The connection is not HTTP any more: the text goes where the program's output would.
            text = f"{FAILED.format(error)}\r\n".encode()
            client[1].write(text if tty else frame(STDOUT, text))
        else:
            await _converse(item, client, program)
    return hijack.Finished()


async def _converse(item: execs.Exec, client: Stream, program: Stream) -> None:
    wants_keys = item.request.tty and item.request.attach_stdin
    keys = hijack.DetachKeys(item.request.detach_keys or hijack.DEFAULT_DETACH_KEYS) if wants_keys else None
    detached = await hijack.relay(client, program, keys)
    if not detached:
        # The client asks for the exit code as soon as its stream ends: it must be known by then.
        await item.ended.wait()


async def resize(engine: Engine, request: web.Request, asked: Resize) -> web.Response:
    """``POST /exec/ID/resize``."""
    item = execs.find(engine, request.match_info["id"])
    height, width = size(asked)
    await execs.resize(item, height, width)
    return web.Response(status=200)


async def inspect(engine: Engine, request: web.Request) -> web.Response:
    """``GET /exec/ID/json``."""
    return answers.document(execs.find(engine, request.match_info["id"]).inspect())
