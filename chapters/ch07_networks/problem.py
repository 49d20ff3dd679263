"""The problem of chapter 7: alone with oneself, or in everybody's way.

``python -m chapters problem 7``
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from ipaddress import IPv4Interface

from minidock.kernel import links, syscalls
from minidock.networks.netlink import Netlink
from minidock.networks.sandbox import inside

HOST, DATABASE = ("192.0.2.1", 22), ("127.0.0.1", 5432)


@contextmanager
def container(own: bool) -> Iterator[int]:
    """The pid of a process that waits, in a new network namespace (``own``) or in ours."""
    prepare = partial(syscalls.unshare, syscalls.CLONE_NEWNET) if own else None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, preexec_fn=prepare) as process:
        if own:
            inside(process.pid, links.loopback_up)
        yield process.pid  # then its input ends, and so does cat


def attempt(what: str, pid: int, work: Callable[[], socket.socket], opened: ExitStack) -> None:
    """Make a socket in there, and say how it went."""
    try:
        opened.enter_context(inside(pid, work))
        print(f"  {what}: yes")
    except OSError as error:
        print(f"  {what}: {os.strerror(error.errno or 0)}")


def main(arguments: list[str]) -> int:
    """Two containers, alone and together, on a "host" that is a network namespace: your own port 80 is left alone."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    links.loopback_up()
    with Netlink() as kernel:
        kernel.add_address("lo", IPv4Interface(HOST[0]))
    listen = partial(socket.create_server, ("0.0.0.0", 80))
    with socket.create_server(HOST), socket.create_server(DATABASE):
        for own, title in ((True, "each has a network of its own:"), (False, "both use the network of the host:")):
            print(title)
            with container(own) as one, container(own) as other, ExitStack() as opened:
                attempt("the first listens on port 80", one, listen, opened)
                attempt("the second listens on port 80", other, listen, opened)
                for what, address in (("the host", HOST), ("what the host keeps for itself, on 127.0.0.1", DATABASE)):
                    attempt(f"it calls {what}", other, partial(socket.create_connection, address, 5), opened)
    return 0
