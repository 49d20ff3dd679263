"""Who is called what: what the name server inside a container's networks knows, and the names of links."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface

from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.daemon.links import parse as parse_link
from minidock.messages import EndpointSettings
from minidock.networks import Endpoint, Network
from minidock.networks.addresses import Address
from minidock.networks.files import host_servers
from minidock.networks.names import Knowledge


def knowledge(engine: Engine, container: Container) -> Knowledge:
    """What this container may know: its neighbours in the user-defined networks that it is in at that moment."""
    return Knowledge(
        lookup=lambda name: _lookup(engine, container, name),
        reverse=lambda address: _reverse(engine, container, address),
        servers=lambda: _servers(engine, container),
    )


def named_networks(engine: Engine, container: Container) -> list[Network]:
    """The networks of a running container in which there are names: all but the default one."""
    inside = {endpoint.network for endpoint in engine.networks.endpoints(container.id)}
    return [network for network in engine.networks.all() if network.id in inside and not network.is_default]


def names(container: Container, settings: EndpointSettings) -> list[str]:
    """What a container is called in a network, the best name first: its name, aliases, short id, hostname."""
    found = [container.name, *(settings.aliases or []), container.id[:12], container.record.config.hostname]
    return list(dict.fromkeys(name for name in found if name))


def _neighbours(engine: Engine, container: Container) -> Iterator[tuple[Network, Container, Endpoint, list[str]]]:
    """Everybody in the same networks, the container itself too, with all names: ``db`` is ``db.backend`` as well."""
    for network in named_networks(engine, container):
        own = container.record.networks.get(network.name, EndpointSettings())
        links = [parse_link(link) for link in [*(own.links or []), *(container.record.host.links or [])]]
        for endpoint in engine.networks.members(network):
            other = engine.containers.get(endpoint.container)
            if other is None:
                continue
            known = names(other, other.record.networks.get(network.name, EndpointSettings()))
            linked = [alias for name, alias in links if name in (other.name, other.id)]
            yield network, other, endpoint, [*known, *linked]


def _lookup(engine: Engine, container: Container, name: str) -> list[Address] | None:
    found: list[Address] = []
    for network, _, endpoint, known in _neighbours(engine, container):
        if any(name in (own.lower(), f"{own}.{network.name}".lower()) for own in known):
            found += [interface.ip for interface in endpoint.addresses]
    return found or None


def _reverse(engine: Engine, container: Container, address: str) -> str | None:
    for network, other, endpoint, _ in _neighbours(engine, container):
        if any(str(ip_interface(text).ip) == address for text in (endpoint.ipv4, endpoint.ipv6) if text):
            return f"{other.name}.{network.name}"
    return None


def _servers(engine: Engine, container: Container) -> list[str]:
    inside = {endpoint.network for endpoint in engine.networks.endpoints(container.id)}
    if all(network.internal for network in engine.networks.all() if network.id in inside):
        return []
    return container.record.host.dns or host_servers()
