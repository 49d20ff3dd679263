"""``/images`` and ``/commit``: pull, import, commit, list, inspect, tag, remove, prune."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from aiohttp import web

from minidock import dialing, messages
from minidock.daemon import changes, committing, picturing, pulling
from minidock.daemon.api import answers, parameters, progress
from minidock.daemon.api.parameters import Asked, filters, flag, identity, needed, platform, text, texts
from minidock.daemon.engine import Engine
from minidock.daemon.own_thread import in_own_thread
from minidock.errors import InvalidInput, NotFound, Unreachable
from minidock.images import Deletion
from minidock.messages import ContainerConfig, Progress
from minidock.oci import platform as platforms
from minidock.oci import reference as references
from minidock.oci.reference import Reference
from minidock.registry.certificates import context_of

FILTERS = ("reference", "label", "dangling", "before", "since", "until")
PRUNE_FILTERS = ("dangling", "label", "label!", "until")
# An archive may take as long as it takes, as long as it comes.
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=120)


class Listing(Asked):
    """Which ones, and how much of each."""

    filters = filters(*FILTERS)
    shared_size = flag("with what each shares with others", name="shared-size")


async def listing(engine: Engine, request: web.Request, asked: Listing) -> web.Response:
    """``GET /images/json``."""
    parameters.decided(asked.filters, "dangling")
    lines = await asyncio.to_thread(picturing.summaries, engine, asked.filters, asked.shared_size)
    if parameters.version(request) < (1, 43):  # older clients want to read that there is no name
        for line in lines:
            if not line.repo_tags and not line.repo_digests:
                line.repo_tags, line.repo_digests = ["<none>:<none>"], ["<none>@<none>"]
    return answers.document(lines)


async def inspect(engine: Engine, request: web.Request) -> web.Response:
    """``GET /images/NAME/json``."""
    return answers.document(await asyncio.to_thread(picturing.inspect, engine, request.match_info["name"]))


async def history(engine: Engine, request: web.Request) -> web.Response:
    """``GET /images/NAME/history``."""
    return answers.document(await asyncio.to_thread(picturing.history, engine, request.match_info["name"]))


class NewName(Asked):
    """As tag, commit and import have it."""

    repo = text("the image's new name, with or without a tag")
    tag = text("its tag")

    def reference(self) -> Reference | None:
        """Both; None when there is no ``repo``. Raises InvalidInput."""
        repo, chosen = self.repo, self.tag
        return references.parse(f"{repo}:{chosen}" if chosen else repo) if repo else None


async def tag(engine: Engine, request: web.Request, asked: NewName) -> web.Response:
    """``POST /images/NAME/tag``."""
    reference = asked.reference() or references.parse("")
    image = await asyncio.to_thread(engine.images.tag, request.match_info["name"], reference)
    engine.tell_image("tag", image.id, reference.with_default_tag().familiar)
    return web.Response(status=201)


class Making(NewName):
    """What commit and import have beside."""

    changes = texts("instructions as in a Dockerfile, several in a text on lines of their own")

    def instructions(self) -> list[str]:
        """Several parameters, or (docker-py) one with several lines."""
        return [line for text in self.changes for line in text.split("\n") if line.strip()]


class Commit(Making):
    """Of what, by whom."""

    container = needed(text("its name, its id, or the beginning of it"))
    author = text("who made the image")
    comment = text("a comment for its history")
    pause = flag("the container stands still meanwhile", default=True)


async def commit(engine: Engine, request: web.Request, asked: Commit) -> web.Response:
    """``POST /commit``; the body is a configuration."""
    container = engine.container(asked.container)
    body = await request.read()
    wanted = committing.Wanted(
        name=asked.reference(),
        author=asked.author,
        comment=asked.comment,
        changes=asked.instructions(),
        config=messages.decode(body, ContainerConfig) if body.strip() not in (b"", b"null") else None,
        pause=asked.pause,
    )
    image = await committing.commit(engine, container, wanted)
    return answers.document(messages.Committed(id=image.id), status=201)


class Remove(Asked):
    """How thoroughly."""

    force = flag("an image with several names too, or one that a container which does not run was made of")


async def remove(engine: Engine, request: web.Request, asked: Remove) -> web.Response:
    """``DELETE /images/NAME``: a name of several goes alone; with the last, the image."""
    removed = await asyncio.to_thread(picturing.remove, engine, request.match_info["name"], asked.force)
    _tell_removed(engine, removed)
    return answers.document(picturing.deleted(removed))


def _tell_removed(engine: Engine, lines: Iterable[Deletion]) -> None:
    """The events of images. (The layers below one have a line too, but are no images.)

    The steps of an image that is gone are the build cache's alone, and may be more than that may have.
    """
    for line in lines:
        if line.what == "Deleted":
            engine.collector.soon()
        if line.what == "Untagged" or line.name == line.image:
            engine.tell_image("untag" if line.what == "Untagged" else "delete", line.image)


class Prune(Asked):
    """Which ones."""

    filters = filters(*PRUNE_FILTERS)


async def prune(engine: Engine, request: web.Request, asked: Prune) -> web.Response:
    """``POST /images/prune``."""
    parameters.decided(asked.filters, "dangling")
    removed, reclaimed = await asyncio.to_thread(picturing.prune, engine, asked.filters)
    _tell_removed(engine, removed)
    engine.events.publish("image", "prune", "", reclaimed=str(reclaimed))
    lines = picturing.deleted(removed)
    return answers.document(messages.ImagesPruned(images_deleted=lines or None, space_reclaimed=reclaimed))


class Create(Making):
    """One of the first two is needed."""

    from_image = text("pull this; `tag` is a tag or a digest of it; with none, all that it has", name="fromImage")
    source = text("import this archive: an URL, or `-`: the body", name="fromSrc")
    message = text("a comment for the history of what is imported")
    platform = platform("pull this one of several; or what is imported is for this one")
    explain = flag("tell of each request to the registry")
    identity = identity()


async def create(engine: Engine, request: web.Request, asked: Create) -> web.StreamResponse:
    """``POST /images/create``: pull, with ``fromImage``, or import an archive, with ``fromSrc``."""
    if asked.from_image:
        return await _pull(engine, request, asked)
    if asked.source:
        return await _import(engine, request, asked)
    raise InvalidInput("either fromImage or fromSrc is needed")


async def _pull(engine: Engine, request: web.Request, asked: Create) -> web.StreamResponse:
    name, chosen = asked.from_image, asked.tag
    if chosen:
        name += f"@{chosen}" if ":" in chosen else f":{chosen}"
    reference = references.parse(name)
    identity, platform, explain = asked.identity, asked.platform or platforms.host(), asked.explain
    return await progress.tell(request, lambda tell: pulling.pull(engine, reference, platform, identity, tell, explain))


async def _import(engine: Engine, request: web.Request, asked: Create) -> web.StreamResponse:
    """``fromSrc``: ``-`` is the request's own body, anything else the URL of an archive."""
    source, reference, platform = asked.source, asked.reference(), asked.platform
    config = changes.apply(asked.instructions())
    comment = asked.message or f"Imported from {source}"

    async def work(tell: pulling.Tell) -> None:
        async with _opened(request, source, tell) as stream:
            file = progress.opened(stream)
            make = partial(engine.images.import_rootfs, file, reference, config, comment, platform)
            image = await in_own_thread(make)
        if reference:
            engine.tell_image("tag", image.id, reference.with_default_tag().familiar)
        engine.tell_image("import", image.id)
        tell(Progress(status=image.id))

    return await progress.tell(request, work)


@asynccontextmanager
async def _opened(request: web.Request, source: str, tell: pulling.Tell) -> AsyncIterator[aiohttp.StreamReader]:
    """The archive to import. Raises InvalidInput for what is no URL, NotFound when there is nothing at its place, and
    Unreachable, before anything is told, when nobody is there to ask."""
    if source == "-":
        yield request.content
        return
    url = source if "://" in source else f"http://{source}"
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"cannot import from {source}: an http or https URL is needed")
    try:
        session = aiohttp.ClientSession(auto_decompress=False, timeout=_PATIENCE)
        async with session, session.get(url, ssl=context_of(None)) as answer:
            if not answer.ok:
                raise NotFound(f"failed to GET {url} with status {answer.status} {answer.reason}")
            tell(Progress(status=f"Downloading from {url}"))
            yield answer.content
    except aiohttp.InvalidURL as error:
        raise InvalidInput(f"cannot import from {source}: invalid URL: {error}") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unreachable(f'Get "{url}": {dialing.reason(error)}') from error
