"""``--publish`` and ``--expose``: ports as people write them, and as the API wants them (Docker's ``nat`` package)."""

from __future__ import annotations

import re
from typing import Any

from minidock.errors import InvalidInput

_PROTOCOLS = ("tcp", "udp", "sctp")


def requested(published: list[str], exposed: list[str]) -> tuple[dict[str, Any], dict[str, list[dict[str, str]]]]:
    """``ExposedPorts`` and ``PortBindings``. Raises InvalidInput."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for text in published:
        for port, binding in parse_publish(_short(text) if "=" in text else text):
            bindings.setdefault(port, []).append(binding)
    ports: dict[str, Any] = {port: {} for port in bindings}
    for text in exposed:
        ports |= {port: {} for port in _exposed(text)}
    return ports, bindings


def _short(text: str) -> str:
    """``target=80,published=8080,protocol=udp`` as ``8080:80/udp``."""
    fields = {"protocol": "tcp"}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise InvalidInput(f"invalid publish opts format (should be name=value but got '{part}')")
        fields[name] = value
    return f"{fields.get('published', '')}:{fields.get('target', '')}/{fields['protocol']}"


def parse_publish(text: str) -> list[tuple[str, dict[str, str]]]:
    """``127.0.0.1:8000-8001:80-81/udp``: each of the container's ports, and where on the host it shall be."""
    rest, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    head, _, inside = rest.rpartition(":")
    address, _, outside = head.rpartition(":")
    address = _address(address)
    if not inside:
        raise InvalidInput(f"no port specified: {text}<empty>")
    if not (first := _range(inside)):
        raise InvalidInput(f"invalid containerPort: {inside}")
    last = _range(outside)
    if outside and not last:
        raise InvalidInput(f"invalid hostPort: {outside}")
    # Of one port in the container, any of a range on the host will do: Docker takes the first that is free.
    if outside and len(first) != len(last) and len(first) != 1:
        raise InvalidInput(f"invalid ranges specified for container and host Ports: {inside} and {outside}")
    if protocol not in _PROTOCOLS:
        raise InvalidInput(f"invalid proto: {protocol}")
    hosts = [outside] if len(first) == 1 and len(last) > 1 else [str(port) for port in last] or [""] * len(first)
    return [
        (f"{port}/{protocol}", {"HostIp": address, "HostPort": host}) for port, host in zip(first, hosts, strict=True)
    ]


def _address(text: str) -> str:
    if not text:
        return ""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        import ipaddress  # slow to import, and hardly ever needed

        ipaddress.ip_address(bare)
    except ValueError:
        raise InvalidInput(f"invalid IP address: {text}") from None
    return bare


def _range(text: str) -> range:
    """``80`` or ``80-90``; an empty range when it is neither."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text, re.ASCII)
    if match is None or int(match[1]) > int(match[2] or match[1]) or int(match[2] or match[1]) > 65535:
        return range(0)
    return range(int(match[1]), int(match[2] or match[1]) + 1)


def _number_error(text: str) -> str:
    return f'strconv.ParseUint: parsing "{text}": invalid syntax'


def _exposed(text: str) -> list[str]:
    if ":" in text:
        raise InvalidInput(f"invalid port format for --expose: {text}")
    number, _, protocol = text.partition("/")
    if not (ports := _range(number)):
        raise InvalidInput(f"invalid range format for --expose: {text}, error: {_number_error(number)}")
    if (protocol or "tcp").lower() not in _PROTOCOLS:
        raise InvalidInput(f"invalid proto: {protocol}")
    return [f"{port}/{(protocol or 'tcp').lower()}" for port in ports]
