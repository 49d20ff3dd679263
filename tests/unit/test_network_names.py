"""The name server's answers, message by message; who knows what is a table here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.networks import names
from minidock.networks.addresses import Address
from minidock.networks.names import Knowledge, NameServer

TABLE: dict[str, list[Address]] = {
    "db": [ip_address("10.0.0.2")],
    "web": [ip_address("10.0.0.3"), ip_address("10.0.0.4"), ip_address("fd00::3")],
    "many": [ip_address(f"10.0.{number}.1") for number in range(200)],
}


def server(*upstreams: str) -> NameServer:
    """One that knows the table."""
    reverse = {str(address): name for name, addresses in TABLE.items() for address in addresses}
    return NameServer(Knowledge(TABLE.get, reverse.get, lambda: list(upstreams)))


def ask(name: str, kind: str = "A", transport: str = "udp", by: NameServer | None = None) -> dns.message.Message:
    """The answer to one question."""
    query = dns.message.make_query(name, kind)
    answer = asyncio.run((by or server()).answer(query.to_wire(), transport))
    assert answer is not None
    found = dns.message.from_wire(answer)
    assert found.id == query.id and found.question == query.question
    return found


def told(message: dns.message.Message) -> list[str]:
    """The answers' data."""
    return [item.to_text() for rrset in message.answer for item in rrset]


def test_a_neighbour() -> None:
    """An address, with authority; the name may be written in any case."""
    answer = ask("DB")
    assert told(answer) == ["10.0.0.2"]
    assert answer.flags & dns.flags.AA and answer.flags & dns.flags.RA
    assert answer.answer[0].ttl == 600


def test_each_in_its_turn() -> None:
    """Of several all are told, and each is the first sometimes."""
    answers = [told(ask("web")) for _ in range(50)]
    assert all(sorted(answer) == ["10.0.0.3", "10.0.0.4"] for answer in answers)
    assert {answer[0] for answer in answers} == {"10.0.0.3", "10.0.0.4"}


def test_the_other_kind_is_an_empty_answer() -> None:
    """Not an error: musl would believe that there is no such name at all."""
    answer = ask("db", "AAAA")
    assert (answer.rcode(), told(answer)) == (dns.rcode.NOERROR, [])
    assert told(ask("web", "AAAA")) == ["fd00::3"]
    assert told(ask("db", "MX")) == []


def test_backwards() -> None:
    """The name of an address, of both kinds."""
    assert told(ask("2.0.0.10.in-addr.arpa", "PTR")) == ["db."]
    assert told(ask(f"3.{'0.' * 27}0.0.d.f.ip6.arpa", "PTR")) == ["web."]


def test_what_does_not_fit_is_marked() -> None:
    """A datagram of 512 bytes holds no 200 addresses; by TCP they come."""
    answer = ask("many")
    assert answer.flags & dns.flags.TC
    assert len(told(ask("many", transport="tcp"))) == 200


def test_inside_a_closed_network_there_are_no_other_names() -> None:
    """And nobody is asked."""
    assert ask("example.org").rcode() == dns.rcode.NXDOMAIN
    assert ask("9.9.9.9.in-addr.arpa", "PTR").rcode() == dns.rcode.NXDOMAIN


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are asked; when none answers the name may exist all the same."""
    asked: list[str] = []

    async def refuse(server: str, wire: bytes) -> bytes:
        asked.append(server)
        raise ConnectionRefusedError

    monkeypatch.setattr(names, "_ask_udp", refuse)
    assert ask("example.org", by=server("192.0.2.1", "192.0.2.2")).rcode() == dns.rcode.SERVFAIL
    assert asked == ["192.0.2.1", "192.0.2.2"]


@given(st.binary(max_size=100))
def test_garbage_gets_no_answer_or_an_honest_one(data: bytes) -> None:
    """And never an exception."""
    answer = asyncio.run(server().answer(data, "udp"))
    assert answer is None or answer[:2] == data[:2]


def _responses() -> Iterator[bytes]:
    query = dns.message.make_query("db", "A")
    yield dns.message.make_response(query).to_wire()
    query.question = []
    yield query.to_wire()


@pytest.mark.parametrize("wire", list(_responses()), ids=["an answer", "no question"])
def test_what_is_no_question_is_not_answered(wire: bytes) -> None:
    """Or two servers could answer each other for ever."""
    assert asyncio.run(server().answer(wire, "udp")) is None
