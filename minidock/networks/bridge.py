"""The bridge driver: a switch made of software on the host, and a virtual cable from it to each container."""

from __future__ import annotations

import hashlib
from errno import ENODEV

from minidock.errors import Conflict, SystemCallFailed
from minidock.networks import forwarding, options, sandbox
from minidock.networks.netlink import Netlink
from minidock.networks.store import Endpoint, Network

CABLE = "veth"
"""What the names of cables begin with."""


def make(kernel: Netlink, network: Network) -> None:
    """The bridge with its addresses, or what is missing of it. Containers that are plugged in stay so.

    Raises Conflict when a link of this name is somebody else's.
    """
    name = network.bridge
    found = kernel.find(name)
    if found is None:
        kernel.add_bridge(name, mac(name), options.mtu(network))
    elif found.kind != "bridge" or found.mac != mac(name):
        how = f"--bridge, or --opt {options.BRIDGE_NAME}"
        raise Conflict(f"a link {name} exists that is not ours: choose another name with {how}")
    sandbox.ignore_router_announcements(name)
    wanted = [pool.gateway for version in (4, 6) if (pool := network.pool(version)) is not None]
    there = kernel.addresses(name)
    for address in set(there) - set(wanted):
        kernel.delete_address(name, address)
    for address in wanted:
        if address not in there:
            kernel.add_address(name, address)
    forwarding.enable(kernel, name, network.enable_ipv6)


def mac(name: str) -> str:
    """Made of the name, so that we know our bridge again from the first moment that it exists."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + hashlib.sha256(name.encode()).digest()[:4])


def unmake(kernel: Netlink, name: str) -> None:
    """No bridge, no cables, forwarding as before. No error when nothing is there, or not ours."""
    found = kernel.find(name)
    if found is None or found.mac != mac(name):
        return
    delete_cables(kernel, set(kernel.ports(name)))
    forwarding.restore(kernel, name)
    kernel.delete(name)


def plug(kernel: Netlink, network: Network, endpoint: Endpoint, pid: int) -> None:
    """A cable from the bridge into the network namespace of ``pid``."""
    size = options.mtu(network)
    kernel.add_veth(endpoint.link, network.bridge, endpoint.interface, pid, endpoint.mac, size)
    kernel.set_port(endpoint.link, isolated=not options.is_on(network, options.ICC))


def unplug(kernel: Netlink, endpoint: Endpoint) -> None:
    """The cable carries nothing any more: switched off, which takes well under a millisecond.

    The kernel removes it together with the container's network namespace. No error when it is gone.
    """
    try:
        kernel.set_down(endpoint.link)
    except SystemCallFailed as failure:
        if failure.errno != ENODEV:
            raise


def delete_cables(kernel: Netlink, links: set[str]) -> None:
    """Delete cables of ours. One that vanishes first, with its namespace, is no error."""
    for link in sorted(links):
        if not link.startswith(CABLE):
            continue
        try:
            kernel.delete(link)
        except SystemCallFailed as failure:
            if failure.errno != ENODEV:
                raise
