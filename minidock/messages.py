"""The documents of Docker's Engine API 1.44, as the daemon and the client both write and read them.

Source: https://docs.docker.com/reference/api/engine/version/v1.44/

Field names are Python's; on the wire they are Docker's (``host_config`` is ``HostConfig``; where Docker's spelling does
not follow that rule the field says so). Unknown fields are ignored, so a newer client may say more than we know.

Go's encoder writes ``null`` for every empty list, map and pointer. Here an absent value has one form, the field's
default, so :func:`decode` drops nulls before it looks at types. Times are RFC 3339 text, sizes are bytes, durations are
nanoseconds unless a field says otherwise.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from minidock.errors import InvalidInput

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time: what Docker writes where nothing has happened yet."""

API_VERSION = "1.44"
MINIMUM_API_VERSION = "1.24"

DEFAULT_HOST = "unix:///run/minidock.sock"
"""Where the daemon listens, and the client looks, unless told otherwise."""

T = TypeVar("T")


class Message(Struct, rename="pascal", kw_only=True):
    """The base of all documents: CamelCase on the wire."""


def decode(data: bytes | str, kind: type[T]) -> T:
    """Read one JSON document.

    Raises InvalidInput, naming the field that is wrong.
    """
    try:
        return msgspec.convert(_without_nulls(msgspec.json.decode(data)), kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"invalid JSON: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"invalid JSON: {error}") from None


def encode(message: object) -> bytes:
    """One JSON document, without a line end."""
    return msgspec.json.encode(message)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value if inner is not None]
    return value


# ---------------------------------------------------------------------------------------------------------- errors


class Error(Message, rename=None):
    """What every failed request answers."""

    message: str


# ------------------------------------------------------------------------------------------------------ containers


class HealthConfig(Message):
    """A health check: how to test, and how often (nanoseconds)."""

    test: list[str] = []
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0
    start_interval: int = 0


class ContainerConfig(Message):
    """What is the same on every machine: the program and its surroundings. An image's ``config`` has this shape too."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, dict[str, Any]] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] | None = None
    cmd: list[str] | str | None = None
    """Text instead of a list: old clients; Docker takes it as a list of one."""
    healthcheck: HealthConfig | None = None
    args_escaped: bool | None = None
    image: str = ""
    volumes: dict[str, dict[str, Any]] | None = None
    working_dir: str = ""
    entrypoint: list[str] | str | None = None
    """``[]`` or ``[""]`` drops the image's entrypoint; absent keeps it."""
    network_disabled: bool | None = None
    mac_address: str | None = None
    on_build: list[str] | None = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None
    stop_timeout: int | None = None
    """Seconds."""
    shell: list[str] | None = None


class LogConfig(Message):
    """Where a container's output goes."""

    type: str = ""
    config: dict[str, str] = {}


class RestartPolicy(Message):
    """What happens when the program ends."""

    name: str = "no"
    maximum_retry_count: int = 0


class PortBinding(Message):
    """A port of the host."""

    host_ip: str = ""
    host_port: str = ""


class DeviceMapping(Message):
    """A device of the host, inside."""

    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class Ulimit(Message):
    """A resource limit (setrlimit(2)); -1 is unlimited."""

    name: str = ""
    soft: int = 0
    hard: int = 0


class BindOptions(Message):
    """Options of a bind mount."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class TmpfsOptions(Message):
    """Options of a tmpfs: bytes, and a mode as a number."""

    size_bytes: int = 0
    mode: int = 0


class Mount(Message):
    """One ``--mount``."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: dict[str, Any] | None = None
    tmpfs_options: TmpfsOptions | None = None


