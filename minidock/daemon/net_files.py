"""hostname, hosts and resolv.conf of a container: written on the host, bound into the container."""

from __future__ import annotations

from pathlib import Path

from minidock.daemon import links, naming
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.messages import HostConfig
from minidock.networks import names
from minidock.networks.files import hosts, resolv_conf

_HOSTS_OF_THE_HOST = Path("/etc/hosts")


def write(engine: Engine, container: Container) -> None:
    """All three, in place: they may be bound into a running container."""
    record, host = container.record, container.record.host
    if host.network_mode.startswith("container:"):
        _copy(engine, container)
        return
    own_network = host.network_mode != "host"
    addresses = [str(item.ip) for end in engine.networks.endpoints(container.id) for item in end.addresses]
    extra = [*_extra_hosts(engine, host), *links.hosts(engine, container)]
    name, domain = record.config.hostname, record.config.domainname
    base = None if own_network or not _HOSTS_OF_THE_HOST.exists() else _HOSTS_OF_THE_HOST.read_text()
    _write(container.bundle / "hostname", f"{name}\n")
    _write(container.bundle / "hosts", hosts(name, domain, addresses, extra, base))
    servers, choices = host.dns or [], list(host.dns_options or [])
    if naming.named_networks(engine, container):
        servers = [names.ADDRESS]
        # A name without a dot may be a neighbour's: it is asked for as it is.
        choices += [] if any(choice.startswith("ndots:") for choice in choices) else ["ndots:0"]
    _write(
        container.bundle / "resolv.conf",
        resolv_conf(servers, host.dns_search or [], choices, isolated=own_network),
    )


def _copy(engine: Engine, container: Container) -> None:
    """Who shares another's network has its names too."""
    other = engine.container(container.record.host.network_mode.removeprefix("container:"))
    for name in ("hostname", "hosts", "resolv.conf"):
        source = other.bundle / name
        _write(container.bundle / name, source.read_text() if source.exists() else "")


def _extra_hosts(engine: Engine, host: HostConfig) -> list[tuple[list[str], str]]:
    found = []
    for entry in host.extra_hosts or []:
        name, _, address = entry.partition("=") if "=" in entry else entry.partition(":")
        pool = engine.networks.default.pool(4)
        if address == "host-gateway" and pool is not None:
            address = str(pool.gateway.ip)
        found.append(([name], address.strip("[]")))
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)
