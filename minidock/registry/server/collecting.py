"""Garbage collection: remove blobs that no manifest needs, safely while others push.

A push sends blobs first and the manifest last, so that at any moment there are blobs which nothing needs *yet*. Two
rules keep them: what was pushed or asked for in the last ``grace`` seconds stays, and the collection and a manifest's
check of its blobs are transactions, of which one comes before the other. A manifest either finds all its blobs or is
refused (then docker pushes again); it never stands there with a hole.

A collection may run in a process of its own beside the registry: SQLite's lock is for both.
"""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable
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
        manifests = _forget_unmarked(rows, before) if untagged else []
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


@dataclass(frozen=True)
class Entry:
    """A manifest as the collection sees it. ``is_root``: it has a tag, or is too young to be judged."""

    digest: str
    is_root: bool
    parts: frozenset[str] = frozenset()
    subject: str | None = None


def mark(entries: Iterable[Entry]) -> set[str]:
    """The digests of a repository's manifests that stay: the roots, what these need, and what is about any of those.

    So an index keeps its images, and an image its signatures, which nothing points to: they point at it.
    """
    known = {entry.digest: entry for entry in entries}
    about: defaultdict[str | None, list[str]] = defaultdict(list)
    for entry in known.values():
        about[entry.subject].append(entry.digest)
    marked: set[str] = set()
    waiting = [entry.digest for entry in known.values() if entry.is_root]
    while waiting:
        digest = waiting.pop()
        if digest in known and digest not in marked:
            marked.add(digest)
            waiting += [*known[digest].parts, *about[digest]]
    return marked


def _forget_unmarked(rows: sqlite3.Connection, before: float) -> list[str]:
    """Delete the records of manifests that nothing keeps; their digests."""
    repositories: defaultdict[str, list[Entry]] = defaultdict(list)
    for row in rows.execute(_MANIFESTS, (before,)):
        parts = frozenset((row["parts"] or "").split())
        repositories[row["repository"]].append(Entry(row["digest"], bool(row["is_root"]), parts, row["subject"]))
    gone: list[str] = []
    for repository, entries in repositories.items():
        marked = mark(entries)
        unmarked = [entry.digest for entry in entries if entry.digest not in marked]
        rows.executemany(
            "delete from manifests where repository = ? and digest = ?", [(repository, digest) for digest in unmarked]
        )
        gone += unmarked
    return gone


_MANIFESTS = """
select repository, digest, subject,
  pushed >= ? or exists (select 1 from tags t where t.repository = m.repository and t.digest = m.digest) as is_root,
  (select group_concat(digest, ' ') from parts p where p.repository = m.repository and p.manifest = m.digest) as parts
from manifests m
"""
_UNUSED = """
delete from blobs where touched < ?
  and not exists (select 1 from parts p where p.repository = blobs.repository and p.digest = blobs.digest)
"""
