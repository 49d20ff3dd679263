"""What all documents of the API share: how they are spelt, read and written.

Field names are Python's; on the wire they are Docker's (``host_config`` is ``HostConfig``; where Docker's spelling does
not follow that rule the field says so). Unknown fields are ignored, so a newer client may say more than we know.

Go's encoder writes ``null`` for every empty list, map and pointer. Here an absent value has one form, the field's
default, so :func:`decode` drops nulls before it looks at types. Times are RFC 3339 text, sizes are bytes, durations are
nanoseconds unless a field says otherwise.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from minidock.errors import InvalidInput

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time: what Docker writes where nothing has happened yet."""

API_VERSION = "1.44"
MINIMUM_API_VERSION = "1.24"

DEFAULT_HOST = "unix:///run/minidock.sock"
"""Where the daemon listens, and the client looks, unless told otherwise."""

T = TypeVar("T")


class Message(Struct, rename="pascal", kw_only=True):
    """The base of all documents: CamelCase on the wire."""


def decode(data: bytes | str, kind: type[T]) -> T:
    """Read one JSON document.

    Raises InvalidInput, naming the field that is wrong.
    """
    try:
        return msgspec.convert(_without_nulls(msgspec.json.decode(data)), kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"invalid JSON: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested too deep
        raise InvalidInput(f"invalid JSON: {error}") from None


def encode(message: object) -> bytes:
    """One JSON document, without a line end."""
    return msgspec.json.encode(message)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value if inner is not None]
    return value


class Error(Message, rename=None):
    """What every failed request answers."""

    message: str
