"""What a build needs from outside, and what all builds share.

This floor knows images, but neither containers' records nor networks: whoever has those gives a :class:`Machine`.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from minidock.build.cache import Cache
from minidock.build.cache_directories import CacheDirectories
from minidock.build.mounts import Bound
from minidock.build.sources import Source
from minidock.content.disk import remove_directory
from minidock.images import Image, Images, Layer
from minidock.messages import BuildEvent
from minidock.oci.platform import Platform
from minidock.oci.reference import Reference

MOST_GITS = 4
"""So many at once: each has a thread, of which the daemon has not many more."""

Tell = Callable[[BuildEvent], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Program:
    """What a RUN runs, beside what its image says. ``network`` is default, none, host or a network's name.

    ``hidden_env`` are variables that nobody but the program may see.
    """

    words: list[str]
    env: list[str]
    hidden_env: list[str]
    network: str
    mounts: list[Bound]


@dataclass(frozen=True)
class Ended:
    """A program has ended; ``upper`` is what it changed, the taker's to keep."""

    code: int
    upper: Path


class Machine(Protocol):
    """Runs programs and knows where images come from."""

    async def image(self, name: str, platform: Platform | None, pull: bool, status: Callable[[str], None]) -> Image:
        """An image by name, pulled if it is not here (or always). Raises NoSuchImage, RegistryError."""

    def running(self, image: Image, program: Program, tell: Tell) -> AbstractAsyncContextManager[Ended]:
        """Run a program to its end, telling what it writes; the container is gone when the block ends."""


@dataclass(frozen=True)
class Request:
    """What whoever builds wants."""

    dockerfile: str = ""
    names: tuple[Reference, ...] = ()
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    target: str = ""
    platform: Platform | None = None
    no_cache: bool = False
    pull: bool = False
    cache_from: tuple[str, ...] = ()
    network: str = "default"
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)


class Workshop:
    """Where builds happen: ``directory`` lasts, ``memory`` (for secrets) need not."""

    def __init__(self, images: Images, cache: Cache, directory: Path, memory: Path) -> None:
        self.images = images
        self.cache = cache
        self._builds = directory / "builds"
        self.directories = CacheDirectories(directory / "build-cache")
        self._memory = memory / "builds"
        self.turns_of_git = asyncio.Semaphore(MOST_GITS)

    def sweep(self) -> None:
        """At the daemon's start: remove what builds left that were killed."""
        self.directories.sweep()
        for directory in (self._builds, self._memory):
            for bundle in directory.glob("*/*"):
                self.images.snapshots.remove(bundle.name, bundle)
            remove_directory(directory)

    @contextmanager
    def place(self) -> Iterator[tuple[Path, Path]]:
        """A build's own two directories, gone after the block."""
        for directory in (self._builds, self._memory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=self._builds))
        memory = Path(tempfile.mkdtemp(dir=self._memory))
        try:
            yield work, memory
        finally:
            remove_directory(memory)
            remove_directory(work)

    @contextmanager
    def snapshot(self, image: Image, work: Path) -> Iterator[Path]:
        """A bundle with a writable overlay on an image, to be mounted; gone after the block."""
        bundle = Path(tempfile.mkdtemp(dir=work))
        try:
            self.images.snapshots.prepare(bundle.name, image, bundle)
            yield bundle
        finally:
            self.images.snapshots.remove(bundle.name, bundle)
            remove_directory(bundle)

    @contextmanager
    def source(self, image: Image, work: Path) -> Iterator[Source]:
        """An image's files, to be read."""
        with self.snapshot(image, work) as bundle, self.images.snapshots.mounted(bundle) as root:
            yield Source(root)

    def change(self, image: Image, work: Path, change: Callable[[Path], None], newest: int | None) -> Layer | None:
        """What ``change`` does to an image's root file system, as a layer; None if it does nothing. Blocks."""
        with self.snapshot(image, work) as bundle:
            with self.images.snapshots.mounted(bundle) as root:
                change(root)
            return self.images.layer_from(bundle / "upper", take=True, newest=newest)


async def in_thread(
    function: Callable[..., Result],
    *arguments: object,
    stop: Callable[[], None] = lambda: None,
    pool: Executor | None = None,
) -> Result:
    """Run what blocks in a thread. Who is cancelled meanwhile still waits for it: it uses what is then removed.

    ``stop`` asks it then to be quick. ``pool``: whose thread, if it is none of the daemon's few.
    """
    task = asyncio.get_running_loop().run_in_executor(pool, copy_context().run, function, *arguments)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody will ask any more
        raise
