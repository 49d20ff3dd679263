"""``logs``: what a container has written, and goes on writing."""

from __future__ import annotations

import time

from minidock.client import terminal
from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.client.streams import Frames, Raw
from minidock.units import SECOND, parse_time


def logs(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock logs``."""
    client = context.client
    inspected = client.request("GET", f"/containers/{segment(arguments[0])}/json").json()
    query = {
        "stdout": True,
        "stderr": True,
        "follow": flags["follow"],
        "timestamps": flags["timestamps"],
        "details": flags["details"],
        "tail": flags["tail"],
        "since": moment(flags["since"]),
        "until": moment(flags["until"]),
    }
    response = client.request("GET", f"/containers/{inspected['Id']}/logs", query)
    output = Raw(terminal.STDOUT) if inspected["Config"]["Tty"] else Frames()
    for piece in response.pieces():
        output.feed(piece)
    return 0


def moment(text: str) -> str | None:
    """A ``--since`` or ``--until`` as the API takes it: seconds since 1970, with nanoseconds. Raises InvalidInput."""
    if not text:
        return None
    if text.replace(".", "", 1).isdigit():
        return text
    nanoseconds = parse_time(text, time.time_ns())
    return f"{nanoseconds // SECOND}.{nanoseconds % SECOND:09d}"


LOGS = Command(
    "logs",
    "[OPTIONS] CONTAINER",
    "Fetch the logs of a container",
    logs,
    table("""
        --details        Show extra details provided to logs
    -f, --follow         Follow log output
        --since string   Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    -n, --tail string    Number of lines to show from the end of the logs (default "all")
    -t, --timestamps     Show timestamps
        --until string   Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42
                         minutes)
"""),
)
