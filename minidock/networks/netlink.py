"""What the kernel is asked about links, addresses and routes: rtnetlink(7), by way of pyroute2.

One method a request. Each says what one would type for the same (``ip link add …``), and announces that with the call.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from errno import ENODEV
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from minidock.errors import SystemCallFailed
from minidock.kernel import announce


@dataclass(frozen=True)
class Link:
    """A network interface: ``kind`` is ``bridge``, ``veth``, … or "" for a real one; ``alias`` is free text."""

    name: str
    index: int
    kind: str
    mac: str
    alias: str


class Netlink:
    """A netlink socket in the network namespace of the thread that opens it. A context manager; not to be shared."""

    def __init__(self) -> None:
        # Imported here: it takes 160 ms, and only the daemon's first network needs it.
        from pyroute2 import IPRoute

        self._route = IPRoute()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self._route.close()

    def find(self, name: str) -> Link | None:
        """The link called ``name``."""
        return next((_link(message) for message in self._route.get_links() if message.get("ifname") == name), None)

    def bridges(self) -> list[Link]:
        """Every bridge."""
        return [link for link in map(_link, self._route.get_links()) if link.kind == "bridge"]

    def ports(self, bridge: str) -> list[str]:
        """The names of the links plugged into ``bridge``."""
        index = _index(bridge)
        return [_link(message).name for message in self._route.get_links() if message.get("master") == index]

    def addresses(self, link: str) -> list[IPv4Interface]:
        """The IPv4 addresses of ``link``."""
        found = self._route.get_addr(family=socket.AF_INET, index=_index(link))
        return [IPv4Interface((message.get("address"), message["prefixlen"])) for message in found]

    def networks(self, without: str) -> list[IPv4Network]:
        """What addresses and routes of this host, but for those of the link ``without``, lead to; not the default."""
        except_index = next((link.index for link in map(_link, self._route.get_links()) if link.name == without), 0)
        found = [
            IPv4Network((message.get("address"), message["prefixlen"]), strict=False)
            for message in self._route.get_addr(family=socket.AF_INET)
            if message["index"] != except_index
        ]
        found += [
            IPv4Network((message.get("dst"), message["dst_len"]))
            for message in self._route.get_routes(family=socket.AF_INET)
            if message["dst_len"] and message.get("oif") != except_index
        ]
        return found

    def add_bridge(self, name: str, mac: str) -> None:
        """A new bridge, up. A bridge without a fixed ``mac`` would take over that of whichever port is lowest."""
        shell = f"ip link add {name} address {mac} type bridge && ip link set {name} up"
        self._ask("RTM_NEWLINK", name, shell, "link", "add", ifname=name, kind="bridge", address=mac, state="up")

    def add_veth(self, name: str, bridge: str, peer: str, pid: int, peer_mac: str) -> None:
        """A cable: ``name`` here, up and plugged into ``bridge``; its other end, ``peer``, where ``pid`` lives."""
        shell = f"ip link add {name} master {bridge} type veth peer {peer} address {peer_mac} netns {pid}"
        shell += f" && ip link set {name} up"
        other = {"ifname": peer, "address": peer_mac, "net_ns_pid": pid}
        link: dict[str, Any] = {"ifname": name, "kind": "veth", "master": _index(bridge), "state": "up", "peer": other}
        self._ask("RTM_NEWLINK", name, shell, "link", "add", **link)

    def set_alias(self, name: str, alias: str) -> None:
        """Note some text at the link; ``ip link`` shows it."""
        shell = f"ip link set {name} alias '{alias}'"
        self._ask("RTM_NEWLINK", name, shell, "link", "set", index=_index(name), ifalias=alias)

    def set_up(self, name: str) -> None:
        """From now on the link carries packets."""
        self._ask("RTM_NEWLINK", name, f"ip link set {name} up", "link", "set", index=_index(name), state="up")

    def set_down(self, name: str) -> None:
        """From now on the link carries nothing. Much faster than deleting it."""
        self._ask("RTM_NEWLINK", name, f"ip link set {name} down", "link", "set", index=_index(name), state="down")

    def delete(self, name: str) -> None:
        """The link is gone, and the other end of a veth with it. Some 20 ms: the kernel waits for a grace period."""
        self._ask("RTM_DELLINK", name, f"ip link del {name}", "link", "del", index=_index(name))

    def add_address(self, link: str, address: IPv4Interface) -> None:
        """An address for ``link``, and with it a route to its network."""
        broadcast = str(address.network.broadcast_address)
        shell = f"ip addr add {address} broadcast {broadcast} dev {link}"
        wanted = {**_local(link, address), "broadcast": broadcast}
        self._ask("RTM_NEWADDR", link, shell, "addr", "add", **wanted)

    def delete_address(self, link: str, address: IPv4Interface) -> None:
        """Take an address away from ``link``."""
        shell = f"ip addr del {address} dev {link}"
        self._ask("RTM_DELADDR", link, shell, "addr", "del", **_local(link, address))

    def add_default_route(self, gateway: IPv4Address) -> None:
        """Whatever is not in our own network goes to ``gateway``."""
        shell = f"ip route add default via {gateway}"
        self._ask("RTM_NEWROUTE", f"default via {gateway}", shell, "route", "add", dst="default", gateway=str(gateway))

    def _ask(self, message: str, what: str, shell: str, method: str, verb: str, **arguments: Any) -> None:
        """Send one request and read the kernel's answer. Raises ``SystemCallFailed`` naming ``what``."""
        from pyroute2.netlink.exceptions import NetlinkError

        ask: Callable[..., object] = getattr(self._route, method)
        start, error = time.monotonic_ns(), 0
        try:
            ask(verb, **arguments)
        except NetlinkError as refusal:
            error = refusal.code
            raise SystemCallFailed(message, what, error) from None
        finally:
            if announce.listeners:
                took = time.monotonic_ns() - start
                args = tuple(f"{name}={value}" for name, value in arguments.items())
                result = -1 if error else 0
                announce.announce(announce.Call(os.getpid(), message, args, result, error, start, took, shell))


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:  # Python does not say which error; there is only one
        raise SystemCallFailed("if_nametoindex", f'"{name}"', ENODEV) from None


def _local(link: str, address: IPv4Interface) -> dict[str, Any]:
    return {"index": _index(link), "address": str(address.ip), "prefixlen": address.network.prefixlen}


def _link(message: Any) -> Link:
    information = message.get("linkinfo")
    kind = information.get("kind") if information else None
    return Link(
        name=message.get("ifname"),
        index=message["index"],
        kind=kind or "",
        mac=message.get("address") or "",
        alias=message.get("ifalias") or "",
    )
