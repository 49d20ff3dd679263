"""The name server at 127.0.0.11, one a container: it knows the neighbours, and asks the host's servers for all else.

Its sockets are opened by a thread *inside* the container's network namespace, and a socket stays where it was opened;
so the daemon, outside, can serve them from its event loop. Port 53 itself is left to the container's own programs: the
sockets have any port, and two rules inside the container lead there (as Docker does). What is asked of the host's
servers is asked from the host. In a container that is in internal networks only, nothing is: a name server that
forwards would be a way out (CVE-2024-29018).

Sources: RFC 1035; messages are dnspython's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

from minidock.networks import filter, sandbox
from minidock.networks.addresses import Address

log = logging.getLogger(__name__)

ADDRESS = "127.0.0.11"
TTL = 600
"""Seconds, as Docker's. Who moves gets another address at once; who remembers the old one for so long is to blame."""

_RULES = """\
table ip minidock_names {{ }}
delete table ip minidock_names
table ip minidock_names {{
	chain output {{
		type nat hook output priority -100; policy accept;
		ip daddr {address} udp dport 53 dnat to {address}:{udp}
		ip daddr {address} tcp dport 53 dnat to {address}:{tcp}
	}}
}}
"""
_PATIENCE = 3.0
"""Seconds for one of the host's servers."""
_MOST_FORWARDED = 256
"""Questions under way to the host's servers, for one container."""
_IDLE = 30.0


@dataclass(frozen=True)
class Knowledge:
    """What a container's name server knows; each is asked anew for each question.

    ``lookup`` is None for a name that is nobody's; ``reverse`` is the name of an address; ``servers`` are the host's
    (or the user's), in order, and none for a container that is to stay inside.
    """

    lookup: Callable[[str], list[Address] | None]
    reverse: Callable[[str], str | None]
    servers: Callable[[], list[str]]


class NameServer:
    """The name server of one container."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._forwarded = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def open(self, pid: int) -> None:
        """Answer in the network namespace of process ``pid``, in the place of whoever did before."""
        udp, tcp = await asyncio.to_thread(sandbox.inside, pid, _open_sockets)
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Questions(self), sock=udp)
        self._tcp = await asyncio.start_server(self._talk, sock=tcp)

    def close(self) -> None:
        """No more answers."""
        for task in self._tasks:
            task.cancel()
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()

    def asked(self, question: bytes, address: tuple[str, int]) -> None:
        """A datagram has come."""
        task = asyncio.get_running_loop().create_task(self._answer_datagram(question, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_datagram(self, question: bytes, address: tuple[str, int]) -> None:
        answer = await self.answer(question, "udp")
        if answer is not None and self._udp is not None:
            self._udp.sendto(answer, address)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """TCP: each message after its length in two bytes; several may follow each other."""
        with contextlib.closing(writer), contextlib.suppress(OSError, EOFError, TimeoutError):
            while True:
                async with asyncio.timeout(_IDLE):
                    question = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                answer = await self.answer(question, "tcp")
                if answer is None:
                    return
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()

    async def answer(self, wire: bytes, transport: str) -> bytes | None:
        """The answer to a message; None for what is no question at all."""
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            return None
        if query.flags & dns.flags.QR or len(query.question) != 1:
            return None
        response = self._own(query)
        if response is None:
            return await self._forward(wire, query, transport)
        size = max(512, query.payload) if transport == "udp" else 65535
        return response.to_wire(max_size=size, prefer_truncation=True)

    def _own(self, query: dns.message.Message) -> dns.message.Message | None:
        """The answer about a neighbour; None when it is about somebody else."""
        question = query.question[0]
        records = None
        if question.rdclass == dns.rdataclass.IN:
            if question.rdtype == dns.rdatatype.PTR:
                records = self._pointer(question)
            else:
                records = address_records(question, self._knowledge.lookup)
        if records is None:
            return None
        response = _response(query)
        response.flags |= dns.flags.AA
        response.answer = records
        return response

    def _pointer(self, question: dns.rrset.RRset) -> list[dns.rrset.RRset] | None:
        try:
            name = self._knowledge.reverse(dns.reversename.to_address(question.name))
        except (dns.exception.DNSException, ValueError):
            return None
        return [dns.rrset.from_text(question.name, TTL, "IN", "PTR", f"{name}.")] if name else None

    async def _forward(self, wire: bytes, query: dns.message.Message, transport: str) -> bytes:
        """Ask the servers, one after the other. Inside a closed network there are no other names."""
        servers = self._knowledge.servers()
        if servers and self._forwarded < _MOST_FORWARDED:
            self._forwarded += 1
            try:
                for server in servers:
                    with contextlib.suppress(OSError, EOFError, TimeoutError):
                        async with asyncio.timeout(_PATIENCE):
                            return await (_ask_udp if transport == "udp" else _ask_tcp)(server, wire)
            finally:
                self._forwarded -= 1
        response = _response(query)
        response.set_rcode(dns.rcode.SERVFAIL if servers else dns.rcode.NXDOMAIN)
        return response.to_wire()


def address_records(
    question: dns.rrset.RRset, lookup: Callable[[str], list[Address] | None]
) -> list[dns.rrset.RRset] | None:
    """The answer to a question for addresses: records that live for TTL seconds; None when the name is nobody's.

    ``lookup`` knows names in lower case, without a final dot.
    """
    found = lookup(question.name.to_text(omit_final_dot=True).lower())
    if found is None:
        return None
    kinds = {dns.rdatatype.A: [4], dns.rdatatype.AAAA: [6], dns.rdatatype.ANY: [4, 6]}
    records = []
    # Several may have this name: dnspython writes their addresses in another order each time.
    for version in kinds.get(question.rdtype, []):
        own = [str(address) for address in found if address.version == version]
        kind = "A" if version == 4 else "AAAA"
        if own:
            records.append(dns.rrset.from_text(question.name, TTL, "IN", kind, *own))
    return records  # an own name without such an address is an answer too: an empty one


def _response(query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    assert isinstance(response, dns.message.Message)
    return response


class _Questions(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._server.asked(data, address)


class _OneAnswer(asyncio.DatagramProtocol):
    """Waits for the datagram that answers a question: who guesses the port must guess the number too."""

    def __init__(self, question: bytes) -> None:
        self._question = question
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        if data[:2] == self._question[:2] and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


async def _ask_udp(server: str, wire: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, waiting = await loop.create_datagram_endpoint(lambda: _OneAnswer(wire), remote_addr=(server, 53))
    with contextlib.closing(transport):
        transport.sendto(wire)
        return await waiting.answer


async def _ask_tcp(server: str, wire: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    with contextlib.closing(writer):
        writer.write(len(wire).to_bytes(2, "big") + wire)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


def _open_sockets() -> tuple[socket.socket, socket.socket]:
    """To be done inside: two sockets, and the rules that lead port 53 to them."""
    with contextlib.ExitStack() as opened:
        udp = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        tcp = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        udp.bind((ADDRESS, 0))
        tcp.bind((ADDRESS, 0))
        tcp.listen(64)
        ports = {"udp": udp.getsockname()[1], "tcp": tcp.getsockname()[1]}
        filter.run_script(_RULES.format(address=ADDRESS, **ports))
        opened.pop_all()
    udp.setblocking(False)
    tcp.setblocking(False)
    return udp, tcp
