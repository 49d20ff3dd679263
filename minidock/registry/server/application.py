"""Everything that the registry can be asked: one table, and what is the same for every request.

Source: distribution-spec 1.1, "Endpoints".
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import NamedTuple

from aiohttp import web

from minidock.errors import MinidockError, NoSpace
from minidock.oci.reference import MAX_PATH, is_path
from minidock.registry.server import blobs, incoming, manifests
from minidock.registry.server.access import Right
from minidock.registry.server.refusals import Refusal
from minidock.registry.server.registry import Registry

log = logging.getLogger(__name__)

Handler = Callable[[Registry, web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """One request, who answers it, and what right it takes."""

    method: str
    path: str
    handler: Handler
    action: str


async def version(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``GET /v2/``: yes, this is a registry, and you may come in."""
    return web.json_response({})


async def metrics(registry: Registry, request: web.Request) -> web.StreamResponse:
    """``GET /metrics``."""
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=registry.metrics.text(len(registry.uploads)).encode(), headers=headers)


# The order matters: a name is greedy, and "uploads" could be the end of one.
ROUTES = (
    Route("GET", "/v2/", version, ""),
    Route("GET", "/v2/_catalog", manifests.catalog, "*"),
    Route("GET", "/metrics", metrics, ""),
    #
    Route("POST", "/v2/{name:.+}/blobs/uploads/", incoming.begin, "push"),
    Route("POST", "/v2/{name:.+}/blobs/uploads", incoming.begin, "push"),
    Route("PATCH", "/v2/{name:.+}/blobs/uploads/{id}", incoming.append, "push"),
    Route("GET", "/v2/{name:.+}/blobs/uploads/{id}", incoming.status, "push"),
    Route("PUT", "/v2/{name:.+}/blobs/uploads/{id}", incoming.finish, "push"),
    Route("DELETE", "/v2/{name:.+}/blobs/uploads/{id}", incoming.cancel, "push"),
    #
    Route("GET", "/v2/{name:.+}/blobs/{digest}", blobs.get, "pull"),
    Route("DELETE", "/v2/{name:.+}/blobs/{digest}", blobs.delete, "delete"),
    #
    Route("GET", "/v2/{name:.+}/manifests/{reference}", manifests.get, "pull"),
    Route("PUT", "/v2/{name:.+}/manifests/{reference}", manifests.put, "push"),
    Route("DELETE", "/v2/{name:.+}/manifests/{reference}", manifests.delete, "delete"),
    Route("GET", "/v2/{name:.+}/tags/list", manifests.tags, "pull"),
    Route("GET", "/v2/{name:.+}/referrers/{digest}", manifests.referrers, "pull"),
)


def application(registry: Registry) -> web.Application:
    """The registry as an aiohttp application."""
    frame = _Frame(registry)
    app = web.Application(middlewares=[frame.answer])
    app.on_response_prepare.append(frame.prepare)
    for route in ROUTES:
        # aiohttp answers HEAD as GET, and sends no body.
        methods = (route.method, "HEAD") if route.method == "GET" else (route.method,)
        for method in methods:
            app.router.add_route(method, route.path, _bound(registry, route))
    app.cleanup_ctx.append(lambda _: _lifetime(registry))
    return app


def _bound(registry: Registry, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        name = request.match_info.get("name")
        wanted = rights(route.action, name, request.query)
        await registry.access.check(request.headers.get("Authorization", ""), wanted)
        if name is not None and (len(name) > MAX_PATH or not is_path(name)):
            raise Refusal("NAME_INVALID", f"{name[:150]!r} is no name for a repository")
        if route.action in ("push", "delete") and (registry.limits.read_only or registry.upstream is not None):
            raise Refusal("UNSUPPORTED", "this registry is read-only")
        return await route.handler(registry, request)

    return answer


def rights(action: str, name: str | None, query: Mapping[str, str]) -> list[Right]:
    """What a request for the repository ``name`` takes: the rights that its sender must have, all of them.

    Whoever pushes pulls too: docker asks first whether a blob is here. A blob that is mounted ``from`` another
    repository is read there.
    """
    if action == "*":
        return [Right("catalog", "*", "registry")]
    if name is None:
        return []
    source = query.get("from") if action == "push" and "mount" in query else None
    here = [Right(name, "pull"), Right(name, "push")] if action == "push" else [Right(name, action)]
    return [*here, Right(source, "pull")] if source else here


async def _lifetime(registry: Registry) -> AsyncIterator[None]:
    if registry.upstream is None:
        yield
    else:
        async with registry.upstream:
            yield
    registry.uploads.close()


class _Frame:
    """Round every request: refusals become documents, what is our fault is logged, everything is counted."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @web.middleware
    async def answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """The answer, whatever happens."""
        try:
            return await handler(request)
        except Refusal as refusal:
            return _refused(refusal)
        except web.HTTPMethodNotAllowed:
            return _refused(Refusal("UNSUPPORTED", f"{request.method} is not possible here"))
        except web.HTTPException as error:
            return web.Response(status=error.status, text=f"{error.reason}\n")
        except NoSpace as error:
            log.error("%s", error)
            return _refused(Refusal("UNAVAILABLE", "the registry's disk is full"))
        except (MinidockError, OSError) as error:
            log.exception("%s %s", request.method, request.path)
            return _refused(Refusal("UNKNOWN", f"the registry has failed: {type(error).__name__}"))

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Just before the headers go out: now aiohttp knows the status and how much of a file follows."""
        response.headers["Docker-Distribution-API-Version"] = "registry/2.0"
        metrics = self._registry.metrics
        metrics.requests[request.method, response.status] += 1
        metrics.sent += 0 if request.method == "HEAD" else response.content_length or 0
        log.info("%s %s %s: %d", request.remote, request.method, request.rel_url, response.status)


def _refused(refusal: Refusal) -> web.Response:
    headers = {"Content-Type": "application/json"} | refusal.headers
    return web.Response(status=refusal.status, body=refusal.body(), headers=headers)
