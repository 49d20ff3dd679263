"""``stats``: what containers use of the machine, once or as it changes.

The daemon sends a document a second for each container. A thread for each one keeps the newest, and another one follows
the events, so that containers come and go in the table; twice a second it is drawn again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from minidock.client import table
from minidock.client.connection import Client, segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags
from minidock.client.flags import table as flag_table
from minidock.client.listing import FORMAT, configured, filters
from minidock.client.template import Record
from minidock.errors import InvalidInput, MinidockError
from minidock.units import bytes_size, human_size

_DEFAULT = "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"
_PAUSE = 0.5


class Row(Record):
    """One container."""

    type_name = "*container.statsContext"


HEADINGS = Row(
    BlockIO="BLOCK I/O",
    CPUPerc="CPU %",
    Container="CONTAINER",
    ID="CONTAINER ID",
    MemPerc="MEM %",
    MemUsage="MEM USAGE / LIMIT",
    Name="NAME",
    NetIO="NET I/O",
    PIDs="PIDS",
)


def row(asked: str, sample: dict[str, Any] | None, truncate: bool) -> Row:
    """What a sample says. Without one, or of a container that does not run, there are dashes and zeros."""
    if not sample:
        numbers = dict.fromkeys(("CPUPerc", "MemPerc", "PIDs"), "--")
        return Row(
            BlockIO="-- / --", Container=asked, ID="--", MemUsage="-- / --", Name="--", NetIO="-- / --", **numbers
        )
    memory, limit = _memory(sample.get("memory_stats") or {})
    received, sent = (
        sum(link[name] for link in (sample.get("networks") or {}).values()) for name in ("rx_bytes", "tx_bytes")
    )
    read, written = _block(sample.get("blkio_stats") or {})
    return Row(
        BlockIO=f"{human_size(read, 3)} / {human_size(written, 3)}",
        CPUPerc=f"{_cpu(sample):.2f}%",
        Container=asked,
        ID=sample["id"][:12] if truncate else sample["id"],
        MemPerc=f"{memory / limit * 100 if limit else 0:.2f}%",
        MemUsage=f"{bytes_size(memory)} / {bytes_size(limit)}",
        Name=sample["name"].removeprefix("/"),
        NetIO=f"{human_size(received, 3)} / {human_size(sent, 3)}",
        PIDs=str((sample.get("pids_stats") or {}).get("current") or 0),
    )


def _memory(stats: dict[str, Any]) -> tuple[int, int]:
    """Bytes in use, without the page cache that can go at any time; and the limit."""
    usage, detail = stats.get("usage") or 0, stats.get("stats") or {}
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    return usage - cache if cache < usage else usage, stats.get("limit") or 0


def _block(stats: dict[str, Any]) -> tuple[int, int]:
    entries = stats.get("io_service_bytes_recursive") or []
    read, written = (sum(one["value"] for one in entries if one["op"][:1].lower() == letter) for letter in "rw")
    return read, written


def _cpu(sample: dict[str, Any]) -> float:
    """Percent of one CPU: the container's part of the time that went by on all of them."""
    now, before = sample["cpu_stats"], sample["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    cpus = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or [])
    return used / passed * cpus * 100 if used > 0 and passed > 0 else 0.0


class Watched:
    """One container's newest sample, kept by a thread of its own."""

    def __init__(self, name: str, client: Client, stream: bool) -> None:
        self.name = name
        self.sample: dict[str, Any] | None = None
        self.error: MinidockError | None = None
        self.first = threading.Event()
        thread = threading.Thread(target=self._follow, args=(client, stream), daemon=True)
        thread.start()

    def _follow(self, client: Client, stream: bool) -> None:
        try:
            query = {"stream": 1 if stream else 0}
            path = f"/containers/{segment(self.name)}/stats"
            for document in client.request("GET", path, query).documents():
                self.sample = document
                self.first.set()
        except MinidockError as error:
            self.error = error
        finally:
            self.first.set()


def stats(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock stats``."""
    client = context.client
    form = configured("statsFormat", flags["format"])
    stream = not flags["no-stream"]

    def watch(name: str) -> Watched:
        return Watched(name, client.another(), stream)

    watched = {name: watch(name) for name in arguments or _names(client, flags["all"])}
    if not arguments and stream:
        threading.Thread(target=_come_and_go, args=(client, flags["all"], watched, watch), daemon=True).start()
    for one in [*watched.values()]:
        one.first.wait()
    if failures := [str(one.error) for one in watched.values() if one.error]:
        raise InvalidInput("\n".join(failures))
    pause = threading.Event()
    while True:
        rows = [row(one.name, one.sample, not flags["no-trunc"]) for one in [*watched.values()]]
        text = table.write([*rows], HEADINGS, form, _DEFAULT)
        if not stream:
            print(text, end="")
            return 0
        # From the top of the screen; every line, and what is below the last one, is wiped.
        print("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in text.split("\n")) + "\x1b[J", end="", flush=True)
        if arguments and all(one.error for one in watched.values()):
            return 0
        pause.wait(_PAUSE)


def _names(client: Client, everything: bool) -> list[str]:
    return [container["Id"][:12] for container in client.request("GET", "/containers/json", {"all": everything}).json()]


def _come_and_go(
    client: Client, everything: bool, watched: dict[str, Watched], watch: Callable[[str], Watched]
) -> None:
    """Follow the events: a container that starts gets a line, one that ends loses it."""
    arrives, leaves = ("create", "destroy") if everything else ("start", "die")
    wanted = filters(["type=container", f"event={arrives}", f"event={leaves}"])
    for event in client.another().request("GET", "/events", {"filters": wanted}).documents():
        name = event["Actor"]["ID"][:12]
        if event["Action"] == arrives and name not in watched:
            watched[name] = watch(name)
        elif event["Action"] == leaves:
            watched.pop(name, None)


STATS = Command(
    "stats",
    "[OPTIONS] [CONTAINER...]",
    "Display a live stream of container(s) resource usage statistics",
    stats,
    flag_table(
        """
    -a, --all         Show all containers (default shows just running)
        --no-stream   Disable streaming stats and only pull the first result
        --no-trunc    Do not truncate output
""",
        FORMAT,
    ),
)
