"""A registry's answers: bodies that end, and refusals in the words that Docker's users know."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from minidock.errors import CorruptContent, Forbidden, MinidockError, NotFound, RegistryError, Unauthorized
from minidock.oci.distribution import read_errors
from minidock.registry.retry import Unavailable, parse_retry_after
from minidock.registry.transport import describe

#: bytes of an error's body that are worth reading
LARGEST_ERROR = 64 << 10
#: too many requests, and what servers and the proxies before them say when they are down for a moment
_TEMPORARY = frozenset({408, 429, 500, 502, 503, 504})
#: what to say when a registry refuses without a word
_DEFAULTS = {401: "unauthorized: authentication required", 404: "not found"}


async def read_limited(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body.

    :raises CorruptContent: it is longer than ``limit`` bytes
    :raises Unavailable: the connection broke before its end
    """
    pieces, size = [], 0
    try:
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > limit:
                raise CorruptContent(f"{response.url.authority} answers with more than the {limit} bytes allowed here")
            pieces.append(piece)
    except (aiohttp.ClientError, OSError) as error:
        raise Unavailable(f"{response.url.authority}: the answer broke off after {size} bytes") from error
    return b"".join(pieces)


@dataclass(frozen=True)
class Refusal:
    """An answer that is not a good one: the HTTP status, and the registry's first error as text."""

    what: str
    status: int
    reason: str
    retry_after: float | None

    def error(self) -> MinidockError:
        """The error that fits the status. ``what`` was asked stands first: ``Get "https://…"``."""
        text = f"{self.what}: {self.reason}"
        if self.status in _TEMPORARY:
            return Unavailable(text, self.retry_after)
        kinds: dict[int, type[MinidockError]] = {401: Unauthorized, 403: Forbidden, 404: NotFound}
        return kinds.get(self.status, RegistryError)(text)


async def read_refusal(response: aiohttp.ClientResponse) -> Refusal:
    """What the registry has against the request that ``response`` answers. Reads the body, or what is useful of it."""
    try:
        errors = read_errors(await read_limited(response, LARGEST_ERROR))
    except (CorruptContent, Unavailable):
        errors = []
    status = f"unexpected status {response.status} {response.reason or ''}".rstrip()
    return Refusal(
        what=describe(response.method, response.url),
        status=response.status,
        reason=str(errors[0]) if errors else _DEFAULTS.get(response.status, status),
        retry_after=parse_retry_after(response.headers.get("Retry-After", "")),
    )


def denied(name: str, reason: str, hint: str = "") -> NotFound:
    """There is no such repository, or not for us: registries do not tell which, and Docker answers 404."""
    text = f"pull access denied for {name}, repository does not exist or may require 'docker login'"
    return NotFound(f"{text}: {reason}{hint}")
