"""The three networks that are always there: bridge, host, none; as the API shows them."""

from __future__ import annotations

import hashlib

from minidock import messages
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import NoSuchNetwork

BUILT_IN = ("bridge", "host", "none")


def network_id(engine: Engine, name: str) -> str:
    """64 hex digits that stay the same as long as the data root does."""
    return hashlib.sha256(f"{engine.config.data_root}:{name}".encode()).hexdigest()


def find(engine: Engine, name: str) -> str:
    """The network's name, from its name or the beginning of its id. Raises NoSuchNetwork."""
    for candidate in BUILT_IN:
        if candidate == name or (len(name) >= 4 and network_id(engine, candidate).startswith(name)):
            return candidate
    raise NoSuchNetwork(name)


def describe(engine: Engine, name: str) -> messages.Network:
    """``GET /networks/ID``."""
    network = messages.Network(name=name, id=network_id(engine, name), driver="null" if name == "none" else name)
    if name == "bridge" and engine.bridge is not None:
        pool = messages.IpamPool(subnet=str(engine.bridge.subnet), gateway=str(engine.bridge.gateway))
        network.ipam = messages.Ipam(config=[pool])
        network.options = {"com.docker.network.bridge.name": engine.config.bridge}
    for container in engine.containers.values():
        end = endpoints(engine, container).get(name)
        if end is not None and container.record.running:
            network.containers[container.id] = messages.NetworkContainer(
                name=container.name,
                endpoint_id=end.endpoint_id,
                mac_address=end.mac_address,
                ipv4_address=f"{end.ip_address}/{end.ip_prefix_len}" if end.ip_address else "",
            )
    return network


def endpoints(engine: Engine, container: Container) -> dict[str, messages.EndpointSettings]:
    """The networks that a container is in, with its address there while it runs."""
    mode, address = container.record.host.network_mode, container.record.address
    if mode not in BUILT_IN:
        return {}
    end = messages.EndpointSettings(network_id=network_id(engine, mode))
    if container.record.running:
        end.endpoint_id = hashlib.sha256(f"{container.id}:{mode}".encode()).hexdigest()
    if address is not None:
        end.ip_address, end.ip_prefix_len = address.address, address.prefix
        end.gateway, end.mac_address = address.gateway, address.mac
    return {mode: end}
