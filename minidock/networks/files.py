"""The three files that tell a container its names: hosts, hostname and resolv.conf.

They are written on the host and bound into the container. Sources: hosts(5), hostname(5), resolv.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import AddressValueError, IPv4Address, ip_address
from pathlib import Path

from minidock.errors import InvalidInput

HOST_RESOLV_CONF = Path("/etc/resolv.conf")
UPLINK_RESOLV_CONF = Path("/run/systemd/resolve/resolv.conf")
"""Where systemd-resolved, which itself answers on 127.0.0.53, writes the servers that it asks."""

FALLBACK_SERVERS = ("8.8.8.8", "8.8.4.4")
"""What Docker gives a container when the host only knows name servers on its own loopback address."""

_LOCAL = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hosts(
    name: str,
    domain: str,
    addresses: Iterable[str],
    extra: Iterable[tuple[Sequence[str], str]] = (),
    local: str | None = None,
) -> str:
    """``/etc/hosts``: the ``local`` names, then ``extra`` (names, address), then the container's own.

    Raises ``InvalidInput`` for a name or address that is none: a newline in one would be a line of its own.
    """
    lines = [f"{_address(where)}\t{' '.join(map(_name, names))}\n" for names, where in extra]
    full = f"{_name(f'{name}.{domain}')} " if domain else ""
    lines += [f"{_address(address)}\t{full}{_name(name)}\n" for address in addresses]
    return (_LOCAL if local is None else local) + "".join(lines)


def hostname(name: str) -> str:
    """``/etc/hostname``. Raises ``InvalidInput``."""
    return _name(name) + "\n"


def resolv_conf(
    servers: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
    isolated: bool = True,
    host: str | None = None,
) -> str:
    """``/etc/resolv.conf``: what was asked for, and for the rest what the host's says (its text may be given).

    ``isolated`` says that the container has a network of its own. Then the host's name servers on its loopback address
    are of no use there, and neither are those of IPv6, which the default network does not have. A search list of ``.``
    is none. Raises ``InvalidInput``.
    """
    words = [line.split() for line in (_host_text(isolated) if host is None else host).split("\n")]
    if not servers:
        servers = [line[1] for line in words if line[:1] == ["nameserver"] and len(line) > 1]
        if isolated:
            servers = [server for server in servers if _reachable(server)] or list(FALLBACK_SERVERS)
    if not search:
        # The last line of each kind counts; domain is an old word for a search list of one.
        search = next((line[1:] for line in reversed(words) if line[:1] in (["search"], ["domain"])), [])
    if not options:
        options = [option for line in words if line[:1] == ["options"] for option in line[1:]]
    lines = [f"nameserver {_address(server)}" for server in servers]
    if search and list(search) != ["."]:
        lines.append("search " + " ".join(_name(domain) for domain in search))
    if options:
        lines.append("options " + " ".join(_option(option) for option in options))
    return "".join(line + "\n" for line in lines)


def host_servers() -> list[str]:
    """The name servers that the host itself asks; those on its own loopback address too."""
    words = [line.split() for line in _host_text(isolated=False).split("\n")]
    return [line[1] for line in words if line[:1] == ["nameserver"] and len(line) > 1]


def _host_text(isolated: bool) -> str:
    if not HOST_RESOLV_CONF.exists():
        return ""
    text = HOST_RESOLV_CONF.read_text()
    if isolated and "nameserver 127.0.0.53" in text and UPLINK_RESOLV_CONF.exists():
        return UPLINK_RESOLV_CONF.read_text()
    return text


def _reachable(server: str) -> bool:
    try:
        return not IPv4Address(server).is_loopback
    except AddressValueError:
        return False


def _address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        raise InvalidInput(f"invalid IP address: {text!r}") from None
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        raise InvalidInput(f"invalid host or domain name: {text!r}")
    return text


def _option(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]+", text):
        raise InvalidInput(f"invalid option of resolv.conf: {text!r}")
    return text
