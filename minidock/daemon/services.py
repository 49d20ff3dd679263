"""What the daemon itself does for a running container's network: it holds its published ports, and answers for names.

Sockets end with the daemon; its successor opens them again (:func:`resume`). Meanwhile the packet filter goes on
leading callers to published ports, for that is the kernel's.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_interface

from minidock.daemon import joining, naming
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.daemon.records import Record
from minidock.errors import MinidockError
from minidock.networks import Ask, Network, Publication, options, ports, relay, sandbox
from minidock.networks.names import NameServer
from minidock.networks.store import endpoint_id

log = logging.getLogger(__name__)


@dataclass
class Service:
    """For one container."""

    reserved: list[tuple[Publication, socket.socket]] = field(default_factory=list)
    relays: list[asyncio.Server | asyncio.DatagramTransport] = field(default_factory=list)
    names: NameServer | None = None

    @property
    def publications(self) -> list[Publication]:
        """The ports that were got."""
        return [publication for publication, _ in self.reserved]

    def close(self) -> None:
        """Let go of everything."""
        for item in self.relays:
            item.close()
        for _, reserved in self.reserved:
            reserved.close()
        if self.names is not None:
            self.names.close()


def asks(record: Record) -> list[Ask]:
    """What is to be published: ``-p``, and with ``-P`` every exposed port besides. Raises InvalidInput."""
    mode, host = record.host.network_mode, record.host
    found = []
    for port, bindings in (host.port_bindings or {}).items():
        for binding in bindings or [ports.ANYWHERE]:
            found.append(ports.parse_ask(port, binding.host_ip, binding.host_port))
    if host.publish_all_ports:
        said = {(ask.port, ask.protocol) for ask in found}
        exposed = [port for text in record.config.exposed_ports or {} for port in ports.parse_exposed(text)]
        found += [Ask(port=port, protocol=protocol) for port, protocol in exposed if (port, protocol) not in said]
    # As with Docker: the host's own network publishes everything already.
    return [] if mode in ("host", "none") or mode.startswith("container:") else found


def reserve(engine: Engine, container: Container) -> None:
    """Before anything is created: the ports are ours, or there is an error. Raises MinidockError in Docker's words."""
    wanted, networks = asks(container.record), [wish.network for wish in joining.wishes(engine, container.record)]
    able = [network for network in networks if network.bridge and not network.internal]
    service = engine.services[container.id] = Service()
    if not wanted or not able:
        return
    default_ip = able[0].options.get(options.HOST_BINDING) or "0.0.0.0"
    others = [item for key, items in engine.networks.publications().items() if key != container.id for item in items]
    try:
        service.reserved = ports.reserve(
            wanted, default_ip, lambda item: any(_collide(item, other) for other in others)
        )
    except MinidockError as error:
        raise _failure(container, networks[0], error) from None


def _failure(container: Container, network: Network, error: MinidockError) -> MinidockError:
    where = f"{container.name} ({endpoint_id(container.id, network.id)})"
    return MinidockError(f"driver failed programming external connectivity on endpoint {where}: {error}")


def _collide(one: Publication, other: Publication) -> bool:
    same_port = (one.host_port, one.protocol) == (other.host_port, other.protocol)
    same_kind = (":" in one.host_ip) == (":" in other.host_ip)
    same_place = one.host_ip == other.host_ip or "0.0.0.0" in (one.host_ip, other.host_ip)
    return same_port and same_kind and (same_place or "::" in (one.host_ip, other.host_ip))


async def begin(engine: Engine, container: Container, pid: int) -> None:
    """The container is in its networks: answer on its ports, and for names."""
    service = engine.services.setdefault(container.id, Service())

    def target(port: int) -> tuple[str, int] | None:
        end = sandbox.way_out(engine.networks.endpoints(container.id))
        return None if end is None else (str(ip_interface(end.ipv4 or end.ipv6).ip), port)

    for publication, reserved in service.reserved:
        place = partial(target, publication.port)
        if publication.protocol == "tcp":
            service.relays.append(await relay.tcp(reserved, place))
        elif publication.protocol == "udp":
            service.relays.append(await relay.udp(reserved, place))
    await answer_for_names(engine, container, pid)


async def answer_for_names(engine: Engine, container: Container, pid: int) -> None:
    """From its first network with names on, a container has a name server."""
    service = engine.services.setdefault(container.id, Service())
    if service.names is None and naming.named_networks(engine, container):
        service.names = NameServer(naming.knowledge(engine, container))
        await service.names.open(pid)


def end(engine: Engine, container: Container) -> None:
    """The container has ended, or was never started."""
    service = engine.services.pop(container.id, None)
    if service is not None:
        service.close()


async def resume(engine: Engine, container: Container) -> None:
    """The container runs since before this daemon. A port that somebody has taken meanwhile is only warned of."""
    service = engine.services[container.id] = Service()
    for publication in engine.networks.publications().get(container.id, []):
        try:
            service.reserved.append((publication, ports.bind(publication)))
        except MinidockError as error:
            log.warning("published port of %s: %s", container.name, error)
    try:
        await begin(engine, container, container.record.state.pid)
    except (MinidockError, OSError) as error:
        log.warning("the network of %s: %s", container.name, error)
