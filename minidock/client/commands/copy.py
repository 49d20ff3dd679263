"""``cp``: files between here and a container, as tar streams in both directions.

What ``cp -r A B`` means depends on what A and B are; Docker's rules are those of Unix, made strict. The source's
entries are renamed so that they can be unpacked into a directory that exists:

===================== ======================= ==================================
the target is         a file is copied        a directory is copied
===================== ======================= ==================================
a directory           into it                 into it (``A/.``: only its content)
a file                over it                 an error
missing               under that name         under that name
missing, ends in "/"  an error                under that name
===================== ======================= ==================================
"""

from __future__ import annotations

import base64
import io
import json
import os
import posixpath
import sys
import tarfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minidock.client import tarring, terminal
from minidock.client.commands.archives import pieces
from minidock.client.connection import Response, segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.client.streams import write_all
from minidock.errors import ErrorFromDaemon, InvalidInput
from minidock.units import human_size

# Go's os.FileMode has its own bits for what is not a permission.
_DIRECTORY, _SYMLINK, _SPECIAL = 1 << 31, 1 << 27, (1 << 26) | (1 << 25) | (1 << 24) | (1 << 21)


class Place(NamedTuple):
    """One end of a copy: a path, and what is there."""

    path: str
    exists: bool
    is_directory: bool