class HostConfig(Message):
    """What depends on this machine: limits, mounts, rights, namespaces."""

    binds: list[str] | None = None
    container_id_file: str = field(default="", name="ContainerIDFile")
    log_config: LogConfig = field(default_factory=LogConfig)
    network_mode: str = ""
    port_bindings: dict[str, list[PortBinding]] | None = None
    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: list[str] | None = None
    console_size: list[int] = field(default_factory=lambda: [0, 0])
    """Height, width."""
    annotations: dict[str, str] | None = None
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    cgroupns_mode: str = ""
    dns: list[str] | None = None
    dns_options: list[str] | None = None
    dns_search: list[str] | None = None
    extra_hosts: list[str] | None = None
    group_add: list[str] | None = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: list[str] | None = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] | None = None
    storage_opt: dict[str, str] | None = None
    tmpfs: dict[str, str] | None = None
    uts_mode: str = field(default="", name="UTSMode")
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: dict[str, str] | None = None
    runtime: str = ""
    isolation: str = ""
    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: list[dict[str, Any]] | None = None
    blkio_device_read_bps: list[dict[str, Any]] | None = None
    blkio_device_write_bps: list[dict[str, Any]] | None = None
    blkio_device_read_iops: list[dict[str, Any]] | None = field(default=None, name="BlkioDeviceReadIOps")
    blkio_device_write_iops: list[dict[str, Any]] | None = field(default=None, name="BlkioDeviceWriteIOps")
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] | None = None
    device_cgroup_rules: list[str] | None = None
    device_requests: list[dict[str, Any]] | None = None
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: list[Ulimit] | None = None
    mounts: list[Mount] | None = None
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    init: bool | None = None


class EndpointSettings(Message):
    """A container's place in one network."""

    ipam_config: dict[str, Any] | None = field(default=None, name="IPAMConfig")
    links: list[str] | None = None
    aliases: list[str] | None = None
    mac_address: str = ""
    driver_opts: dict[str, str] | None = None
    network_id: str = field(default="", name="NetworkID")
    endpoint_id: str = field(default="", name="EndpointID")
    gateway: str = ""
    ip_address: str = field(default="", name="IPAddress")
    ip_prefix_len: int = field(default=0, name="IPPrefixLen")
    ipv6_gateway: str = field(default="", name="IPv6Gateway")
    global_ipv6_address: str = field(default="", name="GlobalIPv6Address")
    global_ipv6_prefix_len: int = field(default=0, name="GlobalIPv6PrefixLen")
    dns_names: list[str] | None = field(default=None, name="DNSNames")


class NetworkingConfig(Message):
    """The networks that a new container joins."""

    endpoints_config: dict[str, EndpointSettings] = {}


class ContainerCreate(ContainerConfig):
    """``POST /containers/create``."""

    host_config: HostConfig = field(default_factory=HostConfig)
    networking_config: NetworkingConfig = field(default_factory=NetworkingConfig)


class ContainerCreated(Message):
    """Its answer."""

    id: str
    warnings: list[str] = []


class Port(Message, omit_defaults=True, kw_only=True):
    """A port, as ``ps`` shows it."""

    ip: str = field(default="", name="IP")
    private_port: int
    public_port: int = 0
    type: str = field(name="Type")


class MountPoint(Message):
    """A mount, as ``inspect`` shows it."""

    type: str = ""
    name: str = ""
    source: str = ""
    destination: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = field(default=True, name="RW")
    propagation: str = ""


class SummaryHostConfig(Message):
    """The part of the HostConfig that a list shows."""

    network_mode: str = ""
    annotations: dict[str, str] | None = None


class NetworksOnly(Message):
    """The part of the network settings that a list shows."""

    networks: dict[str, EndpointSettings] = {}


class ContainerSummary(Message, kw_only=True):
    """One line of ``GET /containers/json``."""

    id: str
    names: list[str]
    image: str
    image_id: str = field(name="ImageID")
    command: str
    created: int
    """Seconds since 1970."""
    ports: list[Port] = []
    size_rw: int | msgspec.UnsetType = msgspec.UNSET
    size_root_fs: int | msgspec.UnsetType = msgspec.UNSET
    labels: dict[str, str] = {}
    state: str
    status: str
    """For people: ``Up 3 seconds``."""
    host_config: SummaryHostConfig = field(default_factory=SummaryHostConfig)
    network_settings: NetworksOnly = field(default_factory=NetworksOnly)
    mounts: list[MountPoint] = []


