"""Who may do what: anybody, those in a file of passwords, or those whom a token server vouches for.

A registry never knows its users' rights. With passwords, who is known may do everything. With tokens another server
decides: the registry answers 401 and says where that server is and what is wanted (``scope``), and then believes a
token that carries the server's signature.

Source: RFC 7617 (Basic); https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import bcrypt
import jwt
from cryptography import x509

from minidock.errors import InvalidInput
from minidock.oci.distribution import Challenge
from minidock.registry.server.refusals import Refusal

log = logging.getLogger(__name__)

_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True)
class Right:
    """To do ``action`` (``pull``, ``push``, ``delete``; ``*`` for the list of repositories) with a repository."""

    repository: str
    action: str
    kind: str = "repository"


class Access(Protocol):
    """Somebody who decides."""

    async def check(self, authorization: str, rights: list[Right]) -> None:
        """May whoever sends this header do all of these? Raises Refusal, with a challenge where one would help."""


class Anybody:
    """Everybody may do everything."""

    async def check(self, authorization: str, rights: list[Right]) -> None:
        """Yes."""


class Passwords:
    """A file as ``htpasswd -B`` writes it: a name, a colon, a bcrypt hash on each line. Raises InvalidInput.

    It is read again when it has changed: whoever was removed from it is out at once. It is best replaced by a rename:
    of a file that is written in place, the first whole lines may be seen without the others. An empty one is taken for
    one that is being written, if there were users before.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._version = _version(file)
        self._hashes = _read_hashes(file)
        # bcrypt is slow on purpose, and a push is dozens of requests: who was right once is remembered, by a keyed
        # hash that means nothing outside this process.
        self._key = secrets.token_bytes(32)
        self._known: set[bytes] = set()

    def _read_again(self) -> None:
        """Follow the file. One that is not readable (half written, say) changes nothing until it is."""
        try:
            version = _version(self._file)
            if version == self._version:
                return
            hashes = _read_hashes(self._file)
            if self._hashes and not hashes:
                raise InvalidInput(f"{self._file}: nobody is in it; to shut everybody out, stop the registry")
        except (InvalidInput, OSError, UnicodeDecodeError) as error:
            log.warning("passwords stay as they were: %s", error)
            return
        self._version, self._hashes = version, hashes
        self._known = set()

    async def check(self, authorization: str, rights: list[Right]) -> None:
        """Who is in the file may do everything."""
        self._read_again()
        known = self._known  # should the file change while bcrypt counts, this answer is not remembered
        seal = hmac.digest(self._key, authorization.encode(), hashlib.sha256)
        if seal in known:
            return
        name, password = _name_and_password(authorization)
        hashed = self._hashes.get(name)
        # Somebody unknown costs the same time as a wrong password: the clock does not tell who exists.
        found = await asyncio.to_thread(bcrypt.checkpw, password[:72], hashed or _NOBODY)
        if not found or hashed is None:
            challenge = Challenge("Basic", {"realm": "minidock registry"})
            raise Refusal("UNAUTHORIZED", "authentication required", {"WWW-Authenticate": str(challenge)})
        known.add(seal)


def _version(file: Path) -> tuple[int, int, int]:
    status = file.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read_hashes(file: Path) -> dict[str, bytes]:
    hashes = {}
    for number, line in enumerate(file.read_text().splitlines(), 1):
        name, colon, hashed = line.strip().partition(":")
        if not name or name.startswith("#"):
            continue
        if not colon or not _BCRYPT.fullmatch(hashed):
            raise InvalidInput(f"{file}, line {number}: not NAME:HASH with a bcrypt hash (try htpasswd -B)")
        hashes[name] = hashed.encode()
    return hashes


_NOBODY = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(4 + 1))


def _name_and_password(authorization: str) -> tuple[str, bytes]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        decoded = base64.b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
    except binascii.Error:
        decoded = b""
    name, _, password = decoded.partition(b":")
    return name.decode(errors="replace"), password


class Tokens:
    """Tokens (JWT) that the server at ``realm`` signed with the key of the certificate in ``file``.

    ``service`` is our own name to that server, ``issuer`` its name. Raises InvalidInput.
    """

    def __init__(self, realm: str, service: str, issuer: str, file: Path) -> None:
        self._realm, self._service, self._issuer = realm, service, issuer
        try:
            self._key = x509.load_pem_x509_certificate(file.read_bytes()).public_key()
        except ValueError as error:
            raise InvalidInput(f"{file}: not a PEM certificate: {error}") from None

    async def check(self, authorization: str, rights: list[Right]) -> None:
        """What the token says may be done."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise self._refusal("UNAUTHORIZED", "authentication required", rights)
        try:
            # The algorithms are ours to choose: one that the token chooses could be "none", or an HMAC with the
            # public key as its secret.
            claims = jwt.decode(
                token,
                self._key,  # type: ignore[arg-type]
                algorithms=["RS256", "ES256", "ES384", "EdDSA"],
                audience=self._service,
                issuer=self._issuer,
                options={"require": ["exp", "aud", "iss"]},
            )
            allowed = {
                Right(entry["name"], action, entry["type"])
                for entry in claims.get("access") or []
                for action in entry["actions"]
            }
        except (jwt.InvalidTokenError, KeyError, TypeError, AttributeError) as error:
            raise self._refusal("UNAUTHORIZED", f"invalid token: {error}", rights, "invalid_token") from None
        for right in rights:
            if right not in allowed and Right(right.repository, "*", right.kind) not in allowed:
                raise self._refusal("DENIED", "the token does not allow this", rights, "insufficient_scope")

    def _refusal(self, code: str, message: str, rights: list[Right], error: str = "") -> Refusal:
        parameters = {"realm": self._realm, "service": self._service}
        if rights:
            parameters["scope"] = " ".join(scopes(rights))
        if error:
            parameters["error"] = error
        refusal = Refusal(code, message, {"WWW-Authenticate": str(Challenge("Bearer", parameters))})
        # Also for too narrow a token: the client is to fetch a wider one.
        refusal.status = 401
        return refusal


def scopes(rights: list[Right]) -> list[str]:
    """How a challenge asks for rights: ``repository:NAME:pull,push`` for each repository, in the order given."""
    actions: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        actions.setdefault((right.kind, right.repository), []).append(right.action)
    return [f"{kind}:{name}:{','.join(words)}" for (kind, name), words in actions.items()]
