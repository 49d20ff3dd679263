"""The verbs of ``/networks``, and networks as the API shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from minidock import messages, units
from minidock.daemon import joining, naming, net_files, services
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import Forbidden, InvalidInput, MinidockError
from minidock.messages import EndpointSettings
from minidock.networks import Endpoint, Network
from minidock.networks.store import BUILT_IN


async def create(engine: Engine, asked: messages.NetworkCreate) -> Network:
    """``POST /networks/create``. Raises InvalidInput, Conflict, Forbidden, NotFound."""
    network = await asyncio.to_thread(engine.networks.create, asked)
    joining.tell(engine, network, "create")
    return network


async def remove(engine: Engine, network: Network) -> None:
    """``DELETE /networks/ID``. Raises Forbidden when somebody is in it."""
    await asyncio.to_thread(engine.networks.remove, network)
    joining.tell(engine, network, "destroy")


async def prune(engine: Engine, wanted: Callable[[Network], bool]) -> list[str]:
    """Remove those that are ``wanted`` gone and that no container, running or not, is to be in; returns their names."""
    used = {name for container in engine.containers.values() for name in container.record.networks}
    gone = []
    for network in engine.networks.all():
        if network.name not in (*BUILT_IN, *used) and wanted(network):
            try:
                await remove(engine, network)
            except Forbidden:
                continue  # somebody has just joined
            gone.append(network.name)
    engine.events.publish("network", "prune", "", reclaimed="0")
    return gone


async def connect(engine: Engine, network: Network, container: Container, settings: EndpointSettings) -> None:
    """``POST /networks/ID/connect``: now, if the container runs, and at each start. Raises Forbidden, InvalidInput."""
    async with container.lock:
        record = container.record
        _check_can_change(network, container)
        joining.check(network, settings)
        present = record.networks
        if network.name in present:
            raise Forbidden(f"endpoint with name {record.name} already exists in network {network.name}")
        files = await _files(engine, container)
        if record.running:
            wish = joining.wish(network, settings)
            free = joining.is_free(record)
            await asyncio.to_thread(engine.networks.connect, record.id, record.state.pid, [wish], free=free)
        record.networks = present | {network.name: settings}
        engine.records.save(record)
        await _has_changed(engine, container, files)
    joining.tell(engine, network, "connect", container=record.id)


async def disconnect(engine: Engine, network: Network, container: Container) -> None:
    """``POST /networks/ID/disconnect``. Raises Forbidden."""
    async with container.lock:
        record = container.record
        if network.name == record.host.network_mode == "host":
            raise InvalidInput("container cannot be disconnected from host network or connected to host network")
        present = record.networks
        if network.name not in present:
            raise Forbidden(f"container {record.id} is not connected to network {network.name}")
        # The record first: killed in between, the next daemon finds an endpoint that nobody wants, and sweeps it.
        record.networks = {name: settings for name, settings in present.items() if name != network.name}
        engine.records.save(record)
        pid = record.state.pid if record.running else None
        files = await _files(engine, container)
        await asyncio.to_thread(engine.networks.disconnect, record.id, network, pid)
        await _has_changed(engine, container, files)
    joining.tell(engine, network, "disconnect", container=record.id)


async def _files(engine: Engine, container: Container) -> dict[str, str]:
    """What was written for a running container, before its networks change."""
    return await asyncio.to_thread(net_files.texts, engine, container) if container.record.running else {}


async def _has_changed(engine: Engine, container: Container, files: dict[str, str]) -> None:
    if container.record.running:
        await services.answer_for_names(engine, container, container.record.state.pid)
        await asyncio.to_thread(net_files.update, engine, container, files)


def _check_can_change(network: Network, container: Container) -> None:
    mode = container.record.host.network_mode
    if network.name == "host":
        raise InvalidInput("container cannot be disconnected from host network or connected to host network")
    if mode == "host" or mode.startswith("container:"):
        raise InvalidInput(
            "container sharing network namespace with another container or host cannot be "
            "connected to any other network"
        )
    if network.name == "none" or "none" in container.record.networks:
        raise InvalidInput(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )


def describe(engine: Engine, network: Network) -> messages.Network:
    """``GET /networks/ID``."""
    return messages.Network(
        name=network.name,
        id=network.id,
        created=units.format_rfc3339(network.created_ns),
        driver=network.driver,
        enable_ipv6=network.enable_ipv6,
        ipam=messages.Ipam(options={}, config=network.pools),
        internal=network.internal,
        attachable=network.attachable,
        containers=_members(engine, network),
        options=network.options,
        labels=network.labels,
    )


def _members(engine: Engine, network: Network) -> dict[str, messages.NetworkContainer]:
    if network.name in ("host", "none"):
        there = [item for item in engine.containers.values() if item.record.running]
        return {
            item.id: messages.NetworkContainer(name=item.name) for item in there if network.name in item.record.networks
        }
    return {
        endpoint.container: messages.NetworkContainer(
            name=engine.containers[endpoint.container].name,
            endpoint_id=endpoint.id,
            mac_address=endpoint.mac,
            ipv4_address=endpoint.ipv4,
            ipv6_address=endpoint.ipv6,
        )
        for endpoint in engine.networks.members(network)
        if endpoint.container in engine.containers
    }


def endpoints(engine: Engine, container: Container) -> dict[str, EndpointSettings]:
    """The networks that a container is in, or is to be in, as inspect shows them: with its addresses while it runs."""
    joined = {endpoint.network: endpoint for endpoint in engine.networks.endpoints(container.id)}
    known = {network.name: network for network in engine.networks.all()}
    found = {}
    for name, settings in container.record.networks.items():
        network = known.get(name)
        found[name] = _settings(container, settings, network, joined.get(network.id) if network else None)
    return found


def _settings(
    container: Container, asked: EndpointSettings, network: Network | None, endpoint: Endpoint | None
) -> EndpointSettings:
    shown = EndpointSettings(
        ipam_config=asked.ipam_config,
        links=asked.links,
        aliases=asked.aliases,
        driver_opts=asked.driver_opts,
        gw_priority=asked.gw_priority,
        mac_address=asked.mac_address,
    )
    if network is not None:
        shown.network_id = network.id
        shown.dns_names = None if network.name in BUILT_IN else naming.names(container, asked)
    if endpoint is not None:
        shown.endpoint_id, shown.mac_address = endpoint.id, endpoint.mac
        shown.gateway, shown.ipv6_gateway = endpoint.gateway4, endpoint.gateway6
        for address in endpoint.addresses:
            length = address.network.prefixlen
            if address.version == 4:
                shown.ip_address, shown.ip_prefix_len = str(address.ip), length
            else:
                shown.global_ipv6_address, shown.global_ipv6_prefix_len = str(address.ip), length
    return shown


def until(text: str, now_ns: int) -> int:
    """The moment before which a network must have been made to be pruned. Raises InvalidInput in Docker's words."""
    try:
        return units.parse_time(text, now_ns)
    except MinidockError:
        raise InvalidInput(f'failed to parse value as time or duration: "{text}"') from None
