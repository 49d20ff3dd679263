"""Garbage collection: remove blobs that no manifest needs, safely while others push.

A push sends blobs first and the manifest last, so that at any moment there are blobs which nothing needs *yet*. Two
rules keep them: what was pushed or asked for in the last ``grace`` seconds stays, and the collection and a manifest's
check of its blobs are transactions, of which one comes before the other. A manifest either finds all its blobs or is
refused (then docker pushes again); it never stands there with a hole.

A collection may run in a process of its own beside the registry: SQLite's lock is for both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from minidock.registry.server.store import Store

#: a push that takes longer than this between a blob and its manifest has to send the blob again
GRACE = 3600.0


@dataclass(frozen=True)
class Collected:
    """What was removed (or would be): manifests and blobs by digest, and how many bytes of the disk."""

    manifests: tuple[str, ...]
    blobs: tuple[str, ...]
    size: int


def collect(store: Store, grace: float = GRACE, untagged: bool = False, dry_run: bool = False) -> Collected:
    """Remove what nobody needs; with ``untagged``, manifests without a tag too (not those that another needs)."""
    before = time.time() - grace
    with store.database.transaction() as rows:
        rows.execute("savepoint collection")
        manifests: list[str] = []
        while untagged:
            # An index without a tag goes first; what it alone needed, in the next round.
            found = rows.execute(_UNTAGGED, (before,)).fetchall()
            for row in found:
                rows.execute("delete from manifests where repository = ? and digest = ?", tuple(row))
            manifests += [row["digest"] for row in found]
            if not found:
                break
        rows.execute(_UNUSED, (before,))
        live = {row[0] for row in rows.execute("select digest from blobs union select digest from manifests")}
        garbage = [blob for blob in (store.content.root / "blobs").glob("*/*") if _is_garbage(blob, live, before)]
        size = sum(blob.stat().st_size for blob in garbage)
        names = tuple(sorted(f"{blob.parent.name}:{blob.name}" for blob in garbage))
        if dry_run:
            rows.execute("rollback to collection")
        else:
            # Before the commit: killed here, there are records without files, which count as nothing.
            store.content.remove(names)
    return Collected(tuple(sorted(manifests)), names, size)


def _is_garbage(blob: Path, live: set[str], before: float) -> bool:
    # A file without a record may be a manifest or blob that is being taken at this moment: it is young.
    return f"{blob.parent.name}:{blob.name}" not in live and blob.stat().st_mtime < before


_UNTAGGED = """
select repository, digest from manifests m
where pushed < ?
  and not exists (select 1 from tags t where t.repository = m.repository and t.digest = m.digest)
  and not exists (select 1 from parts p where p.repository = m.repository and p.digest = m.digest)
  and not exists (select 1 from manifests s where s.repository = m.repository and s.digest = m.subject)
"""
_UNUSED = """
delete from blobs where touched < ?
  and not exists (select 1 from parts p where p.repository = blobs.repository and p.digest = blobs.digest)
"""
