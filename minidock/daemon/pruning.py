"""``prune``: what nobody uses goes, and how much room that gives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from minidock import messages, units
from minidock.content.disk import tree_size
from minidock.daemon import lifecycle, volume_use
from minidock.daemon.engine import Engine
from minidock.daemon.volumes import ANONYMOUS
from minidock.errors import Conflict, InvalidInput, NotFound

Filters = Mapping[str, list[str]]


@asynccontextmanager
async def alone(engine: Engine, kind: str) -> AsyncIterator[None]:
    """One prune of a kind at a time. Raises Conflict."""
    if kind in engine.pruning:
        raise Conflict("a prune operation is already running")
    engine.pruning.add(kind)
    try:
        yield
    finally:
        engine.pruning.discard(kind)


def labels_allow(wanted: Filters, labels: Mapping[str, str]) -> bool:
    """``label`` must hold, all of them; and of ``label!`` not all."""

    def hold(texts: list[str]) -> bool:
        return all(
            name in labels and (not equals or labels[name] == value)
            for name, equals, value in (text.partition("=") for text in texts)
        )

    return hold(wanted.get("label", [])) and not ("label!" in wanted and hold(wanted["label!"]))


def until(wanted: Filters) -> int:
    """Only what was made up to this moment, in nanoseconds since 1970. Raises InvalidInput."""
    texts = wanted.get("until", [])
    if len(texts) > 1:
        raise InvalidInput("more than one until filter specified")
    return units.parse_time(texts[0], time.time_ns()) if texts else time.time_ns()


async def containers(engine: Engine, wanted: Filters) -> messages.ContainersPruned:
    """``POST /containers/prune``: all that do not run. Raises InvalidInput, Conflict."""
    newest = until(wanted)
    done = messages.ContainersPruned()
    async with alone(engine, "containers"):
        for container in list(engine.containers.values()):
            record = container.record
            if record.active or record.created_ns > newest or not labels_allow(wanted, record.config.labels or {}):
                continue
            room = await asyncio.to_thread(engine.images.snapshots.size, container.bundle)
            try:
                await lifecycle.remove(engine, container)
            except (Conflict, NotFound):
                continue  # it was started, or removed, just now
            done.containers_deleted = [*(done.containers_deleted or []), container.id]
            done.space_reclaimed += room
    engine.events.publish("container", "prune", "", reclaimed=str(done.space_reclaimed))
    return done


async def volumes(engine: Engine, wanted: Filters) -> messages.VolumesPruned:
    """``POST /volumes/prune``. Raises InvalidInput, Conflict."""
    everything = _boolean("all", wanted)
    done = messages.VolumesPruned()
    async with alone(engine, "volumes"):
        for volume in engine.volumes.all():
            chosen = everything or ANONYMOUS in volume.labels
            # With options, the files are somewhere else, and not ours to remove.
            if not chosen or volume.options or not labels_allow(wanted, volume.labels):
                continue
            if volume_use.users(engine, volume.name):
                continue
            room = await asyncio.to_thread(tree_size, volume.path)
            try:
                await volume_use.remove(engine, volume.name)
            except (Conflict, NotFound):
                continue
            done.volumes_deleted = [*(done.volumes_deleted or []), volume.name]
            done.space_reclaimed += room
    engine.events.publish("volume", "prune", "", reclaimed=str(done.space_reclaimed))
    return done


def _boolean(name: str, wanted: Filters) -> bool:
    values = [value.lower() for value in wanted.get(name, [])]
    if any(value not in ("1", "t", "true", "0", "f", "false") for value in values):
        raise InvalidInput(f"invalid filter '{name}={wanted[name]}'")
    return any(value in ("1", "t", "true") for value in values)
