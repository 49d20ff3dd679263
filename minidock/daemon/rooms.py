"""``docker system df``: how much room images, containers, volumes and remembered build steps take."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from minidock import messages
from minidock.content.disk import tree_size
from minidock.daemon import build_cache, inspecting, picturing, volume_use
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
            kept = build_cache.all_kept(engine)
            found.build_cache = [item.describe() for item in reversed(kept)]
            found.builder_size = sum(item.own for item in kept)
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
