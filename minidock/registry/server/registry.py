"""What one running registry holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from minidock.registry.server.access import Access
from minidock.registry.server.metrics import Metrics
from minidock.registry.server.store import Store
from minidock.registry.server.uploads import Uploads
from minidock.registry.server.upstream import Upstream


@dataclass(frozen=True)
class Limits:
    """What the registry does not take. ``upload`` is the largest blob in bytes, 0 for any."""

    upload: int = 0
    read_only: bool = False


@dataclass
class Registry:
    """A registry: its disk, who may do what, and where it gets what it lacks (as a cache)."""

    store: Store
    access: Access
    limits: Limits = field(default_factory=Limits)
    upstream: Upstream | None = None
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.uploads = Uploads(self.store)
