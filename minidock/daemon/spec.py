"""A container's record becomes the runtime-spec's ``config.json``: what Docker means, in words that the runtime knows.

Everything that the kernel will be asked is decided here. Read :mod:`minidock.daemon.defaults` beside it.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from minidock import units
from minidock.containers.plan import INIT_ANNOTATION
from minidock.daemon import defaults, limits, seccomp_profile
from minidock.daemon.records import Record
from minidock.errors import InvalidInput
from minidock.kernel import capabilities as powers
from minidock.kernel import cgroups
from minidock.messages import HostConfig
from minidock.oci.runtime import (
    MAX_ID,
    OCI_VERSION,
    CapabilitySets,
    ConsoleSize,
    Linux,
    Mount,
    Namespace,
    Process,
    Root,
    Seccomp,
    Spec,
    User,
)

NamespaceOf = Callable[[str, str], str]
"""From a container's name and a type of namespace (``net``, ``pid``, ``ipc``) to the namespace's path under /proc."""

NET_FILES = ("resolv.conf", "hostname", "hosts")


def build(record: Record, root: Mount, bundle: Path, namespace_of: NamespaceOf) -> Spec:
    """The whole ``config.json``; ``root`` is the overlay that becomes ``/``. Raises InvalidInput."""
    host = record.host
    devices = limits.devices(host)
    return Spec(
        oci_version=OCI_VERSION,
        root=Root("rootfs", readonly=host.readonly_rootfs),
        process=process(record, record.args),
        hostname="" if host.uts_mode == "host" else record.config.hostname,
        domainname="" if host.uts_mode == "host" else record.config.domainname,
        mounts=_mounts(record, root, bundle, namespace_of),
        annotations=(host.annotations or {}) | ({INIT_ANNOTATION: "true"} if host.init else {}),
        linux=Linux(
            namespaces=_namespaces(host, namespace_of),
            devices=devices,
            cgroups_path=cgroups_path(record),
            resources=limits.resources(host, devices),
            rootfs_propagation=_rootfs_propagation(record),
            seccomp=seccomp(host, capabilities(host)),
            sysctl=_sysctls(host),
            masked_paths=_unless_privileged(host, host.masked_paths, defaults.MASKED_PATHS),
            readonly_paths=_unless_privileged(host, host.readonly_paths, defaults.READONLY_PATHS),
        ),
    )


def with_variables(spec: Spec, env: list[str]) -> Spec:
    """The same with some more variables for the program, which are in no record."""
    if not env or spec.process is None:
        return spec
    process = msgspec.structs.replace(spec.process, env=[*spec.process.env, *env])
    return msgspec.structs.replace(spec, process=process)


def cgroups_path(record: Record) -> str:
    """Where the container's cgroup is; the runtime counts it from where cgroups are mounted."""
    return record.cgroup or choose_cgroup(record.host, record.id, "cgroupfs")


def choose_cgroup(host: HostConfig, container_id: str, driver: str) -> str:
    """Where a new container's cgroup will be; systemd's are named by slice, prefix and name. Raises InvalidInput."""
    if driver != "systemd":
        return f"{host.cgroup_parent.rstrip('/') or defaults.CGROUP_PARENT}/{container_id}"
    parent = host.cgroup_parent or defaults.SYSTEMD_SLICE
    if "/" in parent or not parent.endswith(".slice"):
        raise InvalidInput('cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"')
    return f"{parent}:minidock:{container_id}"


def process(record: Record, args: list[str]) -> Process:
    """The container's program; an exec changes a few fields of it."""
    config, host = record.config, record.host
    granted = capabilities(host)
    height, width = [*host.console_size, 0, 0][:2]
    return Process(
        cwd=config.working_dir or "/",
        args=args,
        env=environment(record),
        terminal=config.tty,
        console_size=ConsoleSize(height, width) if config.tty and height and width else None,
        user=user(config.user, host.group_add or []),
        capabilities=CapabilitySets(bounding=granted, effective=granted, permitted=granted),
        rlimits=[limits.rlimit(ulimit) for ulimit in host.ulimits or []],
        no_new_privileges="no-new-privileges" in _security(host),
        oom_score_adj=host.oom_score_adj,
    )


