"""``/containers``: the verbs."""

from __future__ import annotations

import asyncio

from aiohttp import web

from minidock import messages
from minidock.daemon import lifecycle, processes, pruning, statistics, story, updating
from minidock.daemon.api import answers, parameters
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import Conflict, InvalidInput, NotImplementedYet


def named(engine: Engine, request: web.Request) -> Container:
    """The container in the request's path. Raises NoSuchContainer."""
    return engine.container(request.match_info["name"])


async def create(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/create?name=&explain=``."""
    wanted = messages.decode(await request.read(), messages.ContainerCreate)
    explain = parameters.boolean(request, "explain")
    container = await lifecycle.create(engine, wanted, request.query.get("name", ""), explain)
    return answers.document(messages.ContainerCreated(id=container.id, warnings=container.warnings), 201)


async def start(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/start``; with ``?explain=&colour=&mark=`` the story of the start is told."""
    container = named(engine, request)
    await lifecycle.start(engine, container)
    return await explain(engine, request) if request.query.get("explain") else answers.nothing()


async def stop(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/stop?t=&signal=``."""
    signal = request.query.get("signal", "")
    await lifecycle.stop(engine, named(engine, request), parameters.number(request, "t"), signal)
    return answers.nothing()


async def restart(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/restart?t=&signal=``."""
    signal = request.query.get("signal", "")
    await lifecycle.restart(engine, named(engine, request), parameters.number(request, "t"), signal)
    return answers.nothing()


async def kill(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/kill?signal=``."""
    container = named(engine, request)
    try:
        await lifecycle.kill(engine, container, request.query.get("signal") or "KILL")
    except Conflict as error:
        raise Conflict(f"cannot kill container: {request.match_info['name']}: {error}") from None
    return answers.nothing()


async def pause(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/pause``."""
    await lifecycle.pause(engine, named(engine, request))
    return answers.nothing()


async def unpause(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/unpause``."""
    await lifecycle.unpause(engine, named(engine, request))
    return answers.nothing()


async def rename(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/rename?name=``."""
    lifecycle.rename(engine, named(engine, request), request.query.get("name", ""))
    return answers.nothing()


async def update(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/update``."""
    change = messages.decode(await request.read(), messages.HostConfig)
    await updating.update(engine, named(engine, request), change)
    return answers.document(messages.ContainerUpdated())


async def remove(engine: Engine, request: web.Request) -> web.Response:
    """``DELETE /containers/ID?force=&v=&link=``; with ``v``, volumes that have no name go along."""
    force, volumes = parameters.boolean(request, "force"), parameters.boolean(request, "v")
    if parameters.boolean(request, "link"):
        raise NotImplementedYet("removing a link: minidock does not have this yet")
    await lifecycle.remove(engine, named(engine, request), force, volumes)
    return answers.nothing()


async def prune(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/prune?filters=``: all that do not run."""
    wanted = parameters.filters(request, ("until", "label", "label!"))
    return answers.document(await pruning.containers(engine, wanted))


async def resize(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/resize?h=&w=``."""
    container, (height, width) = named(engine, request), size(request)
    await container.living_shim().resize(height, width)
    engine.tell(container, "resize", height=str(height), width=str(width))
    return web.Response(status=200)


def size(request: web.Request) -> tuple[int, int]:
    """A terminal's height and width. Raises InvalidInput."""
    height, width = parameters.number(request, "h"), parameters.number(request, "w")
    if height is None or width is None or not (0 <= height < 65536 and 0 <= width < 65536):
        raise InvalidInput("a terminal's size is h and w, each from 0 to 65535")
    return height, width


async def wait(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``POST /containers/ID/wait?condition=``. The headers go at once: Docker's client starts only after them."""
    container = named(engine, request)
    condition = request.query.get("condition") or "not-running"
    if condition not in ("not-running", "next-exit", "removed"):
        raise InvalidInput(f"invalid condition: {condition!r}")
    ended = asyncio.ensure_future(container.wait(condition))
    try:
        # The waiter stands before the client hears anything, or it could miss what it is about to cause.
        await asyncio.sleep(0)
        response = await answers.begin(request)
        code = await ended
    finally:
        ended.cancel()
    await response.write(messages.encode(messages.WaitAnswer(status_code=code)) + b"\n")
    await response.write_eof()
    return response


async def top(engine: Engine, request: web.Request) -> web.Response:
    """``GET /containers/ID/top?ps_args=``."""
    container = named(engine, request)
    container.living_shim()
    answer = await processes.top(container.record, request.query.get("ps_args") or "-ef")
    engine.tell(container, "top")
    return answers.document(answer)


async def stats(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``GET /containers/ID/stats?stream=&one-shot=``: one document, or one a second."""
    container = named(engine, request)
    stream, one_shot = parameters.boolean(request, "stream", True), parameters.boolean(request, "one-shot")
    if stream and one_shot:
        raise InvalidInput("cannot have stream=true and one-shot=true")
    response = await answers.begin(request)
    async for sample in statistics.samples(container, stream, one_shot):
        await response.write(messages.encode(sample) + b"\n")
    await response.write_eof()
    return response


async def explain(engine: Engine, request: web.Request) -> web.Response:
    """``GET /containers/ID/explain?form=&colour=&mark=``: what the kernel was asked, as text."""
    container = named(engine, request)
    form = request.query.get("form") or request.query.get("explain") or "full"
    colour, mark = parameters.boolean(request, "colour"), parameters.boolean(request, "mark")
    text = await asyncio.to_thread(story.tell, container, form, colour, mark)
    return web.Response(text=text)
