"""HTTP/1.1 as a client speaks it: one connection, one request after another (RFC 9112).

A library would do this as well. But ``minidock run true`` is over in a few hundredths of a second, and importing a
library for HTTP takes two of them; what a client of one server needs of the protocol fits on a page. ::

    POST /v1.44/containers/create?name=web HTTP/1.1        request line
    Host: minidock                                         headers, ended by an empty line
    Content-Length: 123

    {"Image": "tiny", …}                                   body

The answer looks alike. Its body ends after ``Content-Length`` bytes; or it comes in chunks, each with its length in
hexadecimal before it, the last one empty; or it goes on until the other side closes.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from minidock.errors import DaemonUnreachable

PIECE = 256 * 1024
_HEAD_LIMIT = 64 * 1024
_WITHOUT_BODY = (101, 204, 304)


class Connection:
    """A connected socket. ``name`` is what errors call the other side."""

    def __init__(self, stream: socket.socket, name: str) -> None:
        self.socket = stream
        self.name = name
        self.buffer = b""
        self.reusable = True

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes | Iterator[bytes]) -> None:
        """Send a request. A body of bytes has a length, an iterator's comes in chunks. Raises DaemonUnreachable."""
        fields = {"Host": "minidock", "User-Agent": "minidock", **headers}
        if not isinstance(body, bytes):
            fields["Transfer-Encoding"] = "chunked"
        elif body or method == "POST":
            fields["Content-Length"] = str(len(body))
        for text in (target, *fields.values()):
            if "\r" in text or "\n" in text:
                raise ValueError(f"a line end in the head of a request: {text!r}")
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        head = "\r\n".join(lines).encode()
        try:
            if isinstance(body, bytes):
                self.socket.sendall(head + body)
                return
            self.socket.sendall(head)
            for piece in body:
                if piece:  # an empty chunk would be the end
                    self.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.socket.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return  # it has answered before it had heard all, and the answer says why
        except OSError as error:
            raise self._broken(error) from None

    def head(self) -> tuple[int, dict[str, str]]:
        """Wait for an answer: its status, and its headers by their names in lower case. Raises DaemonUnreachable."""
        status, headers = self._one_head()
        while 100 <= status < 200 and status != 101:  # "100 Continue" and the like announce the real one
            status, headers = self._one_head()
        self.reusable = headers.get("connection", "").lower() != "close"
        return status, headers

    def body(self, method: str, status: int, headers: dict[str, str]) -> Iterator[bytes]:
        """The answer's body, piece by piece, as soon as it comes. Raises DaemonUnreachable when it is cut off."""
        if method == "HEAD" or status in _WITHOUT_BODY:
            return iter(())
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        self.reusable = False
        return self._until_closed()

    def receive(self) -> bool:
        """One read from the socket into the buffer; False when the other side has closed."""
        try:
            data = self.socket.recv(PIECE)
        except OSError as error:
            raise self._broken(error) from None
        self.buffer += data
        return bool(data)

    def _one_head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > _HEAD_LIMIT or not self.receive():
                raise self._broken("no answer")
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise self._broken(f"an answer that is not HTTP: {first[:80]!r}")
        fields = (line.partition(":") for line in lines)
        return int(rest[:3]), {name.lower(): value.strip() for name, _, value in fields}

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().partition(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line():  # trailers: headers after the body
            continue

    def _exactly(self, left: int) -> Iterator[bytes]:
        while left:
            if not self.buffer and not self.receive():
                raise self._broken("the end of its answer is missing")
            piece, self.buffer = self.buffer[:left], self.buffer[left:]
            left -= len(piece)
            yield piece

    def _until_closed(self) -> Iterator[bytes]:
        while self.buffer or self.receive():
            piece, self.buffer = self.buffer, b""
            yield piece

    def _line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > _HEAD_LIMIT or not self.receive():
                raise self._broken("the end of its answer is missing")
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _broken(self, why: object) -> DaemonUnreachable:
        return DaemonUnreachable(f"the minidock daemon at {self.name} broke off: {why}")
