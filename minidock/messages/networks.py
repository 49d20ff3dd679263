"""What the API says of networks."""

from __future__ import annotations

from msgspec import field

from minidock.messages.document import NEVER, Message


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
