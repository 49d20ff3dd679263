"""hostname, hosts and resolv.conf of a container: written on the host, bound into the container."""

from __future__ import annotations

from pathlib import Path

from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.messages import HostConfig
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
    name, domain = record.config.hostname, record.config.domainname
    base = None if own_network or not _HOSTS_OF_THE_HOST.exists() else _HOSTS_OF_THE_HOST.read_text()
    _write(container.bundle / "hostname", f"{name}\n")
    _write(container.bundle / "hosts", hosts(name, domain, addresses, _extra_hosts(engine, host), base))
    _write(
        container.bundle / "resolv.conf",
        resolv_conf(host.dns or [], host.dns_search or [], host.dns_options or [], isolated=own_network),
    )


def _copy(engine: Engine, container: Container) -> None:
    """Who shares another's network has its names too."""
    other = engine.container(container.record.host.network_mode.removeprefix("container:"))
    for name in ("hostname", "hosts", "resolv.conf"):
        source = other.bundle / name
        _write(container.bundle / name, source.read_text() if source.exists() else "")


def _extra_hosts(engine: Engine, host: HostConfig) -> list[tuple[str, str]]:
    found = []
    for entry in host.extra_hosts or []:
        name, _, address = entry.partition("=") if "=" in entry else entry.partition(":")
        pool = engine.networks.default.pool(4)
        if address == "host-gateway" and pool is not None:
            address = str(pool.gateway.ip)
        found.append((name, address.strip("[]")))
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)
