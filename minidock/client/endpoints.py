"""``--network`` and its kin: which networks a new container joins, and as what (Engine API, EndpointSettings)."""

from __future__ import annotations

import re
from typing import Any

from minidock.client.flags import Flags, integer, split_commas
from minidock.errors import InvalidInput

_BUILT_IN = ("", "default", "bridge", "host", "none")


def network(text: str) -> dict[str, Any]:
    """``name`` or ``name=…,alias=…,ip=…``: the network's name as ``Target``, and settings. Raises InvalidInput."""
    if not re.search(r"\w+=\w+(,\w+=\w+)*", text):
        return {"Target": text}
    wanted: dict[str, Any] = {"Target": ""}
    for field in split_commas(text):
        name, equals, value = (part.strip() for part in field.lower().partition("="))
        if not equals or not name:
            raise InvalidInput(f"invalid field {field}")
        _set(wanted, name, value)
    if not wanted["Target"]:
        raise InvalidInput("network name/id is not specified")
    return wanted


def _set(wanted: dict[str, Any], name: str, value: str) -> None:
    if name in ("name", "ip", "ip6", "mac-address"):
        wanted[{"name": "Target", "mac-address": "MacAddress"}.get(name, name)] = value
    elif name in ("alias", "link-local-ip"):
        wanted.setdefault("Aliases" if name == "alias" else name, []).append(value)
    elif name == "driver-opt":
        key, equals, option = value.partition("=")
        if not equals or not key:
            raise InvalidInput("invalid key value pair format in driver options")
        wanted.setdefault("DriverOpts", {})[key.strip()] = option.strip()
    elif name == "gw-priority":
        wanted["GwPriority"] = integer(value)
    else:
        raise InvalidInput(f"invalid field key {name}")


def settings(flags: Flags) -> dict[str, dict[str, Any]]:
    """``EndpointsConfig``: the first network also gets what the flags of one network say. Raises InvalidInput."""
    networks = flags["network"] or [{"Target": "default"}]
    found: dict[str, dict[str, Any]] = {}
    kinds = set()
    for index, wanted in enumerate(networks):
        name = wanted["Target"]
        kinds.add(is_users_own(name))
        endpoint = _endpoint(_with_flags(wanted, flags) if index == 0 else wanted)
        if name in found:
            raise InvalidInput(f'network "{name}" is specified multiple times')
        if endpoint or len(networks) > 1:
            found[name] = endpoint
    if len(kinds) > 1:
        raise InvalidInput("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    return found


def is_users_own(name: str) -> bool:
    """Whether it is a network that somebody has made, and not one of Docker's own or another container's."""
    return name not in _BUILT_IN and not name.startswith("container:")


def _with_flags(wanted: dict[str, Any], flags: Flags) -> dict[str, Any]:
    result = dict(wanted)
    for flag, name, here, there in (
        ("network-alias", "Aliases", "--network-alias", "alias"),
        ("link", "Links", "--link", "links"),
        ("ip", "ip", "--ip", "IPv4 address"),
        ("ip6", "ip6", "--ip6", "IPv6 address"),
        ("mac-address", "MacAddress", "--mac-address", "MAC address"),
        ("link-local-ip", "link-local-ip", "--link-local-ip", "link-local IP addresses"),
    ):
        if not flags[flag]:
            continue
        if name in wanted:
            raise InvalidInput(f"conflicting options: cannot specify both {here} and per-network {there}")
        # On Docker's own bridge, --link is another thing: HostConfig.Links.
        if flag != "link" or is_users_own(wanted["Target"]):
            result[name] = flags[flag]
    return result


def _endpoint(wanted: dict[str, Any]) -> dict[str, Any]:
    if not wanted["Target"].strip():
        raise InvalidInput("no name set for network")
    if not is_users_own(wanted["Target"]) and "Aliases" in wanted:
        raise InvalidInput("network-scoped aliases are only supported for user-defined networks")
    names = (("ip", "IPv4Address"), ("ip6", "IPv6Address"), ("link-local-ip", "LinkLocalIPs"))
    addresses = {field: wanted[name] for name, field in names if wanted.get(name)}
    same = ("Aliases", "DriverOpts", "GwPriority", "Links", "MacAddress")
    return {name: wanted[name] for name in same if wanted.get(name)} | ({"IPAMConfig": addresses} if addresses else {})


def mac_address(text: str) -> str:
    """An Ethernet address. Raises InvalidInput."""
    if text and not re.fullmatch(
        r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}|([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}", text.strip()
    ):
        raise InvalidInput(f"{text} is not a valid mac address")
    return text.strip()
