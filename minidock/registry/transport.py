"""HTTP as a registry client needs it: redirects that leave credentials behind, and errors that say what happened.

A registry hands out blobs by redirecting to a store (S3, a CDN). Whoever controls a registry's answer therefore
chooses where the client goes next, so that what we know about the first host must never reach the second
(CVE-2020-15157 did exactly that). aiohttp could follow redirects by itself; here it is done by hand, in the open.
"""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType

import aiohttp
from yarl import URL

from minidock import dialing
from minidock.errors import RegistryError, RegistryUnreachable
from minidock.registry.certificates import context_of, directory_of
from minidock.registry.endpoints import is_acceptable, is_insecure, is_loopback
from minidock.registry.retry import Unavailable
from minidock.registry.settings import Settings

#: as many as Go's HTTP client follows, and with it Docker
MOST_REDIRECTS = 10
#: bytes that may wait in memory between the network and the disk, per download; large pieces keep Python out of the way
READ_BUFFER = 1 << 20

Sent = bytes | AsyncIterator[bytes]
Body = Callable[[], Sent]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Transport:
    """An HTTP client that obeys ``settings``. Used as an asynchronous context manager.

    ``told`` hears of each exchange, in a line that holds no secret.
    """

    def __init__(self, settings: Settings, told: Callable[[str], None] | None = None) -> None:
        self.settings = settings
        self._told = told
        self._contexts: dict[Path | None, ssl.SSLContext] = {}
        self._session = aiohttp.ClientSession(
            # A digest is of the bytes as stored: nobody may compress them for the journey.
            headers={"User-Agent": settings.user_agent, "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_BUFFER,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=settings.connect_timeout, sock_read=settings.idle_timeout
            ),
        )

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        url: URL,
        authorization: str | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> aiohttp.ClientResponse:
        """The answer to a request, after redirects; its body is not read yet. The caller closes it.

        ``body`` is called for what to send: a request may have to be made twice. ``authorization`` is sent to the
        origin (scheme, host and port) of ``url`` and to nobody else.

        :raises RegistryUnreachable: nobody answers, or not with TLS that we accept
        :raises Unavailable: the connection broke before there was an answer
        :raises RegistryError: a redirect to somewhere that we do not go
        """
        here, sent = url, dict(headers or {})
        if authorization:
            sent["Authorization"] = authorization
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._once(method, here, sent, body() if body else form)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response
            response.release()
            # A redirected form would carry its secrets along; and a blob is sent where Location said, nowhere else.
            there = resolve(here, location)
            if form is not None or body is not None or not self.may_follow(here, there):
                raise RegistryError(f"{here.origin()} redirects to {_origin(there)}, which is not safe to follow")
            if there.origin() != url.origin():
                sent.pop("Authorization", None)
            here = there
        raise RegistryError(f"{url.origin()} redirects more than {MOST_REDIRECTS} times")

    def may_follow(self, here: URL, there: URL) -> bool:
        """Never from https down to http, and never to where we would not have gone ourselves."""
        downgrade = here.scheme == "https" and there.scheme == "http"
        return is_acceptable(there, self.settings) and not downgrade

    def _tls(self, url: URL) -> ssl.SSLContext | bool:
        """How to speak TLS there: with certificates for this host, as everywhere, or unchecked (False)."""
        if is_insecure(url, self.settings):
            return False
        directory = directory_of(url, self.settings.certificates)
        if directory not in self._contexts:
            self._contexts[directory] = context_of(directory)
        return self._contexts[directory]

    async def _once(
        self, method: str, url: URL, headers: Mapping[str, str], data: Mapping[str, str] | Sent | None
    ) -> aiohttp.ClientResponse:
        try:
            response = await self._session.request(
                method,
                url,
                headers=headers,
                data=data,
                allow_redirects=False,
                ssl=self._tls(url),
                proxy=_proxy(url),
            )
        except aiohttp.ServerDisconnectedError as error:
            raise Unavailable(f"{describe(method, url)}: the server closed the connection") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RegistryUnreachable(f"{describe(method, url)}: {dialing.reason(error)}") from error
        if self._told is not None:
            self._told(_tale(method, url, headers, response))
        return response


def describe(method: str, url: URL) -> str:
    """A request as Docker names it in errors. The query is left out: it may be a signature, good for whoever has it."""
    return f'{method.title()} "{url.with_query(None)}"'


def _tale(method: str, url: URL, sent: Mapping[str, str], response: aiohttp.ClientResponse) -> str:
    """An exchange, for who wants to see the protocol: no query, no token, no password."""
    asked = [f"{method} {url.with_query(None)}"]
    if "Authorization" in sent:
        asked.append(f"with {sent['Authorization'].partition(' ')[0]} authorization")
    if "Range" in sent:
        asked.append(f"from {sent['Range'].removeprefix('bytes=').rstrip('-')} on")
    told = [f"{response.status} {response.reason}"]
    if response.status == 401 and "WWW-Authenticate" in response.headers:
        told.append(f"it wants {response.headers['WWW-Authenticate'].partition(',')[0]}")
    elif response.status in _REDIRECTS:
        told.append(f"it is at {_origin(resolve(url, response.headers.get('Location', '')))}")
    elif response.ok:
        names = ("Content-Type", "Docker-Content-Digest")
        told += [response.headers[name] for name in names if name in response.headers]
        told += [f"{response.content_length} bytes"] if response.content_length is not None else []
    return f"{', '.join(asked)}: {', '.join(told)}"


def resolve(here: URL, location: str) -> URL:
    """Where a Location header leads, exactly as it is written; an empty URL when it is none."""
    try:
        return here.join(URL(location, encoded=location.isascii() and " " not in location))
    except ValueError:
        return URL()


def _proxy(url: URL) -> str | None:
    """The proxy that the environment names for ``url``: HTTPS_PROXY and its kin, never for loopback, as in Go.

    aiohttp's own ``trust_env`` would also send passwords that it finds in ``~/.netrc``.
    """
    if is_loopback(url) or urllib.request.proxy_bypass(url.host or ""):
        return None
    return urllib.request.getproxies().get(url.scheme)


def _origin(url: URL) -> str:
    """Where a redirect leads, without what may be secret in it."""
    return f"{url.scheme}://{url.with_user(None).authority}" if url.host else str(url.scheme or "nowhere")
