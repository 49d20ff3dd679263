"""Images: list, pull, tag, remove."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from minidock.client import pulling, walking
from minidock.client.commands.containers import for_each
from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.client.listing import FORMAT, configured, filters, show
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


def rows_of(image: dict[str, Any], truncate: bool, now: int) -> Row:
    """One row for the image, with the first of its names."""
    return next(rows(image, False, truncate, now))


def images(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock images``."""
    context.client.since(flags, "tree", "1.47")
    wanted = filters([*flags["filter"], *(f"reference={argument}" for argument in arguments)])
    found = context.client.request("GET", "/images/json", {"all": flags["all"], "filters": wanted}).json()
    form = "{{.ID}}" if flags["quiet"] else configured("imagesFormat", flags["format"])
    digests, truncate = flags["digests"] or "{{.Digest}}" in form, not flags["no-trunc"]
    default = _COLUMNS_WITH_DIGEST if flags["digests"] else _COLUMNS
    show([row for image in found for row in rows(image, digests, truncate, time.time_ns())], HEADINGS, form, default)
    return 0


def pull(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock pull``: progress, and at the end the image's full name."""
    image, quiet, step = arguments[0], flags["quiet"], flags["step"]
    if step:
        walking.check(None)
    has_tag = "@" in image or pulling.familiar(image) == image
    every_tag = flags["all-tags"]
    if every_tag and has_tag:
        raise InvalidInput("tag can't be used with --all-tags/-a")
    if not (every_tag or has_tag or quiet):
        print("Using default tag: latest", flush=True)
    explain = flags["explain"] or step
    pulling.pull(context, image, flags["platform"], quiet, sys.stdout, every_tag=every_tag, explain=explain, step=step)
    print(pulling.full_name(image if every_tag else pulling.familiar(image)))
    return 0


def tag(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock tag``."""
    repository, tag = pulling.split(arguments[1])
    query = {"repo": repository, "tag": tag}
    context.client.request("POST", f"/images/{segment(arguments[0])}/tag", query).read()
    return 0


def rmi(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock rmi``: prints what was untagged and what was deleted."""
    context.client.since(flags, "platform", "1.50")
    query = {"force": flags["force"], "noprune": flags["no-prune"]}

    def action(name: str) -> str:
        removed = context.client.request("DELETE", f"/images/{segment(name)}", query).json() or []
        return "\n".join(f"{what}: {value}" for entry in removed for what, value in entry.items())

    return for_each(arguments, action)


IMAGES = Command(
    "images",
    "[OPTIONS] [REPOSITORY[:TAG]]",
    "List images",
    images,
    table(
        """
    -a, --all             Show all images (default hides intermediate images)
        --digests         Show digests
    -f, --filter filter   Filter output based on conditions provided
        --no-trunc        Don't truncate output
    -q, --quiet           Only show image IDs
        --tree            List multi-platform images as a tree (EXPERIMENTAL)
""",
        FORMAT,
    ),
)
PULL = Command(
    "pull",
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    "Download an image from a registry",
    pull,
    table("""
    -a, --all-tags                Download all tagged images in the repository
        --disable-content-trust   Skip image verification (default true)
        --explain                 Show every request that the daemon makes, and its answer
        --platform string         Set platform if server is multi-platform capable
    -q, --quiet                   Suppress verbose output
        --step                    Wait for Enter between the requests that --explain shows
"""),
)
TAG = Command(
    "tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", tag
)
RMI = Command(
    "rmi",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Remove one or more images",
    rmi,
    table("""
    -f, --force              Force removal of the image
        --no-prune           Do not delete untagged parents
        --platform strings   Remove only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g.,
                             "linux/amd64")
"""),
)
