"""The OCI runtime-spec's ``config.json`` and ``state.json`` as types (version 1.2 and newer, the Linux parts).

A *bundle* is a directory with a ``config.json`` and a root file system; this module is what that file may say. Field
names are the specification's own in snake case: ``noNewPrivileges`` is ``no_new_privileges``. As the specification
demands, properties that nobody knows are ignored and values that cannot be are errors.

Source: https://github.com/opencontainers/runtime-spec (config.md, config-linux.md, runtime.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from minidock.errors import InvalidSpec

OCI_VERSION = "1.2.0"
NAMESPACE_TYPES = ("user", "pid", "network", "mount", "ipc", "uts", "cgroup", "time")
PROPAGATIONS = ("shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable")
MAX_ID = 2**31 - 1

Status = Literal["creating", "created", "running", "stopped"]


class Document(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True):
    """What all parts of the specification share: camel-case names, and defaults that are not written."""


class Root(Document, frozen=True):
    """The root file system; ``path`` counts from the bundle."""

    path: str
    readonly: bool = False


class User(Document, frozen=True):
    """Who the process is. ``username`` (``name:group``) and the names of further groups are minidock's: they are
    resolved in the container's own files."""

    uid: int = 0
    gid: int = 0
    umask: int | None = None
    additional_gids: list[int] = []
    username: str = ""
    additional_groups: list[str] = []


class ConsoleSize(Document, frozen=True):
    """A terminal's size in characters."""

    height: int
    width: int


class CapabilitySets(Document, frozen=True):
    """The five sets of capabilities(7), by name: ``CAP_CHOWN``."""

    bounding: list[str] = []
    effective: list[str] = []
    inheritable: list[str] = []
    permitted: list[str] = []
    ambient: list[str] = []


class Rlimit(Document, frozen=True):
    """A resource limit; ``type`` is ``RLIMIT_NOFILE`` and so on (getrlimit(2))."""

    type: str
    soft: int
    hard: int


class Process(Document, frozen=True):
    """A program to run: the container's own, or one that joins it later (exec)."""

    cwd: str
    args: list[str] = []
    env: list[str] = []
    terminal: bool = False
    console_size: ConsoleSize | None = None
    user: User = User()
    capabilities: CapabilitySets | None = None
    rlimits: list[Rlimit] = []
    no_new_privileges: bool = False
    oom_score_adj: int | None = None
    apparmor_profile: str = ""
    selinux_label: str = ""


class IdMapping(Document, frozen=True):
    """``size`` ids from ``container_id`` on are, outside, those from ``host_id`` on (user_namespaces(7))."""

    container_id: int = msgspec.field(name="containerID")
    host_id: int = msgspec.field(name="hostID")
    size: int


class Mount(Document, frozen=True):
    """One mount; ``destination`` is inside the container, options are mount(8)'s."""

    destination: str
    type: str = ""
    source: str = ""
    options: list[str] = []
    uid_mappings: list[IdMapping] = []
    gid_mappings: list[IdMapping] = []


class Hook(Document, frozen=True):
    """A program that the runtime runs at a fixed moment; ``timeout`` is in seconds."""

    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = None


class Hooks(Document, frozen=True):
    """The six kinds of hook, in the order in which they run."""

    prestart: list[Hook] = []
    create_runtime: list[Hook] = []
    create_container: list[Hook] = []
    start_container: list[Hook] = []
    poststart: list[Hook] = []
    poststop: list[Hook] = []


class Namespace(Document, frozen=True):
    """A namespace to be in: a new one, or with ``path`` an existing one."""

    type: str
    path: str = ""


class Device(Document, frozen=True):
    """A device file: ``type`` is ``c``, ``b``, ``u`` or ``p``."""

    path: str
    type: str
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class DeviceRule(Document, frozen=True, omit_defaults=False):
    """May devices be used? None for ``major`` or ``minor`` is all of them; ``access`` is out of ``rwm``."""

    allow: bool
    type: str = "a"
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"


class Memory(Document, frozen=True):
    """Limits in bytes; -1 is no limit."""

    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None
    swappiness: int | None = None
    disable_oom_killer: bool = msgspec.field(name="disableOOMKiller", default=False)


class Cpu(Document, frozen=True):
    """``quota`` microseconds of processor time in each ``period``; relative ``shares``; which ``cpus`` at all."""

    shares: int | None = None
    quota: int | None = None
    burst: int | None = None
    period: int | None = None
    realtime_runtime: int | None = None
    realtime_period: int | None = None
    cpus: str = ""
    mems: str = ""
    idle: int | None = None


