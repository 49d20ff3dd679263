"""The packet filter's part: who may talk to whom, and under which address. nft(8).

One set of rules that never changes, however many networks, containers and published ports there are: the rules look
into sets and maps, and only *their* elements come and go. All of it is in two tables, one that sees packets on their
way through the host (``inet``) and one that sees frames as they enter a bridge (``bridge``).

The story of a packet, in the order of the hooks:

- from a container: ``bridge … guard``: has it the sender's own MAC and IP address? Does it announce its own, by ARP or
  as a neighbour of IPv6 (nd-neighbor-advert; RFC 4861: the address begins at byte 8)? (anti-spoofing)
- ``prerouting``: is it for a published port of this host? Then its destination becomes the container (``publish``);
  what the host itself sends passes ``output`` instead. A bridge whose ports are published on 127.0.0.1 needs the
  setting ``route_localnet``, with which its containers would reach the *host's* 127.0.0.1: ``loopback`` forbids.
- ``forward``: within a network, out into the world, in to published ports, in as an answer: yes. All else: no.
- ``postrouting``: on its way out a packet gets the host's address (masquerade); so do those whose answer would not pass
  here again: a container's to a neighbour's published port, and the host's from its 127.0.0.1.

A table of our own cannot overrule another's drop: a packet has to be accepted by *every* chain on its way. Docker, ufw
and their kin drop in the chain ``FORWARD`` of iptables what they do not know, firewalld in one of its own.
:meth:`Filter.befriend_iptables` says there that our bridges are ours to judge. (Not with the old iptables-legacy, whose
rules nft cannot see, nor with a firewalld from 2.1 on, whose table nobody else may change.)
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import ip_interface

from minidock.errors import KernelFeatureMissing
from minidock.kernel import announce
from minidock.networks import options
from minidock.networks.store import Endpoint, Network

RULES = """\
table inet {name} {{
	set bridges {{ type ifname; }}
	set masqueraded {{ type ifname; }}
	set internal {{ type ifname; }}
	set within {{ type ifname . ifname; }}
	set subnets4 {{ type ipv4_addr; flags interval; }}
	set subnets6 {{ type ipv6_addr; flags interval; }}
	set relayed {{ type ipv6_addr . inet_proto . inet_service; }}
	set relayed_everywhere {{ type inet_proto . inet_service; }}
	map published4 {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
	map published6 {{ type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }}
	map everywhere4 {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
	map everywhere6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}

	chain loopback {{
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
		iifname @bridges ip saddr 127.0.0.0/8 drop
	}}
	chain prerouting {{
		type nat hook prerouting priority dstnat; policy accept;
		ip daddr 127.0.0.0/8 return
		fib daddr type local jump publish
	}}
	chain output {{
		type nat hook output priority -100; policy accept;
		ip6 daddr ::1 return
		fib daddr type local jump publish
	}}
	chain publish {{
		dnat ip to ip daddr . meta l4proto . th dport map @published4
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6
		meta nfproto ipv4 dnat ip to meta l4proto . th dport map @everywhere4
		meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @everywhere6
	}}
	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		iifname @masqueraded oifname != @bridges masquerade
		oifname @bridges ct status dnat ip saddr @subnets4 masquerade
		oifname @bridges ct status dnat ip6 saddr @subnets6 masquerade
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
	}}
	chain input {{
		type filter hook input priority filter; policy accept;
		iifname @internal fib daddr . iif type {{ unicast, blackhole, unreachable, prohibit }} drop
		iifname @internal meta l4proto {{ tcp, udp }} th dport 53 drop
		iifname @internal ip6 daddr . meta l4proto . th dport @relayed drop
		iifname @internal meta nfproto ipv6 meta l4proto . th dport @relayed_everywhere drop
	}}
	chain forward {{
		type filter hook forward priority filter; policy accept;
		iifname . oifname @within accept
		iifname @internal drop
		oifname @internal drop
		oifname @bridges ct state established,related accept
		oifname @bridges ct status dnat accept
		oifname @bridges drop
	}}
}}
table bridge {name} {{
	set guarded {{ type ifname; }}
	set macs {{ type ifname . ether_addr; }}
	set genuine4 {{ type ifname . ipv4_addr; }}
	set genuine6 {{ type ifname . ipv6_addr; }}
	set announced6 {{ typeof iifname . @th,64,64 . @th,128,64; }}

	chain prerouting {{
		type filter hook prerouting priority -300; policy accept;
		iifname @guarded jump guard
	}}
	chain guard {{
		iifname . ether saddr != @macs drop
		ether type ip iifname . ip saddr != @genuine4 drop
		ether type arp iifname . arp saddr ip != @genuine4 drop
		ether type arp iifname . arp saddr ether != @macs drop
		icmpv6 type {{ nd-router-advert, nd-redirect }} drop
		icmpv6 type nd-neighbor-advert @th,64,10 != 0x3fa iifname . @th,64,64 . @th,128,64 != @announced6 drop
		ip6 saddr {{ ::, fe80::/10 }} accept
		ether type ip6 iifname . ip6 saddr != @genuine6 drop
	}}
}}
"""

FORWARD_CHAINS = ("ip filter FORWARD", "ip6 filter FORWARD", "inet firewalld filter_FORWARD")
"""Where iptables and ip6tables (those that are made of nft) and firewalld judge what passes through the host."""

_ACCEPTANCE = re.compile(
    r'^\s*(iifname|oifname) "(\S+)" +counter packets \d+ bytes \d+ accept(?: comment "(\S+)")? # handle (\d+)$',
    re.MULTILINE,
)
"""A whole rule: one that asks for more before it accepts is somebody else's, and not enough for us."""

