"""``GET /containers/json`` and ``GET /containers/ID/json``: looking without touching."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from minidock import units
from minidock.daemon import inspecting
from minidock.daemon.api import answers, parameters
from minidock.daemon.api.parameters import Asked, count, filters, flag
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.daemon.networking import endpoints
from minidock.errors import InvalidInput

FILTERS = (
    *("id", "name", "label", "status", "exited", "ancestor", "before", "since", "network", "volume"),
    *("health", "is-task", "publish", "expose", "isolation"),  # isolation is of Windows: looked at by nobody
)
STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTHS = ("none", "starting", "healthy", "unhealthy")


class Containers(Asked):
    """Which ones, and how much of each."""

    all = flag("those that do not run, too")
    limit = count("so many of the newest, running or not; 0: no limit")
    size = flag("with the sizes of their files")
    filters = filters(*FILTERS)


async def containers(engine: Engine, request: web.Request, asked: Containers) -> web.Response:
    """``GET /containers/json``: the running ones, newest first; with ``all``, a ``limit`` or a filter on the state, the
    others too."""
    wanted, limit, with_size = asked.filters, asked.limit, asked.size
    _check(engine, wanted)
    everything = asked.all or limit > 0 or "status" in wanted
    found = sorted(engine.containers.values(), key=lambda container: container.record.created_ns, reverse=True)
    found = [
        container
        for container in found
        if (everything or container.record.active) and _matches(engine, container, wanted)
    ]
    chosen = found[:limit] if limit > 0 else found
    lines = await asyncio.to_thread(lambda: [inspecting.summary(engine, item, with_size) for item in chosen])
    return answers.document(lines)


def _check(engine: Engine, wanted: parameters.Filters) -> None:
    """Raises InvalidInput, NoSuchContainer for what no container can match; Docker's words."""
    for state in wanted.get("status", []):
        if state not in STATES:
            raise InvalidInput(f"invalid filter 'status={state}'")
    for value in wanted.get("health", []):
        if value not in HEALTHS:
            raise InvalidInput(f"Unrecognised filter value for health: {value}")
    for value in wanted.get("exited", []):
        if not units.is_number(value.removeprefix("-")):
            raise InvalidInput(f'strconv.Atoi: parsing "{value}": invalid syntax')
    parameters.decided(wanted, "is-task")
    for name in ("publish", "expose"):
        for value in wanted.get(name, []):
            try:
                ports(value)
            except ValueError:
                what = f'strconv.ParseUint: parsing "{value}": invalid syntax'
                raise InvalidInput(f"error while looking up for {name} {value}: {what}") from None
    for value in (*wanted.get("before", []), *wanted.get("since", [])):
        engine.container(value)


def _matches(engine: Engine, container: Container, wanted: parameters.Filters) -> bool:
    record = container.record
    health = record.state.health
    open_ports = inspecting.ports(engine, container) if record.active else []
    tests: dict[str, Callable[[str], bool]] = {
        "id": lambda value: parameters.fits(value, record.id),
        "name": lambda value: parameters.fits(value, f"/{record.name}") or parameters.fits(value, record.name),
        "status": lambda value: value == record.state.status,
        "exited": lambda value: record.state.status == "exited" and record.state.exit_code == int(value),
        "network": lambda value: _is_in_network(engine, container, value),
        "volume": lambda value: any(
            value in (item.destination, item.point().name or item.source) for item in record.mounts
        ),
        "ancestor": lambda value: _descends(engine, container, value),
        "before": lambda value: record.created_ns < engine.container(value).record.created_ns,
        "since": lambda value: record.created_ns > engine.container(value).record.created_ns,
        "health": lambda value: value == (health.status if health is not None else "none"),
        "publish": lambda value: any(f"{item.public_port}/{item.type}" in ports(value) for item in open_ports),
        "expose": lambda value: any(f"{item.private_port}/{item.type}" in ports(value) for item in open_ports),
    }
    if parameters.decided(wanted, "is-task") or not parameters.labels_match(
        wanted.get("label", []), record.config.labels or {}
    ):
        return False
    return all(any(test(value) for value in wanted[name]) for name, test in tests.items() if name in wanted)


def ports(text: str) -> set[str]:
    """``80``, ``80/udp`` or ``8000-8010/tcp`` as the API names ports: ``80/tcp``. Raises ValueError."""
    numbers, _, protocol = text.partition("/")
    first, _, last = numbers.partition("-")
    last = last or first
    if not units.is_number(first) or not units.is_number(last) or not int(first) <= int(last) < 65536:
        raise ValueError(text)
    return {f"{number}/{protocol or 'tcp'}" for number in range(int(first), int(last) + 1)}


def _is_in_network(engine: Engine, container: Container, value: str) -> bool:
    joined = endpoints(engine, container)
    return value in joined or any(end.network_id.startswith(value) for end in joined.values())


def _descends(engine: Engine, container: Container, name: str) -> bool:
    """Made of this image, or of one whose lowest layers are this image's."""
    record = container.record
    meant, own = engine.images.find(name), engine.images.find(record.image_id)
    if record.image == name or meant is None or own is None:
        return record.image == name
    return own.id == meant.id or own.diff_ids[: len(meant.diff_ids)] == meant.diff_ids != own.diff_ids


class Inspect(Asked):
    """How much of it."""

    size = flag("with the sizes of its files")


async def inspect(engine: Engine, request: web.Request, asked: Inspect) -> web.Response:
    """``GET /containers/ID/json``: everything about one container."""
    container = engine.container(request.match_info["name"])
    return answers.document(await asyncio.to_thread(inspecting.inspect, engine, container, asked.size))
