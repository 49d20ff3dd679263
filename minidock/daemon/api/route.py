"""What a line of the table of routes says: who answers, and with which document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import web

from minidock.daemon.api import answers, hijack
from minidock.daemon.engine import Engine

Handler = Callable[[Engine, web.Request], Awaitable[web.StreamResponse]]


class Answer(NamedTuple):
    """A good answer: its status and what it carries. Failures all look alike (``messages.Error``)."""

    status: int = 200
    media: str = ""
    """The media type; empty when there is no body."""
    document: Any = None
    """The type of the JSON document; of each, when several come one after the other."""


class Route(NamedTuple):
    """One request: who answers it, how, and what it brings (the type of a document, or a media type)."""

    method: str
    path: str
    handler: Handler
    answers: tuple[Answer, ...]
    takes: Any = None
    ends_with_client: bool = False


def document(kind: Any, status: int = 200) -> tuple[Answer, ...]:
    """One JSON document, or a stream of them."""
    return (Answer(status, "application/json", kind),)


def created(kind: Any) -> tuple[Answer, ...]:
    """The document says what there is now."""
    return document(kind, 201)


NOTHING = (Answer(204),)
DONE = (Answer(200),)
TAGGED = (Answer(201),)
TEXT = (Answer(200, "text/plain"),)
ARCHIVE = (Answer(200, answers.TAR),)
OUTPUT = (Answer(200, hijack.FRAMED), Answer(200, hijack.RAW))
TAKEN_OVER = (Answer(101, hijack.FRAMED), Answer(101, hijack.RAW), *OUTPUT)
WEB_SOCKET = (Answer(101),)
