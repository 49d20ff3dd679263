"""Inside the container's network namespace: its end of the cable becomes ``eth0``, with an address and a way out."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import TypeVar

from minidock.kernel import syscalls
from minidock.kernel.namespaces import KINDS, open_namespace
from minidock.networks.netlink import Netlink

T = TypeVar("T")

INTERFACE = "eth0"


def mac_of(address: IPv4Address) -> str:
    """Docker's rule: 02:42 (locally administered), then the address. So it is as unique as the address is."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + address.packed)


def inside(pid: int, work: Callable[[], T]) -> T:
    """Do ``work`` in the network namespace of process ``pid``, and return or raise what it does.

    setns(2) moves one thread. It is done by a new thread that ends afterwards, so that no thread of the daemon that
    anybody else uses is ever in the wrong namespace, whatever happens here. Context variables are handed on to it, so a
    listener (kernel.announce) can tell for whom a call is made.
    """
    outcome: Future[T] = Future()

    def enter() -> None:
        try:
            kind = KINDS["network"]
            namespace = open_namespace(kind.path(pid), kind)
            try:
                syscalls.setns(namespace, kind.flag)
            finally:
                os.close(namespace)
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(enter,), name=f"netns of {pid}")
    thread.start()
    thread.join()
    return outcome.result()


def configure(address: IPv4Interface, gateway: IPv4Address) -> None:
    """To be done inside: bring up ``eth0``, with an address and the gateway as default route.

    ``lo`` is up already: that is the runtime's part, with or without a network.
    """
    _without_ipv6()
    with Netlink() as kernel:
        kernel.add_address(INTERFACE, address)
        kernel.set_up(INTERFACE)
        kernel.add_default_route(gateway)


def _without_ipv6() -> None:
    """The default network has none, and an address that the kernel makes up would only be a way around the rules."""
    ignore_router_announcements(INTERFACE)
    setting = Path("/proc/sys/net/ipv6/conf") / INTERFACE / "disable_ipv6"
    if setting.exists():
        syscalls.write_file(setting, "1")


def ignore_router_announcements(link: str) -> None:
    """Any neighbour could announce itself as the router for IPv6, and the kernel would believe it.

    /proc/sys/net shows the network namespace of the thread that looks.
    """
    setting = Path("/proc/sys/net/ipv6/conf") / link / "accept_ra"
    if setting.exists():
        syscalls.write_file(setting, "0")
