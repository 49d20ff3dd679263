"""``volume``: create, list, remove."""

from __future__ import annotations

from typing import Any

from minidock.client.commands.containers import for_each
from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, pairs, table
from minidock.client.listing import FORMAT, configured, filters, labels, natural, show
from minidock.client.template import Record
from minidock.errors import InvalidInput
from minidock.units import human_size

_OURS = {"driver", "label", "opt", "help"}


def create(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock volume create``: prints the name."""
    for name in flags.given - _OURS:
        raise InvalidInput(f"--{name}: cluster volumes need Docker's swarm, which minidock leaves out")
    body = {
        "Name": arguments[0] if arguments else "",
        "Driver": flags["driver"],
        "DriverOpts": pairs(flags["opt"]),
        "Labels": pairs(flags["label"]),
    }
    print(context.client.request("POST", "/volumes/create", body=body).json()["Name"])
    return 0


class Row(Record):
    """One volume."""

    type_name = "*formatter.volumeContext"


HEADINGS = Row(
    Availability="AVAILABILITY",
    Driver="DRIVER",
    Group="GROUP",
    Labels="LABELS",
    Links="LINKS",
    Mountpoint="MOUNTPOINT",
    Name="VOLUME NAME",
    Scope="SCOPE",
    Size="SIZE",
    Status="STATUS",
    Label=lambda name: name,
)


def row(volume: dict[str, Any]) -> Row:
    """What the API says about a volume, as a person reads it."""
    usage = volume.get("UsageData")
    found = volume.get("Labels") or {}
    return Row(
        Availability="N/A",
        Driver=volume["Driver"],
        Group="N/A",
        Labels=labels(volume),
        Links=str(usage["RefCount"]) if usage else "N/A",
        Mountpoint=volume["Mountpoint"],
        Name=volume["Name"],
        Scope=volume["Scope"],
        Size=human_size(usage["Size"]) if usage else "N/A",
        Status="N/A",
        Label=lambda name: found.get(name, ""),
    )


def ls(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock volume ls``."""
    found = context.client.request("GET", "/volumes", {"filters": filters(flags["filter"])}).json()["Volumes"] or []
    form = configured("volumesFormat", flags["format"], flags["quiet"])
    quiet = flags["quiet"] and form in ("", "table")
    rows = [row(volume) for volume in sorted(found, key=lambda one: natural(one["Name"]))]
    show(rows, HEADINGS, "{{.Name}}" if quiet else form, "{{.Driver}}\t{{.Name}}")
    return 0


def rm(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock volume rm``."""

    def action(name: str) -> str:
        context.client.request("DELETE", f"/volumes/{segment(name)}", {"force": flags["force"]}).read()
        return name

    return for_each(arguments, action)


CREATE = Command(
    "volume create",
    "[OPTIONS] [VOLUME]",
    "Create a volume",
    create,
    table("""
        --availability string       Cluster Volume availability ("active", "pause", "drain") (default "active")
    -d, --driver string             Specify volume driver name (default "local")
        --group string              Cluster Volume group (cluster volumes)
        --label list                Set metadata for a volume
        --limit-bytes bytes         Minimum size of the Cluster Volume in bytes
    -o, --opt map                   Set driver specific options (default map[])
        --required-bytes bytes      Maximum size of the Cluster Volume in bytes
        --scope string              Cluster Volume access scope ("single", "multi") (default "single")
        --secret map                Cluster Volume secrets (default map[])
        --sharing string            Cluster Volume access sharing ("none", "readonly", "onewriter", "all") (default
                                    "none")
        --topology-preferred list   A topology that the Cluster Volume would be preferred in
        --topology-required list    A topology that the Cluster Volume must be accessible from
        --type string               Cluster Volume access type ("mount", "block") (default "block")
"""),
)
LS = Command(
    "volume ls",
    "[OPTIONS]",
    "List volumes",
    ls,
    table(
        """
        --cluster         Display only cluster volumes, and use cluster volume list formatting
    -f, --filter filter   Provide filter values (e.g. "dangling=true")
    -q, --quiet           Only display volume names
""",
        FORMAT,
    ),
)
RM = Command(
    "volume rm",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Remove one or more volumes",
    rm,
    table("-f, --force  Force the removal of one or more volumes"),
    long="Remove one or more volumes. You cannot remove a volume that is in use by a container.",
)
