"""``commit``: what a container wrote, and how it was configured, becomes an image.

The image's configuration is made as a container's is: what the request says, filled up from what was there before
(:func:`creation.merge <minidock.daemon.creation.merge>`); here that is the container's own configuration.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from minidock import units
from minidock.daemon import changes, creation, lifecycle, picturing
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import Conflict, InvalidReference, NoSuchContainer
from minidock.images import Image
from minidock.messages import ContainerConfig, ContainerCreate
from minidock.oci.image import ContainerDefaults, Healthcheck, History
from minidock.oci.reference import Reference


@dataclass(frozen=True)
class Wanted:
    """What the request says. ``config`` is its body, if there is one; ``changes`` are Dockerfile instructions."""

    name: Reference | None
    author: str
    comment: str
    changes: Sequence[str]
    config: ContainerConfig | None
    pause: bool


async def commit(engine: Engine, container: Container, wanted: Wanted) -> Image:
    """Make the image. A running container stands still meanwhile, if that is wanted.

    Raises InvalidInput (a change), Conflict, NoSuchImage (the container's own image is gone), NoSpace.
    """
    if wanted.name and wanted.name.digest:
        raise InvalidReference("refusing to create a tag with a digest reference")
    config = configuration(container.record.config, wanted)
    paused = wanted.pause and container.record.state.status == "running"
    if paused:
        await lifecycle.pause(engine, container, for_commit=True)
    try:
        # Under the lock nobody removes the files that are being read.
        async with container.lock:
            if container.removing or container.id not in engine.containers:
                raise NoSuchContainer(container.name)
            image = await asyncio.to_thread(_make, engine, container, config, wanted)
    finally:
        if paused:
            with contextlib.suppress(Conflict):  # it was killed meanwhile
                await lifecycle.unpause(engine, container)
    name = wanted.name.with_default_tag().familiar if wanted.name else ""
    if name:
        engine.tell_image("tag", image.id, name)
    engine.tell(container, "commit", comment=wanted.comment, imageID=image.id, imageRef=name)
    return image


def _make(engine: Engine, container: Container, config: ContainerDefaults, wanted: Wanted) -> Image:
    images, record = engine.images, container.record
    with images.bringing():
        parent = images.get(record.image_id)
        layer = images.layer_from(container.bundle / "upper")
        step = History(
            created=units.format_rfc3339(time.time_ns()),
            created_by=" ".join(record.config.cmd or ()),
            author=wanted.author,
            comment=wanted.comment,
            empty_layer=layer is None,
        )
        names = [wanted.name] if wanted.name else []
        return images.derive(parent, [layer] if layer else [], config, [step], names, wanted.author)


def configuration(container: ContainerConfig, wanted: Wanted) -> ContainerDefaults:
    """The new image's configuration. Raises InvalidInput for a change that is none."""
    changed = changes.apply(wanted.changes, defaults(wanted.config or container))
    asked = ContainerCreate(**msgspec.structs.asdict(picturing.container_config(changed)))
    if "ENTRYPOINT" in (line.split()[0].upper() for line in wanted.changes):
        asked.entrypoint = changed.entrypoint  # empty is said too: it takes the old one away
    merged = defaults(creation.merge(asked, defaults(container)))
    return msgspec.structs.replace(
        merged,
        on_build=changed.on_build or list(container.on_build or ()),
        healthcheck=changed.healthcheck or merged.healthcheck or _healthcheck(container),
    )


def defaults(config: ContainerConfig) -> ContainerDefaults:
    """Of a container's configuration what an image may say."""
    return ContainerDefaults(
        user=config.user,
        exposed_ports=config.exposed_ports or {},
        env=config.env or [],
        entrypoint=_words(config.entrypoint),
        cmd=_words(config.cmd),
        volumes=config.volumes or {},
        working_dir=config.working_dir,
        labels=config.labels or {},
        stop_signal=config.stop_signal or "",
        stop_timeout=config.stop_timeout,
        healthcheck=_healthcheck(config),
        on_build=config.on_build or [],
        shell=config.shell or [],
    )


def _words(value: list[str] | str | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _healthcheck(config: ContainerConfig) -> Healthcheck | None:
    return Healthcheck(**msgspec.structs.asdict(config.healthcheck)) if config.healthcheck else None
