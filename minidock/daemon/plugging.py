"""A container joins its networks at its start, and leaves them at its end."""

from __future__ import annotations

import asyncio
import logging

from minidock.daemon import joining, naming, net_files, services, story
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import MinidockError
from minidock.networks.stages import Naming

log = logging.getLogger(__name__)


def prepare(engine: Engine, container: Container) -> None:
    """Before the container is created: its networks are there, its ports are ours, its files are written.

    Raises NoSuchNetwork, NoSuchContainer (``--network container:…``), InvalidInput, MinidockError (a port is taken).
    """
    services.reserve(engine, container)
    net_files.write(engine, container)


async def connect(engine: Engine, container: Container, pid: int) -> None:
    """Plug the waiting init's network namespace into its networks."""
    wanted = joining.wishes(engine, container.record)
    if not wanted:
        return
    free, published = joining.is_free(container.record), engine.services[container.id].publications
    with story.of_the_network(container) as tell:
        await asyncio.to_thread(engine.networks.connect, container.id, pid, wanted, published, free, tell)
        if naming.named_networks(engine, container):
            tell(Naming())
        await services.begin(engine, container, pid)
    await asyncio.to_thread(net_files.write, engine, container)
    for item in wanted:
        joining.tell(engine, item.network, "connect", container=container.id)


async def disconnect(engine: Engine, container: Container) -> None:
    """Give back what the container has of its networks."""
    left = await asyncio.to_thread(engine.networks.endpoints, container.id)
    try:
        await asyncio.to_thread(engine.networks.leave, container.id)
    except MinidockError as error:
        log.warning("disconnecting %s: %s", container.name, error)
    services.end(engine, container)
    networks = {network.id: network for network in engine.networks.all()}
    for endpoint in left:
        if endpoint.network in networks:
            joining.tell(engine, networks[endpoint.network], "disconnect", container=container.id)
