"""``build``: the daemon's part. Steps run as containers of this engine, base images are pulled as it pulls.

A step's container has a record that says that a build owns it: should the daemon die, the next one removes it.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import dataclasses
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from minidock import git
from minidock.build.builder import Build
from minidock.build.context import unpack
from minidock.build.copying import is_archive
from minidock.build.fetching import clone, fetch, is_url
from minidock.build.mounts import Bound
from minidock.build.workshop import Ended, Program, Request, Tell, in_thread
from minidock.containers.control import Streams
from minidock.containers.streams import STDOUT, Unframer
from minidock.daemon import lifecycle, pulling
from minidock.daemon.container import Container, Pending
from minidock.daemon.engine import Engine
from minidock.errors import InvalidInput, MinidockError
from minidock.images import Image
from minidock.images.compression import CHUNK
from minidock.messages import (
    BuildEvent,
    ContainerCreate,
    HostConfig,
    LogConfig,
    Mount,
    Progress,
    TmpfsOptions,
)
from minidock.oci import platform as platforms
from minidock.oci import reference as references
from minidock.oci.platform import Platform
from minidock.registry.credentials import ANONYMOUS, Credentials

SECRETS_LAST = 600.0
"""Seconds."""
MOST_SECRETS = 100


@dataclass(frozen=True)
class Asked:
    """A build as the API was asked for it. ``host`` are the limits of its containers, ``remote`` a context's URL."""

    request: Request
    remote: str = ""
    host: HostConfig = field(default_factory=HostConfig)
    credentials: dict[str, Credentials] = field(default_factory=dict)


