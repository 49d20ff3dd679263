"""``attach`` over a web socket: for clients in a browser, which cannot take over a connection.

What the program writes comes as binary messages, both streams in one, without frames; what the client sends is typed.
The end of the socket is a detach: there is no way to end the program's input alone.
"""

from __future__ import annotations

import asyncio

from aiohttp import WSMsgType, web

from minidock.containers import logread
from minidock.containers.streams import Unframer
from minidock.daemon.api import hijack, streams
from minidock.daemon.container import Stream
from minidock.daemon.engine import Engine
from minidock.errors import MinidockError


async def attach(engine: Engine, request: web.Request, asked: streams.Watch) -> web.StreamResponse:
    """``GET /containers/ID/attach/ws``."""
    container = engine.container(request.match_info["name"])
    streams.check_attachable(container)
    wanted, keys = asked.streams(), hijack.DetachKeys(asked.detach_keys)
    client = web.WebSocketResponse()
    await client.prepare(request)
    engine.tell(container, "attach")
    if asked.logs and container.log is not None:
        chosen = logread.Selection(stdout=wanted.stdout, stderr=wanted.stderr)
        async for data in streams.render(streams.read(container.log, chosen), tty=True):
            await client.send_bytes(data)
    if asked.stream:
        try:
            program = await container.attach(wanted)
        except MinidockError:
            program = None  # the start failed, and whoever asked for it has been told why
        if program is not None:
            await _converse(client, program, keys if container.record.config.tty else None, container.record.config.tty)
    await client.close()
    return client


async def _converse(client: web.WebSocketResponse, program: Stream, keys: hijack.DetachKeys | None, tty: bool) -> None:
    """Both ways, until the program's output or the client has ended."""
    output = asyncio.create_task(_send(program[0], client, tty))
    input_ = asyncio.create_task(_receive(client, program[1], keys))
    try:
        await asyncio.wait([output, input_], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (output, input_):
            task.cancel()
        await asyncio.gather(output, input_, return_exceptions=True)
        program[1].close()


async def _send(program: asyncio.StreamReader, client: web.WebSocketResponse, tty: bool) -> None:
    unframer = Unframer()
    while data := await program.read(hijack.CHUNK):
        for piece in [data] if tty else [piece for _, piece in unframer.feed(data)]:
            await client.send_bytes(piece)


async def _receive(
    client: web.WebSocketResponse, program: asyncio.StreamWriter, keys: hijack.DetachKeys | None
) -> None:
    async for message in client:
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return
        data = message.data.encode() if isinstance(message.data, str) else message.data
        program.write(keys.filter(data) if keys is not None else data)
        await program.drain()
        if keys is not None and keys.seen:
            return
