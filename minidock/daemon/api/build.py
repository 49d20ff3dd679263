"""``/build``: build an image, hand over its secrets, forget what earlier builds made."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import web

from minidock import messages
from minidock.build.classic import Classic
from minidock.build.workshop import Request
from minidock.daemon import building
from minidock.daemon.api import answers, parameters, progress
from minidock.daemon.building import Asked
from minidock.daemon.engine import Engine
from minidock.errors import BuildStepFailed, InvalidInput, MinidockError, NotImplementedYet
from minidock.messages import BuildEvent, ErrorDetail, HostConfig, Progress, Ulimit
from minidock.oci import platform as platforms
from minidock.oci import reference as references
from minidock.registry import credentials
from minidock.registry.credentials import Credentials

log = logging.getLogger(__name__)

MOST_BYTES_OF_A_SECRET = 500 * 1024
#: So many lines may wait for a slow client; then the program waits too.
MOST_LINES = 1000
PRUNE_FILTERS = ("until", "unused-for")

_keeper = building.Keeper()


async def build(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``POST /build``: the body is the context, the answer tells of the steps as they happen.

    What is built: ``?dockerfile=&remote=&target=&platform=&buildargs=&labels=&t=``; how:
    ``?nocache=&pull=&cachefrom=&networkmode=&extrahosts=&secrets=&rm=&version=&squash=&outputs=``; limits:
    ``?memory=&memswap=&cpushares=&cpuperiod=&cpuquota=&cpusetcpus=&cpusetmems=&shmsize=&cgroupparent=&ulimits=&securityopt=``;
    what is answered: ``?q=&minidock=``.
    """
    asked = _asked(request)
    ours, quiet = parameters.boolean(request, "minidock"), parameters.boolean(request, "q")
    teller = _Teller(request, ours, quiet)
    body = progress.opened(request.content)
    task = asyncio.create_task(building.build(engine, asked, body, teller.tell, teller.flush))
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


async def prune(engine: Engine, request: web.Request) -> web.Response:
    """``POST /build/prune?all=&keep-storage=&filters=``: without ``all`` only what no image has."""
    wanted = parameters.filters(request, PRUNE_FILTERS)
    keep = int(parameters.number(request, "keep-storage") or 0)
    everything = parameters.boolean(request, "all")
    pruned = await asyncio.to_thread(building.prune, engine, everything, wanted, keep, time.time_ns())
    engine.events.publish("builder", "prune", "", reclaimed=str(pruned.space_reclaimed))
    return answers.document(pruned)


# ------------------------------------------------------------------------------------------------ what is asked


def _asked(request: web.Request) -> Asked:
    """The request's parameters. Raises InvalidInput, NotImplementedYet."""
    query = request.query
    _refuse(request)
    names = tuple(references.parse(name) for name in query.getall("t", []) if name)
    if any(tagged.digest for tagged in names):
        raise InvalidInput("refusing to create a tag with a digest reference")
    platform = query.get("platform", "")
    return Asked(
        Request(
            dockerfile=query.get("dockerfile", ""),
            names=names,
            arguments={name: text for name, text in _object(query.get("buildargs", "")).items() if text is not None},
            labels=_object(query.get("labels", "")),
            target=query.get("target", ""),
            platform=platforms.parse(platform) if platform else None,
            no_cache=parameters.boolean(request, "nocache"),
            pull=parameters.boolean(request, "pull"),
            cache_from=tuple(_list(query.get("cachefrom", ""))),
            network=query.get("networkmode", "") or "default",
            secrets=_keeper.take(query["secrets"]) if query.get("secrets") else {},
        ),
        remote=query.get("remote", ""),
        host=_limits(request),
        credentials=_credentials(request.headers.get("X-Registry-Config", "")),
    )


def _refuse(request: web.Request) -> None:
    """Raises NotImplementedYet for what Docker can do and we cannot."""
    query = request.query
    if query.get("version", "1") != "1":
        raise NotImplementedYet("BuildKit: minidock builds as the classic builder does (DOCKER_BUILDKIT=0)")
    for name, shown in (("squash", "--squash"), ("outputs", "--output")):
        if query.get(name, "") not in ("", "0", "false", "null", "[]"):
            raise NotImplementedYet(f"build {shown}: minidock does not have this yet")
    if not parameters.boolean(request, "rm", default=True):
        raise NotImplementedYet("build --rm=false: the containers of steps are always removed")


def _limits(request: web.Request) -> HostConfig:
    query = request.query
    try:
        ulimits = msgspec.convert(_list(query.get("ulimits", "")), list[Ulimit]) or None
    except msgspec.ValidationError as error:
        raise InvalidInput(f"ulimits: {error}") from None
    return HostConfig(
        memory=parameters.number(request, "memory") or 0,
        memory_swap=parameters.number(request, "memswap") or 0,
        cpu_shares=parameters.number(request, "cpushares") or 0,
        cpu_period=parameters.number(request, "cpuperiod") or 0,
        cpu_quota=parameters.number(request, "cpuquota") or 0,
        cpuset_cpus=query.get("cpusetcpus", ""),
        cpuset_mems=query.get("cpusetmems", ""),
        shm_size=parameters.number(request, "shmsize") or 0,
        cgroup_parent=query.get("cgroupparent", ""),
        ulimits=ulimits,
        extra_hosts=[text for text in query.getall("extrahosts", []) if text] or None,
        security_opt=[text for text in query.getall("securityopt", []) if text] or None,
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


def _credentials(header: str) -> dict[str, Credentials]:
    """``X-Registry-Config``: an AuthConfig for each registry."""
    try:
        document = json.loads(base64.b64decode(header + "=" * (-len(header) % 4), altchars=b"-_")) if header else {}
        items = dict(document or {}).items()
        encoded = {name: base64.urlsafe_b64encode(json.dumps(value).encode()).decode() for name, value in items}
    except (ValueError, TypeError, RecursionError):
        raise InvalidInput("X-Registry-Config is not base64url-encoded JSON") from None
    found = {name: credentials.from_header(value) for name, value in encoded.items()}
    if "https://index.docker.io/v1/" in found:
        found["docker.io"] = found["https://index.docker.io/v1/"]
    return found


# ------------------------------------------------------------------------------------------------ what is answered


class _Teller:
    """Turns what a build tells into lines, and sends them; a client that reads slowly holds the build up."""

    def __init__(self, request: web.Request, ours: bool, quiet: bool) -> None:
        self._request = request
        self._ours = ours
        self._quiet = quiet
        self._classic = Classic()
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
            is_end = isinstance(event, BuildEvent) and event.kind == "image"
            return [Progress(stream=f"{event.image}\n")] if is_end and isinstance(event, BuildEvent) else []
        if isinstance(event, Progress):
            return [] if self._ours else [event]
        if self._ours:
            return [Progress(build=event)] if event.kind not in ("running", "removed") else []
        found = [Progress(stream=text) for text in self._classic.feed(event) if text]
        if event.kind == "image":
            found.insert(0, Progress(aux={"ID": event.image}))
        return found

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
            if response is None:
                raise
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
