"""Whatever is sent to the daemon, it answers as it should: no 500, no traceback, no hang, and what runs goes on.

Requests come from the API's own description, with bodies that are almost right; and as bytes that are no HTTP at all.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidock.daemon.api.routes import ROUTES, description
from tests.engine.harness import Daemon, running_daemon, wait_for

pytestmark = pytest.mark.root

KEPT = "kept"
"""The container that must go on running."""
OTHER = "other"
"""The container that may be stopped, changed, removed."""
SPARE = "spare"
"""The same of images: another name of the one that both are made of."""
UNHURRIED = 0.2
"""Seconds until the test leaves a request that runs for as long as its client stays."""
ASKS_A_REGISTRY = ("/images/create", "/images/search", "/auth", "/distribution/", "/push")
UNREACHABLE = re.compile(rb'"message":"Get \\"https?://.*dial tcp')
"""There, and in these words alone, 500 is right: no registry can be reached from here, which Docker tells so."""
REQUESTS = int(os.environ.get("MINIDOCK_TEST_REQUESTS", "2000"))
DEEP = "[" * 100_000
BASES: dict[str, dict[str, Any]] = {
    "/containers/create": {"Image": "tiny", "Cmd": ["sleep", "1000"], "StopSignal": "KILL"},
    "/containers/{name}/exec": {"Cmd": ["true"]},
    "/networks/{name}/connect": {"Container": OTHER},
    "/networks/{name}/disconnect": {"Container": OTHER},
}
"""What a document needs before the rest of it is looked at."""


class Watched:
    """A daemon, a container that runs, and what has been read of the log."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._read = 0
        self.create(KEPT)
        # A name that is made up may be the beginning of an id; there it begins more often with a digit, or with "a".
        while daemon.inspect(KEPT)["Id"][0] in "0123456789a":
            daemon.request("DELETE", f"/containers/{KEPT}")
            self.create(KEPT)
        daemon.json("POST", f"/containers/{KEPT}/start")
        self._before = daemon.inspect(KEPT)
        self.prepare()

    def create(self, name: str) -> None:
        """A container that sleeps."""
        command = {"Image": "tiny", "Cmd": ["sleep", "1000"], "StopSignal": "KILL"}  # which it obeys at once
        wanted = command | {"HostConfig": {"NetworkMode": "none"}}
        self.daemon.json("POST", f"/containers/create?name={name}", wanted)

    def prepare(self) -> None:
        """What may be hurt is there again."""
        for name in ("tiny", SPARE):
            self.daemon.request("POST", f"/images/{self._before['Image']}/tag?repo={name}")
        if self.daemon.request("GET", f"/containers/{OTHER}/json")[0] == 404:
            self.create(OTHER)

    def log(self) -> str:
        """What the daemon has logged since the last question."""
        with (self.daemon.root / "log").open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        return data.decode(errors="replace")

    def check_log(self, request: object) -> None:
        """Nothing in it looks like a bug."""
        log = self.log()
        assert "Traceback" not in log and "never awaited" not in log, f"{request!r}\n{log[-5000:]}"

    def check(self, request: object) -> None:
        """The same, the daemon answers, and the container is as it was."""
        self.check_log(request)
        now = self.daemon.inspect(KEPT)
        assert now == self._before | {"ExecIDs": now["ExecIDs"]}


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """A daemon of its own: its log is the witness."""
    with running_daemon() as daemon:
        yield Watched(daemon)
        for volume in daemon.json("GET", "/volumes")["Volumes"]:
            daemon.request("DELETE", f"/volumes/{quote(volume['Name'], safe='')}?force=1")


# ------------------------------------------------------------------------------------ requests from the table


class Request(NamedTuple):
    """One of the requests, made up."""

    method: str
    path: str
    """As the description has it."""
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def raw(self) -> bytes:
        """As it is sent."""
        fields = (("Host", "x"), ("Connection", "close"), ("Content-Length", str(len(self.body))), *self.headers)
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"{self.method} {self.target} HTTP/1.1\r\n{head}\r\n".encode() + self.body


