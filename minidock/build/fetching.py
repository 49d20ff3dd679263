"""What a build takes from the web: ``ADD https://…``, and a context that is a URL; files and git repositories.

Source: https://docs.docker.com/reference/dockerfile/#add.
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import posixpath
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from minidock import dialing, git
from minidock.build.workshop import in_thread
from minidock.content.disk import space_errors
from minidock.errors import CorruptContent, InvalidInput, MinidockError
from minidock.images.compression import CHUNK
from minidock.registry.certificates import context_of

_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=120)
MAX_SIZE = 16 * 1024**3
"""In bytes."""


@dataclass(frozen=True)
class Fetched:
    """A file from the web: ``name`` is the last part of its URL, ``modified`` seconds since 1970 (0: nobody said)."""

    path: Path
    name: str
    media_type: str
    modified: int


def is_url(text: str) -> bool:
    """Is this for us to fetch?"""
    return text.startswith(("http://", "https://"))


async def clone(
    url: str, target: Path, turns: asyncio.Semaphore, keep: bool = False, checksum: str = ""
) -> tuple[Path, str]:
    """Fetch a git repository into the new directory ``target``: where in it is what ``url`` asks for, and the commit.

    A thread waits for git: ``turns`` lets few do so, however many servers are slow.
    ``keep``: with ``.git``. ``checksum``: how the commit's id has to begin. Raises InvalidInput, CorruptContent.
    """
    runner = git.Git(alone=True)
    async with turns:
        directory, commit = await in_thread(runner.fetch, git.parse(url), target, keep, stop=runner.stop)
    if not commit.startswith(checksum):
        raise CorruptContent(f"expected checksum to match {checksum}, got {commit}: {url}")
    return directory, commit


async def fetch(url: str, target: Path, checksum: str = "") -> Fetched:
    """Download ``url`` into the file ``target``. Raises MinidockError, CorruptContent, NoSpace, InvalidInput."""
    algorithm, _, wanted = checksum.partition(":")
    if checksum and (algorithm != "sha256" or len(wanted) != 64):
        raise InvalidInput(f"--checksum={checksum}: sha256: and 64 hex digits are needed")
    digest, size, tls = hashlib.sha256(), 0, context_of(None)
    try:
        async with aiohttp.ClientSession(timeout=_PATIENCE) as session, session.get(url, ssl=tls) as answer:
            if answer.status >= 400:
                raise InvalidInput(f"failed to GET {url} with status {answer.status} {answer.reason}")
            with space_errors(target.parent), target.open("wb") as file:
                async for piece in answer.content.iter_chunked(CHUNK):
                    digest.update(piece)
                    size += len(piece)
                    if size > MAX_SIZE:
                        raise InvalidInput(f"{url} is larger than {MAX_SIZE} bytes: refused")
                    file.write(piece)
            modified = _moment(answer.headers.get("Last-Modified", ""))
            media_type = answer.content_type
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise MinidockError(f"failed to GET {url}: {dialing.reason(error)}") from None
    if checksum and digest.hexdigest() != wanted.lower():
        raise CorruptContent(f"digest mismatch sha256:{digest.hexdigest()}: {checksum} for {url}")
    name = posixpath.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path))
    return Fetched(target, name if name not in (".", "..") else "", media_type, modified)


def _moment(text: str) -> int:
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError):
        return 0
