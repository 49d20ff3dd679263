"""What happened, to whoever listens: ``GET /events``.

The last events are kept in memory, as dockerd does, so that a client may ask for what has just gone by.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

from minidock.messages import Actor, Event

KEPT = 256
# A listener that reads nothing for so many events is cut off: its queue must not eat the daemon's memory.
MOST_WAITING = 10_000


class Events:
    """The engine's news."""

    def __init__(self) -> None:
        self._recent: deque[Event] = deque(maxlen=KEPT)
        self._listeners: set[asyncio.Queue[Event]] = set()

    def publish(self, kind: str, action: str, subject: str, **attributes: str) -> None:
        """Tell everybody. ``kind`` is ``container``, ``image`` or ``network``; ``subject`` its id."""
        now = time.time_ns()
        actor = Actor(id=subject, attributes=attributes)
        event = Event(type=kind, action=action, actor=actor, time=now // 10**9, time_nano=now)
        if kind == "container":
            event.status, event.id, event.from_ = action, subject, attributes.get("image", "")
        self._recent.append(event)
        for queue in list(self._listeners):
            if queue.qsize() >= MOST_WAITING:
                self._listeners.discard(queue)
            else:
                queue.put_nowait(event)

    @property
    def listeners(self) -> int:
        """How many listen at this moment."""
        return len(self._listeners)

    async def listen(
        self, since_ns: int | None, until_ns: int | None, wanted: Callable[[Event], bool]
    ) -> AsyncIterator[Event]:
        """Kept events from ``since_ns`` on, then new ones; ends at ``until_ns`` (nanoseconds since 1970)."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        kept = [event for event in self._recent if since_ns is not None and since_ns <= event.time_nano]
        self._listeners.add(queue)
        try:
            for event in kept:
                if wanted(event) and (until_ns is None or event.time_nano <= until_ns):
                    yield event
            while (following := await _next(queue, until_ns)) is not None:
                if wanted(following):
                    yield following
        finally:
            self._listeners.discard(queue)


async def _next(queue: asyncio.Queue[Event], until_ns: int | None) -> Event | None:
    if until_ns is None:
        return await queue.get()
    left = (until_ns - time.time_ns()) / 10**9
    try:
        async with asyncio.timeout(max(left, 0)):
            event = await queue.get()
    except TimeoutError:
        return None
    return event if event.time_nano <= until_ns else None
