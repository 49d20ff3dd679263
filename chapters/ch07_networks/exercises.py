"""The exercises of chapter 7: addresses, ports and names."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import product

import dns.message
import dns.rdatatype
import dns.rrset
from hypothesis import example, given
from hypothesis import strategies as st

from chapters.course import Exercise, Wrong
from chapters.trial import Once, Subject
from minidock.errors import InvalidInput, NotFound
from minidock.networks.addresses import Address, Subnet
from minidock.networks.filter import Element
from minidock.networks.names import TTL
from minidock.networks.store import Endpoint, Publication


def law_mac_of(subject: Subject) -> None:
    """02:42 and the four bytes of an IPv4 address; without one, four bytes of chance."""

    @given(st.ip_addresses(v=4))
    @example(IPv4Address("172.17.0.2"))
    def law(address: IPv4Address) -> None:
        wanted = "02:42:" + address.packed.hex(":")
        subject.gives(wanted, address, why="02:42, then each byte of the address as two hex digits, in lower case")

    law()
    for address in (None, IPv6Address("fd00::2")):
        found = {subject(address) for _ in range(3)}
        good = all(re.fullmatch("02:42(:[0-9a-f]{2}){4}", str(mac)) for mac in found)
        subject.expect(good, "02:42 and four bytes more, whatever the address")
        subject.expect(len(found) == 3, "there is no IPv4 address to make it of, and no two may be the same")


def _end(
    interface: str, priority: int = 0, *, way: str = "", ipv4: str = "", ipv6: str = "", link: str = "veth0"
) -> Endpoint:
    """An endpoint; ``way`` is its gateway."""
    return Endpoint(
        network="n",
        container="c",
        link=link,
        interface=interface,
        mac="02:42:0a:00:00:02",
        ipv4=ipv4,
        ipv6=ipv6,
        gateway4="" if ":" in way else way,
        gateway6=way if ":" in way else "",
        priority=priority,
    )


def law_way_out(subject: Subject) -> None:
    """The highest priority among those with a gateway; of equals the first interface, counted as a number."""
    subject.gives(None, [], why="a container without a network has no way out")
    subject.gives(None, [_end("eth0", 9)], why="a network without a gateway leads nowhere")
    only6 = _end("eth1", way="fd00::1")
    subject.gives(only6, [_end("eth0", 9), only6], why="a gateway of either kind will do")
    ends = st.tuples(st.integers(0, 12), st.integers(-1, 1), st.sampled_from(["", "10.0.0.1"]))

    @given(st.lists(ends, min_size=1, max_size=5, unique_by=lambda end: end[0]))
    @example([(10, 0, "10.0.0.1"), (2, 0, "10.0.0.1")])
    def law(drawn: list[tuple[int, int, str]]) -> None:
        able = sorted((-priority, number) for number, priority, gateway in drawn if gateway)
        given = {number: _end(f"eth{number}", priority, way=gateway) for number, priority, gateway in drawn}
        wanted = given[able[0][1]] if able else None
        subject.gives(wanted, list(given.values()), why="the highest priority wins; of equals the lowest number")

    law()


def law_first_free(subject: Subject) -> None:
    """The lowest that is not taken: never one twice, and what was given back is given again."""
    subject.gives(2, 2, 254, (), why="nobody has anything: the first")

    @given(st.lists(st.integers(0, 12), max_size=12))
    @example([2, 3, 5])
    def law(taken: list[int]) -> None:
        free = sorted(set(range(2, 9)) - set(taken))
        subject.gives(free[0] if free else None, 2, 8, taken, why="the lowest from first to last that nobody has")

    law()
    subject.gives(None, 2, 8, range(8, 1, -1), why="all of them are taken")
    subject.gives(8, 2, 8, range(2, 8), why="first and last are addresses like any other")
    subject.gives((1 << 64) + 2, (1 << 64) + 1, 1 << 65, [(1 << 64) + 1], why="an IPv6 network is large")
    subject.gives(4, 2, 8, Once([3, 2]), why="an iterable may be a generator, which can be gone through only once")


_POOLS: list[tuple[Subnet, int]] = [
    (ip_network("fd00::/62"), 64),
    (ip_network("10.0.0.0/22"), 24),
    (ip_network("192.168.0.0/23"), 24),
]
_USED = [
    *("10.0.0.0/24", "10.0.1.0/24", "10.0.0.7/32", "10.0.0.0/23", "10.0.2.128/25", "10.0.0.0/8"),
    *("192.168.0.0/25", "fd00::/64"),
]


def law_choose(subject: Subject) -> None:
    """The first subnet of the pools that shares no address with what is in use."""
    candidates = [network for base, size in _POOLS for network in base.subnets(new_prefix=size)]

    @given(st.lists(st.sampled_from(_USED), max_size=4, unique=True), st.sampled_from([4, 6]))
    def law(texts: list[str], version: int) -> None:
        in_use = [ip_network(text) for text in texts]
        free = (one for one in candidates if one.version == version and not any(_meet(one, other) for other in in_use))
        wanted = next(free)
        subject.gives(wanted, _POOLS, in_use, version, why="the first that has no address in common with any in use")

    law()
    everything = [ip_network("10.0.0.0/8"), ip_network("192.168.0.0/16")]
    subject.raises(NotFound, _POOLS, everything, 4, why="all of them are in use")
    used = Once([ip_network("10.0.1.0/24"), ip_network("10.0.0.0/24")])
    why = "an iterable may be a generator, which can be gone through only once"
    subject.gives(ip_network("10.0.2.0/24"), _POOLS, used, 4, why=why)


def _meet(one: Subnet, other: Subnet) -> bool:
    """Do they have an address in common? Then one is within the other: networks never overlap by half."""
    return other[0] in one or one[0] in other


def law_resolv_conf(subject: Subject) -> None:
    """What was asked for, and for the rest what the host's file says, as far as it is of use."""
    away, google = "nameserver 192.0.2.53\n", "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
    for host, wanted, why in (
        (away, away, "the host's server is the container's, too"),
        ("", google, "a container without any server gets the fallback"),
        ("nameserver 127.0.0.53\n", google, "127.0.0.53 is the container itself, where nobody answers"),
        ("nameserver 127.0.0.1\n" + away, away, "of the host's servers those that can be reached"),
        ("nameserver fd00::53\n", google, "the default network has no IPv6"),
        ("# nameserver 198.51.100.1\nnameserver\n" + away, away, "a comment is none, and a line may be incomplete"),
        (f"search a b\n{away}domain c\n", f"{away}search c\n", "the last line of search or domain counts"),
        (f"options a\n{away}options b:2\n", f"{away}options a b:2\n", "lines of options add up"),
    ):
        subject.gives(wanted, host=host, why=why)
    kept = "nameserver 127.0.0.53\nnameserver fd00::53\n"
    subject.gives(kept, isolated=False, host=kept, why="in the host's own network the host's servers can be reached")
    host = f"search a\noptions b\n{away}"
    asked = "nameserver 127.0.0.1\nsearch x y\noptions z\n"
    subject.gives(asked, ["127.0.0.1"], ["x", "y"], ["z"], host=host, why="what the user asks for is not judged")
    subject.gives(f"{away}options b\n", (), ["."], host=host, why="a search list of . is none")
    for arguments in ((["x"],), ((), ["a\nnameserver 192.0.2.66"]), ((), (), ["a b"])):
        subject.raises(InvalidInput, *arguments, host="", why="what is not an address, a name or an option is refused")


