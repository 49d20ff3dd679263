"""What ``build`` sends: the context, as one tar archive, and which file in it is the Dockerfile.

================== =====================================================================================
``build DIR``      the directory without what ``.dockerignore`` excludes, everything owned by root
``build -``        standard input: an archive as it is, or else it is the Dockerfile and there is no context
``build URL``      a git repository is fetched here; any other URL the daemon gets for itself
``-f PATH``        inside the directory: its name there. Outside, or ``-``: sent along under a name of its own
================== =====================================================================================
"""

from __future__ import annotations

import io
import os
import secrets
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from minidock import dockerignore, git
from minidock.client import tarring
from minidock.client.http1 import PIECE
from minidock.errors import InvalidInput

_DEFAULT = "Dockerfile"
# How archives begin: gzip, bzip2, xz, zstd. A plain one says "ustar" in its first header.
_MAGIC = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")


class BuildContext(ExitStack):
    """``body`` is the archive, ``dockerfile`` a name in it; or ``remote`` is a URL. Closing removes a clone."""

    def __init__(self, body: Iterator[bytes] | None, dockerfile: str, remote: str = "") -> None:
        super().__init__()
        self.body, self.dockerfile, self.remote = body, dockerfile, remote


def prepare(where: str, dockerfile: str, compress: bool) -> BuildContext:
    """The context that the command line names. Raises InvalidInput."""
    if where == "-":
        if dockerfile == "-":
            raise InvalidInput("invalid argument: can't use stdin for both build context and dockerfile")
        return _from_stdin(dockerfile)
    if git.is_repository(where):
        return _from_git(where, dockerfile, compress)
    if where.startswith(("http://", "https://")):
        if dockerfile == "-":
            raise InvalidInput("the Dockerfile cannot come from standard input when the context is a URL")
        return BuildContext(None, dockerfile or _DEFAULT, where)
    if not os.path.isdir(where):
        raise InvalidInput(f'unable to prepare context: path "{where}" not found')
    return _from_directory(os.path.realpath(where), dockerfile, compress)


def _from_stdin(dockerfile: str) -> BuildContext:
    head = sys.stdin.buffer.read(512)
    rest = iter(lambda: sys.stdin.buffer.read(PIECE), b"")
    if head.startswith(_MAGIC) or head[257:262] == b"ustar":
        return BuildContext(chain([head], rest), dockerfile or _DEFAULT)
    text = head + b"".join(rest)
    if not text:
        raise InvalidInput(
            "unable to prepare context: standard input is empty: it is neither a context nor a Dockerfile"
        )
    name = dockerfile or _DEFAULT
    return BuildContext(tarring.stream(lambda archive: _add_text(archive, name, text)), name)


def _add_text(archive: tarfile.TarFile, name: str, text: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text), 0o644
    archive.addfile(entry, io.BytesIO(text))


def _from_directory(directory: str, dockerfile: str, compress: bool) -> BuildContext:
    name, text = _dockerfile(directory, dockerfile)
    ignore = dockerignore.Ignore(_patterns(directory, name))
    always = {name, dockerignore.FILE_NAME}

    def write(archive: tarfile.TarFile) -> None:
        if text is not None:
            _add_text(archive, name, text)
        _walk(archive, directory, "", ignore, always)

    return BuildContext(tarring.stream(write, compress), name)


def _dockerfile(directory: str, given: str) -> tuple[str, bytes | None]:
    """Its name in the archive, and its text when it is not in the directory."""
    if given == "-":
        return _own_name(), sys.stdin.buffer.read()
    path = os.path.abspath(given or os.path.join(directory, _DEFAULT))
    try:
        real = os.path.realpath(path, strict=True)
        inside = os.path.relpath(
            os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)), directory
        )
        if not inside.startswith("../") and os.path.relpath(real, directory).startswith("../"):
            raise InvalidInput(f"the Dockerfile ({given or _DEFAULT}) must be within the build context")
        if not inside.startswith("../"):
            return inside, None
        with open(real, "rb") as file:
            return _own_name(), file.read()
    except OSError as error:
        reason = str(error.strerror).lower()
        message = "unable to prepare context: unable to evaluate symlinks in Dockerfile path"
        raise InvalidInput(f"{message}: lstat {path}: {reason}") from None


def _own_name() -> str:
    return f".dockerfile.{secrets.token_hex(10)}"


def _patterns(directory: str, dockerfile: str) -> list[str]:
    """What the ignore file says: the Dockerfile's own one, or else the directory's."""
    for name in (f"{dockerfile}{dockerignore.FILE_NAME}", dockerignore.FILE_NAME):
        try:
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                return dockerignore.read(file.read())
        except FileNotFoundError:
            continue
    return []


def _walk(archive: tarfile.TarFile, top: str, below: str, ignore: dockerignore.Ignore, always: set[str]) -> None:
    """Add everything below a directory, in the order of names."""
    for name in sorted(os.listdir(os.path.join(top, below))):
        path = os.path.join(below, name)
        full = os.path.join(top, path)
        is_directory = os.path.isdir(full) and not os.path.islink(full)
        wanted = path in always or not ignore.excludes(path)
        if wanted:
            tarring.add(archive, full, path, owner=0)
        if is_directory and not ignore.excludes_all_below(path):
            _walk(archive, top, path, ignore, always)
        elif is_directory:
            for kept in (one for one in sorted(always) if one.startswith(f"{path}/")):
                tarring.add(archive, os.path.join(top, kept), kept, owner=0)


def _from_git(url: str, dockerfile: str, compress: bool) -> BuildContext:
    """One commit of a repository: its Dockerfile, too, has to be in it."""
    with ExitStack() as stack:
        clone = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="minidock-git-"))).resolve()
        try:
            directory, _ = git.Git().fetch(git.parse(url), clone)
        except InvalidInput as error:
            raise InvalidInput(f"unable to prepare context: {error}") from None
        path = os.path.join(directory, dockerfile or _DEFAULT)
        git.inside(clone, os.path.relpath(path, clone))
        context = _from_directory(str(directory), path, compress)
        context.push(stack.pop_all())
        return context
    raise AssertionError("not reached")
