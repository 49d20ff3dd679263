"""TLS for a client that wants a plain socket: a thread between two sockets, one plain, one encrypted.

A container's session polls its socket, and closes one direction of it while the other goes on. Python's ``SSLSocket``
can do neither well: it has bytes that ``poll`` does not know of, and its ``shutdown`` forgets the encryption. So the
session gets one end of a socket pair. The thread at the other end encrypts in memory (``ssl.MemoryBIO``), and turns an
end of input into TLS's ``close_notify``, after which the other side may still speak (RFC 8446, 6.1).
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import suppress

from minidock.client.address import TLS
from minidock.client.http1 import PIECE
from minidock.errors import DaemonUnreachable, InvalidInput


def encrypted(remote: socket.socket, host: str, settings: TLS) -> socket.socket:
    """A plain socket to what is behind ``remote``. Raises InvalidInput for certificates, DaemonUnreachable."""
    relay = _Relay(remote, host, _context(settings))
    try:
        relay.handshake()
    except ssl.SSLCertVerificationError as error:
        raise DaemonUnreachable(
            f"error during connect: TLS: failed to verify certificate: {error.verify_message}"
        ) from None
    except ssl.SSLError as error:
        raise DaemonUnreachable(f"error during connect: TLS: {error.reason or error}") from None
    threading.Thread(target=relay.run, daemon=True).start()
    return relay.ours


def _context(settings: TLS) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not settings.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    what, file = "CA certificate", settings.ca
    try:
        if settings.verify:
            if settings.ca:
                context.load_verify_locations(settings.ca)
            else:
                context.load_default_certs()
        what, file = "X509 key pair", f"{settings.cert}, {settings.key}"
        if settings.cert and settings.key:
            context.load_cert_chain(settings.cert, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"could not load {what} ({file}): {error.strerror or error}") from None
    return context


class _Relay:
    """Moves bytes both ways; neither side can fill more than a piece before the other has taken it."""

    def __init__(self, remote: socket.socket, host: str, context: ssl.SSLContext) -> None:
        self.remote = remote
        self.ours, self.local = socket.socketpair()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self.up, self.down = b"", b""
        self.up_open, self.down_open = True, True

    def handshake(self) -> None:
        """Agree upon keys, and see who is there. Raises ssl.SSLError."""
        while True:
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.remote.sendall(self.outgoing.read())
                if not (data := self.remote.recv(PIECE)):
                    raise ssl.SSLError(0, "the other side closed the connection") from None
                self.incoming.write(data)
            finally:
                if self.outgoing.pending:
                    self.remote.sendall(self.outgoing.read())

    def run(self) -> None:
        """Until both directions have ended, or one breaks."""
        with self.remote, self.local:
            for one in (self.remote, self.local):
                one.setblocking(False)
            try:
                self._take()  # what came right behind the handshake
                while self.down_open or self.down:
                    self._once()
            except (OSError, ssl.SSLError):
                return

    def _once(self) -> None:
        reads = [self.remote] if self.down_open and not self.down else []
        reads += [self.local] if self.up_open and not self.up else []
        writes = ([self.remote] if self.up else []) + ([self.local] if self.down else [])
        readable, writable, _ = select.select(reads, writes, [])
        if self.remote in readable:
            data = self.remote.recv(PIECE)
            self.incoming.write(data) if data else self.incoming.write_eof()
            self._take()
        if self.local in readable:
            self._give(self.local.recv(PIECE))
        if self.remote in writable:
            self.up = self.up[self.remote.send(self.up) :]
        if self.local in writable:
            self.down = self.down[self.local.send(self.down) :]

    def _take(self) -> None:
        """Decrypt everything that is there."""
        try:
            while data := self.tls.read(PIECE):
                self.down += data
            self.down_open = False
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self.down_open = False
        self.up += self.outgoing.read()

    def _give(self, data: bytes) -> None:
        """Encrypt; nothing is the end of this direction."""
        if data:
            self.tls.write(data)
        else:
            self.up_open = False
            with suppress(ssl.SSLError):  # it has sent close_notify, and would now wait for the other side's
                self.tls.unwrap()
        self.up += self.outgoing.read()
