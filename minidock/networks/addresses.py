"""Which subnet a network gets, and which of its addresses is free: arithmetic only, no kernel and no disk."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

from minidock.errors import Forbidden, InvalidInput, NotFound
from minidock.messages import IpamPool

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Subnet = IPv4Network | IPv6Network

DOCKERS_POOLS = (
    *(f"base=172.{second}.0.0/16,size=16" for second in range(17, 32)),
    "base=192.168.0.0/16,size=20",
)
"""Docker's own order: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 and on."""


@dataclass(frozen=True)
class Pool:
    """A network's addresses of one kind: ``gateway`` has the subnet's length, ``part`` is what containers get, but for
    what is ``reserved``."""

    gateway: Interface
    part: Subnet
    reserved: frozenset[Address]

    @property
    def subnet(self) -> Subnet:
        """All of it."""
        return self.gateway.network

    def lowest_free(self, taken: Iterable[Address]) -> Address | None:
        """The lowest address that nobody has. None when all are taken."""
        found = first_free(int(self.part[0]), int(self.part[-1]), map(int, (*taken, *self.reserved, self.gateway.ip)))
        return None if found is None else type(self.gateway.ip)(found)

    def check(self, address: Address, taken: Iterable[Address]) -> None:
        """May this very address be given? It need not be in the part. Raises InvalidInput, Forbidden."""
        if address not in self.subnet:
            raise InvalidInput(f"Invalid address {address}: It does not belong to any of this network's subnets")
        if address == self.gateway.ip or address in self.reserved or address in taken:
            raise Forbidden("Address already in use")


def first_free(first: int, last: int, taken: Iterable[int]) -> int | None:
    """The lowest number from ``first`` to ``last`` that is not among the ``taken``, in any order; None when all are."""
    candidate = first
    for number in sorted(set(taken)):
        if number > candidate:
            break
        candidate = max(candidate, number + 1)
    return candidate if candidate <= last else None


def pool_of(asked: IpamPool) -> Pool:
    """A pool as the user describes it; the gateway is the first address, unless said otherwise.

    Raises InvalidInput and Forbidden in Docker's words.
    """
    try:
        subnet = ip_network(asked.subnet, strict=False)
        if "/" not in asked.subnet:
            raise ValueError
    except ValueError:
        raise InvalidInput(f"Invalid subnet {asked.subnet} : invalid CIDR address: {asked.subnet}") from None
    if subnet.num_addresses < 4:
        raise InvalidInput("failed to allocate gateway (): No available addresses on this pool")
    part = _part(asked.ip_range, subnet)
    # The first address is the network's own name (or any router's); IPv4 keeps the last for broadcasts.
    reserved: set[Address] = {subnet[0], *([subnet[-1]] if subnet.version == 4 else [])}
    gateway = _gateway(asked.gateway, subnet) if asked.gateway else subnet[1]
    if gateway in reserved:
        raise Forbidden(f"failed to allocate gateway ({gateway}): Address already in use")
    for name, text in asked.auxiliary_addresses.items():
        address = _parse(text, f"auxiliary address {name}")
        if address not in subnet:
            raise Forbidden(f"auxiliary address: ({name}:{text}) must belong to the master pool: {subnet}")
        if address in reserved or address == gateway:
            raise Forbidden(f"failed to allocate secondary ip address ({name}:{text}): Address already in use")
        reserved.add(address)
    return Pool(ip_interface(f"{gateway}/{subnet.prefixlen}"), part, frozenset(reserved))


def _part(text: str, subnet: Subnet) -> Subnet:
    try:
        part = ip_network(text or subnet, strict=False)
    except ValueError:
        raise InvalidInput(f"invalid ip-range {text}: write a network, like 10.0.0.128/25") from None
    if part.version != subnet.version or part[0] not in subnet:
        raise InvalidInput(f"no matching subnet for range {text}")
    return part


