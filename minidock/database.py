"""One SQLite file holds every record: containers, image names, leases.

The daemon is the only writer. SQLite's write-ahead log makes each transaction all or nothing: whoever kills the
daemon between two statements finds, at the next start, either the whole change or nothing of it. A student can
open the file with ``sqlite3`` while the daemon runs.

Each package declares the tables that it owns (``SCHEMA``) and hands them to :meth:`Database.create`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Database:
    """A connection that several threads may share: one transaction at a time.

    ``path`` is created when missing, readable by root alone.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._lock = threading.RLock()
        # isolation_level=None: we say "begin" ourselves, so that the reader sees where a transaction starts.
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma foreign_keys = on")

    def create(self, schema: str) -> None:
        """Create a package's tables. ``schema`` holds ``create table if not exists`` statements."""
        with self._lock:
            self._connection.executescript(schema)

    @contextmanager
    def transaction(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Everything inside happens, or nothing does. Not to be nested.

        It survives a killed daemon in any case. With ``durable`` it survives a power cut too, which costs a wait for
        the disk of some milliseconds; what means nothing after the host's next start does without.
        """
        with self._lock:
            self._connection.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def query(self, sql: str, *arguments: Any) -> list[sqlite3.Row]:
        """The rows that ``sql`` selects."""
        with self._lock:
            return self._connection.execute(sql, arguments).fetchall()

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        with self._lock:
            self._connection.close()
