"""Everything that the daemon can be asked: one table.

``{name:.+}`` is greedy, because an image's name may hold slashes and colons. A route that *ends with its client* is a
stream or a wait: when the client goes, the work stops. All others finish what they have begun.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from minidock.daemon.api import (
    archives,
    build,
    containers,
    copying,
    execs,
    images,
    listing,
    networks,
    registries,
    streams,
    system,
    volumes,
    websocket,
)
from minidock.daemon.engine import Engine

Handler = Callable[[Engine, web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """One request and who answers it."""

    method: str
    path: str
    handler: Handler
    ends_with_client: bool = False


UNTIL_CLIENT_GOES = True

ROUTES = (
    Route("HEAD", "/_ping", system.ping),
    Route("GET", "/_ping", system.ping),
    Route("GET", "/version", system.version),
    Route("GET", "/info", system.info),
    Route("GET", "/system/df", system.disk_usage),
    Route("GET", "/events", system.events, UNTIL_CLIENT_GOES),
    #
    Route("GET", "/containers/json", listing.containers),
    Route("POST", "/containers/create", containers.create),
    Route("POST", "/containers/prune", containers.prune),
    Route("GET", "/containers/{name}/json", listing.inspect),
    Route("GET", "/containers/{name}/top", containers.top),
    Route("GET", "/containers/{name}/stats", containers.stats, UNTIL_CLIENT_GOES),
    Route("GET", "/containers/{name}/explain", containers.explain),
    Route("POST", "/containers/{name}/start", containers.start),
    Route("POST", "/containers/{name}/stop", containers.stop),
    Route("POST", "/containers/{name}/restart", containers.restart),
    Route("POST", "/containers/{name}/kill", containers.kill),
    Route("POST", "/containers/{name}/pause", containers.pause),
    Route("POST", "/containers/{name}/unpause", containers.unpause),
    Route("POST", "/containers/{name}/rename", containers.rename),
    Route("POST", "/containers/{name}/update", containers.update),
    Route("POST", "/containers/{name}/resize", containers.resize),
    Route("POST", "/containers/{name}/wait", containers.wait, UNTIL_CLIENT_GOES),
    Route("DELETE", "/containers/{name}", containers.remove),
    Route("HEAD", "/containers/{name}/archive", copying.look),
    Route("GET", "/containers/{name}/archive", copying.send),
    Route("PUT", "/containers/{name}/archive", copying.receive),
    Route("GET", "/containers/{name}/export", copying.export),
    Route("GET", "/containers/{name}/changes", copying.changes),
    Route("GET", "/containers/{name}/logs", streams.logs, UNTIL_CLIENT_GOES),
    Route("POST", "/containers/{name}/attach", streams.attach, UNTIL_CLIENT_GOES),
    Route("GET", "/containers/{name}/attach/ws", websocket.attach, UNTIL_CLIENT_GOES),
    #
    Route("POST", "/containers/{name}/exec", execs.create),
    Route("POST", "/exec/{id}/start", execs.start, UNTIL_CLIENT_GOES),
    Route("POST", "/exec/{id}/resize", execs.resize),
    Route("GET", "/exec/{id}/json", execs.inspect),
    #
    Route("POST", "/commit", images.commit),
    Route("GET", "/images/json", images.listing),
    Route("POST", "/images/create", images.create, UNTIL_CLIENT_GOES),
    Route("GET", "/images/get", archives.get_several, UNTIL_CLIENT_GOES),
    Route("GET", "/images/{name:.+}/get", archives.get, UNTIL_CLIENT_GOES),
    Route("POST", "/images/load", archives.put, UNTIL_CLIENT_GOES),
    Route("GET", "/images/{name:.+}/json", images.inspect),
    Route("GET", "/images/{name:.+}/history", images.history),
    Route("POST", "/images/{name:.+}/tag", images.tag),
    Route("POST", "/images/{name:.+}/push", registries.push, UNTIL_CLIENT_GOES),
    Route("GET", "/images/search", registries.search, UNTIL_CLIENT_GOES),
    Route("GET", "/distribution/{name:.+}/json", registries.inspect, UNTIL_CLIENT_GOES),
    Route("POST", "/auth", registries.login, UNTIL_CLIENT_GOES),
    Route("POST", "/images/prune", images.prune),
    Route("DELETE", "/images/{name:.+}", images.remove),
    #
    Route("POST", "/build", build.build, UNTIL_CLIENT_GOES),
    Route("POST", "/build/secrets", build.keep_secrets),
    Route("POST", "/build/prune", build.prune),
    #
    Route("GET", "/networks", networks.listing),
    Route("POST", "/networks/create", networks.create),
    Route("POST", "/networks/prune", networks.prune),
    Route("GET", "/networks/{name}", networks.inspect),
    Route("DELETE", "/networks/{name}", networks.remove),
    Route("POST", "/networks/{name}/connect", networks.connect),
    Route("POST", "/networks/{name}/disconnect", networks.disconnect),
    #
    Route("GET", "/volumes", volumes.listing),
    Route("POST", "/volumes/create", volumes.create),
    Route("POST", "/volumes/prune", volumes.prune),
    Route("GET", "/volumes/{name}", volumes.inspect),
    Route("DELETE", "/volumes/{name}", volumes.remove),
)
