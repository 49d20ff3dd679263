"""TLS before the API, for clients on other machines: both sides show a certificate, or there is no conversation.

asyncio's own TLS ends both directions as soon as the client has ended one. But Docker's client ends its direction when
its standard input has ended, and goes on reading (``echo x | docker run -i …``). So TLS is taken off here, in memory,
and what is inside goes to the API through a pair of sockets, which can be half open.

Three ends, as the client means them: *close_notify* alone is the end of its input; after it, or without it, the end of
the TCP connection means that the client is gone.

Source: RFC 8446, section 6.1; https://docs.docker.com/engine/security/protect-access/
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl

from aiohttp import web

from minidock.daemon.api.connection import Site
from minidock.daemon.config import Config
from minidock.errors import InvalidInput

log = logging.getLogger(__name__)

CHUNK = 64 * 1024
HANDSHAKE_SECONDS = 10.0


def context(config: Config) -> ssl.SSLContext:
    """Our certificate, and the authority that must have signed the client's. Raises InvalidInput."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_RENEGOTIATION
    made.verify_mode = ssl.CERT_REQUIRED
    try:
        made.load_cert_chain(config.tlscert, config.tlskey)
        made.load_verify_locations(config.tlscacert)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(
            f"TLS: {config.tlscert}, {config.tlskey} and {config.tlscacert} do not do: {error.strerror or error}"
        ) from None
    return made


class TlsSite(Site):
    """A place where the API is served behind TLS."""

    def __init__(self, runner: web.AppRunner, sock: socket.socket, tls: ssl.SSLContext) -> None:
        super().__init__(runner, sock)
        self._tls = tls

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        self._server = await asyncio.start_server(self._meet, sock=self._sock)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Channel(reader, writer, self._tls)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await client.shake_hands()
            await self._introduce(client)
        except (OSError, TimeoutError) as error:
            log.info("TLS: %s: %s", writer.get_extra_info("peername"), error)
        finally:
            writer.close()

    async def _introduce(self, client: Channel) -> None:
        """Let the client and the API talk, until one of them is gone."""
        ours, theirs = socket.socketpair()
        await asyncio.get_running_loop().connect_accepted_socket(self.connect, theirs)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        tasks = [asyncio.create_task(_ask(client, writer)), asyncio.create_task(_answer(reader, client))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()


async def _ask(client: Channel, api: asyncio.StreamWriter) -> None:
    """From the client to the API. Returns when the client is gone."""
    with contextlib.suppress(OSError):
        while data := await client.read():
            api.write(data)
            await api.drain()
        api.write_eof()
        await client.is_gone()


async def _answer(api: asyncio.StreamReader, client: Channel) -> None:
    """From the API to the client. Returns when the API has said everything."""
    with contextlib.suppress(OSError):
        while data := await api.read(CHUNK):
            await client.write(data)
        await client.finish()


class Channel:
    """One TLS connection, server's side; each direction can end on its own. Raises OSError (SSLError is one)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext) -> None:
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def shake_hands(self) -> None:
        """Afterwards the client's certificate is one that our authority has signed."""
        while True:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                await self._send()
                await self._receive()
            finally:
                await self._send()  # also the alert that says why not

    async def read(self) -> bytes:
        """Some of what the client says; nothing after its close_notify."""
        while True:
            try:
                return self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                await self._send()
                await self._receive()
            except ssl.SSLZeroReturnError:
                return b""

    async def write(self, data: bytes) -> None:
        """Say something; waits while the client does not keep up."""
        self._tls.write(data)
        await self._send()

    async def finish(self) -> None:
        """Our close_notify."""
        with contextlib.suppress(ssl.SSLError):  # it would like to wait for the client's
            self._tls.unwrap()
        await self._send()

    async def is_gone(self) -> None:
        """Wait for the end of the connection under it."""
        while await self._reader.read(CHUNK):
            pass

    async def _receive(self) -> None:
        data = await self._reader.read(CHUNK)
        if not data:
            raise ConnectionResetError("the client is gone")
        self._incoming.write(data)

    async def _send(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)
            await self._writer.drain()
