"""``system df``: what takes up the disk, and how much of it could be freed."""

from __future__ import annotations

import time
from typing import Any

from minidock.client import table
from minidock.client.commands import images, ps, volumes
from minidock.client.context import Context
from minidock.client.flags import Command, Flag, Flags
from minidock.client.listing import FORMAT, show
from minidock.client.template import Record, Template
from minidock.client.template_functions import to_json
from minidock.errors import InvalidInput
from minidock.units import SECOND, human_duration, human_size, parse_rfc3339


class Row(Record):
    """One kind of thing."""

    type_name = "*formatter.diskUsageImagesContext"


HEADINGS = Row(Active="ACTIVE", Reclaimable="RECLAIMABLE", Size="SIZE", TotalCount="TOTAL", Type="TYPE")


class CacheRow(Record):
    """One record of the build cache."""

    type_name = "*formatter.buildCacheContext"


CACHE_HEADINGS = CacheRow(
    CacheType="CACHE TYPE",
    CreatedAt="CREATED AT",
    CreatedSince="CREATED",
    Description="DESCRIPTION",
    ID="CACHE ID",
    InUse="IN USE",
    LastUsedAt="LAST USED AT",
    LastUsedSince="LAST USED",
    Parent="PARENT",
    Shared="SHARED",
    Size="SIZE",
    UsageCount="USAGE",
)


def df(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock system df``."""
    report = context.client.request("GET", "/system/df").json()
    if flags["verbose"]:
        _details(report, flags["format"])
        return 0
    rows = [_images(report), _containers(report), _volumes(report), _cache(report)]
    default = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
    show(rows, HEADINGS, flags["format"], default)
    return 0


def _row(kind: str, total: int, active: int, size: int, reclaimable: int, percent: bool = True) -> Row:
    text = human_size(reclaimable)
    if percent and size > 0:
        text += f" ({reclaimable * 100 // size}%)"
    return Row(Active=str(active), Reclaimable=text, Size=human_size(size), TotalCount=str(total), Type=kind)


def _images(report: dict[str, Any]) -> Row:
    found, size = report.get("Images") or [], report.get("LayersSize") or 0
    used = sum(
        image["Size"] - image["SharedSize"]
        for image in found
        if image.get("Containers") and -1 not in (image["Size"], image.get("SharedSize", -1))
    )
    return _row("Images", len(found), sum(image.get("Containers", 0) > 0 for image in found), size, size - used)


def _containers(report: dict[str, Any]) -> Row:
    found = report.get("Containers") or []
    active = [one for one in found if one["State"] in ("running", "paused", "restarting")]
    size, kept = (sum(one.get("SizeRw") or 0 for one in some) for some in (found, active))
    return _row("Containers", len(found), len(active), size, size - kept)


def _volumes(report: dict[str, Any]) -> Row:
    usages = [volume.get("UsageData") or {"RefCount": 0, "Size": -1} for volume in report.get("Volumes") or []]
    known = [usage for usage in usages if usage["Size"] != -1]
    free = sum(usage["Size"] for usage in known if usage["RefCount"] == 0)
    active = sum(usage["RefCount"] > 0 for usage in usages)
    return _row("Local Volumes", len(usages), active, sum(usage["Size"] for usage in known), free)


def _cache(report: dict[str, Any]) -> Row:
    found = report.get("BuildCache") or []
    own = [record for record in found if not record["Shared"]]
    free = sum(record["Size"] for record in own if not record["InUse"])
    active = sum(record["InUse"] for record in found)
    return _row("Build Cache", len(found), active, sum(record["Size"] for record in own), free, percent=False)


def _details(report: dict[str, Any], form: str) -> None:
    """Every image, container, volume and cache record, in four tables or in the user's own template."""
    truncate, now = form in ("", "table"), time.time_ns()
    shown: dict[str, list[Record]] = {
        "Images": [images.rows_of(image, truncate, now) for image in report.get("Images") or []],
        "Containers": [ps.row(one | {"SizeRootFs": 0}, truncate, now) for one in report.get("Containers") or []],
        "Volumes": [volumes.row(volume) for volume in report.get("Volumes") or []],
        "BuildCache": [_cache_row(record, truncate, now) for record in report.get("BuildCache") or []],
    }
    if not truncate:
        if form.startswith("table "):
            raise InvalidInput("a table of everything is not possible: 'table TEMPLATE' is for system df without -v")
        if form == "json":
            listed = {kind: ",".join(map(to_json, rows)) for kind, rows in shown.items()}
            print("{" + ",".join(f'"{kind}":[{rows}]' for kind, rows in listed.items()) + "}")
        else:
            print(Template(form).render(Record(shown)), end="")
        return
    size = sum(record["Size"] for record in report.get("BuildCache") or [] if not record["Shared"])
    for title, kind, headings, columns in (
        ("Images space usage:", "Images", images.HEADINGS, _IMAGES),
        ("\nContainers space usage:", "Containers", ps.HEADINGS, _CONTAINERS),
        ("\nLocal Volumes space usage:", "Volumes", volumes.HEADINGS, _VOLUMES),
        (f"\nBuild cache usage: {human_size(size)}", "BuildCache", CACHE_HEADINGS, _CACHE),
    ):
        print(f"{title}\n\n{table.write(shown[kind], headings, '', _columns(columns))}", end="")


_IMAGES = "Repository Tag ID CreatedSince Size SharedSize UniqueSize Containers"
_CONTAINERS = "ID Image Command LocalVolumes Size RunningFor Status Names"
_VOLUMES = "Name Links Size"
_CACHE = "ID CacheType Size CreatedSince LastUsedSince UsageCount Shared"


def _columns(names: str) -> str:
    return "\t".join(f"{{{{.{name}}}}}" for name in names.split())


def _cache_row(record: dict[str, Any], truncate: bool, now: int) -> CacheRow:
    used = record.get("LastUsedAt")
    identifier = record["ID"][:12] if truncate else record["ID"]
    return CacheRow(
        CacheType=record["Type"],
        CreatedAt=record["CreatedAt"],
        CreatedSince=_since(record["CreatedAt"], now),
        Description=record["Description"],
        ID=identifier + ("*" if record["InUse"] else ""),
        InUse=str(record["InUse"]).lower(),
        LastUsedAt=used or "",
        LastUsedSince=_since(used, now) if used else "",
        Parent=", ".join(record.get("Parents") or []),
        Shared=str(record["Shared"]).lower(),
        Size=human_size(record["Size"], 3),
        UsageCount=str(record["UsageCount"]),
    )


def _since(moment: str, now: int) -> str:
    return f"{human_duration((now - parse_rfc3339(moment)) // SECOND * SECOND)} ago"


DF = Command(
    "system df",
    "[OPTIONS]",
    "Show docker disk usage",
    df,
    (FORMAT, Flag("verbose", "v", "bool", "Show detailed information on space usage")),
)
