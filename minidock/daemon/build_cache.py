"""What builds keep for the next build, and how it is kept from filling the disk.

That is steps (:mod:`minidock.build.cache`) and the directories of ``RUN --mount=type=cache``. After each build, and
when an image is removed, the ones go that were not used for longest, until the rest has no more than a tenth of the
disk, or what ``daemon.json`` says: ``{"builder": {"gc": {"enabled": true, "defaultKeepStorage": "20GB"}}}``.

Source: https://docs.docker.com/build/cache/garbage-collection/.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minidock import units
from minidock.build.cache import Record
from minidock.errors import InvalidInput
from minidock.messages import BuildCache, BuildPruned

if TYPE_CHECKING:
    from minidock.daemon.engine import Engine

log = logging.getLogger(__name__)

FILTERS = ("until", "unused-for", "id", "type", "inuse", "shared", "private")
LONGEST = 60 * 24 * 3600 * 1_000_000_000
"""In nanoseconds: what nobody has used for so long goes in any case, as with BuildKit."""


@dataclass(frozen=True)
class Kept:
    """A step, or (``record`` is None) a directory. ``used``: when last, in nanoseconds since 1970.

    ``size``: what its files and its blob take. The layer that several steps have made counts with the latest only.
    ``is_shared``: an image has the layer too, so that nothing is won when it goes.
    """

    id: str
    used: int
    size: int
    record: Record | None = None
    is_in_use: bool = False
    is_shared: bool = False

    @property
    def own(self) -> int:
        """The bytes that would be free without it."""
        return 0 if self.is_shared else self.size

    @property
    def type(self) -> str:
        """BuildKit's word for it."""
        return "regular" if self.record else "exec.cachemount"

    def describe(self) -> BuildCache:
        """As the API tells of it."""
        record, moment = self.record, units.format_rfc3339(self.used)
        return BuildCache(
            id=self.id,
            parents=[record.parent] if record and record.parent else None,
            type=self.type,
            description=record.told if record else "RUN --mount=type=cache",
            in_use=self.is_in_use,
            shared=self.is_shared,
            size=self.size,
            created_at=record.created if record else moment,
            last_used_at=moment,
            usage_count=record.hits if record else 0,
        )


def all_kept(engine: Engine) -> list[Kept]:
    """All that is kept, what was not used for longest first. Blocks."""
    images = {diff_id for image in engine.images.all() for diff_id in image.diff_ids}
    counted: set[str] = set()
    found = [Kept(item.name, item.used, item.size, None, item.is_in_use) for item in engine.workshop.directories.all()]
    for record in engine.workshop.cache.all():
        diff_id = record.layer.diff_id if record.layer else ""
        size = 0 if diff_id in counted else record.room
        counted.add(diff_id)
        found.append(Kept(record.key, record.used, size, record, is_shared=diff_id in images))
    return sorted(found, key=lambda kept: kept.used)


def prune(engine: Engine, everything: bool, wanted: Mapping[str, Sequence[str]], keep: int) -> BuildPruned:
    """Forget what fits all filters, what was not used for longest first, until ``keep`` bytes are left. Blocks.

    Without ``everything`` those stay that an image has too. What a build uses just now stays. Raises InvalidInput.
    """
    conditions = _conditions(wanted, time.time_ns())
    found = all_kept(engine)
    may_go = [kept for kept in found if everything or not kept.is_shared]
    return _forget(engine, found, [kept for kept in may_go if all(fits(kept) for fits in conditions)], keep)


def collect(engine: Engine, most: int) -> BuildPruned:
    """Forget what is old, and then so much that ``most`` bytes are left. Blocks."""
    found, before = all_kept(engine), time.time_ns() - LONGEST
    old, young = ([kept for kept in found if (kept.used < before) is is_old] for is_old in (True, False))
    pruned = _forget(engine, old, old, 0)
    more = _forget(engine, young, [kept for kept in young if not kept.is_shared], max(most, 1))
    return BuildPruned(
        caches_deleted=pruned.caches_deleted + more.caches_deleted,
        space_reclaimed=pruned.space_reclaimed + more.space_reclaimed,
    )


def _forget(engine: Engine, found: Sequence[Kept], may_go: Sequence[Kept], keep: int) -> BuildPruned:
    left, steps, names, freed = sum(kept.own for kept in found), [], [], 0
    for kept in may_go:
        if kept.is_in_use or (keep and left <= keep):
            continue
        if kept.record is None and not engine.workshop.directories.forget(kept.id):
            continue  # a build has taken it since
        left -= kept.own
        names.append(kept.id)
        if kept.record:
            steps.append(kept.record)
        else:
            freed += kept.size
    return BuildPruned(caches_deleted=names, space_reclaimed=freed + engine.workshop.cache.forget(steps))


def _conditions(wanted: Mapping[str, Sequence[str]], now: int) -> list[Callable[[Kept], bool]]:
    """The filters of ``builder prune``, as BuildKit has them. Raises InvalidInput."""
    found: list[Callable[[Kept], bool]] = []
    for name, values in wanted.items():
        if len(values) != 1:
            raise InvalidInput(f"filter {name} takes one value")
        found.append(_condition(name, values[0], now))
    return found


def _condition(name: str, value: str, now: int) -> Callable[[Kept], bool]:
    if name in ("until", "unused-for"):
        before = now - units.parse_duration(value)
        return lambda kept: kept.used < before
    if name == "id":
        return lambda kept: kept.id == value
    if name == "type":
        return lambda kept: kept.type == value
    is_wanted = value.lower() not in ("", "0", "false")
    if name == "inuse":
        return lambda kept: kept.is_in_use is is_wanted
    return lambda kept: kept.is_shared is (is_wanted is (name == "shared"))


class Collector:
    """Runs :func:`collect` after builds and removals of images, in the background, one at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._task: asyncio.Task[None] | None = None
        self._is_due = False

    def soon(self) -> None:
        """A build has ended, or an image is gone."""
        self._is_due = True
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Wait until nothing runs."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._is_due:
            self._is_due = False
            try:
                most = self._engine.config.build_cache_limit()
                if most is not None:
                    await asyncio.to_thread(collect, self._engine, most)
            except Exception:  # nobody waits for it: whatever it is, the log is the place to say it
                log.exception("the build cache was not collected")
        self._task = None
