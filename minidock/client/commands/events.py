"""``events``: what happens, as it happens."""

from __future__ import annotations

from typing import Any

from minidock.client.commands.logs import moment
from minidock.client.commands.system import formatted
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.client.listing import VIEW, filters
from minidock.units import SECOND, local_time


def events(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock events``: what happens, as it happens."""
    query = {"since": moment(flags["since"]), "until": moment(flags["until"]), "filters": filters(flags["filter"])}
    for event in context.client.request("GET", "/events", query).documents():
        attributes = event["Actor"].get("Attributes") or {}
        event["Actor"]["Attributes"] = {name: attributes[name] for name in sorted(attributes)}
        print(formatted("", flags["format"], event) if flags["format"] else event_line(event), flush=True)
    return 0


def event_line(event: dict[str, Any]) -> str:
    """``2026-01-02T15:04:05.000000000Z container start 1f2e… (image=tiny, name=web)``"""
    nanoseconds = event.get("timeNano") or event["time"] * SECOND
    day, clock, zone, *_ = local_time(nanoseconds).split(" ")
    offset = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    listed = ", ".join(f"{name}={value}" for name, value in event["Actor"]["Attributes"].items())
    moment = f"{day}T{clock}.{nanoseconds % SECOND:09d}{offset}"
    return f"{moment} {event['Type']} {event['Action']} {event['Actor']['ID']}" + (f" ({listed})" if listed else "")


EVENTS = Command(
    "events",
    "[OPTIONS]",
    "Get real time events from the server",
    events,
    table(
        """
    -f, --filter filter   Filter output based on conditions provided
        --since string    Show all events created since timestamp
        --until string    Stream events until this timestamp
""",
        VIEW._replace(short=""),
    ),
)
