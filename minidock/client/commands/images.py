"""Images: list, pull, import, tag, remove."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from minidock.client import pulling, table
from minidock.client.commands.containers import for_each
from minidock.client.commands.ps import FILTER, FORMAT, NO_TRUNC, filters
from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flag, Flags
from minidock.client.http1 import PIECE
from minidock.client.template import Record
from minidock.errors import InvalidInput
from minidock.units import SECOND, human_duration, human_size, local_time

_AGE = "{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}"
_COLUMNS = f"{{{{.Repository}}}}\t{{{{.Tag}}}}\t{{{{.ID}}}}\t{_AGE}\t{{{{.Size}}}}"
_COLUMNS_WITH_DIGEST = f"{{{{.Repository}}}}\t{{{{.Tag}}}}\t{{{{.Digest}}}}\t{{{{.ID}}}}\t{_AGE}\t{{{{.Size}}}}"


class Row(Record):
    """One name of an image, with Docker's names for what can be asked of it."""

    type_name = "*formatter.imageContext"


HEADINGS = Row(
    Containers="CONTAINERS",
    CreatedAt="CREATED AT",
    CreatedSince="CREATED",
    Digest="DIGEST",
    ID="IMAGE ID",
    Repository="REPOSITORY",
    SharedSize="SHARED SIZE",
    Size="SIZE",
    Tag="TAG",
    UniqueSize="UNIQUE SIZE",
    VirtualSize="SIZE",
)


def rows(image: dict[str, Any], digests: bool, truncate: bool, now: int) -> Iterator[Row]:
    """One row for each name of an image; with ``digests``, for each digest of each name; one for a nameless image."""
    by_repository: dict[str, list[str]] = {}
    for reference in image.get("RepoDigests") or []:
        repository, _, digest = reference.partition("@")
        by_repository.setdefault(repository, []).append(digest)
    tagged = [name.rpartition(":") for name in image.get("RepoTags") or [] if name != "<none>:<none>"]
    for repository, _, tag in tagged:
        for digest in (by_repository.get(repository) if digests else None) or ["<none>"]:
            yield _row(image, repository, tag, digest, truncate, now)
    for repository, values in by_repository.items():
        if repository not in {name for name, _, _ in tagged} and repository != "<none>":
            for digest in values if digests else [""]:
                yield _row(image, repository, "<none>", digest, truncate, now)
    if not tagged and not set(by_repository) - {"<none>"}:
        yield _row(image, "<none>", "<none>", "<none>", truncate, now)


def _row(image: dict[str, Any], repository: str, tag: str, digest: str, truncate: bool, now: int) -> Row:
    created, shared = image["Created"] * SECOND, image.get("SharedSize", -1)
    identifier = image["Id"]
    return Row(
        Containers="N/A" if image.get("Containers", -1) == -1 else str(image["Containers"]),
        CreatedAt=local_time(created),
        CreatedSince=f"{human_duration(now - created)} ago",
        Digest=digest,
        ID=identifier.removeprefix("sha256:")[:12] if truncate else identifier,
        Repository=repository,
        SharedSize="N/A" if shared == -1 else human_size(shared),
        Size=human_size(image["Size"], 3),
        Tag=tag,
        UniqueSize="N/A" if shared == -1 else human_size(image["Size"] - shared),
        VirtualSize=human_size(image["Size"]),
    )


def images(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock images``."""
    wanted = filters([*flags["filter"], *(f"reference={argument}" for argument in arguments)])
    found = context.client.request("GET", "/images/json", {"all": flags["all"], "filters": wanted}).json()
    form = "{{.ID}}" if flags["quiet"] else flags["format"]
    digests, truncate = flags["digests"] or "{{.Digest}}" in form, not flags["no-trunc"]
    default = _COLUMNS_WITH_DIGEST if flags["digests"] else _COLUMNS
    listed: list[Record] = [row for image in found for row in rows(image, digests, truncate, time.time_ns())]
    print(table.write(listed, HEADINGS, form, default), end="")
    return 0


def pull(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock pull``: progress, and at the end the image's full name."""
    image = arguments[0]
    if "@" not in image and pulling.familiar(image) != image and not flags["quiet"]:
        print("Using default tag: latest", flush=True)
    pulling.pull(context, image, flags["platform"], flags["quiet"], sys.stdout)
    print(_full_name(pulling.familiar(image)))
    return 0


def _full_name(image: str) -> str:
    """``docker.io/library/alpine:latest``: what the short name stands for."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


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
    body = None if is_url else _read_in_pieces(source)
    progress = pulling.Progress(sys.stdout)
    for document in context.client.request("POST", "/images/create", query, body).documents():
        pulling.check(document)
        progress.show(document)
    return 0


def _read_in_pieces(source: str) -> Iterator[bytes]:
    try:
        file = sys.stdin.buffer if source == "-" else open(source, "rb")  # noqa: SIM115, PTH123
    except OSError as error:
        raise InvalidInput(f"open {source}: {str(error.strerror).lower()}") from None
    # Opened here and not in a generator: an error must come before the request is on its way.
    return iter(lambda: file.read(PIECE), b"")


def tag(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock tag``."""
    repository, tag = pulling.split(arguments[1])
    query = {"repo": repository, "tag": tag}
    context.client.request("POST", f"/images/{segment(arguments[0])}/tag", query).read()
    return 0


def rmi(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock rmi``: prints what was untagged and what was deleted."""
    query = {"force": flags["force"], "noprune": flags["no-prune"]}

    def action(name: str) -> str:
        removed = context.client.request("DELETE", f"/images/{segment(name)}", query).json() or []
        return "\n".join(f"{what}: {value}" for entry in removed for what, value in entry.items())

    return for_each(arguments, action)


_PLATFORM = Flag("platform", "", "string", "Set platform if server is multi-platform capable")

IMAGES = Command(
    "images",
    "[OPTIONS] [REPOSITORY[:TAG]]",
    "List images",
    images,
    (
        Flag("all", "a", "bool", "Show all images (default hides intermediate images)"),
        Flag("digests", "", "bool", "Show digests"),
        FILTER,
        FORMAT,
        NO_TRUNC,
        Flag("quiet", "q", "bool", "Only show image IDs"),
    ),
    most=1,
)
PULL = Command(
    "pull",
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    "Download an image from a registry",
    pull,
    (_PLATFORM, Flag("quiet", "q", "bool", "Suppress verbose output")),
    least=1,
    most=1,
)
IMPORT = Command(
    "import",
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    "Import the contents from a tarball to create a filesystem image",
    import_,
    (
        Flag("change", "c", "list", "Apply Dockerfile instruction to the created image"),
        Flag("message", "m", "string", "Set commit message for imported image"),
        _PLATFORM,
    ),
    least=1,
    most=2,
)
TAG = Command(
    "tag",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    tag,
    least=2,
    most=2,
)
RMI = Command(
    "rmi",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Remove one or more images",
    rmi,
    (
        Flag("force", "f", "bool", "Force removal of the image"),
        Flag("no-prune", "", "bool", "Do not delete untagged parents"),
    ),
    least=1,
)
