"""Events: which pass which filters, what is replayed, and who is cut off."""

from __future__ import annotations

import time

import pytest

from minidock.daemon.events import KEPT, MOST_WAITING, Events, matches
from minidock.messages import Actor, Event


def event(kind: str, action: str, subject: str, **attributes: str) -> Event:
    """An event without a time."""
    return Event(type=kind, action=action, actor=Actor(id=subject, attributes=attributes), time=0, time_nano=0)


START = event("container", "start", "abcdef0123", name="web", image="localhost:5000/tool:1")
EXEC = event("container", "exec_create: sh -c true", "abcdef0123", name="web", image="tool")
PULL = event("image", "pull", "tool:1", name="tool")
JOIN = event("network", "connect", "fedcba", name="bridge", container="abcdef0123")


@pytest.mark.parametrize(
    ("wanted", "passing"),
    [
        ({}, [START, EXEC, PULL, JOIN]),
        ({"type": ["container"]}, [START, EXEC]),
        ({"type": ["container", "image"], "event": ["start", "pull"]}, [START, PULL]),
        ({"container": ["abcd"]}, [START, EXEC]),
        ({"container": ["web"], "event": ["exec_create"]}, [EXEC]),
        ({"event": ["exec_create: sh -c true"]}, [EXEC]),
        ({"event": ["exec"]}, []),
        ({"image": ["localhost:5000/tool"]}, [START]),
        ({"image": ["tool"]}, [EXEC, PULL]),
        ({"image": ["tool:1"]}, [PULL]),
        ({"network": ["bridge"]}, [JOIN]),
        ({"network": ["fed"], "scope": ["local"]}, [JOIN]),
        ({"scope": ["swarm"]}, []),
        ({"volume": ["x"]}, []),
        ({"node": ["x"]}, []),
    ],
    ids=str,
)
def test_filters(wanted: dict[str, list[str]], passing: list[Event]) -> None:
    """Alternatives within a name, all names together; ids, names and images cut short as Docker allows."""
    assert [item for item in (START, EXEC, PULL, JOIN) if matches(item, wanted)] == passing


async def test_replay_and_news_come_once_and_in_order() -> None:
    """The last 256 are kept; a listener gets those since its moment, then what happens, up to its end."""
    events = Events()
    for number in range(KEPT + 10):
        events.publish("container", str(number), "id", action="a label may be called as anything", kind="x")
    end = time.time_ns() + 10**8
    seen = []
    async for item in events.listen(1, end, lambda item: True):
        seen.append(item.action)
        if item.action == str(KEPT + 9):
            events.publish("container", "new", "id")
    assert seen == [*map(str, range(10, KEPT + 10)), "new"]
    assert [item async for item in events.listen(None, time.time_ns(), lambda item: True)] == []


async def test_who_does_not_read_is_cut_off() -> None:
    """Its queue ends, and so does its stream; nothing is kept for it."""
    events = Events()
    events.publish("container", "first", "id")
    listening = events.listen(1, None, lambda item: True)
    assert (await anext(listening)).action == "first"
    for number in range(MOST_WAITING + 2):
        events.publish("container", str(number), "id")
    assert events.listeners == 0
    assert len([item async for item in listening]) == MOST_WAITING
