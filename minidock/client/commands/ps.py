"""``ps``: the list of containers."""

from __future__ import annotations

import time
from typing import Any

from minidock.client import table
from minidock.client.context import Context
from minidock.client.flags import Command, Flag, Flags
from minidock.client.template import Record
from minidock.client.template_functions import quote
from minidock.errors import InvalidInput
from minidock.units import SECOND, human_duration, human_size, local_time

_COLUMNS = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"


class Row(Record):
    """One container, with Docker's names for what can be asked of it."""

    type_name = "*formatter.ContainerContext"


HEADINGS = Row(
    Command="COMMAND",
    CreatedAt="CREATED AT",
    ID="CONTAINER ID",
    Image="IMAGE",
    Labels="LABELS",
    LocalVolumes="LOCAL VOLUMES",
    Mounts="MOUNTS",
    Names="NAMES",
    Networks="NETWORKS",
    Platform="PLATFORM",
    Ports="PORTS",
    RunningFor="CREATED",
    Size="SIZE",
    State="STATE",
    Status="STATUS",
    Label=lambda name: name,
)


def filters(texts: list[str]) -> dict[str, dict[str, bool]]:
    """``["status=exited", …]`` as the API takes it: ``{"status": {"exited": true}}``."""
    result: dict[str, dict[str, bool]] = {}
    for text in texts:
        name, _, value = text.partition("=")
        result.setdefault(name.strip().lower(), {})[value.strip()] = True
    return result


def filter_value(text: str) -> str:
    """Raises InvalidInput for a ``--filter`` without ``=``."""
    if "=" not in text:
        raise InvalidInput("bad format of filter (expected name=value)")
    return text


def row(container: dict[str, Any], truncate: bool, now: int) -> Row:
    """What the API says about a container, as a person reads it. ``now`` is in nanoseconds."""
    created = container["Created"] * SECOND
    labels = container.get("Labels") or {}
    mounts = container.get("Mounts") or []
    names = [mount.get("Name") or mount.get("Source") or "" for mount in mounts]
    return Row(
        Command=quote(_ellipsis(container["Command"], 20 if truncate else None)),
        CreatedAt=local_time(created),
        ID=container["Id"][:12] if truncate else container["Id"],
        Image=_image(container, truncate),
        Labels=",".join(f"{name}={labels[name]}" for name in sorted(labels)),
        LocalVolumes=str(sum(mount.get("Driver") == "local" for mount in mounts)),
        Mounts=",".join(_ellipsis(name, 15 if truncate else None) for name in names),
        Names=",".join(name.removeprefix("/") for name in container["Names"]),
        Networks=",".join((container.get("NetworkSettings") or {}).get("Networks") or {}),
        Platform=None,
        Ports=ports(container.get("Ports") or []),
        RunningFor=f"{human_duration(now - created)} ago",
        Size=_size(container),
        State=container["State"],
        Status=container["Status"],
        Label=lambda name: labels.get(name, ""),
    )


def _ellipsis(text: str, length: int | None) -> str:
    return text if length is None or len(text) <= length else f"{text[: length - 1]}…"


def _image(container: dict[str, Any], truncate: bool) -> str:
    name: str = container.get("Image") or "<no image>"
    if not truncate:
        return name
    identifier = str(container.get("ImageID", "")).removeprefix("sha256:")[:12]
    if name.removeprefix("sha256:")[:12] == identifier:
        return identifier
    return name.partition("@")[0]


def _size(container: dict[str, Any]) -> str:
    own, root = container.get("SizeRw") or 0, container.get("SizeRootFs") or 0
    return f"{human_size(own, 3)} (virtual {human_size(root, 3)})" if root else human_size(own, 3)


def ports(mappings: list[dict[str, Any]]) -> str:
    """``0.0.0.0:80->8080/tcp, 53/udp``, in the order of the container's ports."""
    texts = []
    for port in sorted(mappings, key=lambda port: (port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0))):
        address = port.get("IP", "")
        host = f"[{address}]" if ":" in address else address
        public = f"{host}:{port['PublicPort']}->" if address else ""
        texts.append(f"{public}{port['PrivatePort']}/{port['Type']}")
    return ", ".join(texts)


def ps(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock ps``."""
    form, last = flags["format"], 1 if flags["latest"] else flags["last"]
    query = {
        "all": flags["all"],
        "limit": last if last > 0 else None,
        "size": flags["size"] or ".Size" in form,
        "filters": filters(flags["filter"]),
    }
    containers = context.client.request("GET", "/containers/json", query).json()
    rows: list[Record] = [row(container, not flags["no-trunc"], time.time_ns()) for container in containers]
    if flags["quiet"]:
        form = "{{.ID}}"
    print(table.write(rows, HEADINGS, form, _COLUMNS + ("\t{{.Size}}" if flags["size"] else "")), end="")
    return 0


FORMAT = Flag("format", "", "string", "Format output: 'table', 'table TEMPLATE', 'json', or a Go template", "")
FILTER = Flag("filter", "f", "list", "Filter output based on conditions provided", convert=filter_value)
NO_TRUNC = Flag("no-trunc", "", "bool", "Don't truncate output")

PS = Command(
    "ps",
    "[OPTIONS]",
    "List containers",
    ps,
    (
        Flag("all", "a", "bool", "Show all containers (default shows just running)"),
        FILTER,
        FORMAT,
        Flag("last", "n", "int", "Show n last created containers (includes all states)", -1),
        Flag("latest", "l", "bool", "Show the latest created container (includes all states)"),
        NO_TRUNC,
        Flag("quiet", "q", "bool", "Only display container IDs"),
        Flag("size", "s", "bool", "Display total file sizes"),
    ),
    most=0,
)
