"""A blob on its way in: a file that grows, chunk by chunk, until its digest is said.

The hash is carried along, so that the end of an upload does not read the file again; after a restart of the registry it
is made anew from what is there. What broke off stays, and the client goes on from where it was told (GET).

Source: distribution-spec 1.1, "Pushing blobs".
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import uuid
from pathlib import Path

from minidock.content.disk import space_errors, write_all
from minidock.oci import digest as digests
from minidock.registry.server.refusals import Refusal
from minidock.registry.server.store import Store

#: seconds after which an upload that nobody goes on with is forgotten
ABANDONED = 24 * 3600.0
_READ_SIZE = 1 << 20


class Upload:
    """One upload into ``repository``. One request at a time may hold its ``lock``."""

    def __init__(self, directory: Path, name: str, repository: str) -> None:
        self.id = name
        self.repository = repository
        self.path = directory / name
        self.lock = asyncio.Lock()
        self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0)
        self._hash = hashlib.sha256()
        self.size = 0
        while piece := self._file.read(_READ_SIZE):
            self._hash.update(piece)
            self.size += len(piece)

    def write(self, piece: bytes) -> None:
        """Append. Raises NoSpace; then the piece is not there."""
        try:
            with space_errors(self.path.parent):
                write_all(self._file.fileno(), piece)
        except BaseException:
            self._file.truncate(self.size)
            self._file.seek(self.size)
            raise
        self._hash.update(piece)
        self.size += len(piece)

    def finish(self, digest: str, store: Store) -> None:
        """All is there: check it, and make it a blob. Raises Refusal."""
        found = self._digest(digest)
        if found != digest:
            raise Refusal("DIGEST_INVALID", f"the upload's digest is {found}, not {digest}")
        with space_errors(self.path.parent):
            os.fsync(self._file.fileno())
            store.take(self.repository, digest, self.path)

    def _digest(self, wanted: str) -> str:
        if wanted.startswith("sha256:"):
            return f"sha256:{self._hash.hexdigest()}"
        hash_ = digests.hasher(wanted)
        self._file.seek(0)
        while piece := self._file.read(_READ_SIZE):
            hash_.update(piece)
        return f"{hash_.name}:{hash_.hexdigest()}"

    def abort(self) -> None:
        """Leave nothing."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file, which stays."""
        self._file.close()


class Uploads:
    """All uploads that are under way."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[str, Upload] = {}
        self.sweep()
        for row in store.database.query("select * from uploads"):
            self._open[row["id"]] = Upload(store.uploads, row["id"], row["repository"])

    def __len__(self) -> int:
        return len(self._open)

    def start(self, repository: str) -> Upload:
        """A new, empty one. Raises NoSpace."""
        name = str(uuid.uuid4())
        with space_errors(self._store.uploads), self._store.database.transaction(durable=False) as rows:
            rows.execute("insert into uploads values (?, ?)", (name, repository))
            upload = self._open[name] = Upload(self._store.uploads, name, repository)
        return upload

    def find(self, repository: str, name: str) -> Upload:
        """An upload that was begun before. Raises Refusal."""
        upload = self._open.get(name)
        if upload is None or upload.repository != repository:
            raise Refusal("BLOB_UPLOAD_UNKNOWN", f"{repository} has no upload {name[:40]}")
        return upload

    def end(self, upload: Upload) -> None:
        """Finished or given up: it can be found no more."""
        upload.abort()
        self._forget(upload.id)

    def sweep(self) -> None:
        """Remove what nobody goes on with."""
        for file in self._store.uploads.iterdir():
            if file.stat().st_mtime < time.time() - ABANDONED:
                file.unlink()
        for row in self._store.database.query("select id from uploads"):
            if not (self._store.uploads / row["id"]).exists():
                self._forget(row["id"])

    def _forget(self, name: str) -> None:
        upload = self._open.pop(name, None)
        if upload is not None:
            upload.close()
        with self._store.database.transaction(durable=False) as rows:
            rows.execute("delete from uploads where id = ?", (name,))

    def close(self) -> None:
        """The registry stops; the files stay."""
        for upload in self._open.values():
            upload.close()
