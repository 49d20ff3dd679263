"""Which images there are and what they are called: two tables."""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec

from minidock.database import Database
from minidock.errors import NoSuchImage
from minidock.oci import reference as references
from minidock.oci.image import Descriptor, encode
from minidock.oci.reference import Reference

SCHEMA = """
create table if not exists images (
    id             text primary key,        -- digest of the configuration
    manifest       text not null,           -- descriptor of the manifest, JSON
    last_tagged_ns integer not null         -- nanoseconds since 1970; 0 is never
);
create table if not exists image_tops (
    image text primary key references images (id) on delete cascade,
    top   text not null                     -- descriptor of the index that the image came with, if all of that is here
);
create table if not exists image_names (
    name  text primary key,                 -- docker.io/library/debian:12, docker.io/library/debian@sha256:…
    image text not null references images (id) on delete cascade
)
"""


class Record(NamedTuple):
    """An image's manifest; the index that it came with, or the manifest again; when it was last given a tag."""

    manifest: Descriptor
    top: Descriptor
    last_tagged_ns: int


class Names:
    """The records of images. Every change is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.create(SCHEMA)

    def ids(self) -> list[str]:
        """All images."""
        return [row["id"] for row in self._database.query("select id from images order by rowid")]

    def record(self, image_id: str) -> Record:
        """What is known of an image. Raises NoSuchImage."""
        query = "select manifest, top, last_tagged_ns from images left join image_tops on image = id where id = ?"
        for row in self._database.query(query, image_id):
            manifest = msgspec.json.decode(row["manifest"], type=Descriptor)
            top = msgspec.json.decode(row["top"], type=Descriptor) if row["top"] else manifest
            return Record(manifest, top, row["last_tagged_ns"])
        raise NoSuchImage(image_id)

    def of(self, image_id: str) -> tuple[Reference, ...]:
        """An image's names, in order."""
        rows = self._database.query("select name from image_names where image = ? order by name", image_id)
        return tuple(references.parse(row["name"]) for row in rows)

    def put(self, image_id: str, manifest: Descriptor, *names: Reference, top: Descriptor | None = None) -> None:
        """Record an image; ``names`` now mean it, whatever they meant before.

        ``top`` is the index that it came with; without one, an earlier one stays as long as the manifest does.
        """
        with self._database.transaction() as transaction:
            changed = "delete from image_tops where image = (select id from images where id = ? and manifest <> ?)"
            transaction.execute(changed, (image_id, encode(manifest).decode()))
            transaction.execute(
                "insert into images values (?, ?, 0) on conflict (id) do update set manifest = excluded.manifest",
                (image_id, encode(manifest).decode()),
            )
            if top and top != manifest:
                record = (image_id, encode(top).decode())
                transaction.execute("insert or replace into image_tops values (?, ?)", record)
            for name in names:
                transaction.execute("insert or replace into image_names values (?, ?)", (str(name), image_id))
            if any(name.tag for name in names):
                transaction.execute("update images set last_tagged_ns = ? where id = ?", (time.time_ns(), image_id))

    def drop_name(self, name: Reference) -> None:
        """Forget a name, if it is one. A digest stands without the tag beside it."""
        name = name.with_digest(name.digest) if name.digest else name
        with self._database.transaction() as transaction:
            transaction.execute("delete from image_names where name = ?", (str(name),))

    def drop_image(self, image_id: str) -> None:
        """Forget an image and all its names."""
        with self._database.transaction() as transaction:
            transaction.execute("delete from images where id = ?", (image_id,))

    def find(self, text: str) -> str:
        """The id of the image that ``text`` means. Raises NoSuchImage, InvalidReference, InvalidDigest.

        It may be an id with or without ``sha256:``, a name (with a tag or digest, or ``latest`` is meant), or the
        beginning of an id if no other id begins so; a name goes before a beginning, as in Docker.
        """
        rows = self._database.query("select id from images where id in (?, ?)", text, f"sha256:{text}")
        if rows:
            return str(rows[0]["id"])
        shown = text
        if len(text.removeprefix("sha256:")) != 64:
            name = references.parse(text).with_default_tag()
            shown = name.familiar
            # A digest says more than a tag beside it.
            wanted = name.with_digest(name.digest) if name.digest else name
            rows = self._database.query("select image from image_names where name = ?", str(wanted))
            if rows:
                return str(rows[0]["image"])
        beginning = text.removeprefix("sha256:")
        if beginning and all(digit in "0123456789abcdef" for digit in beginning):
            rows = self._database.query("select id from images where id like ?", f"sha256:{beginning}%")
            if len(rows) == 1:
                return str(rows[0]["id"])
        raise NoSuchImage(shown)
