"""Images and containers as archives: ``commit``, ``export``, ``import``, ``save``, ``load``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from minidock.client import pulling, terminal
from minidock.client.connection import Response, segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.client.http1 import PIECE
from minidock.client.streams import write_all
from minidock.errors import InvalidInput


def commit(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock commit``: a container's changes become an image; prints its id."""
    repository, tag = pulling.split(arguments[1]) if len(arguments) > 1 else ("", "")
    query = {
        "container": arguments[0],
        "repo": repository,
        "tag": tag,
        "comment": flags["message"],
        "author": flags["author"],
        "changes": flags["change"],
        "pause": None if flags["pause"] else 0,
    }
    print(context.client.request("POST", "/commit", query).json()["Id"])
    return 0


def import_(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock import``: a root file system tar, from a file, standard input or a URL, becomes an image."""
    source, name = arguments[0], arguments[1] if len(arguments) > 1 else ""
    repository, tag = pulling.split(name) if name else ("", "")
    is_url = source.startswith(("http://", "https://"))
    query = {
        "fromSrc": source if is_url else "-",
        "repo": repository,
        "tag": tag,
        "message": flags["message"],
        "changes": flags["change"],
        "platform": flags["platform"],
    }
    body = None if is_url else pieces("" if source == "-" else source)
    pulling.follow(context.client.request("POST", "/images/create", query, body), pulling.Progress(sys.stdout))
    return 0


def export(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock export``: a container's files as one tar."""
    check_output(flags["output"], "export container")
    receive(context.client.request("GET", f"/containers/{segment(arguments[0])}/export"), flags["output"])
    return 0


def save(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock save``: images, with their layers and names, as one tar."""
    context.client.since(flags, "platform", "1.48", or_ours=True)
    check_output(flags["output"], "save image")
    query = {"names": arguments, "platform": platform(flags)}
    receive(context.client.request("GET", "/images/get", query), flags["output"])
    return 0


def load(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock load``: images from what ``save`` wrote."""
    context.client.since(flags, "platform", "1.48", or_ours=True)
    if not flags["input"] and terminal.is_terminal(terminal.STDIN):
        raise InvalidInput("requested load from stdin, but stdin is empty")
    quiet = flags["quiet"] or not terminal.is_terminal(terminal.STDOUT)
    query = {"quiet": 1 if quiet else 0, "platform": platform(flags)}
    body = pieces(flags["input"])
    headers = {"Content-Type": "application/x-tar"}
    response = context.client.request("POST", "/images/load", query, body, headers)
    if response.headers.get("content-type") == "application/json":
        pulling.follow(response, pulling.Progress(sys.stdout))
    else:
        sys.stdout.buffer.write(response.read())
    return 0


def platform(flags: Flags) -> dict[str, str]:
    """The flag ``--platform`` as the API wants it: an object. Raises InvalidInput."""
    if not flags["platform"]:
        return {}
    parts = flags["platform"].split("/")
    if len(parts) == 1:
        parts.insert(0, "linux")
    if len(parts) > 3 or not all(parts):
        raise InvalidInput(f'invalid platform: "{flags["platform"]}" is not os[/arch[/variant]], like linux/amd64')
    return dict(zip(("os", "architecture", "variant"), parts, strict=False))


def pieces(path: str) -> Iterator[bytes]:
    """A file, or standard input when ``path`` is empty, piece by piece. Raises InvalidInput, before the first."""
    # Opened here and not in a generator: an error must come before the request is on its way.
    try:
        file = open(path, "rb") if path else sys.stdin.buffer  # noqa: SIM115
    except OSError as error:
        raise InvalidInput(f"open {path}: {str(error.strerror).lower()}") from None
    return iter(lambda: file.read(PIECE), b"")


def check_output(path: str, what: str) -> None:
    """Raises InvalidInput when an archive would go to a terminal, or to where no file can be."""
    if not path:
        if terminal.is_terminal(terminal.STDOUT):
            raise InvalidInput("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        return
    directory = os.path.dirname(os.path.normpath(path))
    if directory and not os.path.isdir(directory):
        message = f"invalid output path: stat {directory}: no such file or directory"
        raise InvalidInput(f"failed to {what}: {message}")


def receive(response: Response, path: str) -> None:
    """A body into a file that appears when it is complete, or to standard output."""
    if not path:
        for piece in response.pieces():
            write_all(terminal.STDOUT, piece)
        return
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            for piece in response.pieces():
                file.write(piece)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


COMMIT = Command(
    "commit",
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    "Create a new image from a container's changes",
    commit,
    table("""
    -a, --author string    Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    -c, --change list      Apply Dockerfile instruction to the created image
    -m, --message string   Commit message
    -p, --pause            Pause container during commit (default true)
"""),
)
EXPORT = Command(
    "export",
    "[OPTIONS] CONTAINER",
    "Export a container's filesystem as a tar archive",
    export,
    table("-o, --output string  Write to a file, instead of STDOUT"),
)
IMPORT = Command(
    "import",
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    "Import the contents from a tarball to create a filesystem image",
    import_,
    table("""
    -c, --change list       Apply Dockerfile instruction to the created image
    -m, --message string    Set commit message for imported image
        --platform string   Set platform if server is multi-platform capable
"""),
)
SAVE = Command(
    "save",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    save,
    table("""
    -o, --output string     Write to a file, instead of STDOUT
        --platform string   Save only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g.,
                            "linux/amd64")
"""),
)
LOAD = Command(
    "load",
    "[OPTIONS]",
    "Load an image from a tar archive or STDIN",
    load,
    table("""
    -i, --input string      Read from tar archive file, instead of STDIN
        --platform string   Load only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g.,
                            "linux/amd64")
    -q, --quiet             Suppress the load output
"""),
)