def user(name: str, groups: list[str]) -> User:
    """Who the program is: names or numbers, resolved by init in the container's own files. Nobody said is root."""
    numbers = [int(group) for group in groups if units.is_number(group)]
    if wrong := [number for number in numbers if number > MAX_ID]:
        raise InvalidInput(f"uids and gids must be in range 0-{MAX_ID}, not {wrong[0]}")
    names = [group for group in groups if not units.is_number(group)]
    return User(username=name or "0", additional_gids=numbers, additional_groups=names)


def environment(record: Record) -> list[str]:
    """PATH, HOSTNAME and TERM, each replaced by what image and user say. HOME comes from the container's passwd."""
    values = {"PATH": defaults.PATH, "HOSTNAME": record.config.hostname}
    if record.config.tty:
        values["TERM"] = "xterm"
    for entry in record.config.env or []:
        name, equals, value = entry.partition("=")
        if equals:
            values[name] = value
        else:
            # "-e NAME" of a variable that the client does not have: the user wants it gone.
            values.pop(name, None)
    return [f"{name}={value}" for name, value in values.items()]


def capabilities(host: HostConfig) -> list[str]:
    """The 14 defaults, plus ``--cap-add``, minus ``--cap-drop``. Raises InvalidInput for a name that is none."""
    if host.privileged:
        return sorted(powers.known())
    add = [_capability(name, "CapAdd") for name in host.cap_add or []]
    drop = [_capability(name, "CapDrop") for name in host.cap_drop or []]
    granted = set(powers.known()) if "ALL" in add else set(defaults.CAPABILITIES)
    granted = set() if "ALL" in drop else granted - set(drop)
    # Dropping all and adding some leaves those; adding all and dropping some leaves the rest.
    return sorted(granted | (set(add) - {"ALL"}))


def _capability(name: str, field: str) -> str:
    full = name.upper() if name.upper() == "ALL" else "CAP_" + name.upper().removeprefix("CAP_")
    if full != "ALL" and full not in powers.NAMES:
        raise InvalidInput(f'invalid {field}: unknown capability: "{full}"')
    return full


def check_security(host: HostConfig) -> None:
    """Raises InvalidInput for ``--security-opt`` and capabilities that make no sense."""
    seccomp(host, capabilities(host))


def _security(host: HostConfig) -> dict[str, str]:
    """``--security-opt`` as names and values; both ``=`` and the older ``:`` part them."""
    options: dict[str, str] = {}
    for option in host.security_opt or []:
        name, separator, value = option.partition("=") if "=" in option else option.partition(":")
        if name == "no-new-privileges":
            if value not in ("", "true", "false"):
                raise InvalidInput(f'invalid --security-opt 2: "{option}"')
            if value != "false":
                options[name] = "true"
        elif name in ("seccomp", "apparmor", "label", "systempaths") and separator:
            options[name] = value
        else:
            raise InvalidInput(f'invalid --security-opt 1: "{option}"')
    return options


def seccomp(host: HostConfig, granted: list[str]) -> Seccomp | None:
    """Docker's default filter, or the user's own (the client sends the file's content), or none."""
    chosen = _security(host).get("seccomp", "")
    if chosen == "unconfined" or (host.privileged and not chosen):
        return None
    if chosen in ("", "builtin"):
        return msgspec.convert(seccomp_profile.default_profile(set(granted)), Seccomp)
    try:
        return msgspec.convert(seccomp_profile.expand(json.loads(chosen), set(granted)), Seccomp)
    except (ValueError, RecursionError) as error:  # no JSON, or of another shape (msgspec.ValidationError)
        raise InvalidInput(f"Decoding seccomp profile failed: {error}") from None


def _unless_privileged(host: HostConfig, chosen: list[str] | None, usual: tuple[str, ...]) -> list[str]:
    if chosen is not None:
        return chosen
    return [] if host.privileged or _security(host).get("systempaths") == "unconfined" else list(usual)


def _namespaces(host: HostConfig, namespace_of: NamespaceOf) -> list[Namespace]:
    wanted = [Namespace("mount")]
    for kind, short, mode in (
        ("network", "net", host.network_mode),
        ("ipc", "ipc", host.ipc_mode),
        ("uts", "uts", host.uts_mode),
        ("pid", "pid", host.pid_mode),
        ("cgroup", "cgroup", host.cgroupns_mode or ("private" if cgroups.detect().kind == "v2" else "host")),
    ):
        if mode.startswith("container:"):
            wanted.append(Namespace(kind, namespace_of(mode.removeprefix("container:"), short)))
        elif mode != "host":
            wanted.append(Namespace(kind))
    return wanted


