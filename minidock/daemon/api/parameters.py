"""What a request says beside its path and its body: booleans, numbers and filters as Docker's clients write them.

A handler that asks for more declares it, line by line, in a class of its own::

    class Stop(Asked):
        t = number("seconds until it is killed")
        signal = text("the signal to send; by default the container's own")

and has it as its third argument. What :mod:`~minidock.daemon.api.openapi` tells of the request is made of the same
lines, so that nothing is read which is not described.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from aiohttp import web

from minidock import messages, units
from minidock.errors import InvalidInput
from minidock.oci import platform as platforms
from minidock.oci.platform import Platform
from minidock.patterns import Pattern
from minidock.registry import credentials
from minidock.registry.credentials import Credentials

T = TypeVar("T")
Filters = dict[str, list[str]]
Schema = dict[str, Any]

JSON = "application/json"


class Parameter(Generic[T]):
    """One parameter, which is read (and refused: InvalidInput) when the handler looks at it.

    ``read`` makes its value of all that the client wrote under its name; ``schema`` is what that should be; ``media``
    is the type of the document when it is one; ``needed``: without it, the handler refuses the request.
    """

    def __init__(
        self, about: str, schema: Schema, read: Callable[[list[str]], T], name: str = "", place: str = "query"
    ) -> None:
        self.about, self.schema, self.read, self.name, self.place = about, schema, read, name, place
        self.media, self.needed = "", False

    def __set_name__(self, owner: type[Asked], attribute: str) -> None:
        self.name = self.name or attribute

    def __get__(self, asked: Asked, owner: type[Asked]) -> T:
        return self.read(asked.said(self.name, self.place))


class Asked:
    """What one kind of request may say: the parameters that a subclass declares."""

    def __init__(self, request: web.Request) -> None:
        self.request = request

    def said(self, name: str, place: str = "query") -> list[str]:
        """What the client wrote, as often as it did."""
        return (self.request.query if place == "query" else self.request.headers).getall(name, [])

    @classmethod
    def parameters(cls) -> list[Parameter[Any]]:
        """All of them, in the order of the source."""
        found = [item for kind in reversed(cls.__mro__) for item in vars(kind).values()]
        return [item for item in found if isinstance(item, Parameter)]


def text(about: str, default: str = "", name: str = "") -> Parameter[str]:
    """Any text; an empty one is as none."""
    return Parameter(about, {"type": "string", "default": default}, lambda said: _first(said) or default, name)


def choice(about: str, choices: Sequence[str], default: str, refusal: str, name: str = "") -> Parameter[str]:
    """One of a few texts. ``refusal`` is what the client reads otherwise, with ``{}`` for what it wrote."""

    def read(said: list[str]) -> str:
        chosen = _first(said) or default
        if chosen != default and chosen not in choices:
            raise InvalidInput(refusal.format(chosen))
        return chosen

    allowed = [*dict.fromkeys([default, *choices])]
    return Parameter(about, {"type": "string", "enum": allowed, "default": default}, read, name)


def texts(about: str, name: str = "") -> Parameter[list[str]]:
    """A parameter that may be said several times."""
    return Parameter(about, {"type": "array", "items": {"type": "string"}, "default": []}, list, name)


def flag(about: str, default: bool = False, name: str = "") -> Parameter[bool]:
    """The Go client writes ``1``, docker-py ``True``; empty, 0, no, false and none are false."""

    def read(said: list[str]) -> bool:
        return said[0].strip().lower() not in ("", "0", "no", "false", "none") if said else default

    return Parameter(about, {"type": "boolean", "default": default}, read, name)


def number(about: str, name: str = "") -> Parameter[int | None]:
    """A whole number, or None when there is none."""
    return Parameter(about, {"type": "integer", "format": "int64"}, lambda said: _number(_first(said)), name)


def count(about: str, default: int = 0, name: str = "") -> Parameter[int]:
    """A whole number; 0 is as none."""
    schema = {"type": "integer", "format": "int64", "default": default}
    return Parameter(about, schema, lambda said: _number(_first(said)) or default, name)


def moment(about: str) -> Parameter[int | None]:
    """A point in time in nanoseconds since 1970, or None when it is absent (or 0)."""

    def read(said: list[str]) -> int | None:
        value = _first(said)
        return units.parse_time(value, time.time_ns()) if value not in ("", "0") else None

    about += ": a time (RFC 3339), seconds since 1970 (with a fraction or without), or so long ago (10m)"
    return Parameter(about, {"type": "string"}, read)


def json_platform(about: str) -> Parameter[Platform | None]:
    """``{"os": "linux", "architecture": "arm64"}``, as ``save``, ``load`` and ``push`` send it."""

    def read(said: list[str]) -> Platform | None:
        try:
            return msgspec.json.decode(said[0], type=Platform) if _first(said) else None
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InvalidInput(f"invalid platform: {error}") from error

    return _document(Parameter(about, {"$ref": "#/components/schemas/Platform"}, read, "platform"))


def platform(about: str) -> Parameter[Platform | None]:
    """``linux/arm64``, as ``pull`` and ``build`` send it."""
    return Parameter(about, {"type": "string"}, lambda said: platforms.parse(said[0]) if _first(said) else None)


def filters(*allowed: str) -> Parameter[Filters]:
    """``{"label": {"a=b": true}}`` (the Go client) or ``{"label": ["a=b"]}`` (docker-py)."""
    value = {
        "anyOf": [
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "boolean"}},
        ]
    }
    schema = {"type": "object", "properties": dict.fromkeys(allowed, value), "additionalProperties": False}
    about = "only those that fit one value of each filter (of `label`: every value)"
    return _document(Parameter(about, schema, lambda said: _filters(_first(said), allowed), "filters"))


def identity() -> Parameter[Credentials]:
    """The header ``X-Registry-Auth``: who asks the registry."""
    schema = encoded({"$ref": "#/components/schemas/AuthConfig"})
    about = "who asks the registry; absent, empty or `{}`: nobody"
    return Parameter(about, schema, lambda said: credentials.from_header(_first(said)), "X-Registry-Auth", "header")


def identities() -> Parameter[dict[str, Credentials]]:
    """The header ``X-Registry-Config``: the same for several registries, by their addresses."""
    schema = encoded({"type": "object", "additionalProperties": {"$ref": "#/components/schemas/AuthConfig"}})
    about = "who asks each registry, by its address"
    return Parameter(about, schema, lambda said: _identities(_first(said)), "X-Registry-Config", "header")


def upgrade() -> Parameter[bool]:
    """The header ``Upgrade``: does the client want the connection to itself?"""
    about = "with `tcp` (and `Connection: Upgrade`) the answer is 101, without it 200; the stream is the same"
    return Parameter(about, {"type": "string"}, lambda said: bool(_first(said)), "Upgrade", "header")


def needed(parameter: Parameter[T]) -> Parameter[T]:
    """One that every request has."""
    parameter.needed = True
    return parameter


def encoded(schema: Schema, how: str = "base64url") -> Schema:
    """A document in a header."""
    return {"type": "string", "contentEncoding": how, "contentMediaType": JSON, "contentSchema": schema}


def _document(parameter: Parameter[T]) -> Parameter[T]:
    parameter.media = JSON
    return parameter


def _first(said: list[str]) -> str:
    return said[0] if said else ""


def _number(value: str) -> int | None:
    """As Go reads one. Raises InvalidInput, in its words."""
    if not value:
        return None
    if not re.fullmatch(r"[+-]?[0-9]+", value):
        raise InvalidInput(f'strconv.Atoi: parsing "{value}": invalid syntax')
    found = int(value) if len(value) <= 20 else 2**64
    if not -(2**63) <= found < 2**63:
        raise InvalidInput(f'strconv.Atoi: parsing "{value}": value out of range')
    return found


def _identities(header: str) -> dict[str, Credentials]:
    try:
        document = json.loads(base64.b64decode(header + "=" * (-len(header) % 4), altchars=b"-_")) if header else {}
        items = dict(document or {}).items()
        encoded = {name: base64.urlsafe_b64encode(json.dumps(value).encode()).decode() for name, value in items}
    except (ValueError, TypeError, RecursionError):
        raise InvalidInput("X-Registry-Config is not base64url-encoded JSON") from None
    found = {name: credentials.from_header(value) for name, value in encoded.items()}
    if "https://index.docker.io/v1/" in found:
        found["docker.io"] = found["https://index.docker.io/v1/"]
    return found


def _filters(text: str, allowed: tuple[str, ...]) -> Filters:
    if not text:
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"invalid filter: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInput("invalid filter: not an object")
    found: Filters = {}
    for name, values in document.items():
        if name not in allowed:
            raise InvalidInput(f"invalid filter '{name}'")
        if isinstance(values, dict):
            values = [value for value, wanted in values.items() if wanted]
        found[name] = [str(value) for value in (values if isinstance(values, list) else [values])]
    return found


def decided(wanted: Filters, name: str) -> bool | None:
    """A filter that is true or false; None where nobody asked. Raises InvalidInput, in Docker's words, for both."""
    if name not in wanted:
        return None
    values = wanted[name]
    is_true, is_false = not {"true", "1"}.isdisjoint(values), not {"false", "0"}.isdisjoint(values)
    if is_true == is_false:
        raise InvalidInput(f"invalid filter '{name}=[{' '.join(values)}]'")
    return is_true


def fits(pattern: str, text: str) -> bool:
    """Does the text have this name, or match this regular expression? What is no expression fits nothing else."""
    try:
        return pattern == text or Pattern(pattern).occurs_in(text)
    except InvalidInput:
        return False


def labels_match(wanted: list[str], labels: dict[str, str]) -> bool:
    """Does every ``name`` or ``name=value`` hold?"""
    return all(
        name in labels and (not equals or labels[name] == value)
        for name, equals, value in (text.partition("=") for text in wanted)
    )


def version(request: web.Request) -> tuple[int, int]:
    """The API version in the request's path; without one, our newest."""
    major, _, minor = (request.match_info.get("version") or messages.API_VERSION).partition(".")
    return int(major), int(minor or 0)
