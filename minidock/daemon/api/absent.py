"""What Docker's API has and this engine has not, answered as a user would want it.

Where dockerd itself has an answer that says it (an engine that is in no swarm, one without plugins), that is the
answer; for the rest 501 says by name what is missing, where 404 would look like a mistake of the client's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from minidock.daemon.api import answers
from minidock.errors import NotFound, NotImplementedYet, Unavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

NOT_A_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)

MANAGERS_ONLY = (
    *(("GET", f"/{kind}") for kind in ("swarm", "swarm/unlockkey", "nodes", "services", "tasks", "secrets", "configs")),
    *(("GET", f"/{kind}/{{id}}") for kind in ("nodes", "services", "tasks", "secrets", "configs")),
    *(("DELETE", f"/{kind}/{{id}}") for kind in ("nodes", "services", "secrets", "configs")),
    *(("POST", f"/{kind}/create") for kind in ("services", "secrets", "configs")),
    *(("POST", f"/{kind}/{{id}}/update") for kind in ("nodes", "services", "secrets", "configs")),
    *(("GET", f"/{kind}/{{id}}/logs") for kind in ("services", "tasks")),
    *(("POST", f"/swarm/{verb}") for verb in ("update", "unlock")),
)
MISSING = (
    ("POST", "/swarm/init", "swarm"),
    ("POST", "/swarm/join", "swarm"),
    ("GET", "/plugins/privileges", "plugins"),
    ("POST", "/plugins/pull", "plugins"),
    ("POST", "/plugins/create", "plugins"),
    ("GET", "/containers/{name}/checkpoints", "checkpoints"),
    ("POST", "/containers/{name}/checkpoints", "checkpoints"),
    ("DELETE", "/containers/{name}/checkpoints/{id}", "checkpoints"),
    ("POST", "/session", "buildkit"),
    ("POST", "/grpc", "buildkit"),
)
PLUGIN = (
    ("GET", "/plugins/{name:.+}/json"),
    *(("POST", f"/plugins/{{name:.+}}/{verb}") for verb in ("enable", "disable", "set", "upgrade", "push")),
    ("DELETE", "/plugins/{name:.+}"),
)


def routes() -> list[tuple[str, str, Handler]]:
    """Method, path and answer of each."""
    found: list[tuple[str, str, Handler]] = [(method, path, _not_a_manager) for method, path in MANAGERS_ONLY]
    found += [(method, path, missing(what)) for method, path, what in MISSING]
    found += [("POST", "/swarm/leave", _not_in_a_swarm), ("GET", "/plugins", _no_plugins)]
    return found + [(method, path, _no_such_plugin) for method, path in PLUGIN]


def missing(what: str) -> Handler:
    """501, by name."""

    async def handle(request: web.Request) -> web.StreamResponse:
        raise NotImplementedYet(f"{what}: minidock does not have this yet")

    return handle


async def _not_a_manager(request: web.Request) -> web.StreamResponse:
    raise Unavailable(NOT_A_MANAGER)


async def _not_in_a_swarm(request: web.Request) -> web.StreamResponse:
    raise Unavailable("This node is not part of a swarm")


async def _no_plugins(request: web.Request) -> web.StreamResponse:
    return answers.document([])


async def _no_such_plugin(request: web.Request) -> web.StreamResponse:
    raise NotFound(f'plugin "{request.match_info["name"]}" not found')