def _gateway(text: str, subnet: Subnet) -> Address:
    try:
        gateway = ip_address(text)
    except ValueError:
        raise InvalidInput(f"invalid gateway address {text} in Ipam configuration") from None
    if gateway not in subnet:
        raise InvalidInput(f"failed to allocate gateway ({text}): Requested address is out of range")
    return gateway


def _parse(text: str, what: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise InvalidInput(f"invalid {what}: {text}") from None


def parse_pools(texts: Sequence[str]) -> list[tuple[Subnet, int]]:
    """``base=10.0.0.0/8,size=24``: where new networks come from. Raises InvalidInput."""
    found = []
    for text in texts:
        fields = dict(word.partition("=")[::2] for word in text.split(","))
        try:
            base, size = ip_network(fields["base"]), int(fields["size"])
        except (KeyError, ValueError):
            raise InvalidInput(f"invalid default-address-pool {text!r}: write base=10.10.0.0/16,size=24") from None
        if not base.prefixlen <= size <= base.max_prefixlen - 2:
            raise InvalidInput(f"invalid default-address-pool {text!r}: the size is not within the base")
        found.append((base, size))
    return found


def choose(pools: Iterable[tuple[Subnet, int]], in_use: Iterable[Subnet], version: int = 4) -> Subnet:
    """The first subnet that overlaps nothing ``in_use`` (networks, routes and addresses of the host). Raises NotFound.

    The words are Docker's.
    """
    in_use = [network for network in in_use if network.version == version]
    for base, size in pools:
        if base.version != version:
            continue
        for candidate in _subnets(base, size):
            if not any(candidate.overlaps(network) for network in in_use):
                return candidate
    raise NotFound(
        f"could not find an available, non-overlapping IPv{version} address pool among the defaults "
        "to assign to the network"
    )


def _subnets(base: Subnet, size: int) -> Iterator[Subnet]:
    yield from base.subnets(new_prefix=size)


def local_pool(seed: str) -> tuple[Subnet, int]:
    """IPv6 for whoever names no subnet: 64-bit networks of this host's own, unique with luck (RFC 4193)."""
    prefix = b"\xfd" + hashlib.sha256(seed.encode()).digest()[:5]
    return IPv6Network((prefix + bytes(10), 48)), 64


def mac_of(address: Address | None) -> str:
    """Docker's rule: 02:42 (locally administered), then the IPv4 address. So it is as unique as the address is.

    Where there is no such address, chance has to do.
    """
    last = address.packed if isinstance(address, IPv4Address) else secrets.token_bytes(4)
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + last)


def check_mac(text: str) -> str:
    """A MAC address of one station, in lower case. Raises InvalidInput."""
    lower = text.lower().replace("-", ":")
    if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", lower) or int(lower[:2], 16) & 1:
        raise InvalidInput(f"invalid MAC address: {text!r}")
    return lower


def parse_subnet6(text: str) -> IPv6Network:
    """``--fixed-cidr-v6``: ``fd12::/64``. Raises InvalidInput."""
    try:
        subnet = IPv6Network(text)
    except ValueError as error:
        raise InvalidInput(f"invalid IPv6 subnet: {error}") from None
    if subnet.prefixlen > 126:
        raise InvalidInput(f"invalid IPv6 subnet: {text} has no room for a gateway and a container")
    return subnet


def parse_gateway(text: str) -> IPv4Interface:
    """``--bip``: ``172.20.0.1/16``, or a network, of which the first address is taken. Raises InvalidInput."""
    try:
        gateway = ip_interface(text)
    except ValueError:
        raise InvalidInput(f"invalid subnet {text!r}: write an IPv4 address and a length, like 172.20.0.1/16") from None
    if not isinstance(gateway, IPv4Interface) or not 8 <= gateway.network.prefixlen <= 30 or "/" not in text:
        raise InvalidInput(f"invalid subnet {text!r}: it must be IPv4 and have a length from 8 to 30")
    network = gateway.network
    return IPv4Interface((network[1], network.prefixlen)) if gateway.ip == network[0] else gateway
