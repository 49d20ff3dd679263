"""A network as it was asked for, and as it is to be: checked, with the subnets that it gets. Nothing is made here."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

from minidock.errors import Forbidden, InvalidInput, NotFound
from minidock.messages import Ipam, IpamPool, NetworkCreate
from minidock.networks import options
from minidock.networks.addresses import Pool, Subnet, pool_of
from minidock.networks.store import BUILT_IN, Network

DRIVERS = ("bridge", "macvlan", "ipvlan")


def check(asked: NetworkCreate) -> Network:
    """The network, still without subnets. Raises InvalidInput, Forbidden and NotFound in Docker's words."""
    name, driver = asked.name, asked.driver or "bridge"
    if not name.strip() or not name.isprintable() or len(name) > 255:
        raise InvalidInput(f"invalid name: {name if name.isprintable() else repr(name)}")
    if name in (*BUILT_IN, "default") or name.startswith("container:"):
        raise Forbidden(f"operation is not permitted on predefined {name} network")
    if driver in ("host", "null"):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver not in DRIVERS:
        raise NotFound(f'plugin "{driver}" not found')
    if asked.ipam and asked.ipam.driver not in ("", "default"):
        raise NotFound(f'plugin "{asked.ipam.driver}" not found')
    if asked.scope not in ("", "local") or asked.ingress or asked.config_only:
        raise InvalidInput("only networks of this host can be made: scope local")
    if asked.enable_ipv4 is False:
        raise InvalidInput("IPv4 cannot be left out of a network")
    options.check(asked.options or {})
    return Network(
        id=secrets.token_hex(32),
        name=name,
        driver=driver,
        created_ns=time.time_ns(),
        internal=asked.internal,
        attachable=asked.attachable,
        enable_ipv6=bool(asked.enable_ipv6),
        labels=asked.labels or {},
        options=asked.options or {},
    )


def pools_for(network: Network, ipam: Ipam, taken: Sequence[Subnet], free: Callable[[int], IpamPool]) -> list[IpamPool]:
    """The subnets that the user chose, and a ``free`` one (of IPv4 or 6) where none was chosen; none that is ``taken``.

    Raises InvalidInput, Forbidden.
    """
    asked = list(ipam.config or [])
    pools = [pool_of(pool) for pool in asked]
    versions = [pool.subnet.version for pool in pools]
    if len(set(versions)) < len(versions):
        raise Forbidden(f"{network.driver} driver doesn't support multiple subnets")
    if 6 in versions and not network.enable_ipv6:
        raise InvalidInput("an IPv6 subnet needs --ipv6")
    if any(pool.subnet.overlaps(other) for pool in pools for other in taken if pool.subnet.version == other.version):
        raise Forbidden("Pool overlaps with other one on this address space")
    network.user_pools = bool(pools)
    wanted = (4, 6) if network.enable_ipv6 else (4,)
    chosen = [free(version) for version in wanted if version not in versions]
    return chosen + [_completed(*pair) for pair in zip(asked, pools, strict=True)]


def _completed(asked: IpamPool, pool: Pool) -> IpamPool:
    """What inspect shows: the gateway, though nobody chose it."""
    return IpamPool(
        subnet=str(pool.subnet),
        ip_range=asked.ip_range,
        gateway=str(pool.gateway.ip),
        auxiliary_addresses=asked.auxiliary_addresses,
    )
