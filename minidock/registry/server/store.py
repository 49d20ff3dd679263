"""What a registry has on its disk: content once, and records of which repository may show which of it.

::

    <root>/content/          blobs and manifests under their digests: the same store as the engine's images
    <root>/uploads/<id>      blobs on their way in
    <root>/registry.db       SQLite: which repository has which blob, manifest and tag

The same layer in two repositories is one file, but each repository shows only what was pushed (or mounted) to it: a
digest alone opens nothing. Every change is one transaction. Nobody trusts a record without its file, or a file without
its record: killed at any moment, the registry has either taken something or has not.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from minidock.content.store import Content
from minidock.database import Database
from minidock.oci import digest as digests
from minidock.oci.image import OCI_INDEX, Descriptor
from minidock.registry.server.documents import Document, understand
from minidock.registry.server.refusals import Refusal

SCHEMA = """
create table if not exists blobs (
    repository text not null,
    digest     text not null,
    touched    real not null,  -- seconds since 1970: when somebody last pushed it, or asked whether it is here
    primary key (repository, digest)
);
create table if not exists manifests (
    repository    text not null,
    digest        text not null,
    media_type    text not null,
    size          integer not null,
    pushed        real not null,
    subject       text,           -- the digest of what this is about (a signature, say); it need not exist
    artifact_type text not null,
    annotations   text not null,  -- JSON
    primary key (repository, digest)
);
create index if not exists referrers on manifests (repository, subject);
create table if not exists parts (    -- what a manifest needs
    repository text not null,
    manifest   text not null,
    digest     text not null,
    size       integer not null,
    primary key (repository, manifest, digest),
    foreign key (repository, manifest) references manifests (repository, digest) on delete cascade
);
create index if not exists parts_by_digest on parts (digest);
create table if not exists uploads (id text primary key, repository text not null);
create table if not exists tags (
    repository text not null,
    name       text not null,
    digest     text not null,
    primary key (repository, name),
    foreign key (repository, digest) references manifests (repository, digest) on delete cascade
);
"""


@dataclass(frozen=True)
class Stored:
    """A manifest in a repository; its bytes are the file at ``path``."""

    digest: str
    media_type: str
    size: int
    path: Path


class Store:
    """The registry under ``root``. Its methods block and may be called from several threads."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.content = Content(root / "content", root / "ingest")
        self.uploads = root / "uploads"
        self.uploads.mkdir(mode=0o700, exist_ok=True)
        self.database = Database(root / "registry.db")
        self.database.create(SCHEMA)

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    # --- blobs

    def blob(self, repository: str, digest: str) -> Path:
        """The file of a blob. Raises Refusal.

        Who asks may rely on the answer and not send the blob: it counts as used now (see ``collecting``).
        """
        with self.database.transaction(durable=False) as rows:
            if not self._has_blob(rows, repository, digest):
                raise Refusal("BLOB_UNKNOWN", f"{repository} has no blob {digest}")
            rows.execute(
                "update blobs set touched = ? where repository = ? and digest = ?", (time.time(), repository, digest)
            )
        return self.content.path(digest)

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Show a blob of the repository ``source`` in another one too. False when ``source`` has none."""
        with self.database.transaction() as rows:
            if not self._has_blob(rows, source, digest):
                return False
            self._link(rows, repository, digest)
        return True

    def take(self, repository: str, digest: str, file: Path) -> None:
        """An uploaded file, whose digest was checked, becomes a blob of the repository."""
        with self.database.transaction() as rows:
            self.content.adopt(file, digest)
            self._link(rows, repository, digest)

    def link(self, repository: str, digest: str) -> None:
        """What is in the content store already becomes a blob of the repository."""
        with self.database.transaction() as rows:
            self._link(rows, repository, digest)

    def forget_blob(self, repository: str, digest: str) -> None:
        """The repository has the blob no more. Raises Refusal."""
        with self.database.transaction() as rows:
            done = rows.execute("delete from blobs where repository = ? and digest = ?", (repository, digest))
            if not done.rowcount:
                raise Refusal("BLOB_UNKNOWN", f"{repository} has no blob {digest}")

    def _has_blob(self, rows: sqlite3.Connection, repository: str, digest: str) -> bool:
        found = rows.execute("select 1 from blobs where repository = ? and digest = ?", (repository, digest))
        return found.fetchone() is not None and self.content.path(digest).exists()

    @staticmethod
    def _link(rows: sqlite3.Connection, repository: str, digest: str) -> None:
        rows.execute("insert or replace into blobs values (?, ?, ?)", (repository, digest, time.time()))

    # --- manifests

    def manifest(self, repository: str, reference: str) -> Stored:
        """The manifest with a tag or digest. Raises Refusal."""
        digest = reference if ":" in reference else self._tagged(repository, reference)
        found = self.database.query(
            "select * from manifests where repository = ? and digest = ?", repository, digest or ""
        )
        if not found or not self.content.path(found[0]["digest"]).exists():
            raise Refusal("MANIFEST_UNKNOWN", f"{repository} has no manifest {reference}")
        row = found[0]
        return Stored(row["digest"], row["media_type"], row["size"], self.content.path(row["digest"]))

    def put_manifest(
        self, repository: str, data: bytes, content_type: str, digest: str, tag: str | None, *, complete: bool = True
    ) -> Document:
        """Take a manifest, and give it a tag. Raises Refusal.

        ``complete``: all that it refers to must be here. (A cache gets the rest when somebody asks for it.)
        """
        document = understand(data, content_type)
        with self.database.transaction() as rows:
            if complete:
                self._must_have_parts(rows, repository, document)
            self.content.add(data, content_type, digest)
            # Not "insert or replace": that would take the tags and parts of the old row with it.
            rows.execute(
                "insert into manifests values (?, ?, ?, ?, ?, ?, ?, ?) "
                "on conflict do update set pushed = excluded.pushed",
                (
                    repository,
                    digest,
                    content_type,
                    len(data),
                    time.time(),
                    document.subject.digest if document.subject else None,
                    document.artifact_type,
                    json.dumps(document.annotations),
                ),
            )
            for part in document.blobs + document.manifests:
                rows.execute(
                    "insert or ignore into parts values (?, ?, ?, ?)", (repository, digest, part.digest, part.size)
                )
            if tag:
                rows.execute("insert or replace into tags values (?, ?, ?)", (repository, tag, digest))
        return document

    def _must_have_parts(self, rows: sqlite3.Connection, repository: str, document: Document) -> None:
        for part in document.blobs:
            if not self._has_blob(rows, repository, part.digest):
                raise Refusal("MANIFEST_BLOB_UNKNOWN", f"{repository} has no blob {part.digest}: push it first")
            if self.content.path(part.digest).stat().st_size != part.size:
                raise Refusal("MANIFEST_INVALID", f"blob {part.digest} does not have {part.size} bytes")
        for part in document.manifests:
            query = "select 1 from manifests where repository = ? and digest = ?"
            known = rows.execute(query, (repository, part.digest)).fetchone() is not None
            if not known or not self.content.path(part.digest).exists():
                raise Refusal("MANIFEST_BLOB_UNKNOWN", f"{repository} has no manifest {part.digest}: push it first")

    def forget_manifest(self, repository: str, reference: str) -> None:
        """Remove a tag; or a manifest, with its tags. Raises Refusal."""
        table, column = ("manifests", "digest") if ":" in reference else ("tags", "name")
        with self.database.transaction() as rows:
            done = rows.execute(f"delete from {table} where repository = ? and {column} = ?", (repository, reference))
            if not done.rowcount:
                raise Refusal("MANIFEST_UNKNOWN", f"{repository} has no manifest {reference}")

    def size_of_part(self, repository: str, digest: str) -> int | None:
        """How large a blob is, according to a manifest that needs it; None when none does."""
        rows = self.database.query("select size from parts where repository = ? and digest = ?", repository, digest)
        return int(rows[0]["size"]) if rows else None

    # --- lists

    def tags(self, repository: str, last: str, limit: int) -> list[str]:
        """At most ``limit`` tags (all, when negative) after ``last``, sorted. Raises Refusal."""
        self._must_know(repository)
        rows = self.database.query(
            "select name from tags where repository = ? and name > ? order by name limit ?", repository, last, limit
        )
        return [row["name"] for row in rows]

    def repositories(self, last: str, limit: int) -> list[str]:
        """At most ``limit`` repositories (all, when negative) that have a manifest, after ``last``, sorted."""
        rows = self.database.query(
            "select distinct repository from manifests where repository > ? order by repository limit ?", last, limit
        )
        return [row["repository"] for row in rows]

    def referrers(self, repository: str, subject: str, artifact_type: str = "") -> list[Descriptor]:
        """The manifests that say that they are about ``subject``."""
        rows = self.database.query(
            "select * from manifests where repository = ? and subject = ? order by pushed, digest", repository, subject
        )
        return [
            Descriptor(
                media_type=row["media_type"],
                digest=row["digest"],
                size=row["size"],
                artifact_type=row["artifact_type"],
                annotations=json.loads(row["annotations"]),
            )
            for row in rows
            if artifact_type in ("", row["artifact_type"])
        ]

    def _tagged(self, repository: str, tag: str) -> str | None:
        rows = self.database.query("select digest from tags where repository = ? and name = ?", repository, tag)
        return str(rows[0]["digest"]) if rows else None

    def _must_know(self, repository: str) -> None:
        query = (
            "select 1 from blobs where repository = ? union all select 1 from manifests where repository = ? limit 1"
        )
        if not self.database.query(query, repository, repository):
            raise Refusal("NAME_UNKNOWN", f"there is no repository {repository}")


def index_of(descriptors: list[Descriptor]) -> dict[str, object]:
    """An image index that lists these (a list of referrers has this form)."""
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}


def check_digest(text: str) -> str:
    """A digest that came with a request. Raises Refusal."""
    try:
        return digests.check(text)
    except Exception as error:
        raise Refusal("DIGEST_INVALID", str(error)) from None
