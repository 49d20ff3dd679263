"""Attach over a web socket, as a page in a browser does it."""

from __future__ import annotations

import aiohttp
import pytest

from tests.engine.harness import Daemon, wait_for

pytestmark = pytest.mark.root


def connected(daemon: Daemon) -> aiohttp.ClientSession:
    """A session on the daemon's socket."""
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(f"{daemon.root}/minidock.sock"))


async def read(socket: aiohttp.ClientWebSocketResponse, until: bytes = b"") -> bytes:
    """What comes, up to these words or to the end."""
    seen = b""
    while not (until and until in seen):
        message = await socket.receive(timeout=30)
        if message.type is not aiohttp.WSMsgType.BINARY:
            break
        seen += message.data
    return seen


async def test_both_ways_without_frames(daemon: Daemon) -> None:
    """What is sent is read by the program; both its streams come back, unframed; its end is the socket's."""
    script = "read line; echo out $line; echo err >&2; read line"
    container = daemon.ok("run", "-di", "--net", "none", "tiny", "sh", "-c", script)
    async with connected(daemon) as session:
        path = f"http://x/v1.44/containers/{container}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1"
        async with session.ws_connect(path) as socket:
            await socket.send_str("hello\n")
            seen = await read(socket, b"out hello\n")
            seen += b"" if b"err" in seen else await read(socket, b"err\n")
            await socket.send_bytes(b"the end\n")
            seen += await read(socket)
            assert sorted(seen.split(b"\n")) == [b"", b"err", b"out hello"] and socket.closed
    assert daemon.ok("wait", container) == "0"


async def test_logs_first_and_leaving_does_not_end_the_program(daemon: Daemon) -> None:
    """``logs=1`` gives what was written before; a client that goes is a detach."""
    container = daemon.ok("run", "-dit", "--net", "none", "tiny", "sh", "-c", "echo before; cat")
    wait_for(lambda: daemon.ok("logs", container), "its first words")
    async with connected(daemon) as session:
        path = f"http://x/containers/{container}/attach/ws?logs=1&stream=1&stdin=1&stdout=1"
        async with session.ws_connect(path) as socket:
            assert b"before" in await read(socket, b"before\r\n")
            await socket.send_str("again\r")
            assert b"again" in await read(socket, b"again\r\nagain\r\n")
        async with session.ws_connect(path + "&detachKeys=ctrl-a") as socket:
            await socket.send_str("\x01")
            await read(socket)
            assert socket.closed
        async with session.get("http://x/containers/nonsense/attach/ws?stream=1") as answer:
            assert answer.status == 404
    assert daemon.inspect(container)["State"]["Running"]
