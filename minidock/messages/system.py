"""What the API says of the daemon itself, and its events."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import field

from minidock.messages.document import API_VERSION, MINIMUM_API_VERSION, Message


class Component(Message):
    """One part of the engine and its version."""

    name: str
    version: str
    details: dict[str, str] = {}


class Product(Message):
    """What the engine calls itself."""

    name: str = ""


class Version(Message):
    """``GET /version``."""

    platform: Product = field(default_factory=Product)
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
