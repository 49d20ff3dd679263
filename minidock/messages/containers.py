"""What the API says of containers: asked for, listed, inspected."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import field

from minidock.messages.document import NEVER, Message


class HealthConfig(Message, omit_defaults=True):
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

    name: str = ""
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


class WeightDevice(Message):
    """A block device's share, 10 to 1000."""

    path: str = ""
    weight: int = 0


class ThrottleDevice(Message):
    """A block device's limit, in bytes or operations a second."""

    path: str = ""
    rate: int = 0


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


class DriverConfig(Message):
    """Who makes a volume, and how."""

    name: str = ""
    options: dict[str, str] = {}


class VolumeOptions(Message):
    """Options of a volume; ``subpath`` is the directory in it that is mounted."""

    no_copy: bool = False
    labels: dict[str, str] = {}
    driver_config: DriverConfig | None = None
    subpath: str = ""


class Mount(Message):
    """One ``--mount``."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
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
    blkio_weight_device: list[WeightDevice] | None = None
    blkio_device_read_bps: list[ThrottleDevice] | None = None
    blkio_device_write_bps: list[ThrottleDevice] | None = None
    blkio_device_read_iops: list[ThrottleDevice] | None = field(default=None, name="BlkioDeviceReadIOps")
    blkio_device_write_iops: list[ThrottleDevice] | None = field(default=None, name="BlkioDeviceWriteIOps")
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


class EndpointIpam(Message, omit_defaults=True):
    """Addresses that the user wants, instead of the first free ones."""

    ipv4_address: str = field(default="", name="IPv4Address")
    ipv6_address: str = field(default="", name="IPv6Address")
    link_local_ips: list[str] | None = field(default=None, name="LinkLocalIPs")


class EndpointSettings(Message):
    """A container's place in one network."""

    ipam_config: EndpointIpam | None = field(default=None, name="IPAMConfig")
    links: list[str] | None = None
    aliases: list[str] | None = None
    mac_address: str = ""
    driver_opts: dict[str, str] | None = None
    gw_priority: int = 0
    """Of several networks, the one with the highest has the way out."""
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


class ContainerUpdated(Message):
    """``POST /containers/ID/update``; what is asked is a part of the :class:`HostConfig`."""

    warnings: list[str] | None = None


class Port(Message, omit_defaults=True, kw_only=True):
    """A port, as ``ps`` shows it."""

    ip: str = field(default="", name="IP")
    private_port: int
    public_port: int = 0
    type: str = field(name="Type")


class MountPoint(Message):
    """A mount, as ``inspect`` shows it."""

    type: str = ""
    name: str | msgspec.UnsetType = msgspec.UNSET
    source: str = ""
    destination: str = ""
    driver: str | msgspec.UnsetType = msgspec.UNSET
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


class HealthResult(Message):
    """One probe. ``exit_code`` -1: it did not end by itself, and ``output`` says why."""

    start: str
    end: str
    exit_code: int
    output: str = ""


class Health(Message):
    """A container's health: starting, healthy or unhealthy."""

    status: str
    failing_streak: int = 0
    log: list[HealthResult] = []


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
    health: Health | msgspec.UnsetType = msgspec.UNSET


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
