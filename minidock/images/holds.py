"""Layers that somebody needs although no image and no container stands on them: the build cache."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from minidock.database import Database
from minidock.images.image import Layer

SCHEMA = """
create table if not exists layer_holds (
    holder text primary key,    -- who holds them, in the holder's own words
    layers text not null        -- JSON: descriptor and diff-id of each
)
"""


class Holds:
    """Who holds which layers. A hold outlives the daemon."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.create(SCHEMA)

    def hold(self, holder: str, layers: Sequence[Layer]) -> None:
        """From now on these layers of ``holder`` stay, and no others."""
        with self._database.transaction() as transaction:
            record = (holder, msgspec.json.encode(layers).decode())
            transaction.execute("insert or replace into layer_holds values (?, ?)", record)

    def release(self, holder: str) -> None:
        """They may go, with the next collection; no error if there are none."""
        with self._database.transaction() as transaction:
            transaction.execute("delete from layer_holds where holder = ?", (holder,))

    def of(self, holder: str) -> list[Layer]:
        """The layers of one holder."""
        rows = self._database.query("select layers from layer_holds where holder = ?", holder)
        return [layer for row in rows for layer in _decode(row["layers"])]

    def all(self) -> list[Layer]:
        """The layers of all."""
        return [
            layer for row in self._database.query("select layers from layer_holds") for layer in _decode(row["layers"])
        ]


def _decode(text: str) -> list[Layer]:
    return msgspec.json.decode(text, type=list[Layer])
