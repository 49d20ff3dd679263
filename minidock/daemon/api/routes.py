"""Everything that the daemon can be asked: one table.

``{name:.+}`` is greedy, because an image's name may hold slashes and colons. A route that *ends with its client* is a
stream or a wait: when the client goes, the work stops. All others finish what they have begun.

The types of the documents are here too, so that the description for machines (:mod:`~minidock.daemon.api.openapi`) is
made of this table.
"""

from __future__ import annotations

import functools
from typing import Any

from aiohttp import web

from minidock import messages as m
from minidock.daemon.api import (
    answers,
    archives,
    build,
    containers,
    copying,
    execs,
    images,
    listing,
    networks,
    openapi,
    registries,
    streams,
    system,
    volumes,
    websocket,
)
from minidock.daemon.api.route import (
    ARCHIVE,
    AS_IT_WAS,
    DONE,
    FILES,
    LOOKED,
    NOTHING,
    OUTPUT,
    PONG,
    TAGGED,
    TAKEN_OVER,
    TEXT,
    WEB_SOCKET,
    Route,
    created,
    document,
)
from minidock.daemon.engine import Engine
from minidock.registry.asking import Result


async def describe(engine: Engine, request: web.Request) -> web.Response:
    """This description. (Ours, not Docker's.)"""
    return answers.document(description())


@functools.cache
def description() -> openapi.Document:
    """Of all routes, as OpenAPI has it."""
    return openapi.describe(ROUTES)


