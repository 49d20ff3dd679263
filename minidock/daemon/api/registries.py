"""Registries: push, login, what a name stands for there, search."""

from __future__ import annotations

from aiohttp import web

from minidock import messages, units
from minidock.daemon import pushing
from minidock.daemon.api import answers, parameters, progress
from minidock.daemon.api.parameters import Asked, count, filters, identity, json_platform, needed, text
from minidock.daemon.engine import Engine
from minidock.daemon.pulling import settings
from minidock.errors import InvalidInput, Unauthorized
from minidock.messages import AuthConfig, AuthStatus, DistributionInspect
from minidock.oci import reference as references
from minidock.registry import asking, credentials
from minidock.registry.endpoints import HUB

SEARCH_LIMIT, MOST_RESULTS = 25, 100


class Identified(Asked):
    """By whom."""

    identity = identity()


class Push(Identified):
    """How much."""

    tag = text("this one; by default all of the repository")
    platform = json_platform("only the manifest for this one")


async def push(engine: Engine, request: web.Request, asked: Push) -> web.StreamResponse:
    """``POST /images/NAME/push``."""
    name, tag = request.match_info["name"], asked.tag
    reference = references.parse(f"{name}:{tag}" if tag else name)
    platform, identity = asked.platform, asked.identity
    return await progress.tell(request, lambda tell: pushing.push_all(engine, reference, platform, identity, tell))


async def login(engine: Engine, request: web.Request) -> web.Response:
    """``POST /auth``: are these credentials good? 401 if not, which is what Docker's client waits for."""
    asked = messages.decode(await request.read(), AuthConfig)
    domain = _domain(asked.serveraddress)
    identity = credentials.Credentials(asked.username, asked.password, asked.identitytoken)
    try:
        token = await asking.login(domain, identity, settings(engine))
    except Unauthorized as error:
        return answers.document(messages.Error(message=error.message), status=401)
    return answers.document(AuthStatus(status="Login Succeeded", identity_token=token))


def _domain(address: str) -> str:
    """``https://index.docker.io/v1/`` is Docker Hub, which has had that address since before there was ``/v2``."""
    host = address.partition("://")[2] if "://" in address else address
    host = host.partition("/")[0]
    return HUB if host in ("", "index.docker.io", HUB) else host


async def inspect(engine: Engine, request: web.Request, asked: Identified) -> web.Response:
    """``GET /distribution/NAME/json``."""
    reference = references.parse(request.match_info["name"]).with_default_tag()
    found = await asking.inspect(reference, asked.identity, settings(engine))
    return answers.document(DistributionInspect(descriptor=found.descriptor, platforms=found.platforms))


class Search(Identified):
    """For what."""

    term = needed(text("a part of a name, after a registry's address or without"))
    limit = count(f"so many results, 1 to {MOST_RESULTS}", SEARCH_LIMIT)
    filters = filters("is-official", "is-automated", "stars")


async def search(engine: Engine, request: web.Request, asked: Search) -> web.Response:
    """``GET /images/search``; a term that begins with a registry's address asks that one."""
    term, wanted = asked.term, asked.filters
    _check(wanted)
    limit = asked.limit
    if not term:
        raise InvalidInput("a term to search for is needed")
    if not 1 <= limit <= MOST_RESULTS:
        raise InvalidInput(f"limit {limit} is outside the range of [1, {MOST_RESULTS}]")
    first, slash, rest = term.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    domain, text = (first, rest) if is_host else (HUB, term.removeprefix("library/"))
    found = await asking.search(domain, text, limit, settings(engine), asked.identity)
    return answers.document([result for result in found if _passes(result, wanted)])


def _check(wanted: parameters.Filters) -> None:
    """Raises InvalidInput for what no result can match; Docker's words."""
    for value in wanted.get("stars", []):
        if not units.is_number(value):
            raise InvalidInput(f"invalid filter 'stars={value}'")
    for name in ("is-official", "is-automated"):
        for value in wanted.get(name, []):
            if value.lower() not in ("true", "1", "false", "0"):
                raise InvalidInput(f"invalid filter '{name}=[{value}]'")


def _passes(result: asking.Result, wanted: parameters.Filters) -> bool:
    for name, is_it in (("is-official", result.is_official), ("is-automated", result.is_automated)):
        if any((value.lower() in ("true", "1")) != is_it for value in wanted.get(name, [])):
            return False
    return all(result.star_count >= int(value) for value in wanted.get("stars", []))
