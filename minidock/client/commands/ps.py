"""``ps``: the list of containers."""

from __future__ import annotations

import sys
import time
from typing import Any

from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.client.go_format import quote
from minidock.client.listing import FORMAT, configured, filters, show
from minidock.client.listing import labels as listed
from minidock.client.template import Record, Template, TemplateError
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
        Labels=listed(container),
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


def _check(form: str) -> None:
    """Docker tries a template before it asks the daemon, and words the failure differently. Raises TemplateError."""
    try:
        template = Template(form.removeprefix("table "))
    except TemplateError as error:
        raise TemplateError(f"failed to parse template: {error}") from None
    try:
        template.render(HEADINGS)
    except TemplateError as error:
        raise TemplateError(f"failed to execute template: {error}") from None


def ps(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock ps``."""
    form, last = configured("psFormat", flags["format"], flags["quiet"]), 1 if flags["latest"] else flags["last"]
    _check(form)
    query = {
        "all": flags["all"],
        "limit": last if last > 0 else None,
        "size": flags["size"] or ".Size" in form,
        "filters": filters(flags["filter"]),
    }
    containers = context.client.request("GET", "/containers/json", query).json()
    rows = [row(container, not flags["no-trunc"], time.time_ns()) for container in containers]
    if flags["quiet"]:
        if form:
            message = "Ignoring custom format, because both --format and --quiet are set."
            print(f"WARNING: {message}", file=sys.stderr)
        form = "{{.ID}}"
    show(rows, HEADINGS, form, _COLUMNS + ("\t{{.Size}}" if flags["size"] else ""))
    return 0


PS = Command(
    "ps",
    "[OPTIONS]",
    "List containers",
    ps,
    table(
        """
    -a, --all             Show all containers (default shows just running)
    -f, --filter filter   Filter output based on conditions provided
    -n, --last int        Show n last created containers (includes all states) (default -1)
    -l, --latest          Show the latest created container (includes all states)
        --no-trunc        Don't truncate output
    -q, --quiet           Only display container IDs
    -s, --size            Display total file sizes
""",
        FORMAT,
    ),
)