class Keeper:
    """Secrets that a client has handed over for a build to come: in memory, for some minutes, used once."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, bytes]] = {}

    def keep(self, values: dict[str, bytes]) -> str:
        """The name under which they can be fetched."""
        if len(self._kept) >= MOST_SECRETS:
            raise InvalidInput("too many builds are waiting for their secrets")
        name = secrets.token_urlsafe(24)
        self._kept[name] = values
        asyncio.get_running_loop().call_later(SECRETS_LAST, self._kept.pop, name, None)
        return name

    def take(self, name: str) -> dict[str, bytes]:
        """What was kept; nobody else gets it. Raises InvalidInput."""
        if name not in self._kept:
            raise InvalidInput("the build's secrets are not here: they were used, or are older than ten minutes")
        return self._kept.pop(name)


async def build(
    engine: Engine,
    asked: Asked,
    body: BinaryIO,
    tell: Callable[[BuildEvent | Progress], None],
    flush: Callable[[], Awaitable[None]],
) -> Image:
    """Build an image of a context that comes as an archive, or from a URL.

    ``tell`` hears of all that happens; ``flush`` waits until the listener has kept up. Raises MinidockError.
    """
    with contextlib.ExitStack() as stack:
        place = await in_thread(stack.enter_context, engine.workshop.place())
        try:
            context = place[0] / "context"
            context.mkdir(mode=0o755)
            if asked.remote:
                await _fetch_context(engine, asked, context)
            else:
                # A thread of its own: it waits for the client, however slowly that sends.
                with ThreadPoolExecutor(1, thread_name_prefix="context") as pool:
                    await in_thread(unpack, body, context, pool=pool)
            image = await Build(engine.workshop, Machine(engine, asked, tell, flush), asked.request, place, tell).run()
        except RecursionError:
            raise InvalidInput("directories are nested too deeply to be built of") from None
        finally:
            await in_thread(stack.close)
            engine.collector.soon()
    for name in asked.request.names:
        engine.tell_image("tag", image.id, name.with_default_tag().familiar)
    return image


async def _fetch_context(engine: Engine, asked: Asked, context: Path) -> None:
    """``remote=``: the URL of a git repository, of an archive, or of a Dockerfile. Raises InvalidInput."""
    if git.is_repository(asked.remote):
        directory, _ = await clone(asked.remote, context.parent / "clone", engine.workshop.turns_of_git)
        directory.rename(context)
        return
    if not is_url(asked.remote):
        raise InvalidInput(f"remote={asked.remote}: a URL of http, https, or of a git repository is needed")
    fetched = await fetch(asked.remote, context.parent / "remote")
    if not await in_thread(is_archive, fetched.path):
        fetched.path.rename(context / (asked.request.dockerfile or "Dockerfile").rpartition("/")[2])
        return
    with fetched.path.open("rb") as file:
        await in_thread(unpack, file, context)


class Machine:
    """Runs a build's steps in this engine (:class:`minidock.build.workshop.Machine`)."""

    def __init__(
        self,
        engine: Engine,
        asked: Asked,
        tell: Callable[[BuildEvent | Progress], None],
        flush: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._asked = asked
        self._tell = tell
        self._flush = flush

    async def image(self, name: str, platform: Platform | None, pull: bool, status: Callable[[str], None]) -> Image:
        """An image that is here, or is pulled. Raises NoSuchImage, RegistryError."""
        found = None if pull else self._engine.images.find(name)
        if found and (platform is None or platforms.fitness(found.config.platform, platform)):
            return found
        reference = references.parse(name).with_default_tag()
        credentials = self._asked.credentials.get(reference.domain, ANONYMOUS)

        def tell(line: Progress) -> None:
            self._tell(line)
            if line.progress_detail is None:
                status(f"{line.id}: {line.status}" if line.id else line.status)

        await pulling.pull(self._engine, reference, platform or platforms.host(), credentials, tell)
        return self._engine.images.get(str(reference))

    @contextlib.asynccontextmanager
    async def running(self, image: Image, program: Program, tell: Tell) -> AsyncIterator[Ended]:
        """Run a program to its end. Raises what keeps a container from running."""
        engine = self._engine
        request = ContainerCreate(
            image=image.id,
            entrypoint=[],
            cmd=program.words,
            env=program.env,
            host_config=msgspec.structs.replace(
                self._asked.host,
                network_mode=program.network,
                mounts=[_mount(bound) for bound in program.mounts],
                log_config=LogConfig(type="none"),
            ),
        )
        container = await lifecycle.create(engine, request, "", of_build=_bare(image))
        container.hidden_env = program.hidden_env
        try:
            tell(BuildEvent(kind="running", container=container.id))
            code = await self._run(container, tell)
            yield Ended(code, container.bundle / "upper")
        finally:
            removal = asyncio.ensure_future(lifecycle.remove(engine, container, force=True))
            with contextlib.suppress(MinidockError):  # somebody else removes it
                await asyncio.shield(removal)
        tell(BuildEvent(kind="removed", container=container.id))

    async def _run(self, container: Container, tell: Tell) -> int:
        """Start it, tell all that it writes, and wait for its end."""
        pending, ended = Pending(Streams(stdout=True, stderr=True)), container.next_exit
        container.pending.append(pending)
        await lifecycle.start(self._engine, container)
        reader, writer = await pending.stream
        decoders = {number: codecs.getincrementaldecoder("utf-8")("replace") for number in (1, 2)}
        unframer = Unframer()
        try:
            while data := await reader.read(CHUNK):
                for stream, piece in unframer.feed(data):
                    name = "stdout" if stream == STDOUT else "stderr"
                    tell(BuildEvent(kind="output", stream=name, text=decoders[stream].decode(piece)))
                await self._flush()
        finally:
            writer.close()
        return await asyncio.shield(ended)


def _bare(image: Image) -> Image:
    """The image without what is for its own program: a step is no service, and what it writes is to be kept."""
    config = msgspec.structs.replace(
        image.config.config, env=[], entrypoint=[], cmd=[], volumes={}, healthcheck=None, exposed_ports={}
    )
    return dataclasses.replace(image, config=msgspec.structs.replace(image.config, config=config))


def _mount(bound: Bound) -> Mount:
    if bound.source is None:
        return Mount(type="tmpfs", target=bound.target, tmpfs_options=TmpfsOptions(size_bytes=bound.size))
    return Mount(type="bind", source=str(bound.source), target=bound.target, read_only=bound.read_only)
