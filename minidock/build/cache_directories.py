"""The directories of ``RUN --mount=type=cache``: they last from build to build.

A directory's identity is the mount's id, and the image that it begins with (``from``). Who takes it while others have
it depends on ``sharing``: ``shared`` joins others that share, ``locked`` waits until it is free, and
``private`` takes a second one of that name. So does ``shared`` while the first is somebody's alone.

Source: BuildKit, solver/llbsolver/mounts/mount.go (cacheRefGetter).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from minidock.content.disk import remove_directory, tree_size


@dataclass(frozen=True)
class Directory:
    """One of them. ``used``: when last, in nanoseconds since 1970; ``size``: the bytes of its files."""

    name: str
    used: int
    size: int
    is_in_use: bool


class CacheDirectories:
    """Those below ``root``. Builds take them on the event loop; threads may list and forget them meanwhile."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._users: Counter[str] = Counter()
        self._alone: set[str] = set()
        self._freed = asyncio.Event()
        self._filling = threading.Lock()
        self._lock = threading.Lock()

    @contextlib.asynccontextmanager
    async def taken(self, identity: str, sharing: str) -> AsyncIterator[Path]:
        """A directory's path, to be filled and used, for as long as the block lasts.

        Whoever takes several has to take them in the order of their identities: then nobody waits for ever.
        """
        first = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:32]
        name = await self._choose(first, sharing)
        try:
            yield self._root / name
        finally:
            with contextlib.suppress(FileNotFoundError):  # it was not even made
                os.utime(self._root / name)
            self._release(name)

    async def _choose(self, first: str, sharing: str) -> str:
        while sharing == "locked" and self._users[first]:
            await self._freed.wait()
        for number in itertools.count():
            name = f"{first}-{number}" if number else first
            is_free = name not in self._alone if sharing == "shared" else not self._users[name]
            if is_free:
                break
        with self._lock:
            self._users[name] += 1
        if sharing != "shared":
            self._alone.add(name)
        return name

    def _release(self, name: str) -> None:
        with self._lock:
            self._users[name] -= 1
        self._alone.discard(name)
        self._freed.set()
        self._freed = asyncio.Event()

    def fill(self, path: Path, begin: Callable[[Path], None]) -> None:
        """Make a directory that was taken, if it is new. Nobody sees it before ``begin`` has filled it. Blocks."""
        with self._filling:
            if path.exists():
                return
            self._root.mkdir(mode=0o755, parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix=".new-", dir=self._root))
            try:
                begin(new)
                new.rename(path)
            except BaseException:
                remove_directory(new)
                raise

    def all(self) -> list[Directory]:
        """Every directory. Blocks: its files are counted."""
        found = []
        for path in self._root.glob("[!.]*"):
            with contextlib.suppress(FileNotFoundError):  # somebody forgets it just now
                used = path.stat().st_mtime_ns
                found.append(Directory(path.name, used, tree_size(path), self._users[path.name] > 0))
        return found

    def forget(self, name: str) -> bool:
        """Remove one, unless it is in use. Blocks."""
        gone = self._root / f".gone-{uuid.uuid4()}"
        with self._lock:
            if self._users[name] or not (self._root / name).exists():
                return False
            (self._root / name).rename(gone)
        remove_directory(gone)
        return True

    def sweep(self) -> None:
        """At the daemon's start: remove what was half made or half removed."""
        for path in self._root.glob(".*"):
            remove_directory(path)