class ContainerState(Message):
    """created, running, paused, restarting, removing, exited, dead."""

    status: str
    running: bool = False
    paused: bool = False
    restarting: bool = False
    oom_killed: bool = field(default=False, name="OOMKilled")
    dead: bool = False
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    started_at: str = NEVER
    finished_at: str = NEVER


class GraphDriver(Message):
    """Where the layers are."""

    data: dict[str, str] | None = None
    name: str = "overlay2"


class NetworkSettings(Message):
    """Addresses; the flat fields are those of the default bridge."""

    bridge: str = ""
    sandbox_id: str = field(default="", name="SandboxID")
    sandbox_key: str = ""
    ports: dict[str, list[PortBinding] | None] = {}
    hairpin_mode: bool = False
    link_local_ipv6_address: str = field(default="", name="LinkLocalIPv6Address")
    link_local_ipv6_prefix_len: int = field(default=0, name="LinkLocalIPv6PrefixLen")
    secondary_ip_addresses: list[str] | None = field(default=None, name="SecondaryIPAddresses")
    secondary_ipv6_addresses: list[str] | None = field(default=None, name="SecondaryIPv6Addresses")
    endpoint_id: str = field(default="", name="EndpointID")
    gateway: str = ""
    global_ipv6_address: str = field(default="", name="GlobalIPv6Address")
    global_ipv6_prefix_len: int = field(default=0, name="GlobalIPv6PrefixLen")
    ip_address: str = field(default="", name="IPAddress")
    ip_prefix_len: int = field(default=0, name="IPPrefixLen")
    ipv6_gateway: str = field(default="", name="IPv6Gateway")
    mac_address: str = ""
    networks: dict[str, EndpointSettings] = {}


class ContainerInspect(Message, kw_only=True):
    """``GET /containers/ID/json``."""

    id: str
    created: str
    path: str
    args: list[str]
    state: ContainerState
    image: str
    """The image's id, ``sha256:…``; the name that was asked for is ``config.image``."""
    resolv_conf_path: str = ""
    hostname_path: str = ""
    hosts_path: str = ""
    log_path: str = ""
    name: str
    """With a leading slash."""
    restart_count: int = 0
    driver: str = "overlay2"
    platform: str = "linux"
    mount_label: str = ""
    process_label: str = ""
    app_armor_profile: str = ""
    exec_ids: list[str] | None = field(default=None, name="ExecIDs")
    host_config: HostConfig
    graph_driver: GraphDriver = field(default_factory=GraphDriver)
    size_rw: int | msgspec.UnsetType = msgspec.UNSET
    size_root_fs: int | msgspec.UnsetType = msgspec.UNSET
    mounts: list[MountPoint] = []
    config: ContainerConfig
    network_settings: NetworkSettings = field(default_factory=NetworkSettings)


class WaitError(Message):
    """Why waiting itself failed."""

    message: str = ""


class WaitAnswer(Message):
    """``POST /containers/ID/wait``."""

    status_code: int
    error: WaitError | msgspec.UnsetType = msgspec.UNSET


class Top(Message):
    """``GET /containers/ID/top``."""

    titles: list[str]
    processes: list[list[str]]


# ------------------------------------------------------------------------------------------------------------ exec


