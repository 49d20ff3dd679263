"""Who we are to a registry: what Docker's clients hand to the daemon with each pull.

The daemon keeps no passwords. The client looks them up (in ``~/.docker/config.json`` or with a helper program) and
sends them along in the header ``X-Registry-Auth``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

import msgspec

from minidock.errors import InvalidInput


@dataclass(frozen=True)
class Credentials:
    """A name with a password, or one of two kinds of token; all empty means nobody.

    An identity token (an OAuth 2 refresh token) is exchanged for short-lived tokens; a registry token is one of those
    already. No secret is part of the ``repr``, which may end in a log.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)

    def basic(self) -> str:
        """The value of an ``Authorization`` header for the Basic scheme (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


ANONYMOUS = Credentials()


class _AuthConfig(msgspec.Struct):
    """The Engine API's AuthConfig. ``auth`` is ``username:password`` in base64, as config.json has it."""

    username: str = ""
    password: str = ""
    auth: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


def from_header(value: str) -> Credentials:
    """The credentials in an ``X-Registry-Auth`` header: an AuthConfig as base64url JSON.

    Nothing, ``{}`` and ``null`` are nobody.

    :raises InvalidInput: it is not that
    """
    try:
        # Go's URL encoding pads and Python insists on it; some clients leave the padding away.
        document = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
        config = msgspec.json.decode(document or b"{}", type=_AuthConfig | None) or _AuthConfig()
        username, password = config.username, config.password
        if config.auth and not username:
            username, _, password = base64.b64decode(config.auth).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput("X-Registry-Auth is not base64url-encoded JSON") from error
    return Credentials(username, password, config.identitytoken, config.registrytoken)