def law_parse_publish(subject: Subject) -> None:
    """Every form that -p may have."""
    spans = st.tuples(st.integers(1, 65000), st.integers(1, 4)).map(lambda pair: list(range(pair[0], sum(pair))))
    protocols = st.sampled_from([("", "tcp"), ("/udp", "udp"), ("/SCTP", "sctp")])

    @given(st.sampled_from(["", "127.0.0.1", "[::1]"]), st.sampled_from(["none", "same", "any"]), spans, protocols)
    @example("", "none", [80], ("", "tcp"))
    @example("", "same", [80], ("", "tcp"))
    def law(address: str, kind: str, inside: list[int], protocol: tuple[str, str]) -> None:
        inside = inside[:1] if kind == "any" else inside
        outside = [port + 1 for port in inside]
        hosts = {"none": [""] * len(inside), "same": [str(port) for port in outside], "any": ["8000-8010"]}[kind]
        shown = {"none": "", "same": _span(outside), "any": "8000-8010"}[kind]
        text = f"{address}:{shown}:" if address else f"{shown}:" if shown else ""
        wanted = [
            (f"{port}/{protocol[1]}", {"HostIp": address.strip("[]"), "HostPort": host})
            for port, host in zip(inside, hosts, strict=True)
        ]
        subject.gives(wanted, f"{text}{_span(inside)}{protocol[0]}", why="ADDRESS:HOST:CONTAINER/PROTOCOL")

    law()
    for text in (
        "",
        "80:",
        "x",
        "-1:80",
        "81-80",
        "70000",
        "1-3:80-81",
        "80/icmp",
        "1.2.3:80:80",
        "2:1-2",
        " 80",
        "8_0",
    ):
        subject.raises(InvalidInput, text, why="not a port that can be meant")


