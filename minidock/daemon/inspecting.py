"""Records and images as Docker's clients want to see them: ``inspect`` and one line of ``ps``."""

from __future__ import annotations

import time

import msgspec

from minidock import messages, units
from minidock.daemon import health
from minidock.daemon.binds import Attached
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.daemon.networking import endpoints
from minidock.networks.ports import parse_exposed


def inspect(engine: Engine, container: Container, with_size: bool = False) -> messages.ContainerInspect:
    """``GET /containers/ID/json``."""
    record, bundle = container.record, container.bundle
    host_files = {name: str(bundle / name) for name in ("resolv.conf", "hostname", "hosts")}
    size_rw, size_root = sizes(engine, container) if with_size else (msgspec.UNSET, msgspec.UNSET)
    return messages.ContainerInspect(
        id=record.id,
        created=units.format_rfc3339(record.created_ns),
        path=record.args[0],
        args=record.args[1:],
        state=state(container),
        image=record.image_id,
        resolv_conf_path=host_files["resolv.conf"],
        hostname_path=host_files["hostname"],
        hosts_path=host_files["hosts"],
        log_path=str(container.log) if record.host.log_config.type == "json-file" else "",
        name=f"/{record.name}",
        restart_count=record.state.restart_count,
        exec_ids=[key for key, item in container.execs.items() if item.running] or None,
        host_config=record.host,
        graph_driver=messages.GraphDriver(data=_overlay(container)),
        size_rw=size_rw,
        size_root_fs=size_root,
        mounts=[item.point() for item in record.mounts if not _is_tmpfs_option(container, item)],
        config=record.config,
        network_settings=_network_settings(engine, container),
    )


def _is_tmpfs_option(container: Container, item: Attached) -> bool:
    """``--tmpfs`` shows in the HostConfig only, ``--mount type=tmpfs`` as a mount point: so Docker does."""
    return item.kind == "tmpfs" and item.destination in (container.record.host.tmpfs or {})


def state(container: Container) -> messages.ContainerState:
    """The ``State`` of an inspect."""
    now = container.record.state
    return messages.ContainerState(
        status="removing" if container.removing and not container.record.running else now.status,
        running=container.record.active,
        paused=now.status == "paused",
        restarting=now.status == "restarting",
        oom_killed=now.oom_killed,
        pid=now.pid,
        exit_code=now.exit_code,
        error=now.error,
        started_at=_time(now.started_ns),
        finished_at=_time(now.finished_ns),
        health=health.for_inspect(container.record),
    )


def _time(nanoseconds: int) -> str:
    return units.format_rfc3339(nanoseconds) if nanoseconds else messages.NEVER


def _overlay(container: Container) -> dict[str, str]:
    """Where the file system's parts are, by the names of mount(8)'s options."""
    names = {"lowerdir": "LowerDir", "upperdir": "UpperDir", "workdir": "WorkDir"}
    parts = (option.partition("=") for option in container.record.root.options)
    found = {names[key]: value for key, _, value in parts if key in names}
    return found | {"MergedDir": str(container.bundle / "rootfs")}


# What NetworkSettings repeats of the default bridge.
_OF_THE_BRIDGE = (
    "endpoint_id",
    "gateway",
    "global_ipv6_address",
    "global_ipv6_prefix_len",
    "ip_address",
    "ip_prefix_len",
    "ipv6_gateway",
    "mac_address",
)


def _network_settings(engine: Engine, container: Container) -> messages.NetworkSettings:
    joined = endpoints(engine, container)
    settings = messages.NetworkSettings(networks=joined)
    end = joined.get("bridge")
    if end is not None and end.ip_address:
        for name in _OF_THE_BRIDGE:
            setattr(settings, name, getattr(end, name))
    if container.record.running:
        settings.sandbox_id = container.id
        settings.sandbox_key = f"/proc/{container.record.state.pid}/ns/net"
    settings.ports = dict.fromkeys(container.record.config.exposed_ports or {})
    for item in engine.networks.publications().get(container.id, []):
        shown = settings.ports[f"{item.port}/{item.protocol}"] = (
            settings.ports.get(f"{item.port}/{item.protocol}") or []
        )
        shown.append(messages.PortBinding(host_ip=item.host_ip, host_port=str(item.host_port)))
    return settings


def sizes(engine: Engine, container: Container) -> tuple[int, int]:
    """Bytes of the writable layer, and of everything that the container sees."""
    writable = engine.images.snapshots.size(container.bundle)
    return writable, writable + engine.images.snapshots.image_size(container.id)


def summary(engine: Engine, container: Container, with_size: bool = False) -> messages.ContainerSummary:
    """One line of ``GET /containers/json``."""
    record = container.record
    size_rw, size_root = sizes(engine, container) if with_size else (msgspec.UNSET, msgspec.UNSET)
    return messages.ContainerSummary(
        id=record.id,
        names=[f"/{record.name}"],
        image=shown_image(engine, container),
        image_id=record.image_id,
        command=" ".join(record.args),
        created=record.created_ns // 10**9,
        ports=ports(engine, container) if record.running else [],
        size_rw=size_rw,
        size_root_fs=size_root,
        labels=record.config.labels or {},
        state=record.state.status,
        status=status(container),
        host_config=messages.SummaryHostConfig(network_mode=record.host.network_mode),
        network_settings=messages.NetworksOnly(networks=endpoints(engine, container)),
        mounts=[item.point() for item in record.mounts if not _is_tmpfs_option(container, item)],
    )


def ports(engine: Engine, container: Container) -> list[messages.Port]:
    """What is published, and what is only exposed."""
    published = [
        messages.Port(ip=item.host_ip, private_port=item.port, public_port=item.host_port, type=item.protocol)
        for item in engine.networks.publications().get(container.id, [])
    ]
    shown = {(port.private_port, port.type) for port in published}
    exposed = [port for text in container.record.config.exposed_ports or {} for port in parse_exposed(text)]
    return published + [
        messages.Port(private_port=port, type=kind) for port, kind in exposed if (port, kind) not in shown
    ]


def shown_image(engine: Engine, container: Container) -> str:
    """The name that was asked for, as long as it still means this image; else the image's id."""
    record = container.record
    meant = engine.images.find(record.image)
    return record.image if meant is not None and meant.id == record.image_id else record.image_id


def status(container: Container) -> str:
    """``Up 3 minutes``, ``Exited (0) 2 hours ago``, ``Created``: Docker's own words."""
    now, instant = container.record.state, time.time_ns()
    if container.removing and not container.record.running:
        return "Removal In Progress"
    if container.record.running:
        addition = " (Paused)" if now.status == "paused" else health.shown(container.record)
        return f"Up {units.human_duration(instant - now.started_ns)}{addition}"
    if now.status in ("exited", "restarting"):
        return f"{now.status.capitalize()} ({now.exit_code}) {units.human_duration(instant - now.finished_ns)} ago"
    return now.status.capitalize()
