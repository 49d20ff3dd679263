"""What a person decides about registries: which ones to trust how far, where to look first, and how patient to be."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from minidock.errors import InvalidInput


@dataclass(frozen=True)
class Settings:
    """The daemon's options that concern registries."""

    #: base URLs that are asked before Docker Hub, in this order
    mirrors: tuple[str, ...] = ()
    #: registries (``host``, ``host:port`` or a network such as ``10.0.0.0/8``) that may use plain http or a
    #: certificate that nobody vouches for; loopback always may
    insecure: frozenset[str] = frozenset()
    #: a directory for each registry that has certificates of its own: see :mod:`minidock.registry.certificates`
    certificates: Path = Path("/etc/minidock/certs.d")
    #: hosts (``auth.example.com`` or ``host:port``) that may be shown the password of a registry elsewhere
    trusted_realms: frozenset[str] = frozenset()
    #: blobs of one image that are downloaded at a time, as Docker's option of this name
    max_concurrent_downloads: int = 3
    #: blobs of one image that are uploaded at a time, as Docker's option of this name
    max_concurrent_uploads: int = 5
    #: bytes that one request of an upload carries at most; 0 is no limit
    upload_chunk: int = 0
    #: seconds to wait for a connection
    connect_timeout: float = 30.0
    #: seconds without a byte after which a connection counts as lost
    idle_timeout: float = 60.0
    user_agent: str = "minidock"

    def insecure_networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """The networks among the insecure registries. Raises InvalidInput when one is no network."""
        try:
            return [ipaddress.ip_network(entry, strict=False) for entry in self.insecure if "/" in entry]
        except ValueError as error:
            raise InvalidInput(f"invalid insecure registry: {error}") from error