def _span(ports: list[int]) -> str:
    return str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"


def law_elements(subject: Subject) -> None:
    """A line of the map for each publication that the packet filter can serve."""
    both = _end("eth0", ipv4="10.0.0.2/24", ipv6="fd00::2/64")
    only4, no_cable = _end("eth0", ipv4="10.0.0.2/24"), _end("eth0", ipv4="10.0.0.2/24", link="")
    everywhere, udp, one, six, self6, one6 = (
        Publication(host_ip=address, host_port=8080, protocol=protocol, port=80)
        for address, protocol in (
            ("0.0.0.0", "tcp"), ("0.0.0.0", "udp"), ("127.0.0.1", "tcp"), ("::", "tcp"), ("::1", "tcp"),
            ("fd01::1", "tcp"),
        )
    )  # fmt: skip
    for publication, target, element, why in (
        (everywhere, only4, Element("everywhere4", "tcp . 8080 : 10.0.0.2 . 80"), "for whatever address of the host"),
        (udp, only4, Element("everywhere4", "udp . 8080 : 10.0.0.2 . 80"), "udp has ports of its own"),
        (one, only4, Element("published4", "127.0.0.1 . tcp . 8080 : 10.0.0.2 . 80"), "for one address of the host"),
        (six, both, Element("everywhere6", "tcp . 8080 : fd00::2 . 80"), "IPv6 leads to the address of IPv6"),
        (one6, both, Element("published6", "fd01::1 . tcp . 8080 : fd00::2 . 80"), "one address, of IPv6"),
        (six, only4, None, "no rule can turn IPv6 into IPv4"),
        (self6, both, None, "what the host sends to its own ::1 never leaves it"),
        (everywhere, no_cable, None, "without a cable to a bridge nothing passes the packet filter"),
        (everywhere, None, None, "there is nowhere to lead to"),
    ):
        _check_elements(subject, [publication], target, [element] if element else [], why)
    wanted = [Element("everywhere4", f"{name} . 8080 : 10.0.0.2 . 80") for name in ("tcp", "udp")]
    _check_elements(subject, [everywhere, six, udp], only4, wanted, "one for each that can be served")


def _check_elements(
    subject: Subject, publications: list[Publication], target: Endpoint | None, wanted: list[Element], why: str
) -> None:
    subject.last.result = found = list(subject(publications, target))
    subject.expect(found == wanted, why, wanted)


_NAMES: dict[str, list[Address]] = {
    "db": [ip_address("10.0.0.2")],
    "web": [ip_address("10.0.0.3"), ip_address("fd00::3"), ip_address("10.0.0.4")],
}


def law_address_records(subject: Subject) -> None:
    """The addresses of the kind that was asked for; an empty answer where there is none; None for strangers."""
    for name, kind in product(("db", "web", "DB", "db.", "stranger"), ("A", "AAAA", "ANY", "MX")):
        known = _NAMES.get(name.lower().rstrip("."))
        wanted = None
        if known is not None:
            versions = {"A": [4], "AAAA": [6], "ANY": [4, 6]}.get(kind, [])
            groups = {version: sorted(str(one) for one in known if one.version == version) for version in versions}
            kinds = {4: "A", 6: "AAAA"}
            wanted = [
                (f"{name.lower().rstrip('.')}.", kinds[one], TTL, group) for one, group in groups.items() if group
            ]
        question = dns.message.make_query(name, kind).question[0]
        found = subject(question, _NAMES.get)
        told = None
        if found is not None:
            told = [_told(each) for each in found]
        subject.last.arguments, subject.last.result = (f"{name} {kind}", _NAMES), told
        subject.expect(told == wanted, "records of the kind asked for; [] is an answer, None means: not mine", wanted)


