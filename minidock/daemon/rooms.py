"""``docker system df``: how much room images, containers, volumes and remembered build steps take."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from minidock import messages, units
from minidock.content.disk import tree_size
from minidock.daemon import inspecting, picturing, volume_use
from minidock.daemon.engine import Engine
from minidock.errors import InvalidInput, NotFound

KINDS = ("container", "image", "volume", "build-cache")


def usage(engine: Engine, kinds: Sequence[str]) -> messages.DiskUsage:
    """``GET /system/df``; of nothing in particular, all. Raises InvalidInput."""
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidInput(f"unknown object type: {kind}")
    found = messages.DiskUsage()
    for kind in kinds or KINDS:
        if kind == "image":
            found.images = picturing.summaries(engine, {}, shared_size=True)
            layers = {diff_id for image in engine.images.all() for diff_id in image.diff_ids}
            found.layers_size = sum(engine.images.layers.size(diff_id) for diff_id in layers)
        elif kind == "container":
            found.containers = _containers(engine)
        elif kind == "volume":
            found.volumes = _volumes(engine)
        else:
            found.build_cache = _build_cache(engine)
    return found


def _containers(engine: Engine) -> list[messages.ContainerSummary]:
    found = []
    for container in list(engine.containers.values()):
        try:
            found.append(inspecting.summary(engine, container, with_size=True))
        except (NotFound, FileNotFoundError):
            continue  # it was removed just now
    return found


def _volumes(engine: Engine) -> list[messages.Volume]:
    """Those whose files are here; what options have mounted from elsewhere takes no room of ours."""
    found = []
    for volume in engine.volumes.all():
        if volume.options:
            continue
        try:
            room = messages.VolumeUsage(
                size=tree_size(volume.path), ref_count=len(volume_use.users(engine, volume.name))
            )
        except FileNotFoundError:
            continue
        found.append(msgspec.structs.replace(volume.describe(), usage_data=room))
    return found


def _build_cache(engine: Engine) -> list[messages.BuildCache]:
    images = {diff_id for image in engine.images.all() for diff_id in image.diff_ids}
    return [
        messages.BuildCache(
            id=record.key,
            parents=[record.parent] if record.parent else None,
            description=record.told,
            shared=record.layer is not None and record.layer.diff_id in images,
            size=record.size,
            created_at=record.created,
            last_used_at=units.format_rfc3339(record.used),
            usage_count=record.hits,
        )
        for record in engine.workshop.cache.all()
    ]
