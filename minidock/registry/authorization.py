"""Proving who we are: from a registry's challenge to the value of an ``Authorization`` header.

A registry that wants to know answers 401 with challenges. *Basic* wants name and password with every request. *Bearer*
sends us to a token server (the *realm*): whoever shows a password there, or nobody in particular, gets a token that
says what its holder may do for the next minutes; the registry only checks the signature. See
https://distribution.github.io/distribution/spec/auth/token/ and …/auth/oauth/.

The realm is a URL of the registry's choosing, so it is also the way to steal a password: see
:func:`may_see_credentials` and docs/decisions/0010-credentials-and-realms.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import aiohttp
import msgspec
from yarl import URL

from minidock.errors import RegistryError
from minidock.oci.distribution import Challenge, TokenAnswer
from minidock.registry.answers import denied, read_limited, read_refusal
from minidock.registry.credentials import Credentials
from minidock.registry.endpoints import HUB_REGISTRY, is_acceptable, is_insecure, parse_url
from minidock.registry.settings import Settings
from minidock.registry.transport import Transport

#: Docker Hub's token server: the one pair of different hosts that everybody's passwords depend on
HUB_REALM = URL("https://auth.docker.io")
#: seconds before its end that a token is no longer used: the clocks differ, and a request takes time
LEEWAY = 5.0
LARGEST_TOKEN_ANSWER = 1 << 20


def may_see_credentials(realm: URL, registry: URL, settings: Settings) -> bool:
    """Whether the token server at ``realm`` may be shown the credentials for ``registry``.

    It may when it is the same origin, when it proves by its certificate that it holds the registry's own name or a
    domain above it (who runs ``example.com`` runs ``registry.example.com`` too), when the two are Docker Hub's, and
    when the user said so.
    """
    if not is_acceptable(realm, settings):
        return False
    if realm.origin() == registry.origin():
        return True
    if realm.host in settings.trusted_realms or f"{realm.host}:{realm.port}" in settings.trusted_realms:
        return True
    if realm.scheme != "https" or registry.scheme != "https" or is_insecure(realm, settings):
        return False
    above = "." in (realm.host or "") and (registry.host or "").endswith(f".{realm.host}")
    hub = (registry.origin(), realm.origin()) == (HUB_REGISTRY, HUB_REALM)
    return realm.host == registry.host or above or hub


class Authorizer:
    """Answers the challenges of one registry, for what ``scopes`` say is to be done there.

    ``name`` is the repository as the user knows it, for messages.
    """

    def __init__(
        self,
        transport: Transport,
        registry: URL,
        scopes: Sequence[str],
        name: str,
        credentials: Credentials,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._registry = registry
        self._scopes = scopes
        self._name = name
        self._credentials = credentials
        self._clock = clock
        self._challenges: list[Challenge] = []
        self._token = ""
        self._token_ends = 0.0
        # Blobs are downloaded side by side: the first that needs a new token gets it for all.
        self._lock = asyncio.Lock()
        self._withheld_from: URL | None = None
        #: what the token server gave for the next times, if it was asked to (``docker login``)
        self.refresh_token = ""

    def challenged(self, challenges: list[Challenge], sent: str | None) -> bool:
        """The registry did not take ``sent``. False when there is nothing else that we could say."""
        self._challenges = challenges
        if sent == f"Bearer {self._token}":
            self._token_ends = 0.0
        if any(challenge.parameters.get("error") == "insufficient_scope" for challenge in challenges):
            return False
        return self._asked_for("bearer") or sent != self._basic()

    async def header(self) -> str | None:
        """The value to send, or None: to a registry that asked for nothing, or when we have nothing that fits.

        :raises Unauthorized: the token server does not believe our credentials
        :raises NotFound: it gives nobody in particular a token, in Docker's words
        """
        for challenge in self._challenges:
            if challenge.scheme == "bearer":
                async with self._lock:
                    if self._clock() >= self._token_ends:
                        await self._renew(challenge)
                    return f"Bearer {self._token}"
        return self._basic()

    def _basic(self) -> str | None:
        return self._credentials.basic() if self._asked_for("basic") and self._credentials.username else None

    def _asked_for(self, scheme: str) -> bool:
        return any(challenge.scheme == scheme for challenge in self._challenges)

    async def _renew(self, challenge: Challenge) -> None:
        if self._credentials.registry_token:
            self._token, self._token_ends = self._credentials.registry_token, float("inf")
            return
        named = challenge.parameters.get("realm", "")
        realm = parse_url(named)
        if not is_acceptable(realm, self._transport.settings):
            raise RegistryError(f"{self._registry.authority} names no safe token server: realm {named!r}")
        async with await self._ask(realm, challenge.parameters.get("service", "")) as response:
            body = await read_limited(response, LARGEST_TOKEN_ANSWER)
        try:
            answer = msgspec.json.decode(body, type=TokenAnswer, strict=False)
        except msgspec.DecodeError as error:
            raise RegistryError(f"the token server {realm.authority} did not answer with a token") from error
        if not answer.value:
            raise RegistryError(f"the token server {realm.authority} answered without a token")
        self._token, self.refresh_token = answer.value, answer.refresh_token
        self._token_ends = self._clock() + answer.seconds - LEEWAY

    async def _ask(self, realm: URL, service: str) -> aiohttp.ClientResponse:
        """The token server's answer, when it is a good one."""
        trusted = may_see_credentials(realm, self._registry, self._transport.settings)
        identity = self._credentials if trusted else Credentials()
        self._withheld_from = realm if self._credentials and not trusted else None
        if identity.identity_token:
            response = await self._transport.request("POST", realm, form=self._oauth_form(service))
        else:
            query = [("scope", scope) for scope in self._scopes] + ([("service", service)] if service else [])
            basic = None
            if identity.username:
                # Nothing to be done there: this is a login, and a token for the next times is welcome.
                query += [("account", identity.username)] + ([] if self._scopes else [("offline_token", "true")])
                basic = identity.basic()
            realm = realm.extend_query(query)
            response = await self._transport.request("GET", realm, authorization=basic)
        if response.ok:
            return response
        async with response:
            refusal = await read_refusal(response)
        if refusal.status in (401, 403) and not identity:
            raise denied(self._name, refusal.reason, self.hint())
        raise refusal.error()

    def _oauth_form(self, service: str) -> dict[str, str]:
        return {
            "grant_type": "refresh_token",
            "client_id": "minidock",
            "service": service,
            "scope": " ".join(self._scopes),
            "refresh_token": self._credentials.identity_token,
        }

    def lacks_password(self) -> bool:
        """Whether the registry wants name and password, and nothing else, and we have none."""
        return self._asked_for("basic") and not self._asked_for("bearer") and not self._credentials.username

    def hint(self) -> str:
        """What a user whose credentials were not shown must know, or nothing."""
        if self._withheld_from is None:
            return ""
        there = self._withheld_from.authority
        return (
            f" (the credentials for {self._registry.authority} were not sent to its token server {there}, another host;"
            f" start minidockd with --trusted-realm {there} to allow it)"
        )
