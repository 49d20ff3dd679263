"""HTTP by hand: addresses, requests, and every way in which an answer's body can end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.client.address import Address
from minidock.client.connection import Client, _encode, segment
from minidock.client.http1 import Connection
from minidock.errors import DaemonUnreachable, InvalidInput

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:///run/x.sock", ("/run/x.sock", "", 0)),
        ("tcp://127.0.0.1:2375", ("", "127.0.0.1", 2375)),
        ("tcp://[::1]:2375/", ("", "::1", 2375)),
        ("localhost:2375", ("", "localhost", 2375)),
        ("tcp://:2375", ("", "127.0.0.1", 2375)),
    ],
)
def test_an_address_is_read(text: str, expected: tuple[str, str, int]) -> None:
    """As ``docker -H`` takes it."""
    address = Address.parse(text)
    assert (address.path, address.host, address.port) == expected


@pytest.mark.parametrize("text", ["", "foo://x", "unix://", "tcp://host", "tcp://host:port"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    """One line that repeats it."""
    with pytest.raises(InvalidInput, match="invalid bind address format"):
        Address.parse(text)


@given(st.dictionaries(st.sampled_from(["name", "signal", "tag"]), TEXT.filter(bool)), TEXT)
def test_names_and_values_survive_the_url(query: dict[str, str], name: str) -> None:
    """Python's own urllib reads what we write."""
    split = urlsplit(f"http://host/containers/{segment(name)}/json{_encode(query)}")
    assert dict(parse_qsl(split.query, encoding="utf-8")) == query
    assert unquote(split.path) == f"/containers/{name}/json"


def test_a_query_says_only_what_was_asked() -> None:
    """False, None and empty values are the daemon's default, and not sent."""
    query: dict[str, object] = {
        "all": True,
        "size": False,
        "limit": None,
        "filters": {},
        "name": "",
        "t": 0,
        "changes": ["a", "b"],
    }
    assert _encode(query) == "?all=1&t=0&changes=a&changes=b"


def answer(*pieces: bytes, method: str = "GET") -> tuple[int, list[bytes], Connection]:
    """What a connection makes of an answer that comes in these pieces, after which the other side closes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for piece in pieces:
            theirs.sendall(piece)
        theirs.shutdown(socket.SHUT_WR)
        connection = Connection(ours, "here")
        status, headers = connection.head()
        return status, list(connection.body(method, status, headers)), connection


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("raw", "body", "reusable"),
    [
        (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
        (HEAD + b"content-length:5\r\nConnection: close\r\n\r\nhello", b"hello", False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", b"hello", True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", b"hello", True),
        (HEAD + b"\r\nhello", b"hello", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    ],
)
def test_a_body_ends_where_it_should(raw: bytes, body: bytes, reusable: bool) -> None:
    """By its length, by its last chunk, by the end of the connection, or it has none."""
    _, pieces, connection = answer(raw)
    assert b"".join(pieces) == body
    assert connection.reusable is reusable
    assert connection.buffer == b""


def test_the_answer_to_head_has_no_body() -> None:
    """Whatever its length says."""
    assert answer(HEAD + b"Content-Length: 5\r\n\r\n", method="HEAD")[1] == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        HEAD + b"Content-Length: 5\r\n\r\nhel",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_noticed(raw: bytes) -> None:
    """Half an answer is no answer."""
    with pytest.raises(DaemonUnreachable, match="the minidock daemon at here broke off"):
        answer(raw)


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_a_request_s_body_in_chunks_is_read_back(pieces: list[bytes]) -> None:
    """What we send in chunks, our own reader of chunks puts together again."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Connection(ours, "here").send("POST", "/images/create", {}, iter(pieces))
        ours.shutdown(socket.SHUT_WR)
        sent = b"".join(iter(lambda: theirs.recv(65536), b""))
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /images/create HTTP/1.1\r\nHost: minidock\r\n")
    _, read, _ = answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert b"".join(read) == b"".join(pieces)


def test_no_header_can_be_smuggled_in() -> None:
    """A line end in a value would begin a header of its own."""
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ValueError, match="a line end in the head"):
        Connection(ours, "here").send("GET", "/x", {"X-Registry-Auth": "a\r\nHost: evil"}, b"")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A listening socket on the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_over_tcp_too(server: socket.socket) -> None:
    """``-H tcp://…``: the version is the older of both sides'."""
    client = Client(Address.parse(f"tcp://127.0.0.1:{server.getsockname()[1]}"))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(HEAD + b"Api-Version: 1.41\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    assert client.version == "1.41"
    thread.join()
