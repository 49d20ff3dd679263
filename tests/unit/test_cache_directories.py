"""Directories of ``RUN --mount=type=cache``: who gets which, and when."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from minidock.build.cache_directories import CacheDirectories


def begin(path: Path) -> None:
    """A new directory has one file."""
    (path / "first").touch()


@pytest.fixture
def directories(tmp_path: Path) -> CacheDirectories:
    """Of the test's own."""
    return CacheDirectories(tmp_path / "kept")


def test_one_after_the_other(directories: CacheDirectories) -> None:
    """Whatever the sharing, it is one directory, filled once; another identity has another."""

    async def use() -> None:
        seen: set[Path] = set()
        for sharing in ("private", "shared", "locked", "private"):
            async with directories.taken("a", sharing) as path:
                directories.fill(path, begin)
                assert (path / "first").exists() is not bool(seen)
                (path / "first").unlink(missing_ok=True)
                seen.add(path)
        async with directories.taken("b", "shared") as path:
            assert len(seen) == 1 and path not in seen

    asyncio.run(use())


def test_at_the_same_time(directories: CacheDirectories) -> None:
    """Those that share are together; each of the others is alone, and finds its directory again."""

    async def use() -> None:
        async with AsyncExitStack() as stack:
            taken = [
                await stack.enter_async_context(directories.taken("a", sharing))
                for sharing in ("shared", "shared", "private", "private", "shared")
            ]
            assert taken[0] == taken[1] == taken[4] and len(set(taken)) == 3
        async with AsyncExitStack() as stack:
            again = [
                await stack.enter_async_context(directories.taken("a", sharing))
                for sharing in ("locked", "shared", "private")
            ]
            assert again == [taken[0], taken[2], taken[3]]

    asyncio.run(use())


def test_locked_waits_for_everybody(directories: CacheDirectories) -> None:
    """Also for those that share; and whoever gives up waiting leaves nothing locked."""

    async def locked() -> None:
        async with directories.taken("a", "locked"):
            assert directories.all() == []

    async def use() -> None:
        async with directories.taken("a", "shared"), directories.taken("a", "shared"):
            waiting, leaving = asyncio.create_task(locked()), asyncio.create_task(locked())
            await asyncio.sleep(0)
            leaving.cancel()
            assert not (await asyncio.wait([waiting], timeout=0.05))[0]
        await asyncio.wait_for(waiting, 5)
        await asyncio.wait_for(locked(), 5)

    asyncio.run(use())


def test_nobody_sees_one_half_full(directories: CacheDirectories) -> None:
    """What failed is no directory, and what a killed daemon left is swept."""

    def fail(path: Path) -> None:
        begin(path)
        raise ValueError

    async def use() -> Path:
        async with directories.taken("a", "shared") as path:
            with pytest.raises(ValueError):
                directories.fill(path, fail)
            assert not list(path.parent.iterdir())
            directories.fill(path, begin)
            return path

    path = asyncio.run(use())
    (path.parent / ".new-x").mkdir()
    directories.sweep()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_only_what_is_free_is_forgotten(directories: CacheDirectories) -> None:
    """And it tells when it was used last, and how large it is."""

    async def use() -> None:
        async with directories.taken("a", "shared") as path:
            directories.fill(path, begin)
            (path / "more").write_text("12345")
            (directory,) = directories.all()
            assert (directory.name, directory.size, directory.is_in_use) == (path.name, 5, True)
            assert not directories.forget(path.name) and path.is_dir()
        (later,) = directories.all()
        assert later.used >= directory.used and not later.is_in_use
        assert directories.forget(path.name) and not directories.forget(path.name)
        assert directories.all() == [] and not list(path.parent.iterdir())

    asyncio.run(use())
