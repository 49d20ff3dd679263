"""Published ports: which port of the host leads to which of a container.

The way from one to the other is the packet filter's (``filter``). But a port that the kernel hands on is not taken in
the eyes of other programs, nor is it refused to us when another program has it. So each is also *reserved*: by a socket
that is bound to it, as long as the container runs. For TCP it listens, and ``relay`` answers where no rule can.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from pathlib import Path

import msgspec

from minidock.errors import InvalidInput, MinidockError
from minidock.messages import PortBinding
from minidock.networks.filter import Element
from minidock.networks.store import Endpoint, Publication

_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, 132),
}
_TRIES = 20


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants published: of the host's ports one from ``first`` to ``last``; 0 is any."""

    host_ip: str = ""
    first: int = 0
    last: int = 0
    protocol: str = "tcp"
    port: int


ANYWHERE = PortBinding()


def parse_port(text: str) -> tuple[int, str]:
    """``80/tcp``; without a protocol it is tcp. Raises InvalidInput in Docker's words."""
    number, _, protocol = text.partition("/")
    if not re.fullmatch("[0-9]{1,5}", number) or not 1 <= int(number) <= 65535:
        raise InvalidInput(f'invalid port specification: "{number}"')
    protocol = protocol.lower() or "tcp"
    if protocol not in _KINDS:
        raise InvalidInput(f"invalid proto: {protocol}")
    return int(number), protocol


def parse_exposed(text: str) -> list[tuple[int, str]]:
    """``80/tcp``, or a range such as ``8000-8010/tcp``. Raises InvalidInput."""
    numbers, slash, protocol = text.partition("/")
    first, _, last = numbers.partition("-")
    start, protocol = parse_port(f"{first}{slash}{protocol}")
    end, _ = parse_port(last or first)
    if end < start:
        raise InvalidInput(f'invalid port specification: "{numbers}"')
    return [(port, protocol) for port in range(start, end + 1)]


def parse_ask(port: str, host_ip: str, host_port: str) -> Ask:
    """One entry of ``HostConfig.PortBindings``; the host's port may be a range. Raises InvalidInput."""
    number, protocol = parse_port(port)
    if host_ip:
        try:
            if "%" in str(ip_address(host_ip.strip("[]"))):
                raise ValueError  # a zone (fe80::1%eth0), of which the packet filter knows nothing
        except ValueError:
            raise InvalidInput(f"invalid IP address: {host_ip}") from None
    first, _, last = host_port.partition("-")
    try:
        ends = (int(first or 0), int(last or first or 0))
        if not 0 <= ends[0] <= ends[1] <= 65535:
            raise ValueError
    except ValueError:
        raise InvalidInput(f'invalid port specification: "{host_port}"') from None
    return Ask(host_ip=host_ip.strip("[]"), first=ends[0], last=ends[1], protocol=protocol, port=number)


Reserved = list[tuple[Publication, socket.socket]]


def reserve(asks: Iterable[Ask], default_ip: str, taken: Callable[[Publication], bool]) -> Reserved:
    """Take the ports, all of them or none. ``taken`` says which are our own containers'. Raises MinidockError."""
    with ExitStack() as opened:
        found: Reserved = []
        for ask in asks:
            for publication, reserved in _reserve(ask, default_ip, taken):
                found.append((publication, opened.enter_context(reserved)))
        opened.pop_all()
        return found


def _reserve(ask: Ask, default_ip: str, taken: Callable[[Publication], bool]) -> Reserved:
    """One ask. Unless an address is named, the port is the same for IPv4 and IPv6."""
    addresses = [ask.host_ip or default_ip]
    if addresses == ["0.0.0.0"] and not ask.host_ip and Path("/proc/net/if_inet6").exists():
        addresses.append("::")
    failure = MinidockError("all ports are allocated")
    for number in range(ask.first, ask.last + 1) if ask.first else [0] * _TRIES:
        with ExitStack() as opened:
            found: Reserved = []
            try:
                for address in addresses:
                    wanted = found[0][0].host_port if found else number
                    publication = Publication(host_ip=address, host_port=wanted, protocol=ask.protocol, port=ask.port)
                    if wanted and taken(publication):
                        raise MinidockError(f"Bind for {publication} failed: port is already allocated")
                    bound = opened.enter_context(bind(publication))
                    chosen = bound.getsockname()[1]
                    found.append((msgspec.structs.replace(publication, host_port=chosen), bound))
            except MinidockError as error:
                failure = error
                continue
            opened.pop_all()
            return found
    raise failure


def bind(publication: Publication) -> socket.socket:
    """A socket on the publication's port; TCP listens. Raises MinidockError in the words of Docker's proxy."""
    six = ":" in publication.host_ip
    kind, protocol = _KINDS[publication.protocol]
    try:
        bound = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind | socket.SOCK_CLOEXEC, protocol)
    except OSError:
        raise MinidockError("Error starting userland proxy: protocol not supported") from None
    try:
        if six:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Old connections in TIME_WAIT are no hindrance; a listener is.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((publication.host_ip, publication.host_port))
        if kind == socket.SOCK_STREAM:
            bound.listen(128)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        # Go says "address already in use" where Python's strerror says "Address already in use".
        why = (error.strerror or errno.errorcode.get(error.errno or 0, "")).lower()
        what = f"listen {publication.protocol}{6 if six else 4} {publication}: bind: {why}"
        raise MinidockError(f"Error starting userland proxy: {what}") from None
    return bound


def elements(publications: Iterable[Publication], target: Endpoint | None) -> Iterator[Element]:
    """What the packet filter needs for publications that lead to ``target``."""
    for item, address, own in _led(publications, target):
        if not own or address == IPv6Address("::1"):
            continue  # the relay's part
        key, value = f"{item.protocol} . {item.host_port}", f"{own} . {item.port}"
        if address.is_unspecified:
            yield Element(f"everywhere{address.version}", f"{key} : {value}")
        else:
            yield Element(f"published{address.version}", f"{address} . {key} : {value}")


def relayed(publications: Iterable[Publication], target: Endpoint | None) -> Iterator[Element]:
    """The relay listens on these, as ``target`` has no address of their kind: but not for internal networks.

    That kind is IPv6: there is no network without IPv4.
    """
    for item, address, own in _led(publications, target):
        if own:
            continue  # the packet filter's part
        key = f"{item.protocol} . {item.host_port}"
        if address.is_unspecified:
            yield Element("relayed_everywhere", key)
        else:
            yield Element("relayed", f"{address} . {key}")


def _led(
    publications: Iterable[Publication], target: Endpoint | None
) -> Iterator[tuple[Publication, IPv4Address | IPv6Address, str]]:
    """Each with its address of the host, and the target's of the same kind: "" where it has none. Without a cable to
    a bridge nothing is led there."""
    if target is None or not target.link:
        return
    for item in publications:
        address = ip_address(item.host_ip)
        own = target.ipv4 if address.version == 4 else target.ipv6
        yield item, address, str(ip_interface(own).ip) if own else ""


def reaches_loopback(publications: Iterable[Publication]) -> bool:
    """Is something published on 127.0.0.1, which ``0.0.0.0`` includes?"""
    addresses = (ip_address(item.host_ip) for item in publications)
    return any(
        isinstance(address, IPv4Address) and (address.is_loopback or address.is_unspecified) for address in addresses
    )
