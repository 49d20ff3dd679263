"""``/build``: build an image, hand over its secrets, forget what earlier builds made."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import web

from minidock import messages
from minidock.build.classic import Classic
from minidock.build.workshop import Request
from minidock.daemon import build_cache, building
from minidock.daemon.api import answers, progress
from minidock.daemon.api.parameters import Asked, count, filters, flag, identities, platform, text, texts
from minidock.daemon.engine import Engine
from minidock.errors import BuildStepFailed, InvalidInput, MinidockError, NotImplementedYet
from minidock.messages import BuildEvent, ErrorDetail, HostConfig, Progress, Ulimit
from minidock.oci import reference as references

log = logging.getLogger(__name__)

MOST_BYTES_OF_A_SECRET = 500 * 1024
#: So many lines may wait for a slow client; then the program waits too.
MOST_LINES = 1000

_keeper = building.Keeper()


class Build(Asked):
    """What is built, how, within which limits, and what is answered. (JSON stands in texts here, as Docker has it.)"""

    dockerfile = text("its path in the context; by default Dockerfile, or else dockerfile")
    remote = text("an URL of the context, in place of the body")
    target = text("the stage to stop at; by default the last")
    platform = platform("for this one; by default the machine's own")
    buildargs = text("a JSON object: values of ARGs; null is none")
    labels = text("a JSON object: labels of the image")
    t = texts("names of the image")

    nocache = flag("do every step again")
    pull = flag("ask the registry for each FROM, though an image is here")
    cachefrom = text("a JSON list: images whose steps may be taken over")
    networkmode = text("the network of RUN", "default")
    extrahosts = texts("name:address, for the hosts file of RUN")
    secrets = text("the id that /build/secrets has answered")
    rm = flag("false is refused: the containers of steps are always removed", default=True)
    version = text("1, the classic builder; anything else is refused", "1")
    squash = text("refused, unless false")
    outputs = text("refused, unless an empty JSON list")

    memory = count("bytes of memory")
    memswap = count("bytes of memory and swap together, -1: no limit")
    cpushares = count("weight among others")
    cpuperiod = count("microseconds")
    cpuquota = count("microseconds in each period")
    cpusetcpus = text("processors: 0-2,4")
    cpusetmems = text("memory nodes")
    shmsize = count("bytes of /dev/shm")
    cgroupparent = text("the cgroup that theirs are in")
    ulimits = text("a JSON list of {Name, Soft, Hard}")
    securityopt = texts("as of a container")
    registries = identities()

    q = flag("only the image's id is told")
    minidock = flag("events are told, in place of the classic builder's text; ours, not Docker's")


async def build(engine: Engine, request: web.Request, asked: Build) -> web.StreamResponse:
    """``POST /build``: the body is the context, the answer tells of the steps as they happen."""
    wanted = _wanted(asked)
    teller = _Teller(request, asked.minidock, asked.q)
    body = progress.opened(request.content)
    task = asyncio.create_task(building.build(engine, wanted, body, teller.tell, teller.flush))
    return await teller.answer(task)


async def keep_secrets(engine: Engine, request: web.Request) -> web.Response:
    """``POST /build/secrets``: ours, not Docker's (see ``messages.BuildSecrets``)."""
    asked = messages.decode(await request.read(), messages.BuildSecrets)
    try:
        values = {name: base64.b64decode(value, validate=True) for name, value in asked.secrets.items()}
    except ValueError:  # binascii.Error is one; what is not ASCII is another
        raise InvalidInput("a secret is not base64") from None
    for name, value in values.items():
        if len(value) > MOST_BYTES_OF_A_SECRET:
            raise InvalidInput(f"secret {name} is larger than {MOST_BYTES_OF_A_SECRET} bytes")
    return answers.document(messages.BuildSecretsKept(id=_keeper.keep(values)), status=201)


class Prune(Asked):
    """How much."""

    all = flag("what images have, too")
    keep_storage = count("so many bytes are kept", name="keep-storage")
    filters = filters(*build_cache.FILTERS)


async def prune(engine: Engine, request: web.Request, asked: Prune) -> web.Response:
    """``POST /build/prune``: what earlier builds made."""
    wanted, keep, everything = asked.filters, asked.keep_storage, asked.all
    pruned = await asyncio.to_thread(build_cache.prune, engine, everything, wanted, keep)
    engine.events.publish("builder", "prune", "", reclaimed=str(pruned.space_reclaimed))
    return answers.document(pruned)


# ------------------------------------------------------------------------------------------------ what is asked


def _wanted(asked: Build) -> building.Asked:
    """The request's parameters. Raises InvalidInput, NotImplementedYet."""
    _refuse(asked)
    names = tuple(references.parse(name) for name in asked.t if name)
    if any(tagged.digest for tagged in names):
        raise InvalidInput("refusing to create a tag with a digest reference")
    return building.Asked(
        Request(
            dockerfile=asked.dockerfile,
            names=names,
            arguments={name: text for name, text in _object(asked.buildargs).items() if text is not None},
            labels=_object(asked.labels),
            target=asked.target,
            platform=asked.platform,
            no_cache=asked.nocache,
            pull=asked.pull,
            cache_from=tuple(_list(asked.cachefrom)),
            network=asked.networkmode,
            secrets=_keeper.take(asked.secrets) if asked.secrets else {},
        ),
        remote=asked.remote,
        host=_limits(asked),
        credentials=asked.registries,
    )


