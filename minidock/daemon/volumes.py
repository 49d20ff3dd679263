"""Volumes: directories with a name, which outlive the containers that use them.

::

    <data-root>/volumes/<name>/_data     the files
    minidock.db, table volumes           labels, options, when it was made

The record comes first and goes first. A directory without a record is not thrown away, as other leftovers are: these
are somebody's data. It becomes a volume again.

Who uses a volume is not counted but asked: the containers' records say (:mod:`minidock.daemon.volume_use`).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
import time
from pathlib import Path

import msgspec

from minidock import messages, units
from minidock.content.disk import remove_leftovers, remove_tree
from minidock.daemon.names import ALLOWED, new_id
from minidock.database import Database
from minidock.errors import InvalidInput, NoSuchVolume, NotFound

SCHEMA = """
create table if not exists volumes (
    name    text primary key,
    created integer not null, -- nanoseconds since 1970
    labels  text not null,    -- JSON, as the options
    options text not null     -- of the local driver: type, device, o
);
"""

ANONYMOUS = "com.docker.volume.anonymous"
"""The label of a volume to which nobody gave a name."""
_OPTIONS = {"type": ("device",), "device": ("type",), "o": ("device", "type")}
"""The local driver's options, and what each cannot be without."""


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """One volume. ``path`` is where its files are; with ``options`` only while something is mounted there."""

    name: str
    path: Path
    created_ns: int
    labels: dict[str, str]
    options: dict[str, str]

    def describe(self) -> messages.Volume:
        """The same for ``inspect``."""
        return messages.Volume(
            created_at=units.format_rfc3339(self.created_ns // 10**9 * 10**9),
            labels=self.labels or None,
            mountpoint=str(self.path),
            name=self.name,
            options=self.options or None,
        )


class Volumes:
    """The volumes under ``root``. Several threads may use it."""

    def __init__(self, root: Path, database: Database) -> None:
        self._root = root
        self._database = database
        database.create(SCHEMA)
        root.mkdir(mode=0o700, exist_ok=True)
        self._lock = threading.Lock()

    def get(self, name: str) -> Volume:
        """Raises NoSuchVolume."""
        for row in self._database.query("select * from volumes where name = ?", name):
            return self._volume(row["name"], row["created"], row["labels"], row["options"])
        raise NoSuchVolume(name)

    def all(self) -> list[Volume]:
        """Every volume, by name."""
        rows = self._database.query("select * from volumes order by name")
        return [self._volume(row["name"], row["created"], row["labels"], row["options"]) for row in rows]

    def create(
        self, name: str = "", labels: dict[str, str] | None = None, options: dict[str, str] | None = None
    ) -> tuple[Volume, bool]:
        """The volume of that name, and whether it is new: one that exists stays as it is. Without a name, a new one.

        Raises InvalidInput.
        """
        labels = labels or {}
        if not name:
            name, labels = new_id(), labels | {ANONYMOUS: ""}
        _check(name, options or {})
        with self._lock:
            try:
                return self.get(name), False
            except NoSuchVolume:
                self._insert(name, time.time_ns(), labels, options or {})
                self._make(name)
        return self.get(name), True

    def remove(self, name: str) -> str:
        """Forget a volume; what is to be given to :meth:`discard`. Quick. Raises NoSuchVolume.

        (That nobody uses it, the caller has asked.)
        """
        removed = f".rm-{new_id()}"
        with self._lock:
            self.get(name)
            with self._database.transaction() as connection:
                connection.execute("delete from volumes where name = ?", (name,))
            (self._root / name).rename(self._root / removed)
        return removed

    def discard(self, removed: str) -> None:
        """Remove a forgotten volume's files, however many they are."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(removed, descriptor, descriptor)
        finally:
            os.close(descriptor)

    def sweep(self) -> None:
        """At the daemon's start: records and directories agree again."""
        remove_leftovers(self._root)
        known = {volume.name for volume in self.all()}
        for directory in self._root.iterdir():
            if directory.name not in known and re.fullmatch(f"{ALLOWED}+", directory.name, re.ASCII):
                anonymous = {ANONYMOUS: ""} if re.fullmatch("[0-9a-f]{64}", directory.name) else {}
                self._insert(directory.name, time.time_ns(), anonymous, {})
        for name in known:
            self._make(name)

    def _make(self, name: str) -> None:
        (self._root / name).mkdir(mode=0o700, exist_ok=True)
        files = self._root / name / "_data"
        if not files.exists():
            files.mkdir()
            files.chmod(0o755)  # whatever the umask is

    def _insert(self, name: str, created_ns: int, labels: dict[str, str], options: dict[str, str]) -> None:
        with self._database.transaction() as connection:
            row = (name, created_ns, json.dumps(labels), json.dumps(options))
            connection.execute("insert into volumes values (?, ?, ?, ?)", row)

    def _volume(self, name: str, created_ns: int, labels: str, options: str) -> Volume:
        return Volume(
            name=name,
            path=self._root / name / "_data",
            created_ns=created_ns,
            labels=json.loads(labels),
            options=json.loads(options),
        )


class Holders:
    """Who holds which volume at this moment, by the volume's name.

    ``mounting`` is held while one is mounted or unmounted, ``naming`` while one gets or loses its name.
    """

    def __init__(self) -> None:
        self.mounting = asyncio.Lock()
        self.naming = asyncio.Lock()
        self._of: dict[str, set[str]] = {}

    def add(self, name: str, holder: str) -> None:
        """``holder`` holds the volume."""
        self._of.setdefault(name, set()).add(holder)

    def drop(self, holder: str) -> list[str]:
        """``holder`` lets go of everything: of which volumes nobody is left."""
        held = [name for name, holders in self._of.items() if holder in holders]
        for name in held:
            self._of[name].discard(holder)
        free = [name for name in held if not self._of[name]]
        for name in free:
            del self._of[name]
        return free

    def of(self, name: str) -> set[str]:
        """Who holds this one."""
        return self._of.get(name, set())


def check_driver(name: str, driver: str) -> None:
    """There is one driver. Raises NotFound, in Docker's words."""
    if driver not in ("", "local"):
        raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')


def _check(name: str, options: dict[str, str]) -> None:
    if len(name) == 1:
        raise InvalidInput(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if not re.fullmatch(f"{ALLOWED}+", name, re.ASCII):
        raise InvalidInput(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "{ALLOWED}" are '
            "allowed. If you intended to pass a host directory, use absolute path"
        )
    if len(name) > 255:
        raise InvalidInput(f"create {name}: a volume's name has at most 255 characters")
    for option in options:
        if option not in _OPTIONS:
            raise InvalidInput(f'create {name}: invalid option: "{option}"')
        for other in _OPTIONS[option]:
            if other not in options:
                raise InvalidInput(f'create {name}: missing required option: "{other}"')