ROUTES = (
    Route("HEAD", "/_ping", system.ping, PONG),
    Route("GET", "/_ping", system.ping, PONG),
    Route("GET", "/version", system.version, document(m.Version)),
    Route("GET", "/openapi.json", describe, document(dict[str, Any])),
    Route("GET", "/info", system.info, document(m.Info)),
    Route("GET", "/system/df", system.disk_usage, document(m.DiskUsage)),
    Route("GET", "/events", system.events, document(m.Event), ends_with_client=True),
    #
    Route("GET", "/containers/json", listing.containers, document(list[m.ContainerSummary])),
    Route("POST", "/containers/create", containers.create, created(m.ContainerCreated), m.ContainerCreate),
    Route("POST", "/containers/prune", containers.prune, document(m.ContainersPruned)),
    Route("GET", "/containers/{name}/json", listing.inspect, document(m.ContainerInspect)),
    Route("GET", "/containers/{name}/top", containers.top, document(m.Top)),
    Route("GET", "/containers/{name}/stats", containers.stats, document(m.Stats), ends_with_client=True),
    Route("GET", "/containers/{name}/explain", containers.explain, TEXT),
    Route("POST", "/containers/{name}/start", containers.start, NOTHING + AS_IT_WAS + TEXT),
    Route("POST", "/containers/{name}/stop", containers.stop, NOTHING + AS_IT_WAS),
    Route("POST", "/containers/{name}/restart", containers.restart, NOTHING),
    Route("POST", "/containers/{name}/kill", containers.kill, NOTHING),
    Route("POST", "/containers/{name}/pause", containers.pause, NOTHING),
    Route("POST", "/containers/{name}/unpause", containers.unpause, NOTHING),
    Route("POST", "/containers/{name}/rename", containers.rename, NOTHING),
    Route("POST", "/containers/{name}/update", containers.update, document(m.ContainerUpdated), m.HostConfig),
    Route("POST", "/containers/{name}/resize", containers.resize, DONE),
    Route("POST", "/containers/{name}/wait", containers.wait, document(m.WaitAnswer), ends_with_client=True),
    Route("DELETE", "/containers/{name}", containers.remove, NOTHING),
    Route("HEAD", "/containers/{name}/archive", copying.look, LOOKED),
    Route("GET", "/containers/{name}/archive", copying.send, FILES),
    Route("PUT", "/containers/{name}/archive", copying.receive, DONE, answers.TAR),
    Route("GET", "/containers/{name}/export", copying.export, ARCHIVE),
    Route("GET", "/containers/{name}/changes", copying.changes, document(list[m.Change] | None)),
    Route("GET", "/containers/{name}/logs", streams.logs, OUTPUT, ends_with_client=True),
    Route("POST", "/containers/{name}/attach", streams.attach, TAKEN_OVER, ends_with_client=True),
    Route("GET", "/containers/{name}/attach/ws", websocket.attach, WEB_SOCKET, ends_with_client=True),
    #
    Route("POST", "/containers/{name}/exec", execs.create, created(m.ExecCreated), m.ExecCreate),
    Route("POST", "/exec/{id}/start", execs.start, TAKEN_OVER + DONE, m.ExecStart, ends_with_client=True),
    Route("POST", "/exec/{id}/resize", execs.resize, DONE),
    Route("GET", "/exec/{id}/json", execs.inspect, document(m.ExecInspect)),
    #
    Route("POST", "/commit", images.commit, created(m.Committed), m.ContainerConfig),
    Route("GET", "/images/json", images.listing, document(list[m.ImageSummary])),
    Route("POST", "/images/create", images.create, document(m.Progress), answers.TAR, ends_with_client=True),
    Route("GET", "/images/get", archives.get_several, ARCHIVE, ends_with_client=True),
    Route("GET", "/images/{name:.+}/get", archives.get, ARCHIVE, ends_with_client=True),
    Route("POST", "/images/load", archives.put, document(m.Progress), answers.TAR, ends_with_client=True),
    Route("GET", "/images/{name:.+}/json", images.inspect, document(m.ImageInspect)),
    Route("GET", "/images/{name:.+}/history", images.history, document(list[m.HistoryLine])),
    Route("POST", "/images/{name:.+}/tag", images.tag, TAGGED),
    Route("POST", "/images/{name:.+}/push", registries.push, document(m.Progress), ends_with_client=True),
    Route("GET", "/images/search", registries.search, document(list[Result]), ends_with_client=True),
    Route(
        "GET",
        "/distribution/{name:.+}/json",
        registries.inspect,
        document(m.DistributionInspect),
        ends_with_client=True,
    ),
    Route("POST", "/auth", registries.login, document(m.AuthStatus), m.AuthConfig, ends_with_client=True),
    Route("POST", "/images/prune", images.prune, document(m.ImagesPruned)),
    Route("DELETE", "/images/{name:.+}", images.remove, document(list[m.ImageDeleted])),
    #
    Route("POST", "/build", build.build, document(m.Progress), answers.TAR, ends_with_client=True),
    Route("POST", "/build/secrets", build.keep_secrets, created(m.BuildSecretsKept), m.BuildSecrets),
    Route("POST", "/build/prune", build.prune, document(m.BuildPruned)),
    #
    Route("GET", "/networks", networks.listing, document(list[m.Network])),
    Route("POST", "/networks/create", networks.create, created(m.NetworkCreated), m.NetworkCreate),
    Route("POST", "/networks/prune", networks.prune, document(m.NetworksPruned)),
    Route("GET", "/networks/{name}", networks.inspect, document(m.Network)),
    Route("DELETE", "/networks/{name}", networks.remove, NOTHING),
    Route("POST", "/networks/{name}/connect", networks.connect, DONE, m.NetworkConnect),
    Route("POST", "/networks/{name}/disconnect", networks.disconnect, DONE, m.NetworkDisconnect),
    #
    Route("GET", "/volumes", volumes.listing, document(m.VolumeList)),
    Route("POST", "/volumes/create", volumes.create, created(m.Volume), m.VolumeCreate),
    Route("POST", "/volumes/prune", volumes.prune, document(m.VolumesPruned)),
    Route("GET", "/volumes/{name}", volumes.inspect, document(m.Volume)),
    Route("DELETE", "/volumes/{name}", volumes.remove, NOTHING),
)
