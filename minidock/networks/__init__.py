"""Networks, addresses, published ports, and the files and servers that tell a container names.

A container in a network is a network namespace with one end of a virtual cable (veth) in it. The other end is plugged
into a bridge, a switch made of software, whose own address is the containers' gateway. From there packets are forwarded
like anybody's, and leave the host under the host's address (masquerade).

Read in this order: ``networks`` (the whole), ``store`` (what is remembered), ``addresses`` (who gets which), ``bridge``
and ``child`` (the drivers), ``netlink`` (what is asked of the kernel), ``sandbox`` (inside the container), ``filter``
(the packet filter), ``ports``, ``forwarding``, ``files``.
"""

from minidock.networks.networks import Networks
from minidock.networks.ports import Ask
from minidock.networks.store import Endpoint, Network, Publication, Wish

__all__ = ["Ask", "Endpoint", "Network", "Networks", "Publication", "Wish"]