MORE_PLACES = ":/usr/sbin:/sbin"
"""Where Debian keeps nft, beyond an ordinary user's PATH."""


@dataclass(frozen=True)
class Element:
    """One element of a set, or of a map (``key : value``); ``family`` says of which of the two tables."""

    set: str
    text: str
    family: str = "inet"


def of_network(network: Network) -> list[Element]:
    """What the rules need to know of a bridge."""
    link = f'"{network.bridge}"'
    found = [Element("bridges", link)]
    if options.is_on(network, options.MASQUERADE) and not network.internal:
        found.append(Element("masqueraded", link))
    if network.internal:
        found.append(Element("internal", link))
    if options.is_on(network, options.ICC):
        found.append(Element("within", f"{link} . {link}"))
    pools = [pool for version in (4, 6) if (pool := network.pool(version)) is not None]
    return found + [Element(f"subnets{pool.subnet.version}", str(pool.subnet)) for pool in pools]


def of_endpoint(endpoint: Endpoint) -> list[Element]:
    """Who may send what through the port of a bridge."""
    if endpoint.free or not endpoint.link:
        return []
    link = f'"{endpoint.link}"'
    found = [Element("guarded", link, "bridge"), Element("macs", f"{link} . {endpoint.mac}", "bridge")]
    for version, text in ((4, endpoint.ipv4), (6, endpoint.ipv6)):
        if text:
            found.append(Element(f"genuine{version}", f"{link} . {ip_interface(text).ip}", "bridge"))
    if endpoint.ipv6:
        # In two numbers: older ones of nft have no name for that part of a packet, newer ones a name for it as a whole.
        high, low = divmod(int(ip_interface(endpoint.ipv6).ip), 1 << 64)
        found.append(Element("announced6", f"{link} . {high:#x} . {low:#x}", "bridge"))
    return found


