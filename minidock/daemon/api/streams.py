"""``attach`` and ``logs``: a container's output, as it comes and as it came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote_plus

from aiohttp import web

from minidock import units
from minidock.containers import logread
from minidock.containers.control import Streams
from minidock.containers.streams import frame
from minidock.daemon.api import answers, hijack, parameters
from minidock.daemon.api.parameters import Asked, flag, moment, text, upgrade
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import Conflict, InvalidInput, MinidockError, NotImplementedYet

# Entries are gathered into writes of about this many bytes.
BATCH = 64 * 1024


class Watch(Asked):
    """Which streams, and from when on."""

    stream = flag("what is written from now on")
    logs = flag("what was written before")
    stdin = flag("what the client sends is the program's input")
    stdout = flag("the program's output")
    stderr = flag("its errors")
    detach_keys = text("what to type to leave it running", hijack.DEFAULT_DETACH_KEYS, "detachKeys")

    def streams(self) -> Streams:
        """The three."""
        return Streams(self.stdin, self.stdout, self.stderr)


class Attach(Watch):
    """Over the connection of the request."""

    upgrade = upgrade()


async def attach(engine: Engine, request: web.Request, asked: Attach) -> web.StreamResponse:
    """``POST /containers/ID/attach``."""
    container = engine.container(request.match_info["name"])
    check_attachable(container)
    streams = asked.streams()
    tty = container.record.config.tty
    keys = hijack.DetachKeys(asked.detach_keys)
    async with hijack.upgraded(request, asked.upgrade, framed=not tty) as client:
        engine.tell(container, "attach")
        if asked.logs and container.log is not None:
            chosen = logread.Selection(stdout=streams.stdout, stderr=streams.stderr)
            async for data in render(read(container.log, chosen), tty):
                client[1].write(data)
        if asked.stream:
            try:
                program = await container.attach(streams)
            except MinidockError:
                # The start failed, and whoever asked for it has been told why.
                return hijack.Finished()
            await hijack.relay(client, program, keys if tty and streams.stdin else None)
            if keys.seen:
                engine.tell(container, "detach")
    return hijack.Finished()


def check_attachable(container: Container) -> None:
    """Who attaches before the first start waits for it; these two would wait for something else. Raises Conflict."""
    status = container.record.state.status
    if status == "paused":
        raise Conflict(f"container {container.id} is paused, unpause the container before attach")
    if status == "restarting":
        raise Conflict(f"container {container.id} is restarting, wait until the container is running")


class Logs(Asked):
    """Which entries, and how they look."""

    follow = flag("go on with what is written from now on, until the container ends")
    stdout = flag("what was written to stdout; one of the two is needed")
    stderr = flag("what was written to stderr")
    tail = text("so many of the last entries; what is no number: all", "all")
    since = moment("none before")
    until = moment("none after")
    timestamps = flag("each with its time")
    details = flag("each with the labels and variables that --log-opt named")

    def selection(self) -> logread.Selection:
        """The entries."""
        tail = self.tail
        return logread.Selection(
            stdout=self.stdout,
            stderr=self.stderr,
            tail=int(tail) if units.is_number(tail) else None,
            since_ns=self.since or 0,
            until_ns=self.until,
        )


async def logs(engine: Engine, request: web.Request, asked: Logs) -> web.StreamResponse:
    """``GET /containers/ID/logs``."""
    container = engine.container(request.match_info["name"])
    log = container.log
    if log is None:
        raise NotImplementedYet("configured logging driver does not support reading")
    chosen = asked.selection()
    if not chosen.stdout and not chosen.stderr:
        raise InvalidInput("Bad parameters: you must choose at least one stream")
    tty = container.record.config.tty
    follow = asked.follow and container.record.running
    entries = logread.follow(log, chosen, container.next_exit) if follow else read(log, chosen)
    framed = not tty and parameters.version(request) >= (1, 42)
    response = await answers.begin(request, hijack.FRAMED if framed else hijack.RAW)
    rendered = render(entries, tty, asked.timestamps, asked.details)
    async for data in rendered if follow else gathered(rendered):
        await response.write(data)
    await response.write_eof()
    return response


async def gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in fewer pieces: to send one takes longer than to read a line."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        if len(held) >= BATCH:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


async def read(log: Path, chosen: logread.Selection) -> AsyncIterator[logread.Entry]:
    """The entries that are there, without keeping everybody else waiting while a large log is read."""
    breath = time.monotonic()
    for entry in logread.read(log, chosen):
        yield entry
        if time.monotonic() - breath > 0.01:
            await asyncio.sleep(0)
            breath = time.monotonic()


async def render(
    entries: AsyncIterator[logread.Entry], tty: bool, timestamps: bool = False, details: bool = False
) -> AsyncIterator[bytes]:
    """Entries as the client reads them: framed unless there is a terminal, each with its time and what
    ``--log-opt labels=…`` added to it, if asked for."""
    async for entry in entries:
        data = entry.data
        if details:
            pairs = (f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(entry.attributes.items()))
            data = f"{','.join(pairs)} ".encode() + data
        if timestamps:
            data = f"{_fixed_width(entry.time_ns)} ".encode() + data
        yield data if tty else frame(entry.stream, data)


def _fixed_width(time_ns: int) -> str:
    """A time with all nine digits, so that columns line up."""
    return f"{units.format_rfc3339(time_ns // 10**9 * 10**9)[:-1]}.{time_ns % 10**9:09d}Z"
