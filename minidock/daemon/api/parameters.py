"""What a request says beside its path: booleans, numbers and filters as Docker's different clients write them."""

from __future__ import annotations

import json
import time

import msgspec
from aiohttp import web

from minidock import messages, units
from minidock.errors import InvalidInput
from minidock.oci.platform import Platform

Filters = dict[str, list[str]]


def boolean(request: web.Request, name: str, default: bool = False) -> bool:
    """The Go client writes ``1``, docker-py ``True``; empty, 0, no, false and none are false."""
    value = request.query.get(name)
    return default if value is None else value.strip().lower() not in ("", "0", "no", "false", "none")


def number(request: web.Request, name: str) -> int | None:
    """A whole number, or None when it is absent. Raises InvalidInput."""
    value = request.query.get(name, "")
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        raise InvalidInput(f'strconv.Atoi: parsing "{value}": invalid syntax') from None


def moment(request: web.Request, name: str) -> int | None:
    """A point in time in nanoseconds since 1970, or None when it is absent (or 0). Raises InvalidInput."""
    value = request.query.get(name, "")
    return units.parse_time(value, time.time_ns()) if value not in ("", "0") else None


def platform(request: web.Request) -> Platform | None:
    """``{"os": "linux", "architecture": "arm64"}``, as ``save``, ``load`` and ``push`` send it. Raises InvalidInput."""
    text = request.query.get("platform", "")
    try:
        return msgspec.json.decode(text, type=Platform) if text else None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput(f"invalid platform: {error}") from error


def filters(request: web.Request, allowed: tuple[str, ...]) -> Filters:
    """``{"label": {"a=b": true}}`` (the Go client) or ``{"label": ["a=b"]}`` (docker-py). Raises InvalidInput."""
    text = request.query.get("filters", "")
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