class Pids(Document, frozen=True):
    """At most ``limit`` tasks; 0 or less is no limit."""

    limit: int


class WeightDevice(Document, frozen=True):
    """A device's share of input and output."""

    major: int
    minor: int
    weight: int | None = None


class ThrottleDevice(Document, frozen=True):
    """A device's limit, in bytes or operations a second."""

    major: int
    minor: int
    rate: int


class BlockIO(Document, frozen=True):
    """Input and output of block devices."""

    weight: int | None = None
    weight_device: list[WeightDevice] = []
    throttle_read_bps_device: list[ThrottleDevice] = []
    throttle_write_bps_device: list[ThrottleDevice] = []
    throttle_read_iops_device: list[ThrottleDevice] = msgspec.field(name="throttleReadIOPSDevice", default=[])
    throttle_write_iops_device: list[ThrottleDevice] = msgspec.field(name="throttleWriteIOPSDevice", default=[])


class HugepageLimit(Document, frozen=True):
    """``page_size`` is ``2MB``; ``limit`` in bytes."""

    page_size: str
    limit: int


class Resources(Document, frozen=True):
    """What the container's cgroup allows."""

    devices: list[DeviceRule] = []
    memory: Memory | None = None
    cpu: Cpu | None = None
    pids: Pids | None = None
    block_io: BlockIO | None = msgspec.field(name="blockIO", default=None)
    hugepage_limits: list[HugepageLimit] = []
    unified: dict[str, str] = {}


class SeccompArgument(Document, frozen=True):
    """A condition on one argument of a system call."""

    index: int
    value: int
    op: str
    value_two: int = 0


class SeccompRule(Document, frozen=True):
    """What happens to the calls ``names`` when all of ``args`` hold."""

    names: list[str]
    action: str
    errno_ret: int | None = None
    args: list[SeccompArgument] = []


class Seccomp(Document, frozen=True):
    """A filter on system calls (seccomp(2))."""

    default_action: str
    default_errno_ret: int | None = None
    architectures: list[str] = []
    flags: list[str] = []
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: list[SeccompRule] = []


class Linux(Document, frozen=True):
    """What only Linux has."""

    namespaces: list[Namespace] = []
    uid_mappings: list[IdMapping] = []
    gid_mappings: list[IdMapping] = []
    devices: list[Device] = []
    cgroups_path: str = ""
    resources: Resources | None = None
    rootfs_propagation: str = ""
    seccomp: Seccomp | None = None
    sysctl: dict[str, str] = {}
    masked_paths: list[str] = []
    readonly_paths: list[str] = []
    mount_label: str = ""

    def namespace(self, type: str) -> Namespace | None:
        """The namespace of this type, or None when the container shares its creator's."""
        return next((namespace for namespace in self.namespaces if namespace.type == type), None)


class Spec(Document, frozen=True):
    """A whole ``config.json``."""

    oci_version: str
    root: Root
    process: Process | None = None
    hostname: str = ""
    domainname: str = ""
    mounts: list[Mount] = []
    hooks: Hooks = Hooks()
    annotations: dict[str, str] = {}
    linux: Linux = Linux()


class State(Document, frozen=True):
    """What ``state`` answers and what hooks read; ``pid`` is 0 once the container has stopped."""

    oci_version: str
    id: str
    status: Status
    bundle: str
    pid: int = 0
    annotations: dict[str, str] = {}


# Made before the launcher forks, or each container would look through all these types again.
_specs = msgspec.json.Decoder(Spec)
_processes = msgspec.json.Decoder(Process)


def parse(data: bytes) -> Spec:
    """Read a ``config.json``. Raises :class:`InvalidSpec`, which names the property at fault."""
    try:
        spec = _specs.decode(data)
    except msgspec.DecodeError as error:
        raise InvalidSpec(f"config.json: {str(error)[:1].lower()}{str(error)[1:]}") from None
    validate(spec)
    return spec


def parse_process(data: bytes) -> Process:
    """Read a ``process.json``: what ``exec`` runs. Raises :class:`InvalidSpec`."""
    try:
        process = _processes.decode(data)
    except msgspec.DecodeError as error:
        raise InvalidSpec(f"process: {str(error)[:1].lower()}{str(error)[1:]}") from None
    validate_process(process)
    return process


def encode(document: Document) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document)


