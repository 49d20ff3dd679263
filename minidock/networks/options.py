"""What ``network create --opt`` may say, as Docker names it; what nobody knows is kept and ignored, as there."""

from __future__ import annotations

from ipaddress import IPv4Address
from re import fullmatch

from minidock.errors import InvalidInput
from minidock.networks.store import Network

BRIDGE_NAME = "com.docker.network.bridge.name"
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
MTU = "com.docker.network.driver.mtu"

_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


def check(options: dict[str, str]) -> None:
    """Raises InvalidInput in Docker's words."""
    for name in (ICC, MASQUERADE):
        if name in options and options[name] not in (*_TRUE, *_FALSE):
            why = f'strconv.ParseBool: parsing "{options[name]}": invalid syntax'
            raise InvalidInput(f"failed to parse {name} value: {options[name]} ({why})")
    mtu = options.get(MTU, "0")
    if not fullmatch(r"-?[0-9]{1,9}", mtu):
        raise InvalidInput(f'failed to parse {MTU} value: {mtu} (strconv.Atoi: parsing "{mtu}": invalid syntax)')
    if int(mtu) and not 68 <= int(mtu) <= 65535:
        raise InvalidInput(f"invalid MTU number: {mtu}: IPv4 needs at least 68, and has at most 65535")
    if options.get(HOST_BINDING):
        try:
            IPv4Address(options[HOST_BINDING])
        except ValueError:
            raise InvalidInput(f"failed to parse {HOST_BINDING} value: {options[HOST_BINDING]}") from None
    if options.get(BRIDGE_NAME):
        check_link_name(options[BRIDGE_NAME])


def check_link_name(name: str) -> None:
    """It becomes a link, a path in /proc/sys and a word of a packet filter's script. Raises InvalidInput."""
    if not fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", name):
        raise InvalidInput(f"{name!r} is no name for a bridge: at most 15 letters, digits, '_', '.' or '-'")


def is_on(network: Network, name: str) -> bool:
    """A yes or no, which is yes unless the user said no."""
    return network.options.get(name) not in _FALSE


def mtu(network: Network) -> int | None:
    """Bytes; None is the kernel's choice."""
    return int(network.options.get(MTU, "0")) or None
