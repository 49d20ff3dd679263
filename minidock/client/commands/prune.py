"""``prune``: remove what nobody uses, after asking.

One function for each kind of thing asks the daemon; each kind's own command prints what went, and ``system prune`` does
them all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from minidock.client.context import Context
from minidock.client.flags import Command, Flag, Flags, condition, size, table
from minidock.client.listing import filters
from minidock.errors import InvalidInput
from minidock.units import human_size


class Pruned(NamedTuple):
    """What went: a text of it, and how many bytes came back (None: nobody counts them)."""

    text: str
    reclaimed: int | None


def confirmed(question: str) -> bool:
    """Ask on the terminal; only ``y`` and ``yes`` are a yes."""
    print(f"{question}Are you sure you want to continue? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def containers(context: Context, flags: Flags) -> Pruned:
    """Containers that do not run."""
    return _prune(context, "containers", filters(flags["filter"]), "Deleted Containers", "ContainersDeleted")


def images(context: Context, flags: Flags) -> Pruned:
    """Images without a name; with ``--all``, those without a container."""
    wanted = filters(flags["filter"]) | {"dangling": {str(not flags["all"]).lower(): True}}
    report = context.client.request("POST", "/images/prune", {"filters": wanted}).json()
    gone = [
        (what, entry[what])
        for entry in report["ImagesDeleted"] or []
        for what in ("Untagged", "Deleted")
        if entry.get(what)
    ]
    lines = [f"{what.lower()}: {name}" for what, name in gone]
    return Pruned("\n".join(["Deleted Images:", *lines, ""]) if lines else "", report["SpaceReclaimed"])


def networks(context: Context, flags: Flags) -> Pruned:
    """Networks of the user's own without a container."""
    return _prune(context, "networks", filters(flags["filter"]), "Deleted Networks", "NetworksDeleted")


def volumes(context: Context, flags: Flags) -> Pruned:
    """Volumes without a container: the nameless; with ``--all``, all of them."""
    wanted = filters(flags["filter"])
    context.client.since(flags, "all", "1.42")
    if flags.get("all") and "volumes" not in flags:
        if "all" in wanted:
            raise InvalidInput("conflicting options: cannot specify both --all and --filter all=1")
        wanted["all"] = {"true": True}
    return _prune(context, "volumes", wanted, "Deleted Volumes", "VolumesDeleted")


def build_cache(context: Context, flags: Flags) -> Pruned:
    """What builds have kept for the next build."""
    query = {"all": flags["all"], "filters": filters(flags["filter"]), "keep-storage": flags.get("keep-storage")}
    report = context.client.request("POST", "/build/prune", query).json()
    return _pruned("Deleted build cache objects", report.get("CachesDeleted"), report["SpaceReclaimed"])


def _prune(context: Context, kind: str, wanted: dict[str, Any], title: str, field: str) -> Pruned:
    report = context.client.request("POST", f"/{kind}/prune", {"filters": wanted}).json()
    return _pruned(title, report.get(field), report.get("SpaceReclaimed"))


def _pruned(title: str, names: list[str] | None, reclaimed: int | None) -> Pruned:
    return Pruned("\n".join([f"{title}:", *names, ""]) if names else "", reclaimed)


def _command(
    name: str,
    what: str,
    act: Callable[[Context, Flags], Pruned],
    target: Callable[[Context, Flags], str],
    *more: Flag,
) -> Command:
    """The command for one kind of thing: ask, act, tell. ``target`` says what would go."""
    end = " " if act is build_cache else "\n"

    def run(context: Context, flags: Flags, arguments: list[str]) -> int:
        if not (flags["force"] or confirmed(f"WARNING! This will remove {target(context, flags)}.{end}")):
            return 0
        text, reclaimed = act(context, flags)
        if text:
            print(text)
        if reclaimed is not None:
            print(f"Total reclaimed space: {human_size(reclaimed)}")
        return 0

    usage = "" if act is build_cache else "[OPTIONS]"  # so says Docker, though there are some
    return Command(name, usage, f"Remove {what}", run, tuple(sorted((*more, _FORCE))))


def _volumes(context: Context, flags: Flags) -> str:
    context.client.since(flags, "all", "1.42")
    every = flags["all"] or not context.client.at_least("1.42")
    return f"{'all' if every else 'anonymous'} local volumes not used by at least one container"


_FORCE = Flag("force", "f", "bool", "Do not prompt for confirmation")


def _filter(example: str) -> Flag:
    return Flag("filter", "", "filter", f'Provide filter values (e.g. "{example}")', convert=condition)


def _all(text: str) -> Flag:
    return Flag("all", "a", "bool", text)


CONTAINERS = _command(
    "container prune",
    "all stopped containers",
    containers,
    lambda *_: "all stopped containers",
    _filter("until=<timestamp>"),
)
IMAGES = _command(
    "image prune",
    "unused images",
    images,
    lambda _, flags: (
        "all images without at least one container associated to them" if flags["all"] else "all dangling images"
    ),
    _all("Remove all unused images, not just dangling ones"),
    _filter("until=<timestamp>"),
)
NETWORKS = _command(
    "network prune",
    "all unused networks",
    networks,
    lambda *_: "all custom networks not used by at least one container",
    _filter("until=<timestamp>"),
)
VOLUMES = _command(
    "volume prune",
    "unused local volumes",
    volumes,
    _volumes,
    _all("Remove all unused volumes, not just anonymous ones"),
    _filter("label=<label>"),
)
BUILDER = _command(
    "builder prune",
    "build cache",
    build_cache,
    lambda _, flags: "all build cache" if flags["all"] else "all dangling build cache",
    _all("Remove all unused build cache, not just dangling ones"),
    _filter("until=24h"),
    Flag("keep-storage", "", "bytes", "Amount of disk space to keep for cache", convert=size),
)


def system(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock system prune``."""
    wanted = filters(flags["filter"])
    if flags["volumes"] and "until" in wanted:
        raise InvalidInput('ERROR: The "until" filter is not supported with "--volumes"')
    if not (flags["force"] or confirmed(_warning(flags))):
        return 0
    reclaimed = 0
    for act in (containers, networks, *([volumes] if flags["volumes"] else []), images, build_cache):
        text, freed = act(context, flags)
        reclaimed += freed or 0
        if text:
            print(text)
    print(f"Total reclaimed space: {human_size(reclaimed)}")
    return 0


def _warning(flags: Flags) -> str:
    items = ["all stopped containers", "all networks not used by at least one container"]
    items += ["all anonymous volumes not used by at least one container"] if flags["volumes"] else []
    items += ["all images without at least one container associated to them" if flags["all"] else "all dangling images"]
    items += ["all build cache" if flags["all"] else "unused build cache"]
    lines = ["WARNING! This will remove:", *(f"  - {item}" for item in items), ""]
    if flags["filter"]:
        lines += [
            "  Items to be pruned will be filtered with:",
            *(f"  - {text}" for text in sorted(flags["filter"])),
            "",
        ]
    return "\n".join([*lines, ""])


SYSTEM = Command(
    "system prune",
    "[OPTIONS]",
    "Remove unused data",
    system,
    table("""
    -a, --all             Remove all unused images not just dangling ones
        --filter filter   Provide filter values (e.g. "label=<key>=<value>")
    -f, --force           Do not prompt for confirmation
        --volumes         Prune anonymous volumes
"""),
)
