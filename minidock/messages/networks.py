"""What the API says of networks."""

from __future__ import annotations

from msgspec import field

from minidock.messages.containers import EndpointSettings
from minidock.messages.document import NEVER, Message


class IpamPool(Message, omit_defaults=True):
    """A subnet, the part of it that containers get, its gateway, and addresses that somebody else has (by name)."""

    subnet: str = ""
    ip_range: str = field(default="", name="IPRange")
    gateway: str = ""
    auxiliary_addresses: dict[str, str] = {}


class Ipam(Message):
    """How a network gives out addresses."""

    driver: str = "default"
    options: dict[str, str] | None = None
    config: list[IpamPool] | None = None


class NetworkCreate(Message):
    """``POST /networks/create``."""

    name: str = ""
    driver: str = ""
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    scope: str = ""
    enable_ipv4: bool | None = field(default=None, name="EnableIPv4")
    enable_ipv6: bool | None = field(default=None, name="EnableIPv6")
    ipam: Ipam | None = field(default=None, name="IPAM")
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class NetworkCreated(Message):
    """Its answer."""

    id: str
    warning: str = ""


class NetworkConnect(Message):
    """``POST /networks/ID/connect``."""

    container: str = ""
    endpoint_config: EndpointSettings | None = None


class NetworkDisconnect(Message):
    """``POST /networks/ID/disconnect``."""

    container: str = ""
    force: bool = False


class NetworksPruned(Message):
    """``POST /networks/prune``: the names of those that are gone."""

    networks_deleted: list[str] | None = None


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
    config_from: dict[str, str] = field(default_factory=lambda: {"Network": ""})
    config_only: bool = False
    containers: dict[str, NetworkContainer] = {}
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