_texts = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "tiny", OTHER, "no", "/", "..", "a b", "\0", "é", "\ud7ff", "1" * 5000, "٣", "host"]
    ),
    st.sampled_from(
        ["container:kept", "container:", "sha256:" + "0" * 64, "1.5e999", "99999999999999999999", "%s", "*"]
    ),
    st.text(max_size=20),
)
_numbers = st.one_of(st.integers(-2, 2), st.sampled_from([2**31, 2**63 - 1, -(2**63), 2**64, 10**30]), st.floats())
_anything = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)


class Near:
    """Documents that are almost what a schema says: of each field, now and then something else."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas

    def to(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        """Usually right, sometimes not."""
        return st.integers(0, 19).flatmap(lambda dice: _anything if dice == 0 else self._right(schema))

    def _right(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            return self._right(self._schemas[schema["$ref"].rpartition("/")[2]])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "anyOf" in schema:
            return st.sampled_from(schema["anyOf"]).flatmap(self._right)
        match schema.get("type"):
            case "object" if "properties" in schema:
                return self._object(schema)
            case "object":
                return st.dictionaries(_texts, self.to(schema.get("additionalProperties") or {}), max_size=3)
            case "array":
                return st.lists(self.to(schema.get("items") or {}), max_size=3)
            case "string":
                return _texts
            case "integer":
                return _numbers.filter(lambda number: isinstance(number, int))
            case "boolean":
                return st.booleans()
        return _anything

    def _object(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        fields = schema["properties"]
        return st.lists(st.sampled_from(sorted(fields)), max_size=5, unique=True).flatmap(
            lambda names: st.fixed_dictionaries({name: self.to(fields[name]) for name in names})
        )


_near = Near(description()["components"]["schemas"])
_operations = [(method, path, told) for path, item in description()["paths"].items() for method, told in item.items()]
_lasts = {(route.method, re.sub(r":[^}]*", "", route.path)) for route in ROUTES if route.ends_with_client}
_filters = st.dictionaries(
    st.sampled_from(["id", "name", "label", "status", "until", "since", "before", "publish", "dangling", "type"])
    | _texts,
    _anything,
    max_size=3,
).map(lambda value: json.dumps(value))
_values = _texts | _filters | _anything.map(json.dumps) | st.just(DEEP[:5000])
_encoded = (_values.map(lambda text: base64.urlsafe_b64encode(text.encode(errors="replace")).decode())) | st.just("!")


def _said(parameter: dict[str, Any]) -> st.SearchStrategy[tuple[str, str]]:
    """A parameter and its value: one that is almost right, or anything."""
    document = parameter.get("content", {}).get("application/json", {})
    right = _near.to(document.get("schema") or parameter["schema"])
    near = right.map(lambda value: value if isinstance(value, str) and not document else json.dumps(value))
    return st.tuples(st.just(parameter["name"]), near | _values)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """One of the routes, with names, parameters, headers and a body that a careless or a wicked client may send."""
    method, path, told = draw(st.sampled_from(_operations))
    method = method.upper()
    name = draw(_names(method, path))
    version = draw(st.sampled_from([*[""] * 7, "/v1.44", "/v1.24", "/v1.99"]))
    asked = [item for item in told["parameters"] if item["in"] == "query"]
    chosen = draw(st.lists(st.sampled_from(asked).flatmap(_said), max_size=3)) if asked else []
    query = "&".join(f"{key}={quote(value, safe='', errors='replace')}" for key, value in chosen)
    kinds = st.sampled_from([*["application/json"] * 9, "text/plain", "/", ""])
    body = draw(_bodies(path, told))
    fields = [item["name"] for item in told["parameters"] if item["in"] == "header" and item["name"] != "Upgrade"]
    headers = draw(st.lists(st.tuples(st.sampled_from(fields), _encoded), max_size=1)) if fields else []
    target = version + re.sub(r"\{\w+\}", lambda _: quote(name, safe=""), path) + f"?{query}"
    return Request(method, path, target[:60_000], (("Content-Type", draw(kinds)), *headers), body)


def _names(method: str, path: str) -> st.SearchStrategy[str]:
    """Usually of something that there is; never of what must stay, where the request could change it."""
    kind = path.split("/")[1]
    looks = method in ("GET", "HEAD")
    right = {"containers": OTHER, "images": SPARE, "networks": "none", "volumes": "made"}.get(kind, "no")
    names = [right, right, right, KEPT if looks and kind == "containers" else right]
    return st.integers(0, 4).flatmap(lambda dice: st.sampled_from(names) if dice else _texts.filter(_is_a_segment))


def _is_a_segment(text: str) -> bool:
    """And not the beginning of an id."""
    return text not in ("", ".", "..") and not re.fullmatch("[0-9a-f]{1,64}", text)


def _bodies(path: str, told: dict[str, Any]) -> st.SearchStrategy[bytes]:
    schema = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return st.just(b"") | st.binary(max_size=600) | _anything.map(lambda value: json.dumps(value).encode())
    documents = _near.to(schema).map(
        lambda value: json.dumps(BASES.get(path, {}) | value if isinstance(value, dict) else value).encode()
    )
    return st.one_of(documents, documents, documents, st.binary(max_size=30), st.just(DEEP.encode()))


def answer(daemon: Daemon, raw: bytes, patience: float, whole: bool = True) -> bytes:
    """What comes back. Raises TimeoutError; for a request that lasts, what there was until then."""
    with daemon.connection() as connection:
        connection.settimeout(patience)
        found = b""
        with suppress(
            BrokenPipeError, ConnectionResetError
        ):  # it has said no already, and does not want to hear the rest
            connection.sendall(raw)
        try:
            while (whole or b"\r\n\r\n" not in found) and (data := connection.recv(65536)):
                found += data
        except ConnectionResetError:
            pass
        except TimeoutError:
            if whole:
                raise
        return found


def status_of(found: bytes) -> int:
    """200, 404, …; 0 when there was no answer."""
    return int(found.split(b" ", 2)[1]) if found.startswith(b"HTTP/1.") else 0


@pytest.mark.timeout(300 + REQUESTS // 4)
def test_requests_made_up_from_the_description(watched: Watched) -> None:
    """The law, for every request that hypothesis can think of."""

    @settings(max_examples=REQUESTS, suppress_health_check=list(HealthCheck))
    @given(requests())
    def obey(request: Request) -> None:
        lasts = (request.method, request.path) in _lasts
        found = answer(watched.daemon, request.raw(), UNHURRIED if lasts else 20, whole=not lasts)
        may_fail = any(part in request.path for part in ASKS_A_REGISTRY) and UNREACHABLE.search(found)
        assert status_of(found) != 500 or may_fail, f"{request!r}\n{found!r}"
        if request.method in ("GET", "HEAD"):
            watched.check_log(request)
        else:
            watched.check(request)
            watched.prepare()

    obey()
    watched.check("all of them")
    watched.daemon.contract.check()


# ------------------------------------------------------------------------------------------------- known ones


_JSON = "Content-Type: application/json\r\n"


def post(path: str, body: bytes, fields: str = _JSON, method: str = "POST") -> bytes:
    """A request by hand."""
    common = f"Host: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/1.1\r\n{common}{fields}\r\n".encode() + body


def get(path: str, fields: str = "") -> bytes:
    """The same, without a body."""
    return post(path, b"", fields, "GET")


_FORM = "application/x-www-form-urlencoded"
_DEEP_HEADER = base64.urlsafe_b64encode(DEEP[:3000].encode()).decode()
REFUSED = {
    "deep body": post("/containers/create", DEEP.encode()),
    "deep object": post("/networks/create", b'{"a":' * 50_000),
    "deep filter": get(f"/containers/json?filters={DEEP[:5000]}"),
    "deep build arguments": post(f"/build?buildargs={DEEP[:5000]}", b""),
    "deep platform": post(f"/images/tiny/push?platform={DEEP[:5000]}", b""),
    "deep credentials": post("/images/create?fromImage=x", b"", f"X-Registry-Auth: {_DEEP_HEADER}\r\n"),
    "deep seccomp profile": post(
        "/containers/create",
        json.dumps({"Image": "tiny", "HostConfig": {"SecurityOpt": [f"seccomp={DEEP[:5000]}"]}}).encode(),
    ),
    "body that is not gzip": post("/containers/create", b"no gzip", _JSON + "Content-Encoding: gzip\r\n"),
    "body that is not deflate": post("/containers/create", b"no deflate", _JSON + "Content-Encoding: deflate\r\n"),
    "secret that is not ASCII": post("/build/secrets", '{"secrets": {"a": "é"}}'.encode()),
    "registry of no possible name": post("/auth", '{"serveraddress": "\\u0018öa\U0010dc97Ï"}'.encode()),
    "registry of a short number": post("/auth", b'{"serveraddress": "0"}'),
    "registry with a space": post("/auth", b'{"serveraddress": "a b"}'),
    "import from brackets": post("/images/create?fromSrc=%5B%5D", b""),
    "import from a backslash": post("/images/create?fromSrc=a%5Cb", b""),
    "import from a short number": post("/images/create?fromSrc=0", b""),
    "import from no possible port": post("/images/create?fromSrc=a:99999999", b""),
    "search for stars that are no number": get(f"/images/search?term=a&filters={quote(json.dumps({'stars': ['x']}))}"),
    "search for neither true nor false": get(
        f"/images/search?term=a&filters={quote(json.dumps({'is-official': ['x']}))}"
    ),
    "registry of no possible port": post("/auth", b'{"serveraddress": "a:99999999"}'),
    "moment of 5000 digits": get(f"/containers/{KEPT}/logs?stdout=1&since={'1' * 5000}"),
    "duration of 5000 digits": get(f"/events?since={'1' * 5000}h"),
    "state of 5000 digits": get(f"/containers/json?filters={quote(json.dumps({'exited': ['1' * 5000]}))}"),
    "port that is a power": get(f"/containers/json?filters={quote(json.dumps({'publish': ['²']}))}"),
    "signal of 5000 digits": post(f"/containers/{KEPT}/kill?signal={'1' * 5000}", b""),
    "path of 5000 letters": get(f"/containers/{KEPT}/archive?path=/{'a' * 5000}"),
    "zero byte in an argument of ps": get(f"/containers/{KEPT}/top?ps_args=%00"),
    "version in Arabic digits": get(f"/v{quote('١.٤٤')}/version"),
    "version that is too long": get(f"/v1.{'4' * 5000}/version"),
    "body that is a form": post("/containers/create", b'{"Image": "tiny"}', f"Content-Type: {_FORM}\r\n"),
    "body of no type": post("/volumes/create", b"{}", ""),
    "body of no possible type": post("/volumes/create", b"{}", "Content-Type: a b/\xff;;\r\n"),
    "no HTTP": b"hello\r\n\r\n",
    "TLS": bytes.fromhex("1603010200010001fc0303") + b"x" * 100,
    "two lengths": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}\n",
    "length and chunks": post("/containers/create", b"0\r\n\r\n", "Transfer-Encoding: chunked\r\n"),
    "length below zero": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "chunk of no length": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "huge header": get("/_ping", f"X-A: {'a' * 100_000}\r\n"),
    "huge request line": get(f"/{'a' * 100_000}"),
    "many headers": get("/_ping", "".join(f"X-{i}: {'a' * 100}\r\n" for i in range(10_000))),
    "zero byte in a header": get("/_ping", "X-A: a\0b\r\n"),
    "no such method": b"GE\0T /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
    "no such version of HTTP": b"GET /_ping HTTP/9.9\r\nHost: x\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_in_so_many_words(watched: Watched, name: str) -> None:
    """Each of these was a traceback once, or could be one: the answer is 4xx, or (no such version) the right one."""
    status = status_of(answer(watched.daemon, REFUSED[name], 20))
    assert 400 <= status < 500, status
    watched.check(name)


def test_who_cannot_be_reached_is_told_without_a_traceback(watched: Watched) -> None:
    """500 with the reason, as Docker says it."""
    for raw in (
        post("/auth", b'{"serveraddress": "127.0.0.1:1"}'),
        get("/distribution/127.0.0.1:1/a/json"),
        post("/images/create?fromImage=127.0.0.1:1/a&tag=b", b""),
        post("/images/create?fromSrc=127.0.0.1:1/a", b""),
    ):
        found = answer(watched.daemon, raw, 30)
        assert b"127.0.0.1:1" in found and b"refused" in found, found
        watched.check(raw)


def test_clients_that_leave_a_stream(watched: Watched) -> None:
    """They are gone before, while and after something is written for them; nothing of it is in the log."""
    for path in (f"/containers/{KEPT}/stats", "/events", f"/containers/{KEPT}/logs?follow=1&stdout=1"):
        for _ in range(10):
            with watched.daemon.connection() as connection:
                connection.sendall(get(path))
                assert connection.recv(12) == b"HTTP/1.1 200"
    samples = answer(watched.daemon, get(f"/containers/{KEPT}/stats?stream=0"), 20)  # as long as the others' next one
    assert status_of(samples) == 200
    watched.check("streams")


def test_slow_clients_keep_nobody_waiting_and_leave_nothing(watched: Watched) -> None:
    """Two hundred who never finish their request: others are answered, and when they go their descriptors go."""
    descriptors = Path(f"/proc/{watched.daemon.pid}/fd")
    before = len([*descriptors.iterdir()])
    with ExitStack() as stack:
        for index in range(200):
            connection = stack.enter_context(watched.daemon.connection())
            connection.sendall(post("/containers/create", b"{" * 100)[: 1 + index])
        begun = time.monotonic()
        assert watched.daemon.request("GET", "/_ping")[0] == 200
        assert time.monotonic() - begun < 5
    wait_for(lambda: len([*descriptors.iterdir()]) <= before, "the connections to be closed")
    watched.check("slow clients")


def test_a_client_that_has_said_everything_gets_its_answer(watched: Watched) -> None:
    """Its direction is ended with the request (``nc -N``): the answer comes, and then the end."""
    body = json.dumps({"Image": "tiny", "Cmd": ["true"]}).encode()
    for raw, expected in (
        (get("/_ping"), b"200 OK"),
        (get("/containers/json?all=1").replace(b"Connection: close\r\n", b""), b"200 OK"),
        (post("/containers/create?name=half", body), b"201 Created"),
        (post("/containers/create", b"{"), b"400 Bad Request"),
        (post("/containers/create", body)[:-5], b""),  # and a body that will never be whole
        (post("/containers/half/stop", b"")[:-1], b""),
    ):
        with watched.daemon.connection() as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            found = b"".join(iter(lambda: connection.recv(65536), b""))
        assert found.partition(b"\r\n")[0].removeprefix(b"HTTP/1.1 ") == expected, (raw, found)
    with watched.daemon.connection() as connection:
        connection.sendall(get("/events"))
        connection.shutdown(socket.SHUT_WR)
        # As with Docker: a stream ends when its client does, whether its head is on the way by then or not.
        assert b"".join(iter(lambda: connection.recv(65536), b""))[:15] in (b"", b"HTTP/1.1 200 OK")
    watched.check("half-closed")


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from([get("/_ping"), *REFUSED.values()]) | st.binary(max_size=50), max_size=3),
    st.integers(0, 2000),
)
def test_any_bytes_at_all(watched: Watched, pieces: list[bytes], cut: int) -> None:
    """Pieces of requests, cut off anywhere, and no more will come: an answer or a close, and no traceback."""
    with watched.daemon.connection() as connection, suppress(ConnectionError):
        connection.sendall(b"".join(pieces)[:cut])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    watched.check(pieces)