class ExecCreate(Message):
    """``POST /containers/ID/exec``."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: list[int] = []
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach: bool = False
    detach_keys: str = ""
    env: list[str] = []
    working_dir: str = ""
    cmd: list[str] = []


class ExecCreated(Message):
    """Its answer."""

    id: str


class ExecStart(Message):
    """``POST /exec/ID/start``."""

    detach: bool = False
    tty: bool = False
    console_size: list[int] = []


class ExecProcess(Message, rename="camel"):
    """The program of an exec, as inspect shows it."""

    arguments: list[str] = []
    entrypoint: str = ""
    privileged: bool = False
    tty: bool = False
    user: str = ""


class ExecInspect(Message):
    """``GET /exec/ID/json``."""

    id: str = field(name="ID")
    running: bool = False
    exit_code: int | None = None
    process_config: ExecProcess = field(default_factory=ExecProcess)
    open_stdin: bool = False
    open_stderr: bool = False
    open_stdout: bool = False
    can_remove: bool = False
    container_id: str = field(default="", name="ContainerID")
    detach_keys: str = ""
    pid: int = 0


# ---------------------------------------------------------------------------------------------------------- images


class ImageSummary(Message):
    """One line of ``GET /images/json``."""

    id: str
    parent_id: str = ""
    repo_tags: list[str] = []
    repo_digests: list[str] = []
    created: int = 0
    size: int = 0
    shared_size: int = -1
    virtual_size: int = 0
    labels: dict[str, str] | None = None
    containers: int = -1


class RootFS(Message):
    """An image's layers, lowest first."""

    type: str = "layers"
    layers: list[str] = []


class ImageMetadata(Message):
    """What this engine remembers of an image beside its content."""

    last_tag_time: str = NEVER


class ImageInspect(Message):
    """``GET /images/NAME/json``."""

    id: str
    repo_tags: list[str] = []
    repo_digests: list[str] = []
    parent: str = ""
    comment: str = ""
    created: str = NEVER
    docker_version: str = ""
    author: str = ""
    config: ContainerConfig = field(default_factory=ContainerConfig)
    architecture: str = ""
    variant: str | msgspec.UnsetType = msgspec.UNSET
    os: str = "linux"
    size: int = 0
    virtual_size: int = 0
    graph_driver: GraphDriver = field(default_factory=GraphDriver)
    root_fs: RootFS = field(default_factory=RootFS, name="RootFS")
    metadata: ImageMetadata = field(default_factory=ImageMetadata)


class ImageDeleted(Message, omit_defaults=True):
    """One line of the answer to ``DELETE /images/NAME``: one of the two."""

    untagged: str = ""
    deleted: str = ""


class HistoryLine(Message):
    """One line of ``GET /images/NAME/history``."""

    id: str = "<missing>"
    created: int = 0
    created_by: str = ""
    tags: list[str] | None = None
    size: int = 0
    comment: str = ""


class ProgressDetail(Struct, omit_defaults=True, kw_only=True):
    """Bytes done, of how many."""

    current: int = 0
    total: int = 0


class ErrorDetail(Struct, omit_defaults=True, kw_only=True):
    """An error after the stream began."""

    code: int = 0
    message: str = ""


class Progress(Struct, omit_defaults=True, kw_only=True, rename="camel"):
    """One line of a stream of progress (Docker's JSONMessage)."""

    stream: str = ""
    status: str = ""
    progress_detail: ProgressDetail | None = None
    progress: str = ""
    id: str = ""
    error_detail: ErrorDetail | None = None
    error: str = ""
    aux: dict[str, Any] | None = None


# --------------------------------------------------------------------------------------------------------- networks


class IpamPool(Message, omit_defaults=True):
    """A subnet and its gateway."""

    subnet: str = ""
    ip_range: str = field(default="", name="IPRange")
    gateway: str = ""


class Ipam(Message):
    """How a network gives out addresses."""

    driver: str = "default"
    options: dict[str, str] | None = None
    config: list[IpamPool] = []


class NetworkContainer(Message):
    """A container in a network."""

    name: str = ""
    endpoint_id: str = field(default="", name="EndpointID")
    mac_address: str = ""
    ipv4_address: str = field(default="", name="IPv4Address")
    ipv6_address: str = field(default="", name="IPv6Address")


class Network(Message):
    """``GET /networks/ID``."""

    name: str
    id: str
    created: str = NEVER
    scope: str = "local"
    driver: str = ""
    enable_ipv6: bool = field(default=False, name="EnableIPv6")
    ipam: Ipam = field(default_factory=Ipam, name="IPAM")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    containers: dict[str, NetworkContainer] = {}
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


# ------------------------------------------------------------------------------------------------------------ system


