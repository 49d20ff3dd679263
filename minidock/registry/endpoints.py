"""Where a registry is: from the domain of an image name to the URLs to try, in order.

The rule of trust stands here and nowhere else. Whatever we speak to (a registry, its token server, a place that it
redirects to) is spoken to over https, with a certificate that checks out. Only this machine itself (loopback) and what
the user listed as insecure may do with less: an unchecked certificate or, when there is no TLS at all, plain http.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from yarl import URL

from minidock.errors import InvalidInput
from minidock.registry.settings import Settings

#: image names say docker.io, but the registry lives elsewhere
HUB = "docker.io"
HUB_REGISTRY = URL("https://registry-1.docker.io")


@dataclass(frozen=True)
class Endpoint:
    """One place to ask: ``url`` is what stands before ``/v2/``."""

    url: URL
    #: a mirror is asked before the registry itself, which stands in for it when it fails
    mirror: bool = False


def endpoints(domain: str, settings: Settings) -> list[Endpoint]:
    """The places to ask for images of ``domain`` (``docker.io``, ``localhost:5000``), best first.

    :raises InvalidInput: a mirror in the settings is no URL, or would be used over plain http without being insecure
    """
    if domain == HUB:
        return [_mirror(text, settings) for text in settings.mirrors] + [Endpoint(HUB_REGISTRY)]
    secure = URL(f"https://{domain}")
    if not is_insecure(secure, settings):
        return [Endpoint(secure)]
    # As Docker: TLS with any certificate is still better than none.
    return [Endpoint(secure), Endpoint(secure.with_scheme("http"))]


def is_acceptable(url: URL, settings: Settings) -> bool:
    """Whether we may speak to ``url`` at all: over https, or to a host that may do with less."""
    return url.scheme == "https" or (url.scheme == "http" and is_insecure(url, settings))


def is_insecure(url: URL, settings: Settings) -> bool:
    """Whether plain http, or a certificate that nobody vouches for, is acceptable for this host."""
    host = url.host or ""
    if host == "localhost" or host in settings.insecure or f"{host}:{url.port}" in settings.insecure:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or any(address in network for network in _networks(settings))


def _networks(settings: Settings) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(entry, strict=False) for entry in settings.insecure if "/" in entry]


def _mirror(text: str, settings: Settings) -> Endpoint:
    url = URL(text.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidInput(f"invalid mirror {text!r}: an http or https URL is needed")
    if not is_acceptable(url, settings):
        raise InvalidInput(f"mirror {text} uses plain http: list {url.host}:{url.port} as an insecure registry first")
    return Endpoint(url, mirror=True)
