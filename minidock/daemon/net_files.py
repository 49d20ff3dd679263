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


# Who is root in a container may write what they want into these files, and as much.
_MUCH = 1 << 20


def write(engine: Engine, container: Container) -> None:
    """All three, in place: they may be bound into a running container."""
    for name, text in texts(engine, container).items():
        _write(container.bundle / name, text)


def update(engine: Engine, container: Container, before: dict[str, str]) -> None:
    """The container runs, and its networks have changed: so do the lines that we wrote, and no others.

    ``before`` is what :func:`texts` said then. As with Docker, a resolv.conf that somebody has changed stays.
    """
    after = texts(engine, container)
    hosts_file, resolver_file = container.bundle / "hosts", container.bundle / "resolv.conf"
    present = _read(hosts_file)
    if len(present) < _MUCH:
        old, new = _lines(before["hosts"]), _lines(after["hosts"])
        lines = [line for line in _lines(present) if line not in old or line in new]
        lines += [line for line in new if line not in old]
        _write(hosts_file, "".join(f"{line}\n" for line in lines))
    if _read(resolver_file) == before["resolv.conf"]:
        _write(resolver_file, after["resolv.conf"])


def texts(engine: Engine, container: Container) -> dict[str, str]:
    """What is to be in the files, by their names."""
    record, host = container.record, container.record.host
    if host.network_mode.startswith("container:"):
        return _of_the_other(engine, container)
    own_network = host.network_mode != "host"
    addresses = [str(item.ip) for end in engine.networks.endpoints(container.id) for item in end.addresses]
    extra = [*_extra_hosts(engine, host), *links.hosts(engine, container)]
    name, domain = record.config.hostname, record.config.domainname
    base = None if own_network or not _HOSTS_OF_THE_HOST.exists() else _HOSTS_OF_THE_HOST.read_text()
    servers, choices = host.dns or [], list(host.dns_options or [])
    if naming.named_networks(engine, container):
        servers = [names.ADDRESS]
        # A name without a dot may be a neighbour's: it is asked for as it is.
        choices += [] if any(choice.startswith("ndots:") for choice in choices) else ["ndots:0"]
    return {
        "hostname": f"{name}\n",
        "hosts": hosts(name, domain, addresses, extra, base),
        "resolv.conf": resolv_conf(servers, host.dns_search or [], choices, isolated=own_network),
    }


def _of_the_other(engine: Engine, container: Container) -> dict[str, str]:
    """Who shares another's network has its names too."""
    other = engine.container(container.record.host.network_mode.removeprefix("container:"))
    files = {name: other.bundle / name for name in ("hostname", "hosts", "resolv.conf")}
    return {name: _read(path) if path.exists() else "" for name, path in files.items()}


def _extra_hosts(engine: Engine, host: HostConfig) -> list[tuple[list[str], str]]:
    found = []
    for entry in host.extra_hosts or []:
        name, _, address = entry.partition("=") if "=" in entry else entry.partition(":")
        pool = engine.networks.default.pool(4)
        if address == "host-gateway" and pool is not None:
            address = str(pool.gateway.ip)
        found.append(([name], address.strip("[]")))
    return found


def _read(path: Path) -> str:
    """The text, or the first ``_MUCH`` letters of it: it may have grown since anybody looked."""
    with path.open(errors="surrogateescape", newline="") as file:
        return file.read(_MUCH)


def _lines(text: str) -> list[str]:
    """Not ``splitlines``: to Python a form feed ends a line, too."""
    return text.removesuffix("\n").split("\n") if text else []


def _write(path: Path, text: str) -> None:
    path.write_text(text, errors="surrogateescape")
    path.chmod(0o644)