class Component(Message):
    """One part of the engine and its version."""

    name: str
    version: str
    details: dict[str, str] = {}


class Platform(Message):
    """What the engine calls itself."""

    name: str = ""


class Version(Message):
    """``GET /version``."""

    platform: Platform = field(default_factory=Platform)
    components: list[Component] = []
    version: str = ""
    api_version: str = API_VERSION
    min_api_version: str = field(default=MINIMUM_API_VERSION, name="MinAPIVersion")
    git_commit: str = ""
    go_version: str = ""
    """Docker says ``go1.22``; we say which Python."""
    os: str = "linux"
    arch: str = ""
    kernel_version: str = ""
    build_time: str = ""


class Plugins(Message):
    """The drivers that there are."""

    volume: list[str] = []
    network: list[str] = []
    authorization: list[str] | None = None
    log: list[str] = []


class RegistryConfig(Message):
    """How registries are reached."""

    insecure_registry_cidrs: list[str] = field(default=[], name="InsecureRegistryCIDRs")
    index_configs: dict[str, dict[str, Any]] = {}
    mirrors: list[str] = []


class Runtime(Message, rename=None):
    """An OCI runtime."""

    path: str


class Info(Message):
    """``GET /info``."""

    id: str = field(default="", name="ID")
    containers: int = 0
    containers_running: int = 0
    containers_paused: int = 0
    containers_stopped: int = 0
    images: int = 0
    driver: str = "overlay2"
    driver_status: list[list[str]] = []
    docker_root_dir: str = ""
    plugins: Plugins = field(default_factory=Plugins)
    memory_limit: bool = False
    swap_limit: bool = False
    cpu_cfs_period: bool = False
    cpu_cfs_quota: bool = False
    cpu_shares: bool = field(default=False, name="CPUShares")
    cpu_set: bool = field(default=False, name="CPUSet")
    pids_limit: bool = False
    ipv4_forwarding: bool = field(default=False, name="IPv4Forwarding")
    bridge_nf_iptables: bool = False
    bridge_nf_ip6tables: bool = field(default=False, name="BridgeNfIp6tables")
    debug: bool = False
    n_fd: int = 0
    oom_kill_disable: bool = False
    n_goroutines: int = 0
    """Ours counts asyncio tasks."""
    system_time: str = ""
    logging_driver: str = "json-file"
    cgroup_driver: str = "cgroupfs"
    cgroup_version: str = ""
    n_events_listener: int = 0
    kernel_version: str = ""
    operating_system: str = ""
    os_version: str = field(default="", name="OSVersion")
    os_type: str = field(default="linux", name="OSType")
    architecture: str = ""
    ncpu: int = field(default=0, name="NCPU")
    mem_total: int = 0
    index_server_address: str = "https://index.docker.io/v1/"
    registry_config: RegistryConfig = field(default_factory=RegistryConfig)
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    name: str = ""
    labels: list[str] = []
    experimental_build: bool = False
    server_version: str = ""
    runtimes: dict[str, Runtime] = {}
    default_runtime: str = "minidock-runtime"
    swarm: dict[str, Any] = field(default_factory=lambda: {"LocalNodeState": "inactive"})
    live_restore_enabled: bool = False
    isolation: str = ""
    init_binary: str = ""
    security_options: list[str] = []
    warnings: list[str] | None = None
    """What this machine's kernel lacks, and how to get it."""


class Actor(Message):
    """What an event happened to."""

    id: str = field(name="ID")
    attributes: dict[str, str] = {}


class Event(Message, kw_only=True):
    """One line of ``GET /events``."""

    status: str | msgspec.UnsetType = field(default=msgspec.UNSET, name="status")
    id: str | msgspec.UnsetType = field(default=msgspec.UNSET, name="id")
    from_: str | msgspec.UnsetType = field(default=msgspec.UNSET, name="from")
    type: str
    action: str
    actor: Actor
    scope: str = field(default="local", name="scope")
    time: int = field(name="time")
    time_nano: int = field(name="timeNano")
