"""What the engine says of itself and of this machine: ``version`` and ``info``; nothing that was not looked up."""

from __future__ import annotations

import os
import platform
import socket
import time
from importlib import metadata
from pathlib import Path

from minidock import messages, units
from minidock.daemon.config import Config
from minidock.daemon.engine import Engine
from minidock.kernel import cgroups, features, mounts
from minidock.oci.platform import host

ENGINE_VERSION = metadata.version("minidock")


def version() -> messages.Version:
    """``GET /version``."""
    here, kernel = host(), os.uname().release
    details = {
        "ApiVersion": messages.API_VERSION,
        "MinAPIVersion": messages.MINIMUM_API_VERSION,
        "Os": here.os,
        "Arch": here.architecture,
        "KernelVersion": kernel,
        "Python": platform.python_version(),
    }
    return messages.Version(
        platform=messages.Product(name="minidock"),
        components=[messages.Component(name="Engine", version=ENGINE_VERSION, details=details)],
        version=ENGINE_VERSION,
        go_version=f"python{platform.python_version()}",
        os=here.os,
        arch=here.architecture,
        kernel_version=kernel,
    )


def info(engine: Engine, tasks: int) -> messages.Info:
    """``GET /info``; what the kernel lacks stands under ``Warnings``. ``tasks`` is how many asyncio has."""
    layout = cgroups.detect()
    lacks = set(layout.missing)
    status = [container.record.state.status for container in list(engine.containers.values())]
    config = engine.config
    return messages.Info(
        id=_machine_id(),
        containers=len(status),
        containers_running=status.count("running"),
        containers_paused=status.count("paused"),
        containers_stopped=len(status) - status.count("running") - status.count("paused"),
        images=len(engine.images.all()),
        driver_status=[["Backing Filesystem", _filesystem(config.data_root)], ["Supports d_type", "true"]],
        docker_root_dir=str(config.data_root),
        plugins=messages.Plugins(volume=["local"], network=["bridge", "host", "null"], log=["json-file", "local"]),
        memory_limit="memory" not in lacks,
        swap_limit="memory" not in lacks and layout.counts_swap,
        cpu_cfs_period="cpu" not in lacks,
        cpu_cfs_quota="cpu" not in lacks,
        cpu_shares="cpu" not in lacks,
        cpu_set="cpuset" not in lacks,
        pids_limit="pids" not in lacks,
        ipv4_forwarding=_reads("/proc/sys/net/ipv4/ip_forward", "1"),
        debug=config.log_level == "debug",
        n_fd=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        oom_kill_disable=layout.kind != "v2",
        n_goroutines=tasks,
        system_time=units.format_rfc3339(time.time_ns()),
        cgroup_driver=config.cgroup_driver,
        cgroup_version="2" if layout.kind == "v2" else "1",
        n_events_listener=engine.events.listeners,
        kernel_version=os.uname().release,
        operating_system=_operating_system().get("PRETTY_NAME", "Linux"),
        os_version=_operating_system().get("VERSION_ID", ""),
        architecture=os.uname().machine,
        ncpu=len(os.sched_getaffinity(0)),
        mem_total=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        registry_config=_registry_config(config),
        name=socket.gethostname(),
        server_version=ENGINE_VERSION,
        runtimes={
            name: messages.Runtime(path=path)
            for name, path in [
                ("minidock-runtime", "minidock-runtime"),
                *((name, str(runtime["path"])) for name, runtime in config.runtimes.items()),
            ]
        },
        live_restore_enabled=config.live_restore,
        security_options=_security_options(layout),
        warnings=info_warnings(layout) or None,
    )


def _registry_config(config: Config) -> messages.RegistryConfig:
    """Networks and names of insecure registries apart: Docker's client takes nothing but networks among the former."""
    networks = [item for item in config.insecure_registries if "/" in item]
    names = [item for item in config.insecure_registries if "/" not in item]
    return messages.RegistryConfig(
        insecure_registry_cidrs=["127.0.0.0/8", *networks],
        index_configs={name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False} for name in names},
        mirrors=config.registry_mirrors,
    )


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


def _reads(path: str, text: str) -> bool:
    try:
        return Path(path).read_text().strip() == text
    except OSError:
        return False


def _filesystem(path: Path) -> str:
    """The type of the file system that ``path`` is on."""
    above = [mount for mount in mounts.mounts() if Path(mount.mount_point) in (path, *path.parents)]
    # Of those that are mounted in the same place the last one hides the others.
    found = max(reversed(above), key=lambda mount: len(mount.mount_point), default=None)
    return found.filesystem if found else ""


def _operating_system() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _security_options(layout: cgroups.Layout) -> list[str]:
    has = {feature.name: feature.present for feature in features.features()}
    options = ["name=seccomp,profile=builtin"] if has.get("seccomp filters") else []
    return [*options, "name=cgroupns"] if layout.kind == "v2" and has.get("cgroup namespace") else options


def info_warnings(layout: cgroups.Layout) -> list[str]:
    """What this machine lacks, and how to get it."""
    lines = [
        f"WARNING: the kernel has no {feature.name}: {feature.remedy}"
        for feature in features.features()
        if not feature.present
    ]
    how = _controllers_come_from(layout)
    lines += [f"WARNING: no {name} cgroup controller: its limits cannot be set; {how}" for name in layout.missing]
    lines += [f"WARNING: {layout.obstacle}"] if layout.obstacle else []
    if not layout.counts_swap:
        lines.append("WARNING: No swap limit support: boot with swapaccount=1")
    return lines


def _controllers_come_from(layout: cgroups.Layout) -> str:
    """How to get a controller. Of all groups of version 2, the root of the whole tree alone has no cgroup.events."""
    if layout.v2 is None or layout.v1:
        return "mount it (cgroups(7))"
    if (layout.v2 / "cgroup.events").exists():
        return "it has to be delegated to us (systemd: Delegate=yes)"
    return "the kernel has none, or version 1 of cgroups has it"
