"""The directories of the host's cgroup trees, while others make and remove some of theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def directories(root: str | Path = "/sys/fs/cgroup") -> Iterator[Path]:
    """Every directory below ``root``. One that vanishes on the way is passed over; ``Path.glob`` fails at it."""
    for place, names, _ in os.walk(root):
        yield from (Path(place, name) for name in names)
