"""What the daemon remembers of each container: one row in SQLite, written before anybody is told.

The row's columns are what a person would look for with ``sqlite3``; ``document`` holds all of it as JSON.
"""

from __future__ import annotations

import msgspec

from minidock.daemon.binds import Attached
from minidock.database import Database
from minidock.messages import ContainerConfig, EndpointSettings, Health, HostConfig
from minidock.oci.runtime import Mount

SCHEMA = """
create table if not exists containers (
    id       text primary key,
    name     text not null unique,
    status   text not null,   -- created, running, paused, restarting, exited
    image    text not null,   -- the image's id
    created  integer not null, -- nanoseconds since 1970
    document text not null    -- minidock.daemon.records.Record as JSON
);
"""


class State(msgspec.Struct, kw_only=True):
    """Where a container is in its life. Times are nanoseconds since 1970, 0 for never."""

    status: str = "created"
    paused_for_commit: bool = False
    """It stands still, or is about to, only as long as the commit takes."""
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    restart_count: int = 0
    """Starts by the restart policy since the last one by hand."""
    manually_stopped: bool = False
    health: Health | None = None


class Record(msgspec.Struct, kw_only=True):
    """One container. ``image`` is the name that was asked for, ``image_id`` what it meant at that moment."""

    id: str
    name: str
    created_ns: int
    image: str
    image_id: str
    config: ContainerConfig
    host: HostConfig
    args: list[str]
    mounts: list[Attached] = []
    root: Mount
    """The overlay that becomes ``/``."""
    explain: bool = False
    of_build: bool = False
    """It runs a step of a build, and means nothing without it."""
    state: State = msgspec.field(default_factory=State)
    cgroup: str = ""
    """Where its cgroup is, or will be: it stays there, whatever cgroup driver the next daemon has."""
    networks: dict[str, EndpointSettings] = {}
    """What was asked for, by the network's name, ``host`` and ``none`` among them; empty for who shares another's
    network, and after the last disconnect. Where the container really is, ``engine.networks`` knows."""

    @property
    def running(self) -> bool:
        """Is there a process? (A paused container runs too.)"""
        return self.state.status in ("running", "paused")

    @property
    def active(self) -> bool:
        """Does it run, or will it again? What waits for its next start is running, in Docker's eyes."""
        return self.running or self.state.status == "restarting"


class Records:
    """The table of containers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.create(SCHEMA)

    def save(self, record: Record) -> None:
        """Write the record as it is now; on return it is on the disk."""
        document = msgspec.json.encode(record).decode()
        row = (record.id, record.name, record.state.status, record.image_id, record.created_ns, document)
        with self._database.transaction() as connection:
            connection.execute("insert or replace into containers values (?, ?, ?, ?, ?, ?)", row)

    def delete(self, container_id: str) -> None:
        """Forget a container."""
        with self._database.transaction() as connection:
            connection.execute("delete from containers where id = ?", (container_id,))

    def all(self) -> list[Record]:
        """Every container, oldest first."""
        rows = self._database.query("select document from containers order by created")
        return [msgspec.json.decode(row["document"], type=Record) for row in rows]
