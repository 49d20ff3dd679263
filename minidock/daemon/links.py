"""``--link``: Docker's older way to give a neighbour a name. In the default network, which has no name server, it is a
line of the hosts file and some variables; elsewhere the name server knows it."""

from __future__ import annotations

import re
from ipaddress import ip_interface

from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import Conflict, InvalidInput, NoSuchContainer
from minidock.messages import HostConfig
from minidock.networks.ports import parse_exposed

_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def check(engine: Engine, host: HostConfig) -> None:
    """Are there such containers? Raises InvalidInput in Docker's words (404 would mean a missing *image*)."""
    for link in host.links or []:
        name, alias = parse(link)
        try:
            engine.container(name)
        except NoSuchContainer as error:
            raise InvalidInput(f"could not get container for {name}: {error}") from None
        if not _ALIAS.fullmatch(alias):
            raise InvalidInput(f"bad format for links: {link}")


def parse(link: str) -> tuple[str, str]:
    """``db:alias``, ``db``, or as inspect shows it, ``/db:/me/alias``: the container and the alias."""
    name, _, alias = link.partition(":")
    name = name.removeprefix("/")
    return name, alias.rpartition("/")[2] or name


def _linked(engine: Engine, container: Container) -> list[tuple[str, Container, str]]:
    """Alias, container, address. Raises Conflict when one does not run."""
    found = []
    default = engine.networks.default.id
    if "bridge" not in container.record.networks:
        return []
    for link in container.record.host.links or []:
        name, alias = parse(link)
        other = engine.container(name)
        address = next((end.ipv4 for end in engine.networks.endpoints(other.id) if end.network == default), "")
        if not address:
            raise Conflict(f"Cannot link to a non running container: /{other.name} AS /{container.name}/{alias}")
        found.append((alias, other, str(ip_interface(address).ip)))
    return found


def hosts(engine: Engine, container: Container) -> list[tuple[list[str], str]]:
    """Names and addresses for the hosts file. Raises Conflict."""
    return [
        (list(dict.fromkeys((alias, other.id[:12], other.name))), address)
        for alias, other, address in _linked(engine, container)
    ]


def environment(engine: Engine, container: Container) -> list[str]:
    """``DB_NAME=/me/db``, ``DB_PORT_6379_TCP=tcp://172.17.0.2:6379``, … and its own variables."""
    found = []
    for alias, other, address in _linked(engine, container):
        prefix = alias.replace("-", "_").upper()
        found.append(f"{prefix}_NAME=/{container.name}/{alias}")
        ports = sorted(port for text in other.record.config.exposed_ports or {} for port in parse_exposed(text))
        if ports:
            found.append(f"{prefix}_PORT={ports[0][1]}://{address}:{ports[0][0]}")
        for port, protocol in ports:
            start = f"{prefix}_PORT_{port}_{protocol.upper()}"
            found += [f"{start}={protocol}://{address}:{port}", f"{start}_ADDR={address}"]
            found += [f"{start}_PORT={port}", f"{start}_PROTO={protocol}"]
        for entry in other.record.config.env or []:
            if entry.partition("=")[0] not in ("HOME", "PATH"):
                found.append(f"{prefix}_ENV_{entry}")
    return found
