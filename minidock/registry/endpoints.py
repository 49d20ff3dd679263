"""Where a registry is: from the domain of an image name to the URLs to try, in order.

The rule of trust stands here and nowhere else. Whatever we speak to (a registry, its token server, a place that it
redirects to) is spoken to over https, with a certificate that checks out. Only this machine itself (loopback) and what
the user listed as insecure may do with less: an unchecked certificate or, when there is no TLS at all, plain http.
Loopback too is held to the full rule at a port for which the user has put certificates.
"""

from __future__ import annotations

import ipaddress
import re

from yarl import URL

from minidock.errors import InvalidInput
from minidock.oci import reference as references
from minidock.registry.certificates import directory_of
from minidock.registry.settings import Settings

#: image names say docker.io, but the registry lives elsewhere
HUB = "docker.io"
HUB_REGISTRY = URL("https://registry-1.docker.io")


def addresses(domain: str, settings: Settings) -> list[URL]:
    """Where the registry of ``domain`` (``docker.io``, ``localhost:5000``) may be: what to put before ``/v2/``.

    The first that answers is it. Raises InvalidInput for what cannot be a host's name.
    """
    if domain == HUB:
        return [HUB_REGISTRY]
    if not references.is_domain(domain):
        raise InvalidInput(f"invalid registry address {domain!r}: write it as registry.example:5000")
    try:
        url = URL(f"https://{domain}")
    except ValueError as error:
        raise InvalidInput(f"invalid registry address {domain!r}: {error}") from None
    if _is_short_for_ipv4(url.host or ""):
        raise InvalidInput(f"invalid registry address {domain!r}: write all four numbers of an IPv4 address")
    # As Docker: TLS with any certificate is still better than none.
    return [url, url.with_scheme("http")] if is_insecure(url, settings) else [url]


def _is_short_for_ipv4(host: str) -> bool:
    """``0``, ``127.1``: inet_aton(3) takes it for an address, which every check of addresses would miss."""
    return host.replace(".", "").isdigit() and re.fullmatch(r"\d+(\.\d+){3}", host) is None


def mirrors(domain: str, settings: Settings) -> list[URL]:
    """Which mirrors to ask before the registry itself; Docker Hub alone has some.

    :raises InvalidInput: one is no URL, or would be used over plain http without being insecure
    """
    return [_mirror(text, settings) for text in settings.mirrors] if domain == HUB else []


def is_acceptable(url: URL, settings: Settings) -> bool:
    """Whether we may speak to ``url`` at all: over https, or to a host that may do with less."""
    return bool(url.host) and (url.scheme == "https" or (url.scheme == "http" and is_insecure(url, settings)))


def is_insecure(url: URL, settings: Settings) -> bool:
    """Whether plain http, or a certificate that nobody vouches for, is acceptable for this host."""
    if {url.host, f"{url.host}:{url.port}"} & settings.insecure:
        return True
    if is_loopback(url):
        return directory_of(url, settings.certificates) is None
    try:
        address = ipaddress.ip_address(url.host or "")
    except ValueError:
        return False
    return any(address in network for network in settings.insecure_networks())


def is_loopback(url: URL) -> bool:
    """Whether this is certainly our own machine: by its address, or by the name that is reserved for it."""
    try:
        return url.host == "localhost" or ipaddress.ip_address(url.host or "").is_loopback
    except ValueError:
        return False


def parse_url(text: str) -> URL:
    """A URL that a server sent; an empty one, which is acceptable to nobody, when it is none."""
    try:
        return URL(text)
    except ValueError:
        return URL()


def _mirror(text: str, settings: Settings) -> URL:
    url = parse_url(text.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidInput(f"invalid mirror {text!r}: an http or https URL is needed")
    if not is_acceptable(url, settings):
        raise InvalidInput(f"mirror {text} uses plain http: list {url.host}:{url.port} as an insecure registry first")
    return url