class Filter:
    """The two tables called ``name``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._shown = ""

    @property
    def loaded(self) -> bool:
        """Are there rules to change?"""
        return bool(self._shown)

    def load(self, elements: Iterable[Element]) -> None:
        """Put the tables in place, instead of older ones, all or nothing. Raises KernelFeatureMissing."""
        _nft(self._removal() + RULES.format(name=self.name) + self._script("add", elements))
        self._shown = self._show()

    def change(self, gone: Collection[Element], new: Collection[Element]) -> None:
        """Elements away, elements in, all of it or nothing. It is no error when some were gone, or there, already."""
        # What does not exist cannot be deleted, so it is added first.
        _nft(self._script("add", gone) + self._script("delete", gone) + self._script("add", new))

    def unload(self) -> None:
        """Take the tables away; no error when there are none. If it fails, they are nobody's all the same."""
        self._shown = ""
        _nft(self._removal())

    def damaged(self) -> bool:
        """Has somebody else (a firewall that was loaded anew) taken our rules away since :meth:`load`?"""
        return self._show() != self._shown

    def befriend_iptables(self, bridges: Iterable[str]) -> bool:
        """Where iptables has a chain FORWARD, or firewalld its own, accept there what comes from or goes to these
        bridges, and no others.

        True when that was not so already. Nothing is changed without need, so this may follow every change.
        """
        wanted = {(end, bridge) for bridge in bridges for end in ("iifname", "oifname")}
        script = ""
        for chain in FORWARD_CHAINS:
            # Other people's comments may be any bytes.
            command = [find_nft(), "-a", "list", "chain", *chain.split()]
            listed = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape")
            if listed.returncode != 0:
                continue
            # The comment says whose a rule is; one that iptables-restore has put back shows none to nft.
            rules, changes = _ACCEPTANCE.findall(listed.stdout), ""
            for end, bridge, comment, handle in rules:
                if comment == self.name and (end, bridge) not in wanted:
                    changes += f"delete rule {chain} handle {handle}\n"
            for end, bridge in sorted(wanted - {(end, bridge) for end, bridge, _, _ in rules}):
                changes += f'insert rule {chain} {end} "{bridge}" counter accept comment "{self.name}"\n'
            if changes and not _is_owned(chain):
                script += changes
        _nft(script)
        return bool(script)

    def _show(self) -> str:
        words = ["-s", "-t", "list", "table"]
        return "".join(
            subprocess.run([find_nft(), *words, family, self.name], capture_output=True, text=True).stdout
            for family in ("inet", "bridge")
        )

    def _removal(self) -> str:
        # Deleting what does not exist is an error, so it is made first.
        tables = [f"{family} {self.name}" for family in ("inet", "bridge")]
        return "".join(f"table {table} {{ }}\ndelete table {table}\n" for table in tables)

    def _script(self, verb: str, elements: Iterable[Element]) -> str:
        lines = []
        for item in elements:
            # A map's element is deleted by its key.
            text = item.text if verb == "add" else item.text.partition(" : ")[0]
            lines.append(f"{verb} element {item.family} {self.name} {item.set} {{ {text} }}\n")
        return "".join(lines)


def _is_owned(chain: str) -> bool:
    """May only the process that made the table of this chain change it?"""
    words = [find_nft(), "-t", "list", "table", *chain.split()[:2]]
    return "flags owner" in subprocess.run(words, capture_output=True, text=True, errors="surrogateescape").stdout


def find_nft() -> str:
    """Where the program is. Raises ``KernelFeatureMissing``."""
    program = shutil.which("nft", path=os.environ.get("PATH", os.defpath) + MORE_PLACES)
    if program is None:
        raise KernelFeatureMissing("bridge networks need the program nft: apt install nftables")
    return program


def _nft(script: str) -> None:
    if not script:
        return
    program = find_nft()
    start = time.monotonic_ns()
    done = subprocess.run([program, "-f", "-"], input=script, capture_output=True, text=True)
    if announce.listeners:
        took = time.monotonic_ns() - start
        shell = f"nft {shlex.quote(script.strip())}"
        call = announce.Call(os.getpid(), "nft", ("-f", "-"), done.returncode, 0, start, took, shell)
        announce.announce(call)
    if done.returncode != 0:
        complaint = next(iter(done.stderr.splitlines()), f"exit code {done.returncode}")
        raise KernelFeatureMissing(f"nft refused the rules of the networks: {complaint}")


run_script = _nft
"""For other tables than these: the one inside a container that leads to its name server."""
