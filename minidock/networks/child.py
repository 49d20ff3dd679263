"""The drivers macvlan and ipvlan: a second identity of one of the host's own links, straight into a container.

No bridge, no packet filter and no address translation: the container is a neighbour in the host's own network, where
the gateway is somebody else's. By the kernel's design it can talk to everybody there but to the host itself.
"""

from __future__ import annotations

import os
from typing import Any

from minidock.errors import InvalidInput, KernelFeatureMissing, NotImplementedYet, SystemCallFailed
from minidock.networks.netlink import Netlink
from minidock.networks.store import Endpoint, Network

MODES = {
    "macvlan": {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8},
    "ipvlan": {"l2": 0, "l3": 1, "l3s": 2},
}
_PROBE = "mdprobe0"


def check(kernel: Netlink, network: Network) -> None:
    """Can there be such a network? A first child is made, and removed, to know what the kernel has.

    Raises InvalidInput, KernelFeatureMissing, NotImplementedYet.
    """
    parent = network.options.get("parent", "")
    if not parent:
        # Docker would make a link that leads nowhere (dummy); such a network is better had with --internal.
        raise NotImplementedYet(f"a {network.driver} network without a parent link: name one with --opt parent=LINK")
    found = kernel.find(parent)
    if found is None:
        raise InvalidInput(f"invalid subinterface vlan name {parent}, there is no such link: create it first")
    if found.mac == "00:00:00:00:00:00":
        raise InvalidInput(f"loopback interface is not a valid {network.driver} parent link")
    mode = _mode(network)
    try:
        kernel.add_child(network.driver, _PROBE, parent, mode, os.getpid(), "02:42:00:00:00:01")
        kernel.delete(_PROBE)
    except SystemCallFailed as failure:
        raise KernelFeatureMissing(f"{network.driver} on {parent}: {failure.strerror}") from None


def _mode(network: Network) -> dict[str, Any]:
    known = MODES[network.driver]
    name = f"{network.driver}_mode"
    chosen = network.options.get(name) or ("bridge" if network.driver == "macvlan" else "l2")
    if chosen not in known:
        raise InvalidInput(f"requested {network.driver} mode '{chosen}' is not valid: {', '.join(known)}")
    return {name: chosen if network.driver == "macvlan" else known[chosen]}


def plug(kernel: Netlink, network: Network, endpoint: Endpoint, pid: int) -> None:
    """A child of the parent link, in the network namespace of ``pid``; it goes when that goes."""
    parent = network.options["parent"]
    kernel.add_child(network.driver, endpoint.interface, parent, _mode(network), pid, endpoint.mac)
