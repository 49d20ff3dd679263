"""What the API says of images, and of the progress of what takes long."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from minidock.messages.build import BuildEvent
from minidock.messages.containers import ContainerConfig, GraphDriver
from minidock.messages.document import NEVER, Message


class ImageSummary(Message):
    """One line of ``GET /images/json``."""

    id: str
    parent_id: str = ""
    repo_tags: list[str] = []
    repo_digests: list[str] = []
    created: int = 0
    size: int = 0
    shared_size: int = -1
    virtual_size: int = 0
    labels: dict[str, str] | None = None
    containers: int = -1


class RootFS(Message):
    """An image's layers, lowest first."""

    type: str = "layers"
    layers: list[str] = []


class ImageMetadata(Message):
    """What this engine remembers of an image beside its content."""

    last_tag_time: str = NEVER


class ImageInspect(Message):
    """``GET /images/NAME/json``."""

    id: str
    repo_tags: list[str] = []
    repo_digests: list[str] = []
    parent: str = ""
    comment: str = ""
    created: str = NEVER
    docker_version: str = ""
    author: str = ""
    config: ContainerConfig = field(default_factory=ContainerConfig)
    architecture: str = ""
    variant: str | msgspec.UnsetType = msgspec.UNSET
    os: str = "linux"
    size: int = 0
    virtual_size: int = 0
    graph_driver: GraphDriver = field(default_factory=GraphDriver)
    root_fs: RootFS = field(default_factory=RootFS, name="RootFS")
    metadata: ImageMetadata = field(default_factory=ImageMetadata)


class ImageDeleted(Message, omit_defaults=True):
    """One line of the answer to ``DELETE /images/NAME``: one of the two."""

    untagged: str = ""
    deleted: str = ""


class ImagesPruned(Message):
    """``POST /images/prune``: bytes, as the layers' files have them."""

    images_deleted: list[ImageDeleted] | None = None
    space_reclaimed: int = 0


class HistoryLine(Message):
    """One line of ``GET /images/NAME/history``."""

    id: str = "<missing>"
    created: int = 0
    created_by: str = ""
    tags: list[str] | None = None
    size: int = 0
    comment: str = ""


class ProgressDetail(Struct, omit_defaults=True, kw_only=True):
    """Bytes done, of how many."""

    current: int = 0
    total: int = 0


class ErrorDetail(Struct, omit_defaults=True, kw_only=True):
    """An error after the stream began."""

    code: int = 0
    message: str = ""


class Committed(Message):
    """``POST /commit``: the image's id."""

    id: str


class Progress(Struct, omit_defaults=True, kw_only=True, rename="camel"):
    """One line of a stream of progress (Docker's JSONMessage)."""

    stream: str = ""
    status: str = ""
    progress_detail: ProgressDetail | None = None
    progress: str = ""
    id: str = ""
    error_detail: ErrorDetail | None = None
    error: str = ""
    aux: dict[str, Any] | None = None
    build: BuildEvent | None = None
    """Ours, not Docker's: see ``BuildEvent``."""
