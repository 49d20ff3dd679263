"""What earlier builds made: one row for each step, found by what went into it.

A step's key is a digest of its parent's key, of the instruction as it was meant (variables expanded), and of the
content of the files that it takes. Times are no part of it. The first key of a chain is the base image's id, a digest
too. So a hit is always a step that *this* engine ran on exactly this input: a pulled image that only looks alike, by
its history, is never one (CVE-2024-24557).

A row keeps its layer (``images.holds``). When a layer is lost all the same, the row is a miss.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from minidock.database import Database
from minidock.images import Images, Layer

SCHEMA = """
create table if not exists build_cache (
    key     text primary key,   -- hex digits
    parent  text not null,      -- the key of the step before
    told    text not null,      -- the instruction, as the image's history tells it
    created text not null,      -- RFC 3339: when it was run, and so what the image says
    used    integer not null,   -- nanoseconds since 1970: the last hit
    hits    integer not null,
    layer   text not null,      -- JSON: descriptor and diff-id, or null
    size    integer not null    -- bytes of the layer's files
);
"""


@dataclass(frozen=True)
class Record:
    """One step that was run."""

    key: str
    parent: str
    told: str
    created: str
    used: int
    hits: int
    layer: Layer | None
    size: int

    @property
    def room(self) -> int:
        """How many bytes the layer takes on the disk: its files, and the blob that is pushed and saved."""
        return self.size + self.layer.descriptor.size if self.layer else 0


class Cache:
    """The table. Several threads may use it."""

    def __init__(self, database: Database, images: Images) -> None:
        self._database = database
        self._images = images
        database.create(SCHEMA)

    def find(self, key: str) -> Record | None:
        """The step with this key, if its layer is still here."""
        for row in self._database.query("select * from build_cache where key = ?", key):
            record = _record(dict(row))
            if record.layer is None or _is_here(self._images, record.layer):
                with self._database.transaction(durable=False) as transaction:
                    update = "update build_cache set used = ?, hits = hits + 1 where key = ?"
                    transaction.execute(update, (time.time_ns(), key))
                return record
        return None

    def put(self, key: str, parent: str, told: str, created: str, layer: Layer | None) -> None:
        """Remember a step. Its layer stays from now on."""
        size = self._images.layers.size(layer.diff_id) if layer else 0
        row = (key, parent, told, created, time.time_ns(), 0, msgspec.json.encode(layer).decode(), size)
        with self._database.transaction(durable=False) as transaction:
            transaction.execute("insert or replace into build_cache values (?, ?, ?, ?, ?, ?, ?, ?)", row)
        if layer:
            self._images.holds.hold(_holder(key), [layer])

    def all(self) -> list[Record]:
        """Every step, the one that was used last first."""
        return [_record(dict(row)) for row in self._database.query("select * from build_cache order by used desc")]

    def forget(self, records: Sequence[Record]) -> int:
        """These steps are made anew the next time. How many bytes that freed: others may have their layers too."""
        with self._database.transaction() as transaction:
            for record in records:
                transaction.execute("delete from build_cache where key = ?", (record.key,))
        for record in records:
            self._images.holds.release(_holder(record.key))
        self._images.let_go([record.layer for record in records if record.layer])
        rooms = {record.layer.diff_id: record.room for record in records if record.layer}
        return sum(room for diff_id, room in rooms.items() if not self._images.layers.has(diff_id))


def _holder(key: str) -> str:
    return f"build cache {key}"


def _is_here(images: Images, layer: Layer) -> bool:
    return images.layers.has(layer.diff_id) and images.content.has(layer.descriptor)


def _record(row: dict[str, Any]) -> Record:
    return Record(**row | {"layer": msgspec.json.decode(row["layer"], type=Layer | None)})
