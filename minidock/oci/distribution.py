"""What a registry says besides content: errors, authentication challenges, scopes (distribution-spec, RFC 9110).

The distribution-spec says how a registry reports errors. That it asks "who are you?" with an HTTP challenge, and that
tokens have scopes, comes from HTTP itself (RFC 9110, section 11) and from the token protocol that Docker's registry
made common (https://distribution.github.io/distribution/spec/auth/token/).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from minidock.errors import InvalidSpec

# --- errors -------------------------------------------------------------------------------------------------------


class ErrorEntry(msgspec.Struct):
    """One member of ``errors``; ``code`` is an upper case word such as ``MANIFEST_UNKNOWN``."""

    code: str
    message: str = ""
    detail: Any = None

    def __str__(self) -> str:
        # "manifest unknown: manifest unknown" is how Docker's users know it: first the code in words, then the text.
        words = self.code.lower().replace("_", " ")
        return f"{words}: {self.message}" if self.message else words


class ErrorDocument(msgspec.Struct):
    """The body of a 4xx answer: ``{"errors": [{"code": …, "message": …, "detail": …}]}``."""

    errors: list[ErrorEntry]


def read_errors(body: bytes) -> list[ErrorEntry]:
    """The errors in ``body``; none when it is no error document (a proxy's HTML page, say)."""
    try:
        return msgspec.json.decode(body, type=ErrorDocument).errors
    except msgspec.DecodeError:
        return []


# --- challenges ---------------------------------------------------------------------------------------------------

# RFC 9110, section 5.6.2: the characters of a token.
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SCHEME = re.compile(_TOKEN)
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")[ \t]*(?=,|$)')
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*[ \t]*(?=,|$)")
_SEPARATORS = re.compile(r"[ \t,]*")


@dataclass(frozen=True)
class Challenge:
    """What a server wants to see in ``Authorization``: a scheme (in lower case) and its parameters.

    >>> parse_challenges(['Bearer realm="https://auth.example/token",service="example"'])[0].parameters["service"]
    'example'
    """

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The challenge as a header's value."""
        quoted = (f'{name}="{_quote(value)}"' for name, value in self.parameters.items())
        return f"{self.scheme} {','.join(quoted)}".rstrip()


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """The challenges in all ``WWW-Authenticate`` headers of one answer.

    One header may hold several challenges, and both challenges and parameters are separated by commas: a word is a
    parameter when ``=`` and a value follow it, otherwise it opens the next challenge.

    :raises InvalidSpec: a header is not of the form that RFC 9110, section 11.6.1 gives
    """
    return [challenge for header in headers for challenge in _parse_header(header)]


def _parse_header(header: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    position = _skip(header, 0)
    while position < len(header):
        parameter = _PARAMETER.match(header, position)
        scheme = _SCHEME.match(header, position)
        if parameter and challenges:
            name, token, quoted = parameter.groups()
            challenges[-1].parameters[name.lower()] = token if token is not None else _unquote(quoted)
            position = parameter.end()
        elif scheme and not parameter:
            challenges.append(Challenge(scheme.group().lower()))
            position = _skip_token68(header, scheme.end())
        else:
            raise InvalidSpec(f"malformed WWW-Authenticate header: {header!r}")
        position = _skip(header, position)
    return challenges


def _skip(header: str, position: int) -> int:
    match = _SEPARATORS.match(header, position)
    return match.end() if match else position


def _skip_token68(header: str, position: int) -> int:
    """Step over ``abc==`` after a scheme such as Negotiate: no registry uses it, but it may stand beside others."""
    blanks = len(header) - len(header[position:].lstrip(" \t"))
    if blanks == position or _PARAMETER.match(header, blanks):
        return position
    match = _TOKEN68.match(header, blanks)
    return match.end() if match else position


def _quote(value: str) -> str:
    return re.sub(r'([\\"])', r"\\\1", value)


def _unquote(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value)


# --- tokens -------------------------------------------------------------------------------------------------------


class TokenAnswer(msgspec.Struct):
    """What a token server answers. Old servers say ``token``, OAuth 2 says ``access_token``; both mean the same."""

    token: str = ""
    access_token: str = ""
    expires_in: float | None = None
    refresh_token: str = ""

    @property
    def value(self) -> str:
        """The token itself, or nothing."""
        return self.token or self.access_token

    @property
    def seconds(self) -> float:
        """How long it is good for: a minute when the server does not say, says the specification."""
        return 60.0 if self.expires_in is None else self.expires_in


def pull_scope(repository: str) -> str:
    """What to ask a token server for, to be allowed to pull ``repository`` (``library/alpine``)."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """The same, to be allowed to push to it as well."""
    return f"repository:{repository}:pull,push"


#: To be allowed to list a registry's repositories.
CATALOG_SCOPE = "registry:catalog:*"
