"""The loopback device in a network namespace of its own."""

from __future__ import annotations

import socket

import pytest

from minidock.kernel import links, syscalls
from tests.kernel.inside import inside

pytestmark = pytest.mark.root


def test_loopback_answers_only_when_it_is_up() -> None:
    """Before, not even 127.0.0.1 is reachable; afterwards a connection to oneself works, and twice does no harm."""

    def work() -> tuple[int, bool]:
        listener = socket.create_server(("0.0.0.0", 0))
        address = ("127.0.0.1", listener.getsockname()[1])
        before = socket.socket().connect_ex(address)
        links.loopback_up()
        links.loopback_up()
        with socket.create_connection(address) as connection:
            return before, connection.getpeername() == address

    before, connected = inside(work, namespaces=syscalls.CLONE_NEWNET)
    assert before != 0 and connected
