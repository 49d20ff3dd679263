"""What the kernel is asked about links, addresses and routes: rtnetlink(7), by way of pyroute2.

One method a request. Each says what one would type for the same (``ip link add …``), and announces that with the call.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from errno import ENODEV, ENOENT, ESRCH
from ipaddress import ip_interface, ip_network
from typing import Any

from minidock.errors import SystemCallFailed
from minidock.kernel import announce
from minidock.networks.addresses import Interface, Subnet

IFA_F_NODAD = 0x02


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

    def addresses(self, link: str) -> list[Interface]:
        """The addresses of ``link``, without those that the kernel gives every link for IPv6 (fe80::)."""
        found = self._route.get_addr(index=_index(link))
        interfaces = [ip_interface((message.get("address"), message["prefixlen"])) for message in found]
        return [interface for interface in interfaces if not interface.is_link_local or interface.version == 4]

    def networks(self, without: Collection[str] = ()) -> list[Subnet]:
        """What addresses and routes of this host, but for those of the links ``without``, lead to; not the default."""
        except_indexes = {link.index for link in map(_link, self._route.get_links()) if link.name in without}
        found = [
            ip_network((message.get("address"), message["prefixlen"]), strict=False)
            for message in self._route.get_addr()
            if message["index"] not in except_indexes
        ]
        found += [
            ip_network((message.get("dst"), message["dst_len"]))
            for family in (socket.AF_INET, socket.AF_INET6)
            for message in self._route.get_routes(family=family)
            if message["dst_len"] and message.get("oif") not in except_indexes
        ]
        return [network for network in found if not network.is_link_local and not network.is_multicast]

    def add_bridge(self, name: str, mac: str, mtu: int | None) -> None:
        """A new bridge, up. A bridge without a fixed ``mac`` would take over that of whichever port is lowest."""
        size: dict[str, Any] = {"mtu": mtu} if mtu else {}
        shell = f"ip link add {name} address {mac}{f' mtu {mtu}' if mtu else ''} type bridge && ip link set {name} up"
        self._ask(
            "RTM_NEWLINK", name, shell, "link", "add", ifname=name, kind="bridge", address=mac, state="up", **size
        )

    def add_veth(self, name: str, bridge: str, peer: str, pid: int, peer_mac: str, mtu: int | None = None) -> None:
        """A cable: ``name`` here, up and plugged into ``bridge``; its other end, ``peer``, where ``pid`` lives."""
        size: dict[str, Any] = {"mtu": mtu} if mtu else {}
        words = f" mtu {mtu}" if mtu else ""
        shell = f"ip link add {name} master {bridge}{words} type veth peer {peer} address {peer_mac}{words} netns {pid}"
        shell += f" && ip link set {name} up"
        other = {"ifname": peer, "address": peer_mac, "net_ns_pid": pid, **size}
        link: dict[str, Any] = {"ifname": name, "kind": "veth", "master": _index(bridge), "state": "up", "peer": other}
        self._ask("RTM_NEWLINK", name, shell, "link", "add", **link, **size)

    def set_port(self, name: str, isolated: bool) -> None:
        """How the bridge treats this port.

        Hairpin: a packet may leave by the port that it came in by, as that of a container to its own published port
        does. Isolated: it goes to no other isolated port.
        """
        shell = f"bridge link set dev {name} hairpin on isolated {'on' if isolated else 'off'}"
        port = {"index": _index(name), "mode": 1, "isolated": int(isolated)}
        self._ask("RTM_SETLINK", name, shell, "brport", "set", **port)

    def add_child(self, kind: str, name: str, parent: str, mode: dict[str, Any], pid: int, mac: str) -> None:
        """A second identity of the link ``parent`` (``kind`` macvlan or ipvlan), in the namespace of ``pid``."""
        shell = f"ip link add {name} link {parent} netns {pid} type {kind} mode {next(iter(mode.values()))}"
        link: dict[str, Any] = {"ifname": name, "kind": kind, "link": _index(parent), "net_ns_pid": pid, **mode}
        if kind == "macvlan":
            link["address"] = mac
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

    def add_address(self, link: str, address: Interface) -> None:
        """An address for ``link``, and with it a route to its network.

        IPv6 would first ask whether somebody has it (duplicate address detection), for a second: we know that nobody.
        """
        wanted = _local(link, address)
        if address.version == 4:
            wanted["broadcast"] = str(address.network.broadcast_address)
            shell = f"ip addr add {address} broadcast {wanted['broadcast']} dev {link}"
        else:
            wanted["flags"] = IFA_F_NODAD
            shell = f"ip addr add {address} dev {link} nodad"
        self._ask("RTM_NEWADDR", link, shell, "addr", "add", **wanted)

    def delete_address(self, link: str, address: Interface) -> None:
        """Take an address away from ``link``."""
        shell = f"ip addr del {address} dev {link}"
        self._ask("RTM_DELADDR", link, shell, "addr", "del", **_local(link, address))

    def set_default_route(self, gateway: str) -> None:
        """Whatever is not in our own networks goes to ``gateway``, and no longer where it went before."""
        six = ":" in gateway
        shell = f"ip {'-6 ' if six else ''}route replace default via {gateway}"
        wanted: dict[str, Any] = {"dst": "default", "gateway": gateway}
        if six:
            wanted["family"] = socket.AF_INET6
        self._ask("RTM_NEWROUTE", f"default via {gateway}", shell, "route", "replace", **wanted)

    def delete_default_route(self, version: int) -> None:
        """There is no way out any more. No error when there was none."""
        shell = f"ip -{version} route del default"
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        try:
            self._ask("RTM_DELROUTE", "default", shell, "route", "del", dst="default", family=family)
        except SystemCallFailed as failure:
            if failure.errno not in (ESRCH, ENOENT):  # IPv4's answer, IPv6's answer
                raise

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


def _local(link: str, address: Interface) -> dict[str, Any]:
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