def _refuse(asked: Build) -> None:
    """Raises NotImplementedYet for what Docker can do and we cannot."""
    if asked.version != "1":
        raise NotImplementedYet("BuildKit: minidock builds as the classic builder does (DOCKER_BUILDKIT=0)")
    for said, shown in ((asked.squash, "--squash"), (asked.outputs, "--output")):
        if said not in ("", "0", "false", "null", "[]"):
            raise NotImplementedYet(f"build {shown}: minidock does not have this yet")
    if not asked.rm:
        raise NotImplementedYet("build --rm=false: the containers of steps are always removed")


def _limits(asked: Build) -> HostConfig:
    try:
        ulimits = msgspec.convert(_list(asked.ulimits), list[Ulimit]) or None
    except msgspec.ValidationError as error:
        raise InvalidInput(f"ulimits: {error}") from None
    return HostConfig(
        memory=asked.memory,
        memory_swap=asked.memswap,
        cpu_shares=asked.cpushares,
        cpu_period=asked.cpuperiod,
        cpu_quota=asked.cpuquota,
        cpuset_cpus=asked.cpusetcpus,
        cpuset_mems=asked.cpusetmems,
        shm_size=asked.shmsize,
        cgroup_parent=asked.cgroupparent,
        ulimits=ulimits,
        extra_hosts=[text for text in asked.extrahosts if text] or None,
        security_opt=[text for text in asked.securityopt if text] or None,
    )


def _json(text: str, kind: type[Any]) -> Any:
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"invalid JSON in the request: {error}") from None
    if found is not None and not isinstance(found, kind):
        raise InvalidInput(f"invalid JSON in the request: {text[:80]}")
    return found or kind()


def _object(text: str) -> dict[str, Any]:
    found: dict[str, Any] = _json(text, dict)
    if not all(value is None or isinstance(value, str) for value in found.values()):
        raise InvalidInput("build args and labels are texts")
    return found


def _list(text: str) -> list[Any]:
    found: list[Any] = _json(text, list)
    return found


# ------------------------------------------------------------------------------------------------ what is answered


class _Teller:
    """Turns what a build tells into lines, and sends them; a client that reads slowly holds the build up."""

    def __init__(self, request: web.Request, ours: bool, quiet: bool) -> None:
        self._request = request
        self._ours = ours
        self._quiet = quiet
        self._classic = Classic()
        self._withheld: deque[Progress] = deque(maxlen=MOST_LINES)
        self._lines: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._has_room = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def tell(self, event: BuildEvent | Progress) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._take, event)

    async def flush(self) -> None:
        """Wait until few lines wait."""
        await asyncio.sleep(0)
        while self._lines.qsize() > MOST_LINES:
            self._has_room.clear()
            await self._has_room.wait()

    def _take(self, event: BuildEvent | Progress) -> None:
        for line in self._lines_of(event):
            self._lines.put_nowait(line)

    def _lines_of(self, event: BuildEvent | Progress) -> list[Progress]:
        if self._quiet:
            return self._quietly(event) if isinstance(event, BuildEvent) else []
        if isinstance(event, Progress):
            return [] if self._ours else [event]
        if self._ours:
            return [Progress(build=event)] if event.kind not in ("running", "removed") else []
        found = [Progress(stream=text) for text in self._classic.feed(event) if text]
        if event.kind == "image":
            found.insert(0, Progress(aux={"ID": event.image}))
        return found

    def _quietly(self, event: BuildEvent) -> list[Progress]:
        """The image's id; all else is told, as Docker tells it, when the build fails."""
        if event.kind == "image":
            return [Progress(stream=f"{event.image}\n")]
        self._withheld.extend(Progress(stream=text) for text in self._classic.feed(event) if text)
        return []

    async def answer(self, task: asyncio.Task[Any]) -> web.StreamResponse:
        """Send lines until the build has ended. An error before the first line is an ordinary answer."""
        task.add_done_callback(lambda _: self._loop.call_soon(self._lines.put_nowait, None))
        response: web.StreamResponse | None = None
        try:
            async for line in self._waiting():
                response = response or await answers.begin(self._request)
                await response.write(messages.encode(line) + b"\r\n")
            await task
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            if response is None and not self._withheld:
                raise
            response = response or await answers.begin(self._request)
            for line in self._withheld:
                await response.write(messages.encode(line) + b"\r\n")
            if not isinstance(error, MinidockError):
                log.exception("a build failed in an unforeseen way")
            message = str(error) if isinstance(error, MinidockError) else f"{type(error).__name__}: {error}"
            for text in self._classic.rest():
                await response.write(messages.encode(Progress(stream=text)) + b"\r\n")
            code = error.code if isinstance(error, BuildStepFailed) else 0
            last = Progress(error=message, error_detail=ErrorDetail(code=code, message=message))
            await response.write(messages.encode(last) + b"\r\n")
        finally:
            task.cancel()
            # What the build has left to clean up is cleaned up before the client hears of the end.
            await asyncio.wait([task])
        response = response or await answers.begin(self._request)
        await response.write_eof()
        return response

    async def _waiting(self) -> AsyncIterator[Progress]:
        while (line := await self._lines.get()) is not None:
            yield line
            self._has_room.set()
