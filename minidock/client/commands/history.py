"""``history``: the steps that made an image."""

from __future__ import annotations

import time
from typing import Any

from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.client.listing import FORMAT, show
from minidock.client.template import Record
from minidock.units import SECOND, human_duration, human_size


class Row(Record):
    """One step."""

    type_name = "*image.historyContext"


HEADINGS = Row(
    Comment="COMMENT", CreatedAt="CREATED AT", CreatedBy="CREATED BY", CreatedSince="CREATED", ID="IMAGE", Size="SIZE"
)


def _row(step: dict[str, Any], human: bool, truncate: bool, now: int) -> Row:
    created = step["Created"] * SECOND
    made_by = step["CreatedBy"].replace("\t", " ")
    identifier = step["Id"]
    when = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(step["Created"]))
    when = f"{when[:-2]}:{when[-2:]}".replace("+00:00", "Z")
    return Row(
        Comment=step["Comment"],
        CreatedAt=when,
        CreatedBy=f"{made_by[:44]}…" if truncate and len(made_by) > 45 else made_by,
        CreatedSince=f"{human_duration(now - created)} ago" if human else when,
        ID=identifier.removeprefix("sha256:")[:12] if truncate else identifier,
        Size=human_size(step["Size"], 3) if human else str(step["Size"]),
    )


def history(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock history``."""
    context.client.since(flags, "platform", "1.48")
    steps = context.client.request("GET", f"/images/{segment(arguments[0])}/history").json()
    form, now = flags["format"], time.time_ns()
    rows = [_row(step, flags["human"], not flags["no-trunc"], now) for step in steps]
    when = "{{.CreatedSince}}" if flags["human"] else "{{.CreatedAt}}"
    default = f"{{{{.ID}}}}\t{when}\t{{{{.CreatedBy}}}}\t{{{{.Size}}}}\t{{{{.Comment}}}}"
    show(rows, HEADINGS, "{{.ID}}" if flags["quiet"] and form in ("", "table") else form, default)
    return 0


HISTORY = Command(
    "history",
    "[OPTIONS] IMAGE",
    "Show the history of an image",
    history,
    table(
        """
    -H, --human             Print sizes and dates in human readable format (default true)
        --no-trunc          Don't truncate output
        --platform string   Show history for the given platform. Formatted as "os[/arch[/variant]]" (e.g.,
                            "linux/amd64")
    -q, --quiet             Only show image IDs
""",
        FORMAT,
    ),
)
