"""What the API says of volumes, of a container's files, and of the room that all of it takes."""

from __future__ import annotations

import msgspec

from minidock.messages.containers import ContainerSummary
from minidock.messages.document import Message
from minidock.messages.images import ImageSummary


class VolumeUsage(Message):
    """Bytes, and how many containers have it; -1 is unknown."""

    size: int = -1
    ref_count: int = -1


class Volume(Message, kw_only=True):
    """``GET /volumes/NAME``."""

    created_at: str
    driver: str = "local"
    labels: dict[str, str] | None = None
    mountpoint: str
    name: str
    options: dict[str, str] | None = None
    scope: str = "local"
    usage_data: VolumeUsage | msgspec.UnsetType = msgspec.UNSET


class VolumeCreate(Message):
    """``POST /volumes/create``; without a name it gets one of 64 random hex digits."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class VolumeList(Message):
    """``GET /volumes``."""

    volumes: list[Volume]
    warnings: list[str] | None = None


class VolumesPruned(Message):
    """``POST /volumes/prune``: names, and bytes."""

    volumes_deleted: list[str] | None = None
    space_reclaimed: int = 0


class ContainersPruned(Message):
    """``POST /containers/prune``: ids, and bytes."""

    containers_deleted: list[str] | None = None
    space_reclaimed: int = 0


class Change(Message):
    """One line of ``GET /containers/ID/changes``; ``kind`` 0 is changed, 1 added, 2 deleted."""

    path: str
    kind: int


class PathStat(Message, rename="camel", kw_only=True):
    """The header ``X-Docker-Container-Path-Stat``. ``mode`` is Go's ``fs.FileMode``, ``link_target`` a path inside."""

    name: str
    size: int
    mode: int
    mtime: str
    link_target: str = ""


class BuildCache(Message, kw_only=True):
    """A step of a build that is remembered."""

    id: str = msgspec.field(name="ID")
    parents: list[str] | None = None
    type: str = "regular"
    description: str = ""
    in_use: bool = False
    shared: bool = False
    size: int = 0
    created_at: str
    last_used_at: str | None = None
    usage_count: int = 0


class DiskUsage(Message):
    """``GET /system/df``; what was not asked for is absent."""

    layers_size: int = 0
    images: list[ImageSummary] | None = None
    containers: list[ContainerSummary] | None = None
    volumes: list[Volume] | None = None
    build_cache: list[BuildCache] | None = None
    builder_size: int = 0
