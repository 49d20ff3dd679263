"""Digests: ``sha256:`` and 64 hexadecimal digits, the name of every piece of content.

A digest is an ordinary ``str`` everywhere; it is checked once, where it comes in. A checked digest is safe as a file
name: its algorithm is one of two words and the rest is lower-case hexadecimal.

Source: image-spec, descriptor.md, "Digests".
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from minidock.errors import CorruptContent, InvalidDigest

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

# \Z and not $: the latter also matches before a final newline.
PATTERN = r"^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z"
_matches = re.compile(PATTERN).match

#: A digest inside a document: checked while the document is decoded.
Digest = Annotated[str, Meta(pattern=PATTERN)]


def check(text: str) -> str:
    """``text`` itself if it is a digest. Raises InvalidDigest."""
    if not _matches(text):
        raise InvalidDigest(f"{text[:150]!r} is not a digest: sha256: and 64 lower-case hexadecimal digits are needed")
    return text


def split(digest: str) -> tuple[str, str]:
    """The algorithm and the hexadecimal part. Raises InvalidDigest."""
    algorithm, _, encoded = check(digest).partition(":")
    return algorithm, encoded


def encoded(digest: str) -> str:
    """The hexadecimal part alone. Raises InvalidDigest."""
    return split(digest)[1]


def of(data: bytes) -> str:
    """The sha256 digest of ``data``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def hasher(digest: str) -> Hash:
    """A new hash object of the algorithm that ``digest`` uses. Raises InvalidDigest."""
    return hashlib.new(split(digest)[0])


def verify(digest: str, data: bytes) -> bytes:
    """``data`` itself if ``digest`` is its name. Raises CorruptContent, InvalidDigest."""
    hash_ = hasher(digest)
    hash_.update(data)
    found = f"{hash_.name}:{hash_.hexdigest()}"
    if found != digest:
        raise CorruptContent(f"content is {found} where {digest} is wanted")
    return data
