"""``/containers``: the verbs."""

from __future__ import annotations

import asyncio

from aiohttp import web

from minidock import messages
from minidock.daemon import lifecycle, processes, pruning, statistics, story, updating
from minidock.daemon.api import answers
from minidock.daemon.api.parameters import Asked, choice, filters, flag, needed, number, platform, text
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import Conflict, InvalidInput, NotFound, NotImplementedYet

CONDITIONS = ("not-running", "next-exit", "removed")


def named(engine: Engine, request: web.Request) -> Container:
    """The container in the request's path. Raises NoSuchContainer."""
    return engine.container(request.match_info["name"])


class Create(Asked):
    """What the command line says beside what becomes the record."""

    name = text("the container's name; by default one is made up")
    explain = flag("write down what each start asks of the kernel")
    platform = platform("the platform that the image has to be for; an image for another is answered as none")


async def create(engine: Engine, request: web.Request, asked: Create) -> web.Response:
    """``POST /containers/create``."""
    wanted = messages.decode(await request.read(), messages.ContainerCreate)
    container = await lifecycle.create(engine, wanted, asked.name, asked.explain, platform=asked.platform)
    return answers.document(messages.ContainerCreated(id=container.id, warnings=container.warnings), 201)


class Story(Asked):
    """How what the kernel was asked is told."""

    colour = flag("in colour, for a terminal")
    mark = flag("with a mark before each step")


class Start(Story):
    """A start may be told at once."""

    explain = choice("answer with the story of this start, in this form", story.FORMS, "", story.NO_FORM)
    checkpoint = text("a checkpoint to begin at: this engine has none")


async def start(engine: Engine, request: web.Request, asked: Start) -> web.Response:
    """``POST /containers/ID/start``."""
    if asked.checkpoint:
        raise NotImplementedYet("checkpoints")
    container, form = named(engine, request), asked.explain
    await lifecycle.start(engine, container)
    return await _told(container, form, asked) if form else answers.nothing()


class Stop(Asked):
    """How patient to be."""

    t = number("seconds until it is killed, -1: never; by default the container's own StopTimeout")
    signal = text("the signal to send first; by default the container's own StopSignal")


async def stop(engine: Engine, request: web.Request, asked: Stop) -> web.Response:
    """``POST /containers/ID/stop``."""
    await lifecycle.stop(engine, named(engine, request), asked.t, asked.signal)
    return answers.nothing()


async def restart(engine: Engine, request: web.Request, asked: Stop) -> web.Response:
    """``POST /containers/ID/restart``."""
    await lifecycle.restart(engine, named(engine, request), asked.t, asked.signal)
    return answers.nothing()


class Kill(Asked):
    """Which signal."""

    signal = text("the signal, by name or number", "KILL")


async def kill(engine: Engine, request: web.Request, asked: Kill) -> web.Response:
    """``POST /containers/ID/kill``."""
    try:
        await lifecycle.kill(engine, named(engine, request), asked.signal)
    except (Conflict, NotFound) as error:
        kind = Conflict if isinstance(error, Conflict) else NotFound
        raise kind(f"cannot kill container: {request.match_info['name']}: {error}") from None
    return answers.nothing()


async def pause(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/pause``."""
    await lifecycle.pause(engine, named(engine, request))
    return answers.nothing()


async def unpause(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/unpause``."""
    await lifecycle.unpause(engine, named(engine, request))
    return answers.nothing()


class Rename(Asked):
    """To what."""

    name = needed(text("the new name"))


async def rename(engine: Engine, request: web.Request, asked: Rename) -> web.Response:
    """``POST /containers/ID/rename``."""
    lifecycle.rename(engine, named(engine, request), asked.name)
    return answers.nothing()


async def update(engine: Engine, request: web.Request) -> web.Response:
    """``POST /containers/ID/update``."""
    change = messages.decode(await request.read(), messages.HostConfig)
    await updating.update(engine, named(engine, request), change)
    return answers.document(messages.ContainerUpdated())


class Remove(Asked):
    """How thoroughly."""

    force = flag("kill it first if it runs")
    v = flag("volumes that have no name go along")
    link = flag("remove a link, which minidock does not have: 501")


async def remove(engine: Engine, request: web.Request, asked: Remove) -> web.Response:
    """``DELETE /containers/ID``."""
    if asked.link:
        raise NotImplementedYet("removing a link: minidock does not have this yet")
    await lifecycle.remove(engine, named(engine, request), asked.force, asked.v)
    return answers.nothing()


class Prune(Asked):
    """Which ones."""

    filters = filters("until", "label", "label!")


async def prune(engine: Engine, request: web.Request, asked: Prune) -> web.Response:
    """``POST /containers/prune``: all that do not run."""
    return answers.document(await pruning.containers(engine, asked.filters))


class Resize(Asked):
    """A terminal's size."""

    h = needed(number("rows, 0 to 65535"))
    w = needed(number("columns, 0 to 65535"))


async def resize(engine: Engine, request: web.Request, asked: Resize) -> web.Response:
    """``POST /containers/ID/resize``."""
    container, (height, width) = named(engine, request), size(asked)
    await container.living_shim().resize(height, width)
    engine.tell(container, "resize", height=str(height), width=str(width))
    return web.Response(status=200)


def size(asked: Resize) -> tuple[int, int]:
    """A terminal's height and width. Raises InvalidInput."""
    height, width = asked.h, asked.w
    if height is None or width is None or not (0 <= height < 65536 and 0 <= width < 65536):
        raise InvalidInput("a terminal's size is h and w, each from 0 to 65535")
    return height, width


class Wait(Asked):
    """For what."""

    condition = choice("what to wait for", CONDITIONS, "not-running", 'invalid condition: "{}"')


async def wait(engine: Engine, request: web.Request, asked: Wait) -> web.StreamResponse:
    """``POST /containers/ID/wait``. The headers go at once: Docker's client starts only after them."""
    container, condition = named(engine, request), asked.condition
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


class Top(Asked):
    """Which columns."""

    ps_args = text("the arguments of ps(1)", "-ef")


async def top(engine: Engine, request: web.Request, asked: Top) -> web.Response:
    """``GET /containers/ID/top``."""
    container = named(engine, request)
    container.living_shim()
    answer = await processes.top(container.record, asked.ps_args)
    engine.tell(container, "top")
    return answers.document(answer)


class Stats(Asked):
    """How many samples."""

    stream = flag("one a second, for as long as the client listens; else one", default=True)
    one_shot = flag("at once, without a sample before it to compare with; not together with stream", name="one-shot")


async def stats(engine: Engine, request: web.Request, asked: Stats) -> web.StreamResponse:
    """``GET /containers/ID/stats``: one document, or one a second."""
    container, stream, one_shot = named(engine, request), asked.stream, asked.one_shot
    if stream and one_shot:
        raise InvalidInput("cannot have stream=true and one-shot=true")
    response = await answers.begin(request)
    async for sample in statistics.samples(container, stream, one_shot):
        await response.write(messages.encode(sample) + b"\n")
    await response.write_eof()
    return response


class Explain(Story):
    """In which form."""

    form = choice("how much is told, and as what", story.FORMS, "full", story.NO_FORM)


async def explain(engine: Engine, request: web.Request, asked: Explain) -> web.Response:
    """``GET /containers/ID/explain``: what the kernel was asked, as text."""
    return await _told(named(engine, request), asked.form, asked)


async def _told(container: Container, form: str, asked: Story) -> web.Response:
    return web.Response(text=await asyncio.to_thread(story.tell, container, form, asked.colour, asked.mark))
