"""``/images`` and ``/commit``: pull, import, commit, list, inspect, tag, remove, prune."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from minidock import messages
from minidock.daemon import changes, committing, picturing, pulling
from minidock.daemon.api import answers, parameters, progress
from minidock.daemon.engine import Engine
from minidock.errors import InvalidInput, NotFound
from minidock.images import Deletion
from minidock.messages import ContainerConfig, Progress
from minidock.oci import platform as platforms
from minidock.oci import reference as references
from minidock.oci.reference import Reference
from minidock.registry import credentials

FILTERS = ("reference", "label", "dangling", "before", "since", "until")
PRUNE_FILTERS = ("dangling", "label", "label!", "until")


async def listing(engine: Engine, request: web.Request) -> web.Response:
    """``GET /images/json?filters=&shared-size=``."""
    wanted = parameters.filters(request, FILTERS)
    shared = parameters.boolean(request, "shared-size")
    lines = await asyncio.to_thread(picturing.summaries, engine, wanted, shared)
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


async def tag(engine: Engine, request: web.Request) -> web.Response:
    """``POST /images/NAME/tag?repo=&tag=``."""
    reference = _new_name(request) or references.parse("")
    image = await asyncio.to_thread(engine.images.tag, request.match_info["name"], reference)
    engine.tell_image("tag", image.id, reference.with_default_tag().familiar)
    return web.Response(status=201)


def _new_name(request: web.Request) -> Reference | None:
    """``repo`` and ``tag``, as tag, commit and import have them."""
    repo, chosen = request.query.get("repo", ""), request.query.get("tag", "")
    return references.parse(f"{repo}:{chosen}" if chosen else repo) if repo else None


async def commit(engine: Engine, request: web.Request) -> web.Response:
    """``POST /commit?container=&repo=&tag=&author=&comment=&changes=&pause=``; the body is a configuration."""
    container = engine.container(request.query.get("container", ""))
    body = await request.read()
    wanted = committing.Wanted(
        name=_new_name(request),
        author=request.query.get("author", ""),
        comment=request.query.get("comment", ""),
        changes=_changes(request),
        config=messages.decode(body, ContainerConfig) if body.strip() not in (b"", b"null") else None,
        pause=parameters.boolean(request, "pause", default=True),
    )
    image = await committing.commit(engine, container, wanted)
    return answers.document(messages.Committed(id=image.id), status=201)


def _changes(request: web.Request) -> list[str]:
    """Several parameters, or (docker-py) one with several lines."""
    return [line for text in request.query.getall("changes", []) for line in text.split("\n") if line.strip()]


async def remove(engine: Engine, request: web.Request) -> web.Response:
    """``DELETE /images/NAME?force=``: a name of several goes alone; with the last, the image."""
    force = parameters.boolean(request, "force")
    removed = await asyncio.to_thread(picturing.remove, engine, request.match_info["name"], force)
    _tell_removed(engine, removed)
    return answers.document(picturing.deleted(removed))


def _tell_removed(engine: Engine, lines: Iterable[Deletion]) -> None:
    """The events of images. (The layers below one have a line too, but are no images.)"""
    for line in lines:
        if line.what == "Untagged" or line.name == line.image:
            engine.tell_image("untag" if line.what == "Untagged" else "delete", line.image)


async def prune(engine: Engine, request: web.Request) -> web.Response:
    """``POST /images/prune?filters=``."""
    wanted = parameters.filters(request, PRUNE_FILTERS)
    removed, reclaimed = await asyncio.to_thread(picturing.prune, engine, wanted)
    _tell_removed(engine, removed)
    engine.events.publish("image", "prune", "", reclaimed=str(reclaimed))
    lines = picturing.deleted(removed)
    return answers.document(messages.ImagesPruned(images_deleted=lines or None, space_reclaimed=reclaimed))


async def create(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``POST /images/create?fromImage=&tag=&platform=&explain=`` pulls;
    ``?fromSrc=&repo=&tag=&message=&changes=&platform=`` imports an archive: the body, if ``fromSrc`` is ``-``."""
    if request.query.get("fromImage"):
        return await _pull(engine, request)
    if request.query.get("fromSrc"):
        return await _import(engine, request)
    raise InvalidInput("either fromImage or fromSrc is needed")


async def _pull(engine: Engine, request: web.Request) -> web.StreamResponse:
    name, chosen = request.query["fromImage"], request.query.get("tag", "")
    if chosen:
        name += f"@{chosen}" if ":" in chosen else f":{chosen}"
    reference = references.parse(name)
    identity = credentials.from_header(request.headers.get("X-Registry-Auth", ""))
    asked = request.query.get("platform", "")
    platform = platforms.parse(asked) if asked else platforms.host()
    explain = parameters.boolean(request, "explain")
    return await progress.tell(request, lambda tell: pulling.pull(engine, reference, platform, identity, tell, explain))


async def _import(engine: Engine, request: web.Request) -> web.StreamResponse:
    """``fromSrc``: ``-`` is the request's own body, anything else the URL of an archive."""
    source, reference = request.query["fromSrc"], _new_name(request)
    config = changes.apply(_changes(request))
    comment = request.query.get("message") or f"Imported from {source}"
    asked = request.query.get("platform", "")
    platform = platforms.parse(asked) if asked else None

    async def work(tell: pulling.Tell) -> None:
        async with _opened(request, source, tell) as stream:
            file = progress.opened(stream)
            image = await asyncio.to_thread(engine.images.import_rootfs, file, reference, config, comment, platform)
        if reference:
            engine.tell_image("tag", image.id, reference.with_default_tag().familiar)
        engine.tell_image("import", image.id)
        tell(Progress(status=image.id))

    return await progress.tell(request, work)


@asynccontextmanager
async def _opened(request: web.Request, source: str, tell: pulling.Tell) -> AsyncIterator[aiohttp.StreamReader]:
    """The archive to import. Raises InvalidInput for what is no URL, NotFound when there is nothing at its place."""
    if source == "-":
        yield request.content
        return
    url = source if "://" in source else f"http://{source}"
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"cannot import from {source}: an http or https URL is needed")
    tell(Progress(status=f"Downloading from {url}"))
    try:
        async with aiohttp.ClientSession(auto_decompress=False) as session, session.get(url) as answer:
            if not answer.ok:
                raise NotFound(f"{url}: {answer.status} {answer.reason}")
            yield answer.content
    except (aiohttp.ClientError, ValueError) as error:
        raise InvalidInput(f"cannot import from {url}: {error}") from error
