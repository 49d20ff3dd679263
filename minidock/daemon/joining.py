"""What a container asks of networks: checked at create, joined at start.

``Record.networks`` holds what was asked for, by the network's name. Where the container really is,
with which addresses, :attr:`Engine.networks <minidock.daemon.engine.Engine>` knows.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from minidock.daemon import spec
from minidock.daemon.engine import Engine
from minidock.daemon.records import Record
from minidock.errors import InvalidInput, MinidockError, NoSuchNetwork
from minidock.messages import ContainerConfig, ContainerCreate, EndpointIpam, EndpointSettings, HostConfig
from minidock.networks import Network, Wish
from minidock.networks.addresses import check_mac
from minidock.networks.ports import parse_ask, parse_exposed

ENDPOINT_SYSCTLS = "com.docker.network.endpoint.sysctls"
_ALIAS = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


def asked(
    engine: Engine, request: ContainerCreate, config: ContainerConfig, host: HostConfig
) -> dict[str, EndpointSettings]:
    """The networks of a new container: that of ``--network`` first, then the others by name.

    A network need not exist before the start, as with Docker. Raises InvalidInput.
    """
    mode = host.network_mode
    check_mode(request, host)
    if request.mac_address:
        check_mac(request.mac_address)
    for text in config.exposed_ports or {}:
        parse_exposed(text)
    for port, bindings in (host.port_bindings or {}).items():
        for binding in bindings:
            parse_ask(port, binding.host_ip, binding.host_port)
    if mode in ("host", "none") or mode.startswith("container:"):
        others = set(request.networking_config.endpoints_config) - {mode}
        if others:
            raise InvalidInput(f"conflicting options: cannot attach both {mode} and other networks: {sorted(others)}")
        return {} if mode.startswith("container:") else {mode: EndpointSettings()}
    given = {_name(engine, key): value for key, value in request.networking_config.endpoints_config.items()}
    first = _name(engine, mode)
    settings = {first: given.pop(first, EndpointSettings())} | dict(sorted(given.items()))
    settings[first].mac_address = settings[first].mac_address or request.mac_address or ""
    for name, wanted in settings.items():
        network = _find(engine, name)
        if network is not None:
            check(network, wanted)
    return settings


def check_mode(request: ContainerCreate, host: HostConfig) -> None:
    """What makes no sense together; the words are Docker's. Raises InvalidInput."""
    mode = host.network_mode
    shares = mode.startswith("container:")
    if mode == "container:":
        raise InvalidInput("Invalid network mode: invalid container format container:<name|id>")
    undefined = "can't be used with links. This would result in undefined behavior"
    if mode == "host" and host.links:
        raise InvalidInput(f"conflicting options: host type networking {undefined}")
    for is_asked, what in (
        (request.hostname, "hostname and the network mode"),
        (host.links, f"container type network {undefined}"),
        (host.dns, "dns and the network mode"),
        (host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (request.mac_address, "mac-address and the network mode"),
        (host.port_bindings or host.publish_all_ports, "port publishing and the container type network mode"),
        (request.exposed_ports, "port exposing and the container type network mode"),
    ):
        if shares and is_asked:
            raise InvalidInput(f"conflicting options: {what}")


def shared_hostname(engine: Engine, host: HostConfig) -> str:
    """Who shares another's network has its name too; "" for everybody else, and when there is no such container yet."""
    if not host.network_mode.startswith("container:"):
        return ""
    try:
        return engine.container(host.network_mode.removeprefix("container:")).record.config.hostname
    except MinidockError:
        return ""


def _name(engine: Engine, key: str) -> str:
    """A network's name, of its name or id; ``default`` is the bridge."""
    network = _find(engine, "bridge" if key == "default" else key)
    return key if network is None else network.name


def _find(engine: Engine, name: str) -> Network | None:
    try:
        return engine.networks.get(name)
    except NoSuchNetwork:
        return None


def check(network: Network, settings: EndpointSettings) -> None:
    """May a container be in this network in this way? Raises InvalidInput in Docker's words."""
    ipam = settings.ipam_config or EndpointIpam()
    if settings.aliases and network.is_default:
        raise InvalidInput("network-scoped alias is supported only for containers in user defined networks")
    for alias in settings.aliases or []:
        if not _ALIAS.fullmatch(alias):
            raise InvalidInput(f"invalid alias: {alias!r}")
    for kind, text in ((IPv4Address, ipam.ipv4_address), (IPv6Address, ipam.ipv6_address)):
        if text:
            _check_address(network, kind, text)
    if ipam.link_local_ips:
        raise InvalidInput("link-local addresses cannot be chosen: the kernel does that")
    if settings.mac_address:
        check_mac(settings.mac_address)
    _sysctls(settings)


def _check_address(network: Network, kind: type[IPv4Address | IPv6Address], text: str) -> None:
    try:
        address = kind(text)
    except ValueError:
        raise InvalidInput(f"invalid {kind.__name__.removesuffix('Address')} address: {text}") from None
    if network.is_default:
        raise InvalidInput("user specified IP address is supported on user defined networks only")
    pool = network.pool(address.version)
    if not network.user_pools or pool is None:
        raise InvalidInput(
            "user specified IP address is supported only when connecting to networks with user configured subnets"
        )
    if address not in pool.subnet:
        raise InvalidInput(f"Invalid address {address}: It does not belong to any of this network's subnets")


def wishes(engine: Engine, record: Record) -> list[Wish]:
    """The networks that a container joins at its start, for :meth:`Networks.connect
    <minidock.networks.Networks.connect>`. Raises NoSuchNetwork."""
    found = []
    for name, settings in record.networks.items():
        network = engine.networks.get(name)
        no_bridge = network.is_default and not network.bridge  # the daemon runs with --bridge none
        if name not in ("host", "none") and not no_bridge:
            found.append(wish(network, settings))
    _add_sysctls(found, record.host)
    return found


def _add_sysctls(wishes: list[Wish], host: HostConfig) -> None:
    """Those of ``--sysctl`` that name an interface: the first network's is eth0, and so on. Raises InvalidInput."""
    for key, value in (host.sysctls or {}).items():
        parts = spec.OF_AN_INTERFACE.fullmatch(key)
        if parts is None:
            continue
        interfaces = {f"eth{number}": wish for number, wish in enumerate(wishes)}
        if parts[2] not in interfaces:
            raise InvalidInput(f"sysctl '{key}': the container has no interface {parts[2]}")
        interfaces[parts[2]].sysctls[f"{parts[1]}IFNAME{parts[3]}"] = value


def _sysctls(settings: EndpointSettings) -> dict[str, str]:
    """``driver-opt=com.docker.network.endpoint.sysctls=KEY=VALUE,…``, as Docker has it. Raises InvalidInput."""
    found = {}
    for setting in filter(None, (settings.driver_opts or {}).get(ENDPOINT_SYSCTLS, "").split(",")):
        key, equals, value = setting.partition("=")
        # Docker's command line sends it all in lower case.
        parts = spec.OF_AN_INTERFACE.fullmatch(key.replace("ifname", "IFNAME"))
        if not equals or parts is None or parts[2] != "IFNAME":
            raise InvalidInput(f"invalid endpoint sysctl {setting!r}: write net.ipv4.conf.IFNAME.NAME=VALUE")
        found[parts[0]] = value
    return found


def wish(network: Network, settings: EndpointSettings) -> Wish:
    """One of them."""
    ipam = settings.ipam_config or EndpointIpam()
    mac = check_mac(settings.mac_address) if settings.mac_address else ""
    return Wish(
        network=network,
        ipv4=ipam.ipv4_address,
        ipv6=ipam.ipv6_address,
        mac=mac,
        priority=settings.gw_priority,
        sysctls=_sysctls(settings),
    )


def is_free(record: Record) -> bool:
    """Who may change its own addresses (keepalived, a VPN) is not held to those that it was given."""
    return "CAP_NET_ADMIN" in spec.capabilities(record.host)


def tell(engine: Engine, network: Network, action: str, **attributes: str) -> None:
    """An event about a network."""
    engine.events.publish("network", action, network.id, name=network.name, type=network.driver, **attributes)
