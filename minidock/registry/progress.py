"""What a pull and a push tell of each blob."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

#: seconds between two reports of one layer's progress: more would only flicker
REPORT_EVERY = 0.1


@dataclass(frozen=True)
class Progress:
    """What happens to a layer (``id``: 12 digits of its digest) or to the image (``id``: its tag), in Docker's words.

    ``current`` and ``total`` are bytes, and mean something while ``status`` is "Downloading" or "Pushing".
    """

    id: str
    status: str
    current: int = 0
    total: int = 0


class Reporter:
    """Tells the progress of one blob of ``total`` bytes, and not too often. ``moving`` is what is done to it."""

    def __init__(self, progress: Callable[[Progress], None], id: str, total: int, moving: str) -> None:
        self._progress = progress
        self._id = id
        self._total = total
        self._moving = moving
        self._last = 0.0

    def tell(self, status: str) -> None:
        """It is at another stage now."""
        self._progress(Progress(self._id, status))

    def moved(self, current: int) -> None:
        """So many bytes are over."""
        now = time.monotonic()
        if now - self._last >= REPORT_EVERY:
            self._last = now
            self._progress(Progress(self._id, self._moving, current, self._total))

    def waiting(self, seconds: float) -> None:
        """It failed, and is tried again after a while."""
        self.tell(f"Retrying in {seconds:.0f} seconds")