def cp(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock cp``."""
    if not all(arguments):
        raise InvalidInput(f"{'source' if not arguments[0] else 'destination'} can not be empty")
    (source, source_path), (target, target_path) = map(_split, arguments)
    if source and target:
        raise InvalidInput("copying between containers is not supported")
    if not source and not target:
        raise InvalidInput("must specify at least one container source")
    quiet = flags["quiet"] if "quiet" in flags.given else not terminal.is_terminal(terminal.STDOUT)
    if source:
        copied = _out(context, source, source_path, target_path, flags["follow-link"])
        where = os.path.abspath(target_path)
    else:
        copied = _in(context, source_path, target, target_path, flags)
        where = f"{target}:{target_path}"
    if not quiet and target_path != "-":
        print(f"Successfully copied {human_size(copied, 3)} to {where}", file=sys.stderr)
    return 0


def _split(text: str) -> tuple[str, str]:
    """``CONTAINER:PATH``; ``/a:b``, ``./a:b`` and ``-`` are local."""
    container, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")):
        return "", text
    return container, path


# --- out of a container --------------------------------------------------------------------------------------------


def _out(context: Context, container: str, path: str, target: str, follow: bool) -> int:
    if target != "-":
        _check_directory(target)
    renamed = ""
    if follow:
        stat = _stat(context, container, path)
        if stat["mode"] & _SYMLINK:
            linked = posixpath.join(posixpath.dirname(path.rstrip("/")), stat["linkTarget"])
            path, renamed = _keep_dot(linked, path), _base(path)
    response = context.client.request("GET", _archive(container), {"path": path})
    if target == "-":
        for piece in response.pieces():
            write_all(terminal.STDOUT, piece)
        return 0
    is_directory = bool(_decode(response)["mode"] & _DIRECTORY)
    counted = tarring.Pieces(response.pieces())
    directory, rename = _plan(Place(path, True, is_directory), _local(target), renamed or _base(path))
    tarring.extract(
        io.BufferedReader(counted), directory, _chain(_renamer(_base(path), renamed or _base(path)), rename)
    )
    return counted.count


def _check_directory(path: str) -> None:
    directory = os.path.dirname(os.path.normpath(path))
    if directory and not os.path.isdir(directory):
        raise InvalidInput(f'invalid output path: directory "{os.path.abspath(directory)}" does not exist')


def _local(path: str) -> Place:
    """Where a copy goes, symbolic links followed."""
    shown = _keep_dot(os.path.realpath(path) if os.path.exists(path) else os.path.abspath(path), path)
    return Place(shown, os.path.exists(path), os.path.isdir(path))


# --- into a container ----------------------------------------------------------------------------------------------


def _in(context: Context, source: str, container: str, target: str, flags: Flags) -> int:
    place = _remote(context, container, target)
    if source == "-":
        if not place.is_directory:
            raise InvalidInput(f'destination "{container}:{target}" must be a directory')
        directory, body = place.path, pieces("")
    else:
        source = os.path.realpath(source) if flags["follow-link"] else source
        directory, body = _packed(source, place)
    count = 0

    def counted() -> Iterator[bytes]:
        nonlocal count
        for piece in body:
            count += len(piece)
            yield piece

    query = {"path": directory, "noOverwriteDirNonDir": "true", "copyUIDGID": "true" if flags["archive"] else None}
    context.client.request("PUT", _archive(container), query, counted(), {"Content-Type": "application/x-tar"}).read()
    return count


def _packed(source: str, place: Place) -> tuple[str, Iterator[bytes]]:
    """The directory to unpack into, and the archive to unpack."""
    try:
        is_directory = os.path.isdir(source) and (source.endswith("/") or not os.path.islink(source))
        os.lstat(source)
    except OSError as error:
        raise InvalidInput(f"lstat {os.path.abspath(source)}: {str(error.strerror).lower()}") from None
    if source.endswith("/") and not is_directory:
        raise InvalidInput("not a directory")
    base = _base(source if not _is_dot(source) else os.path.join(source, "."))
    directory, rename = _plan(Place(source, True, is_directory), place, base)

    def write(archive: tarfile.TarFile) -> None:
        tarring.add_tree(archive, os.path.normpath(source), rename(base))

    return directory, tarring.stream(write)


def _remote(context: Context, container: str, path: str) -> Place:
    """What is at a path in a container. When nobody knows, its parent may exist all the same."""
    path = path if path.startswith("/") else f"/{path}"
    try:
        stat = _stat(context, container, path)
        if stat["mode"] & _SYMLINK:
            linked = posixpath.join(posixpath.dirname(path.rstrip("/")), stat["linkTarget"])
            path = _keep_dot(linked, path)
            stat = _stat(context, container, path)
    except ErrorFromDaemon as error:
        if "No such container" in error.text:
            raise
        return Place(path, False, False)
    if stat["mode"] & _SPECIAL:
        raise InvalidInput(f'destination "{container}:{path}" must be a directory or a regular file')
    return Place(path, True, bool(stat["mode"] & _DIRECTORY))


def _stat(context: Context, container: str, path: str) -> dict[str, Any]:
    response = context.client.request("HEAD", _archive(container), {"path": path})
    response.read()
    return _decode(response)


def _decode(response: Response) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(response.headers["x-docker-container-path-stat"])))


def _archive(container: str) -> str:
    return f"/containers/{segment(container)}/archive"


# --- what the entries are called -----------------------------------------------------------------------------------


def _plan(source: Place, target: Place, base: str) -> tuple[str, Callable[[str], str]]:
    """The directory to unpack into, and what each entry, which begins with ``base``, is to be called there."""
    if target.exists and target.is_directory:
        return target.path, lambda name: name
    if target.exists and source.is_directory:
        raise InvalidInput("cannot copy directory")
    if not target.exists and not source.is_directory and target.path.endswith(("/", "/.")):
        raise InvalidInput("no such directory")
    path = posixpath.normpath(target.path)
    return posixpath.dirname(path), _renamer(base, posixpath.basename(path))


def _renamer(before: str, after: str) -> Callable[[str], str]:
    """Replaces an entry's first name."""

    def rename(name: str) -> str:
        if before == ".":
            inner = name.removeprefix("./").strip("/")
            return after if inner in ("", ".") else f"{after}/{inner}"
        return after + name.removeprefix(before) if name == before or name.startswith(f"{before}/") else name

    return (lambda name: name) if before == after else rename


def _chain(first: Callable[[str], str], second: Callable[[str], str]) -> Callable[[str], str]:
    return lambda name: second(first(name))


def _is_dot(path: str) -> bool:
    return path in (".", "/.") or path.endswith("/.")


def _base(path: str) -> str:
    """The last name of a path; ``.`` when it says "the content of"."""
    return "." if _is_dot(path) else posixpath.basename(posixpath.normpath(path)) or "/"


def _keep_dot(path: str, original: str) -> str:
    """``path`` with the ``/.`` or ``/`` at the end that the user wrote."""
    path = posixpath.normpath(path)
    if _is_dot(original):
        return f"{path}/."
    return f"{path.rstrip('/')}/" if original.endswith("/") else path


CP = Command(
    "cp",
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tminidock cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files/folders between a container and the local filesystem",
    cp,
    table("""
    -a, --archive       Archive mode (copy all uid/gid information)
    -L, --follow-link   Always follow symbol link in SRC_PATH
    -q, --quiet         Suppress progress output during copy. Progress output is automatically suppressed if no terminal
                        is attached
"""),
    long=(
        "Copy files/folders between a container and the local filesystem\n\n"
        "Use '-' as the source to read a tar archive from stdin\n"
        "and extract it to a directory destination in a container.\n"
        "Use '-' as the destination to stream a tar archive of a\n"
        "container source to stdout."
    ),
)
