"""What a line of the table of routes says: who answers, and with which document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, get_type_hints

from aiohttp import web

from minidock.daemon.api import answers, hijack
from minidock.daemon.api.parameters import Asked, Schema, encoded

# With what is asked as a third argument, where there may be more than a path and a body: Route.asked is its type.
Handler = Callable[..., Awaitable[web.StreamResponse]]


class Header(NamedTuple):
    """A header of an answer, and what it means."""

    name: str
    about: str
    schema: Schema


class Answer(NamedTuple):
    """A good answer: its status and what it carries. Failures all look alike (``messages.Error``)."""

    status: int = 200
    media: str = ""
    """The media type; empty when there is no body."""
    document: Any = None
    """The type of the JSON document; of each, when several come one after the other."""
    headers: tuple[Header, ...] = ()
    """Those that not every answer has."""


class Route(NamedTuple):
    """One request: who answers it, how, and what it brings (the type of a document, or a media type)."""

    method: str
    path: str
    handler: Handler
    answers: tuple[Answer, ...]
    takes: Any = None
    ends_with_client: bool = False

    @property
    def takes_document(self) -> bool:
        """Is the body JSON?"""
        return not isinstance(self.takes, str | None)

    @property
    def asked(self) -> type[Asked] | None:
        """The parameters."""
        return get_type_hints(self.handler).get("asked")


def document(kind: Any, status: int = 200) -> tuple[Answer, ...]:
    """One JSON document, or a stream of them."""
    return (Answer(status, "application/json", kind),)


def created(kind: Any) -> tuple[Answer, ...]:
    """The document says what there is now."""
    return document(kind, 201)


_STAT = encoded({"$ref": "#/components/schemas/PathStat"}, "base64")
FOUND = (Header("X-Docker-Container-Path-Stat", "what is there", _STAT),)
FRESH = (
    Header("Cache-Control", "a copy of it is no answer", {"const": "no-cache, no-store, must-revalidate"}),
    Header("Pragma", "the same, for HTTP/1.0", {"const": "no-cache"}),
)
UPGRADE = (Header("Upgrade", "what is spoken from now on", {"enum": ["tcp", "websocket"]}),)
NOTHING = (Answer(204),)
AS_IT_WAS = (Answer(304),)
DONE = (Answer(200),)
TAGGED = (Answer(201),)
TEXT = (Answer(200, "text/plain"),)
LOOKED = (Answer(200, headers=FOUND),)
PONG = (Answer(200, "text/plain", headers=FRESH),)
ARCHIVE = (Answer(200, answers.TAR),)
FILES = (Answer(200, answers.TAR, headers=FOUND),)
OUTPUT = (Answer(200, hijack.FRAMED), Answer(200, hijack.RAW))
TAKEN_OVER = (Answer(101, hijack.FRAMED, headers=UPGRADE), Answer(101, hijack.RAW, headers=UPGRADE), *OUTPUT)
WEB_SOCKET = (Answer(101, headers=UPGRADE),)
