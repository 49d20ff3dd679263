"""Being told of changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from minidock.errors import SystemCallFailed
from minidock.kernel import inotify
from minidock.kernel.inotify import Event, Inotify


def test_events_arrive_in_order_with_names(tmp_path: Path) -> None:
    """Names of all lengths, in the order of the changes; none left over, and none for another directory."""
    (tmp_path / "other").mkdir()
    with Inotify() as watcher:
        watch = watcher.add(tmp_path, inotify.IN_CREATE | inotify.IN_DELETE)
        names = ["a", "b" * 15, "c" * 16, "d" * 255, "ünïcode"]
        for name in names:
            (tmp_path / name).touch()
        (tmp_path / "other" / "x").touch()
        (tmp_path / "a").unlink()
        expected = [Event(watch, inotify.IN_CREATE, name) for name in names] + [Event(watch, inotify.IN_DELETE, "a")]
        assert watcher.read() == expected
        assert watcher.read() == []


def test_a_removed_watch_says_goodbye(tmp_path: Path) -> None:
    """After remove one IN_IGNORED comes, and nothing after it."""
    with Inotify() as watcher:
        watch = watcher.add(tmp_path, inotify.IN_CREATE)
        watcher.remove(watch)
        (tmp_path / "unseen").touch()
        assert watcher.read() == [Event(watch, inotify.IN_IGNORED, "")]


async def test_it_wakes_an_event_loop(tmp_path: Path) -> None:
    """asyncio's add_reader takes it as it is."""
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    with Inotify() as watcher:
        watcher.add(tmp_path, inotify.IN_CREATE)
        loop.add_reader(watcher, heard.set)
        (tmp_path / "new").touch()
        await heard.wait()
        loop.remove_reader(watcher)
        assert [event.name for event in watcher.read()] == ["new"]


def test_what_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    """The error names the path."""
    with Inotify() as watcher, pytest.raises(SystemCallFailed, match=r"missing.*No such file"):
        watcher.add(tmp_path / "missing", inotify.IN_CREATE)
