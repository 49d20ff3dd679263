"""Image names as Docker reads them: ``debian`` is ``docker.io/library/debian:latest``.

::

    reference  = name [":" tag] ["@" digest]
    name       = [domain "/"] path
    domain     = host [":" port]            host: a DNS name, an IPv4 address, or an IPv6 address in brackets
    path       = component *("/" component)
    component  = alphanumerics, joined by "." or "_" or "__" or any number of "-"

The first component is a registry's address only if it looks like one: it holds a dot or a colon, or is ``localhost``,
or has capitals. Otherwise the registry is Docker Hub, whose own images live under ``library/``.

Source: https://github.com/distribution/reference (the grammar, and the messages that clients show).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from minidock.errors import InvalidReference
from minidock.oci import digest as digests

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
MAX_PATH = 255

_ALPHANUMERIC = "[a-z0-9]+"
_COMPONENT = f"{_ALPHANUMERIC}(?:(?:[._]|__|-+){_ALPHANUMERIC})*"
_PATH = f"{_COMPONENT}(?:/{_COMPONENT})*"
_LABEL = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

_is_id = re.compile("[a-f0-9]{64}").fullmatch
is_tag = re.compile(_TAG).fullmatch
is_path = re.compile(_PATH).fullmatch
_parts = re.compile(
    f"(?P<domain>{_DOMAIN})/(?P<path>{_PATH})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
).fullmatch


@dataclass(frozen=True, order=True, slots=True)
class Reference:
    """An image's full name. ``str()`` of it is canonical: ``docker.io/library/debian:12``."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """The name without tag and digest: ``docker.io/library/debian``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as people write it: ``debian``, ``user/tool``, ``quay.io/user/tool``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        library, _, rest = self.path.partition("/")
        return rest if library == "library" and rest and "/" not in rest else self.path

    @property
    def familiar(self) -> str:
        """As people write it, with tag and digest: ``debian:12``."""
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix

    def with_default_tag(self) -> Reference:
        """The same, with ``:latest`` if there is neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_digest(self, digest: str) -> Reference:
        """This name with ``digest`` in place of any tag. Raises InvalidDigest."""
        return Reference(self.domain, self.path, digest=digests.check(digest))


def parse(text: str) -> Reference:
    """Read a name as a user writes it. No tag is added: see :meth:`Reference.with_default_tag`.

    Raises InvalidReference, in Docker's own words.
    """
    if _is_id(text):
        raise InvalidReference(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, rest = _split_domain(text)
    path = rest.partition(":")[0]
    if path != path.lower():
        raise InvalidReference(f"invalid reference format: repository name ({path}) must be lowercase")
    found = _parts(f"{domain}/{rest}")
    if found is None:
        raise InvalidReference("invalid reference format")
    if len(found["path"]) > MAX_PATH:
        raise InvalidReference(f"repository name must not be more than {MAX_PATH} characters")
    if found["digest"]:
        digests.check(found["digest"])
    return Reference(found["domain"], found["path"], found["tag"], found["digest"])


def is_domain(text: str) -> bool:
    """Whether an image's name could begin with this: ``registry.example:5000``."""
    return re.fullmatch(_DOMAIN, text) is not None


def _split_domain(text: str) -> tuple[str, str]:
    """The registry's domain, and the rest. Docker Hub is the default, and ``index.docker.io`` its old name."""
    first, slash, rest = text.partition("/")
    looks_like_a_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    if not slash or not looks_like_a_host:
        first, rest = DEFAULT_DOMAIN, text
    if first == "index.docker.io":
        first = DEFAULT_DOMAIN
    if first == DEFAULT_DOMAIN and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest
