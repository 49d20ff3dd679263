"""Bridges, addresses, NAT, and the files that give a container its names.

A container on the default network is a network namespace with one end of a virtual cable (veth) in it. The other end is
plugged into a bridge, a switch made of software, whose own address is the containers' gateway. From there packets are
forwarded like anybody's, and leave the host under the host's address (masquerade).

Read in this order: ``bridge`` (the whole), ``netlink`` (what is asked of the kernel), ``sandbox`` (inside the
container), ``nat`` (the packet filter), ``forwarding``, ``addresses`` (who has which), ``files``.
"""

from minidock.networks.bridge import Bridge, Endpoint

__all__ = ["Bridge", "Endpoint"]
