"""Blobs and layers that may not be wanted in the end: an image is on its way that may never be.

They are written down, so that the next daemon removes what a killed one left.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress

from minidock.database import Database

SCHEMA = """
create table if not exists provisional (
    kind text not null,     -- blob or layer
    name text not null,     -- a digest
    primary key (kind, name)
)
"""


class Provisional:
    """What goes if no image takes it. Several threads may add to it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.create(SCHEMA)

    def add(self, blobs: Iterable[str], layers: Iterable[str]) -> None:
        """These blobs (digests) and layers (diff-ids) may go."""
        rows = [*(("blob", name) for name in blobs), *(("layer", name) for name in layers)]
        # On a full disk nothing can be written down. Then they go when they are a day old, as broken pulls do.
        with suppress(sqlite3.OperationalError), self._database.transaction(durable=False) as transaction:
            transaction.executemany("insert or ignore into provisional values (?, ?)", rows)

    def all(self) -> tuple[set[str], set[str]]:
        """Blobs and layers."""
        found: tuple[set[str], set[str]] = (set(), set())
        for row in self._database.query("select kind, name from provisional"):
            found[row["kind"] == "layer"].add(row["name"])
        return found

    def clear(self) -> None:
        """It has been decided what became of them."""
        with self._database.transaction(durable=False) as transaction:
            transaction.execute("delete from provisional")
