"""What happened, to whoever listens: ``GET /events``.

The last events are kept in memory, as dockerd does, so that a client may ask for what has just gone by.

Filters of one name are alternatives, those of different names must all hold. Names and ids may be cut short, image
names may lack their tag; and ``event=exec_create`` finds ``exec_create: sh -c …``.

Source: moby, ``daemon/events/filter.go``.
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
        self._listeners: set[asyncio.Queue[Event | None]] = set()

    def publish(self, kind: str, action: str, subject: str, /, **attributes: str) -> None:
        """Tell everybody. ``kind`` is ``container``, ``image``, ``network`` or ``volume``; ``subject`` its id."""
        now = time.time_ns()
        actor = Actor(id=subject, attributes=attributes)
        event = Event(type=kind, action=action, actor=actor, time=now // 10**9, time_nano=now)
        if kind in ("container", "image"):  # the fields of old, which newer kinds never had
            event.status, event.id = action, subject
        if kind == "container":
            event.from_ = attributes.get("image", "")
        self._recent.append(event)
        for queue in list(self._listeners):
            if queue.qsize() >= MOST_WAITING:
                self._listeners.discard(queue)
                queue.put_nowait(None)
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
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
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


async def _next(queue: asyncio.Queue[Event | None], until_ns: int | None) -> Event | None:
    if until_ns is None:
        return await queue.get()
    left = (until_ns - time.time_ns()) / 10**9
    try:
        async with asyncio.timeout(max(left, 0)):
            event = await queue.get()
    except TimeoutError:
        return None
    return event if event is not None and event.time_nano <= until_ns else None


FILTERS = (
    *("container", "image", "network", "volume", "daemon", "plugin", "node", "service", "secret", "config"),
    *("type", "event", "label", "scope"),
)
_WITH_DETAILS = {"health_status", "exec_create", "exec_start"}
"""After these words an action goes on with a colon; whoever filters by one of them filters by beginnings."""


def matches(event: Event, wanted: dict[str, list[str]]) -> bool:
    """Does the event pass the filters?"""
    name, image = event.actor.attributes.get("name", ""), event.actor.attributes.get("image", "")
    called = name if event.type == "image" else image
    exact = {"type": {event.type}, "scope": {event.scope}, "event": {event.action}}
    exact["image"] = {event.actor.id, called, _without_tag(event.actor.id), _without_tag(called)}
    for key, values in wanted.items():
        if key == "label":
            continue
        if key in exact and not (key == "event" and _WITH_DETAILS & set(values)):
            passes = bool(exact[key] & set(values))
        elif key == "event":
            passes = any(event.action.startswith(value) for value in values)
        else:
            passes = any(event.actor.id.startswith(value) or name.startswith(value) for value in values)
        if not passes:
            return False
    return True


def _without_tag(name: str) -> str:
    """``localhost:5000/tool:1`` is found as ``localhost:5000/tool``."""
    directory, slash, last = name.rpartition("/")
    return directory + slash + last.partition(":")[0]