def _told(record: dns.rrset.RRset) -> tuple[str, str, int, list[str]]:
    """Name, kind, TTL and addresses, to be compared and shown. (DNS gives no meaning to the case of a name.)"""
    name, kind = record.name.to_text().lower(), dns.rdatatype.to_text(record.rdtype)
    return name, kind, record.ttl, sorted(map(str, record))


EXERCISES = (
    Exercise(
        engine="minidock.networks.addresses:mac_of",
        uses=("minidock.networks.addresses:Address",),
        title="A card that nobody made",
        task="""A virtual network card needs a MAC address that no neighbour has. Make it of the IPv4 address: 02:42,
        then the four bytes, each as two hex digits in lower case. Without an IPv4 address (None, or one of IPv6) take
        four random bytes.""",
        law=law_mac_of,
        hints=("address.packed has the bytes.", "secrets.token_bytes(4), and f'{byte:02x}' for each."),
        wrong=(
            Wrong(
                "mac_of_unpadded",
                lambda seen: 11 < len(seen.result) < len(seen.expected) and seen.result.count(":") == 5,
                "A byte is two digits, also when it is small: 0a and not a.",
            ),
            Wrong(
                "mac_of_any_address",
                lambda seen: isinstance(seen.arguments[0], IPv6Address),
                "An IPv6 address has 16 bytes; there is room for 4. Only IPv4 fits.",
            ),
            Wrong(
                "mac_of_zeros",
                lambda seen: seen.arguments[0] is None,
                "Two containers without an address would be called the same.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.networks.sandbox:way_out",
        title="Which door?",
        task="""A container in several networks has one default route for each kind of address. Return the endpoint
        that it leads through: of those with a gateway (gateway4 or gateway6, "" for none) that of the highest
        priority; of equals the one with the lowest interface (eth0, eth1, …). None when there is none.""",
        law=law_way_out,
        hints=("First leave out who has no gateway.", "max(…, key=lambda end: (end.priority, -number), default=None)."),
        wrong=(
            Wrong(
                "way_out_anybody",
                lambda seen: seen.result is not None and not (seen.result.gateway4 or seen.result.gateway6),
                "An internal network has no gateway. Whoever is sent there never arrives.",
            ),
            Wrong(
                "way_out_nobody",
                lambda seen: isinstance(seen.error, ValueError),
                "max of nothing is an error, unless there is a default.",
            ),
            Wrong(
                "way_out_as_text",
                lambda seen: seen.result and any(len(end.interface) > 4 for end in seen.arguments[0]),
                "As text eth10 comes before eth2.",
            ),
            Wrong(
                "way_out_first", lambda seen: seen.result and seen.expected, "The priority decides, then the interface."
            ),
        ),
    ),
    Exercise(
        engine="minidock.networks.addresses:first_free",
        title="Who is next?",
        task="""Addresses are numbers. Return the lowest number from first to last (both included) that is not in
        taken, or None when all are taken. taken has any order, and may hold what is outside, or the same twice; it may
        be a generator, which can be gone through only once. The range may be that of IPv6: you cannot write it all
        down.""",
        law=law_first_free,
        hints=(
            "Sort taken, and look for the first gap.",
            "Go up with a candidate as long as the next number equals it.",
        ),
        wrong=(
            Wrong(
                "first_free_counts",
                lambda seen: seen.expected and seen.result == seen.arguments[0] + len(seen.arguments[2]),
                "How many are taken does not say which: somebody in the middle may have given an address back.",
            ),
            Wrong(
                "first_free_after_the_last",
                lambda seen: bool(seen.arguments[2]) and seen.result == max(seen.arguments[2]) + 1,
                "What was given back is free again. So a network of 254 is not used up after 254 containers.",
            ),
            Wrong(
                "first_free_forgets_the_last",
                lambda seen: seen.expected == seen.arguments[1],
                "last is an address like any other: range does not include its end.",
            ),
            Wrong(
                "first_free_asks_again",
                lambda seen: isinstance(seen.arguments[2], Once),
                "`number in taken` goes through it, and a generator is at its end afterwards: make a set of it first.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.networks.addresses:choose",
        uses=(
            "minidock.errors:NotFound",
            "minidock.networks.addresses:Subnet",
        ),
        title="A subnet that nobody uses",
        task="""pools has pairs: a large network, and the length of the subnets that are cut out of it, in order.
        Return the first subnet of this IP version that has no address in common with any network in use: those of
        other networks, and whatever the host has an address or a route in. in_use may be a generator. Raise NotFound
        when there is none.""",
        law=law_choose,
        hints=(
            "base.subnets(new_prefix=size) cuts it.",
            "candidate.overlaps(network); skip pools of the other version.",
        ),
        wrong=(
            Wrong(
                "choose_any_version",
                lambda seen: getattr(seen.result, "version", None) not in (None, seen.arguments[2]),
                "A subnet of the other IP version was asked for.",
            ),
            Wrong(
                "choose_none",
                lambda seen: seen.expected is NotFound,
                "That there is no subnet left is an error, and whoever asked must hear it.",
            ),
            Wrong(
                "choose_not_the_same",
                lambda seen: any(
                    seen.result.supernet_of(one) for one in seen.arguments[1] if one.version == seen.result.version
                ),
                "Somebody uses a part of it, or one address: a host's route to 10.0.0.7/32 is enough.",
            ),
            Wrong(
                "choose_not_within",
                lambda seen: any(
                    seen.result.subnet_of(one) for one in seen.arguments[1] if one.version == seen.result.version
                ),
                "It lies within a larger network that is in use.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.networks.files:resolv_conf",
        uses=(
            "minidock.errors:InvalidInput",
            "minidock.networks.files:FALLBACK_SERVERS",
        ),
        title="Whom to ask for names",
        task="""Write a container's resolv.conf: lines nameserver, search, options, in this order, empty ones left
        out, each with its newline. servers, search and options are what the user asked for; for
        what is missing take the host's file (its text is host, which is always given here): all nameserver
        lines, the last line of search or domain, all options. In an isolated container keep only
        IPv4 servers that are not loopback; if none is left use FALLBACK_SERVERS. A search list of .
        is none. Raise InvalidInput for an address, name or option that is none: a newline in it
        would be a line of its own.""",
        law=law_resolv_conf,
        hints=(
            "line.split() of each line; a comment's first word is #, and no keyword.",
            "ip_address(text).is_loopback and .version; FALLBACK_SERVERS is in minidock.networks.files.",
            "Filter only what came from the host.",
            "re.fullmatch('[A-Za-z0-9_.-]+', name): names; an option may have a : too.",
        ),
        wrong=(
            Wrong(
                "resolv_conf_loopback",
                lambda seen: (
                    "127." in seen.keywords["host"] and "127." in seen.result and seen.keywords.get("isolated", True)
                ),
                "127.0.0.53 in a container is the container: every look-up would wait for nobody.",
            ),
            Wrong(
                "resolv_conf_believes",
                lambda seen: seen.expected is InvalidInput,
                "search a<newline>nameserver 192.0.2.66 would hand all look-ups to a stranger.",
            ),
            Wrong(
                "resolv_conf_first_search",
                lambda seen: "domain" in seen.keywords["host"],
                "domain is an old word for a search list of one, and the last such line counts. See resolv.conf(5).",
            ),
        ),
    ),
    Exercise(
        engine="minidock.client.ports:parse_publish",
        uses=("minidock.errors:InvalidInput",),
        title="-p in all its forms",
        task="""Read ADDRESS:HOST:CONTAINER/PROTOCOL; only CONTAINER must be there. HOST and CONTAINER are a port or a
        range, 80-90. Return a pair for each port of the container: ("80/tcp", {"HostIp": address, "HostPort": port}),
        "" where nothing was said. An IPv6 address stands in brackets, which go. Two ranges must have one length; but
        of one container's port and a range, the daemon is to choose: HostPort is the range then. Protocols are tcp,
        udp, sctp, in any case. Raise InvalidInput for anything else.""",
        law=law_parse_publish,
        hints=(
            "Take it apart from the end: the protocol after the /, then rpartition(':') twice.",
            "A helper that turns 80 or 80-90 into a range, and all else into an empty one, is good for both.",
        ),
        wrong=(
            Wrong(
                "parse_publish_splits",
                lambda seen: "[" in seen.arguments[0],
                "An IPv6 address has colons of its own. From the end it is easier.",
            ),
            Wrong(
                "parse_publish_one_length",
                lambda seen: "8000-8010:" in seen.arguments[0],
                "One port of the container, and a range on the host: whichever of them is free.",
            ),
            Wrong(
                "parse_publish_turned_round",
                lambda seen: seen.expected is not InvalidInput and ":" in seen.arguments[0],
                "HOST comes first: -p 8080:80 is the container's port 80.",
            ),
            Wrong(
                "parse_publish_trusts",
                lambda seen: seen.expected is InvalidInput,
                "Lengths, order, protocol, address, 65535: what cannot be meant is refused here. (int takes 8_0, too.)",
            ),
        ),
    ),
    Exercise(
        engine="minidock.networks.ports:elements",
        title="A line in the packet filter's map",
        task="""For each publication yield the Element that leads callers to target, the container's endpoint. For all
        addresses of the host (0.0.0.0, ::) it is Element("everywhere4", "tcp . 8080 : 10.0.0.2 . 80"), for one
        address Element("published4", "127.0.0.1 . tcp . 8080 : 10.0.0.2 . 80"); with IPv6 the sets end in 6, and the
        container's address is that of IPv6. Leave out what no rule can do: the other kind of address than the
        container has, ::1, a target without link, no target.""",
        law=law_elements,
        hints=(
            "Endpoint.ipv4 has a length: ip_interface(text).ip is the address alone.",
            "ip_address(item.host_ip): .version chooses the set, .is_unspecified everywhere or published.",
        ),
        wrong=(
            Wrong(
                "elements_with_length",
                lambda seen: any("/" in one.text for one in seen.result),
                "A packet goes to 10.0.0.2, not to 10.0.0.2/24: an endpoint's address has its network's length.",
            ),
            Wrong(
                "elements_crossed",
                lambda seen: seen.arguments[0][-1].host_ip in ("::", "fd01::1") and not seen.arguments[1].ipv6,
                "The kernel changes addresses, not protocols: IPv6 stays IPv6.",
            ),
            Wrong(
                "elements_loopback",
                lambda seen: seen.arguments[0][0].host_ip == "::1",
                "Packets to ::1 stay on lo. There the relay answers, a program.",
            ),
            Wrong(
                "elements_without_cable",
                lambda seen: seen.arguments[1] is not None and not seen.arguments[1].link,
                "A container without a cable (macvlan) is no neighbour of the bridge: nothing passes our rules.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.networks.names:address_records",
        uses=(
            "minidock.networks.addresses:Address",
            "minidock.networks.names:TTL",
        ),
        title="A DNS answer",
        task="""question is one of dnspython's: question.name, question.rdtype. lookup returns the addresses of a name
        in lower case, without a final dot, or None for a name that is nobody's. Return the records for A (IPv4), AAAA
        (IPv6) or ANY (both), one RRset for each kind that there is, under the question's name, with TTL seconds; an
        empty list when the name is known and has no such record; None when it is not known, for then somebody else is
        asked.""",
        law=law_address_records,
        hints=(
            "question.name.to_text(omit_final_dot=True) is the name, in the case in which it was asked.",
            "dns.rrset.from_text(question.name, TTL, 'IN', 'A', *addresses); TTL is in minidock.networks.names.",
        ),
        wrong=(
            Wrong(
                "address_records_no_such_name",
                lambda seen: seen.expected == [] and seen.result is None,
                "The name is known: then 'no such record' is the answer. A caller who hears 'no such name' gives up.",
            ),
            Wrong(
                "address_records_case",
                lambda seen: seen.result is None and not seen.arguments[0].islower(),
                "DB and db are one name, and a final dot is no part of it. RFC 4343.",
            ),
            Wrong(
                "address_records_all_kinds",
                lambda seen: (
                    {kind for _, kind, _, _ in seen.result} > {kind for _, kind, _, _ in seen.expected}
                    and all(group for *_, group in seen.result)
                ),
                "Who asks for A wants IPv4 addresses, and no others.",
            ),
            Wrong(
                "address_records_one_each",
                lambda seen: len({kind for _, kind, _, _ in seen.result}) < len(seen.result),
                "An RRset is a set: all addresses of one kind are in one, not each in its own.",
            ),
        ),
    ),
)