def _mounts(record: Record, root: Mount, bundle: Path, namespace_of: NamespaceOf) -> list[Mount]:
    host = record.host
    own = {item.destination for item in record.mounts}
    writable = ["ro"] if not host.privileged else []
    system = [
        defaults.PROC,
        defaults.DEV,
        defaults.DEVPTS,
        _with(defaults.SYSFS, writable),
        _with(defaults.CGROUP, writable),
        *_ipc_mounts(host, namespace_of),
    ]
    names = [Mount(f"/etc/{name}", "bind", str(bundle / name), ["rbind", "rprivate"]) for name in NET_FILES]
    # What the user mounts at the same place wins, as with Docker.
    system, names = ([mount for mount in group if mount.destination not in own] for group in (system, names))
    # A mount over /etc must not hide the one on /etc/hosts: fewer components first.
    return [root, *system, *sorted([*names, *(item.mount() for item in record.mounts)], key=_depth)]


def _depth(mount: Mount) -> int:
    return mount.destination.rstrip("/").count("/")


def _with(mount: Mount, read_only: list[str]) -> Mount:
    options = [option for option in mount.options if option != "ro"] + read_only
    return Mount(mount.destination, mount.type, mount.source, options)


def _ipc_mounts(host: HostConfig, namespace_of: NamespaceOf) -> list[Mount]:
    """What belongs to an IPC namespace but is a file system: message queues, and the shared memory of shm_open(3)."""
    if host.ipc_mode == "host":
        # Not every host has them mounted.
        shared = [path for path in ("/dev/mqueue", "/dev/shm") if Path(path).is_dir()]
        return [Mount(path, "bind", path, ["rbind", "rprivate"]) for path in shared]
    if host.ipc_mode == "none":
        return [defaults.MQUEUE]
    if host.ipc_mode.startswith("container:"):
        other = Path(namespace_of(host.ipc_mode.removeprefix("container:"), "ipc")).parent.parent
        return [defaults.MQUEUE, Mount("/dev/shm", "bind", f"{other}/root/dev/shm", ["bind", "rprivate"])]
    return [defaults.MQUEUE, defaults.shm(host.shm_size or defaults.SHM_SIZE)]


def _rootfs_propagation(record: Record) -> str:
    """A bind that is to see the host's later mounts needs its parent to pass them on (runc does the same)."""
    asked = {item.propagation.removeprefix("r") for item in record.mounts if item.kind == "bind"}
    return "shared" if "shared" in asked else "rslave" if "slave" in asked else ""


OF_AN_INTERFACE = re.compile(r"(net\.(?:ipv4|ipv6|mpls)\.(?:conf|neigh)\.)(eth[0-9]+|IFNAME)(\.\w+)")
"""Sysctls of one interface of the container's: their beginning, its name, their end."""


def _sysctls(host: HostConfig) -> dict[str, str]:
    """Only those that belong to a namespace of the container's own: all others are the host's."""
    own_network = host.network_mode != "host" and not host.network_mode.startswith("container:")
    sysctls = dict(defaults.NETWORK_SYSCTLS) if own_network else {}
    for key, value in (host.sysctls or {}).items():
        ipc = key.startswith(("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."))
        if key.startswith("net.") and not own_network:
            raise InvalidInput(f"sysctl '{key}' not allowed in host network namespace")
        if ipc and host.ipc_mode == "host":
            raise InvalidInput(f"sysctl '{key}' not allowed in host ipc namespace")
        if not ipc and not key.startswith("net.") and key != "kernel.domainname":
            raise InvalidInput(f"sysctl '{key}' is not in a separate kernel namespace")
        if not OF_AN_INTERFACE.fullmatch(key):  # there is none yet: see minidock.daemon.joining
            sysctls[key] = value
    return sysctls


def default_hostname(container_id: str, host: HostConfig) -> str:
    """The short id; with the host's UTS or network namespace the host's own name."""
    if host.uts_mode == "host" or host.network_mode == "host":
        return socket.gethostname()
    return container_id[:12]