def validate(spec: Spec) -> None:
    """Hold what the types alone cannot: raises :class:`InvalidSpec` for values that cannot be."""
    _require(spec.oci_version.split(".")[0] == "1", f"ociVersion {spec.oci_version!r} is not 1.x")
    _require(spec.root.path != "", "root.path is empty")
    for name, value in (("hostname", spec.hostname), ("domainname", spec.domainname)):
        _require(len(value) <= 64 and "\0" not in value, f"{name} is longer than 64 bytes")
        _require(not value or spec.linux.namespace("uts") is not None, f"{name} needs a uts namespace")
    if spec.process is not None:
        validate_process(spec.process)
    for mount in spec.mounts:
        _require(mount.destination != "", "a mount without destination")
        _require_text(mount.destination, mount.source, mount.type, *mount.options)
    for hook in _all_hooks(spec.hooks):
        _require(hook.path.startswith("/"), f"hook {hook.path!r}: the path must be absolute")
        _require(hook.timeout is None or hook.timeout > 0, f"hook {hook.path!r}: the timeout must be more than 0")
    _validate_linux(spec.linux)


def validate_process(process: Process) -> None:
    """Raises :class:`InvalidSpec` when a process cannot be what it says."""
    _require(process.cwd.startswith("/"), f"process.cwd {process.cwd!r} is not absolute")
    _require(bool(process.args) and process.args[0] != "", "process.args is empty: no command specified")
    _require_text(process.cwd, *process.args, *process.env)
    user = process.user
    for number in (user.uid, user.gid, *user.additional_gids):
        _require(0 <= number <= MAX_ID, f"uids and gids must be in range 0-{MAX_ID}")
    _require(user.umask is None or 0 <= user.umask <= 0o777, "process.user.umask is more than 0777")
    _require_unique("process.rlimits", (limit.type for limit in process.rlimits))
    for limit in process.rlimits:
        _require(limit.type.startswith("RLIMIT_"), f"process.rlimits: {limit.type!r} is no limit")
        _require(0 <= limit.soft < 2**64 and 0 <= limit.hard < 2**64, f"{limit.type} is out of range")
        _require(limit.soft <= limit.hard, f"{limit.type}: soft limit {limit.soft} is over the hard limit {limit.hard}")
    score = process.oom_score_adj
    _require(score is None or -1000 <= score <= 1000, f"process.oomScoreAdj {score} is not in range -1000 to 1000")


def _validate_linux(linux: Linux) -> None:
    _require_unique("linux.namespaces", (namespace.type for namespace in linux.namespaces))
    for namespace in linux.namespaces:
        _require(namespace.type in NAMESPACE_TYPES, f"linux.namespaces: unknown type {namespace.type!r}")
        _require(
            namespace.path == "" or namespace.path.startswith("/"), f"namespace path {namespace.path!r}: not absolute"
        )
    _require(
        linux.rootfs_propagation in ("", *PROPAGATIONS),
        f"linux.rootfsPropagation {linux.rootfs_propagation!r} is unknown",
    )
    user = linux.namespace("user")
    has_mappings = bool(linux.uid_mappings or linux.gid_mappings)
    _require(not has_mappings or user is not None, "linux.uidMappings need a user namespace")
    for device in linux.devices:
        _require(device.type in ("c", "b", "u", "p"), f"device {device.path!r}: unknown type {device.type!r}")
        _require(device.path.startswith("/"), f"device {device.path!r}: the path must be absolute")
    for path in (*linux.masked_paths, *linux.readonly_paths):
        _require(path.startswith("/"), f"masked or read-only path {path!r} is not absolute")
    for key in linux.sysctl:
        _validate_sysctl(key.replace("/", "."), linux)


IPC_SYSCTLS = {
    *("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax"),
    *("kernel.shmmni", "kernel.shm_rmid_forced"),
}


def _validate_sysctl(key: str, linux: Linux) -> None:
    """Only what exists once per namespace, and only in a namespace of one's own: the others are the host's."""
    _require("" not in key.split("."), f"sysctl {key!r} is no name")
    _require(key not in ("kernel.hostname", "kernel.domainname"), f"sysctl {key}: use hostname and domainname")
    kind = "network" if key.startswith("net.") else "ipc" if key in IPC_SYSCTLS or key.startswith("fs.mqueue.") else ""
    _require(kind != "", f"sysctl {key} is not in a separate kernel namespace")
    _require(linux.namespace(kind) is not None, f"sysctl {key} needs a {kind} namespace")


def _all_hooks(hooks: Hooks) -> Iterable[Hook]:
    for kind in hooks.__struct_fields__:
        yield from getattr(hooks, kind)


def _require_text(*values: str) -> None:
    """A NUL byte ends a string in the kernel's eyes: what follows it would be silently lost."""
    for value in values:
        _require("\0" not in value, f"{value!r} contains a NUL byte")


def _require_unique(where: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        _require(name not in seen, f"{where}: {name!r} is there twice")
        seen.add(name)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidSpec(message)
