"""``POST /containers/create``: what the user asked for and what the image says, checked and made one record.

Nothing here touches the disk but the image that is looked up; a request that cannot be meant leaves nothing behind.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping

import msgspec

from minidock.daemon import health, limits, log_drivers, restarts, spec, support
from minidock.daemon.defaults import STOP_SIGNAL
from minidock.daemon.signals import signal_number
from minidock.errors import InvalidInput, NotFound, NotImplementedYet
from minidock.kernel import cgroups
from minidock.messages import ContainerConfig, ContainerCreate, HostConfig, LogConfig
from minidock.oci import platform as platforms
from minidock.oci.image import ContainerDefaults, ImageConfig
from minidock.oci.platform import Platform

OWN_RUNTIME = "minidock-runtime"
Runtimes = Mapping[str, Mapping[str, str]]
"""Other OCI runtimes, as daemon.json names them: ``{"crun": {"path": "/usr/bin/crun"}}``."""

_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?")


def merge(request: ContainerCreate, image: ContainerDefaults) -> ContainerConfig:
    """The request's config, filled up from the image's, by Docker's rules. Raises InvalidInput.

    The one rule that surprises: an entrypoint in the request drops the image's command too, because that command was
    written for the image's entrypoint. (Source: moby, ``daemon/commit.go``, merge.)
    """
    config = ContainerConfig(
        **{name: getattr(request, name) for name in ContainerConfig.__struct_fields__},
    )
    entrypoint, command = _words(request.entrypoint), _words(request.cmd)
    if not entrypoint:
        command = command or list(image.cmd)
        if request.entrypoint is None:
            entrypoint = list(image.entrypoint)
    config.entrypoint = None if entrypoint in ([""], []) else entrypoint
    config.cmd = command or None
    chosen = {entry.partition("=")[0] for entry in request.env or []}
    inherited = [entry for entry in image.env if entry.partition("=")[0] not in chosen]
    config.env = [*(request.env or []), *inherited]
    config.labels = image.labels | (request.labels or {})
    config.user = request.user or image.user
    config.working_dir = request.working_dir or image.working_dir
    config.volumes = {**image.volumes, **(request.volumes or {})} or None
    config.exposed_ports = {**image.exposed_ports, **(request.exposed_ports or {})} or None
    config.stop_signal = request.stop_signal or image.stop_signal or None
    config.stop_timeout = request.stop_timeout if request.stop_timeout is not None else image.stop_timeout
    config.healthcheck = health.merge(request.healthcheck, image.healthcheck)
    return config


def _words(value: list[str] | str | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def arguments(config: ContainerConfig) -> list[str]:
    """The program and its arguments. Raises InvalidInput when neither image nor user named one."""
    words = _words(config.entrypoint) + _words(config.cmd)
    if not words or not words[0]:
        raise InvalidInput("no command specified")
    return words


def check(config: ContainerConfig, host: HostConfig) -> None:
    """Raises InvalidInput for what cannot be meant, NotImplementedYet for what this engine lacks; Docker's words."""
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidInput(f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path")
    for entry in config.env or []:
        if not entry.partition("=")[0] or "\0" in entry:
            raise InvalidInput(f"invalid environment variable: {entry!r}")
    for name in (config.hostname, config.domainname):
        if name and not (len(name) <= 63 and _HOSTNAME.fullmatch(name)):
            raise InvalidInput(f"invalid hostname format: {name!r}")
    if config.hostname and host.uts_mode == "host":
        raise InvalidInput("conflicting options: hostname and the UTS mode")
    for entry in host.extra_hosts or []:
        if not re.fullmatch(r"[^\s:]+[:=][0-9a-fA-F.:\[\]]+", entry) and not entry.endswith(":host-gateway"):
            raise InvalidInput(f"bad format for add-host: {entry!r}")
    signal_number(config.stop_signal or STOP_SIGNAL)
    _check_modes(host)
    limits.check(host)
    restarts.check(host)
    health.check(config.healthcheck)
    spec.check_security(host)
    spec.user(config.user, host.group_add or [])
    _check_missing_parts(host)


def check_platform(name: str, image: ImageConfig, wanted: Platform | None) -> None:
    """Raises NotFound, after which the client pulls, when the image is for other machines than were asked for."""
    own = Platform(os=image.os, architecture=image.architecture, variant=image.variant)
    if wanted is not None and image.architecture and not platforms.fitness(own, wanted):
        what = "was found but does not match the specified platform"
        raise NotFound(f"image with reference {name} {what}: wanted {wanted}, actual: {platforms.normalise(own)}")


def _check_modes(host: HostConfig) -> None:
    for what, mode, allowed in (
        ("IPC", host.ipc_mode, ("", "none", "private", "shareable", "host")),
        ("PID", host.pid_mode, ("", "host")),
        ("UTS", host.uts_mode, ("", "host")),
        ("user namespace", host.userns_mode, ("", "host")),
        ("cgroup namespace", host.cgroupns_mode, ("", "private", "host")),
    ):
        shared = what in ("IPC", "PID") and re.fullmatch("container:.+", mode)
        if mode not in allowed and not shared:
            raise InvalidInput(f"invalid {what} mode: {mode}")
    if host.isolation.lower() not in ("", "default"):
        raise InvalidInput(f"invalid isolation: \"{host.isolation}\" - linux only supports 'default'")


def _check_missing_parts(host: HostConfig) -> None:
    """The honest list of what of Docker's is not here."""
    if host.device_requests:
        first = host.device_requests[0]
        words = " ".join(f"[{' '.join(map(str, group))}]" for group in first.get("Capabilities") or [])
        raise NotImplementedYet(
            f'could not select device driver "{first.get("Driver") or ""}" with capabilities: [{words}]: '
            "minidock has no --gpus, only --device"
        )
    if host.storage_opt:
        raise InvalidInput("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")


def completed(
    host: HostConfig, log: LogConfig, runtimes: Mapping[str, Mapping[str, str]]
) -> tuple[HostConfig, list[str]]:
    """The HostConfig as ``inspect`` will show it, and warnings. ``log`` and ``runtimes`` are the daemon's own.

    Raises InvalidInput, NotImplementedYet.
    """
    complete, warnings = support.adapted(with_defaults(host, log))
    log_drivers.check(complete.log_config)
    runtime_program(complete.runtime, runtimes)
    if complete.network_mode == "host" and complete.port_bindings:
        warnings.append("Published ports are discarded when using host network mode")
    return complete, warnings


def runtime_program(name: str, runtimes: Runtimes) -> str:
    """The executable file of another OCI runtime, or nothing for our own. Raises InvalidInput."""
    if name in ("", OWN_RUNTIME):
        return ""
    if name not in runtimes:
        raise InvalidInput(f"unknown or invalid runtime name: {name}")
    found = shutil.which(runtimes[name]["path"])
    if found is None:
        raise InvalidInput(f"runtime {name}: there is no program {runtimes[name]['path']}")
    return found


def with_defaults(host: HostConfig, log: LogConfig = LogConfig(type="json-file")) -> HostConfig:  # noqa: B008
    """What ``inspect`` shows where the user said nothing; ``log`` is the daemon's driver, with its options."""
    if host.log_config.type not in ("", log.type):
        log = host.log_config
    elif host.log_config.config:
        log = LogConfig(type=log.type, config=log.config | host.log_config.config)
    return msgspec.structs.replace(
        host,
        log_config=log,
        network_mode="bridge" if host.network_mode in ("", "default") else host.network_mode,
        ipc_mode=host.ipc_mode or "private",
        cgroupns_mode=host.cgroupns_mode or ("private" if cgroups.detect().kind == "v2" else "host"),
        runtime=host.runtime or OWN_RUNTIME,
        # Memory and no word on swap: Docker lets the container use as much swap again.
        memory_swap=host.memory_swap or max(0, host.memory) * 2,
        shm_size=host.shm_size or 64 * 1024 * 1024,
        restart_policy=msgspec.structs.replace(host.restart_policy, name=host.restart_policy.name or "no"),
    )
