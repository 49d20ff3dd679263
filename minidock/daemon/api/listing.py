"""``GET /containers/json`` and ``GET /containers/ID/json``: looking without touching."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from aiohttp import web

from minidock.daemon import inspecting
from minidock.daemon.api import answers, parameters
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import InvalidInput

FILTERS = (
    *("id", "name", "label", "status", "exited", "ancestor", "before", "since", "network", "volume"),
    *("health", "is-task", "publish", "expose", "isolation"),  # known to Docker, and true of no container here
)
STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")


async def containers(engine: Engine, request: web.Request) -> web.Response:
    """The running ones; with ``all``, a ``limit`` or a filter on the state, the others too; newest first."""
    wanted = parameters.filters(request, FILTERS)
    limit = parameters.number(request, "limit") or 0
    with_size = parameters.boolean(request, "size")
    for state in wanted.get("status", []):
        if state not in STATES:
            raise InvalidInput(f"invalid filter 'status={state}'")
    everything = parameters.boolean(request, "all") or limit > 0 or "status" in wanted or "exited" in wanted
    found = sorted(engine.containers.values(), key=lambda container: container.record.created_ns, reverse=True)
    found = [
        container
        for container in found
        if (everything or container.record.active) and _matches(engine, container, wanted)
    ]
    chosen = found[:limit] if limit > 0 else found
    lines = await asyncio.to_thread(lambda: [inspecting.summary(engine, item, with_size) for item in chosen])
    return answers.document(lines)


def _matches(engine: Engine, container: Container, wanted: parameters.Filters) -> bool:
    record = container.record
    tests: dict[str, Callable[[str], bool]] = {
        "id": lambda value: record.id.startswith(value),
        "name": lambda value: re.search(value, f"/{record.name}") is not None or value == record.name,
        "status": lambda value: value == record.state.status,
        "exited": lambda value: record.state.status == "exited" and str(record.state.exit_code) == value,
        "network": lambda value: record.host.network_mode == value,
        "volume": lambda value: any(value in (item.destination, item.source) for item in record.mounts),
        "ancestor": lambda value: _descends(engine, container, value),
        "before": lambda value: record.created_ns < engine.container(value).record.created_ns,
        "since": lambda value: record.created_ns > engine.container(value).record.created_ns,
    }
    if not parameters.labels_match(wanted.get("label", []), record.config.labels or {}):
        return False
    if any(name in wanted for name in FILTERS[10:]):
        return False
    return all(any(test(value) for value in wanted[name]) for name, test in tests.items() if name in wanted)


def _descends(engine: Engine, container: Container, image: str) -> bool:
    meant = engine.images.find(image)
    return container.record.image == image or (meant is not None and meant.id == container.record.image_id)


async def inspect(engine: Engine, request: web.Request) -> web.Response:
    """Everything about one container."""
    container = engine.container(request.match_info["name"])
    with_size = parameters.boolean(request, "size")
    return answers.document(await asyncio.to_thread(inspecting.inspect, engine, container, with_size))
