"""Inside the container's network namespace: its ends of the cables become ``eth0``, ``eth1``, …, with a way out."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from minidock.kernel import syscalls
from minidock.kernel.namespaces import KINDS, open_namespace
from minidock.networks.netlink import Netlink
from minidock.networks.store import Endpoint

T = TypeVar("T")


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


def configure(new: Sequence[Endpoint], everyone: Sequence[Endpoint], sysctls: Mapping[str, Mapping[str, str]]) -> None:
    """To be done inside: bring up the ``new`` interfaces, and find the way out among ``everyone``'s.

    ``sysctls`` are what the user set for an interface. ``lo`` is up already: that is the runtime's part, with or
    without a network. Raises SystemCallFailed.
    """
    for endpoint in new:
        ignore_router_announcements(endpoint.interface)
        _ipv6(endpoint.interface, bool(endpoint.ipv6))
        for key, value in sysctls[endpoint.interface].items():
            # As ignore_router_announcements: the host's /proc/sys/net shows the namespace of the thread that looks.
            syscalls.write_file(Path("/proc/sys", *key.replace("IFNAME", endpoint.interface).split(".")), value)
    with Netlink() as kernel:
        for endpoint in new:
            for address in endpoint.addresses:
                kernel.add_address(endpoint.interface, address)
            kernel.set_up(endpoint.interface)
        _set_ways_out(kernel, everyone)


def unplug(interface: str, others: Sequence[Endpoint]) -> None:
    """To be done inside: the interface goes, and the way out is found among the ``others``'."""
    with Netlink() as kernel:
        if kernel.find(interface) is not None:
            kernel.delete(interface)
        _set_ways_out(kernel, others)


def _set_ways_out(kernel: Netlink, endpoints: Sequence[Endpoint]) -> None:
    for version, gateway in (
        (4, way_out([endpoint for endpoint in endpoints if endpoint.gateway4])),
        (6, way_out([endpoint for endpoint in endpoints if endpoint.gateway6])),
    ):
        if gateway is not None:
            kernel.set_default_route(gateway.gateway4 if version == 4 else gateway.gateway6)
        elif any(endpoint.ipv6 for endpoint in endpoints) or version == 4:
            kernel.delete_default_route(version)


def way_out(endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """The endpoint of the highest priority that has a gateway; of equals the first interface."""
    able = [endpoint for endpoint in endpoints if endpoint.gateway4 or endpoint.gateway6]
    return max(
        able, key=lambda endpoint: (endpoint.priority, -int(endpoint.interface.removeprefix("eth"))), default=None
    )


def _ipv6(interface: str, wanted: bool) -> None:
    """Where the network has none, an address that the kernel makes up would only be a way around the rules."""
    setting = Path("/proc/sys/net/ipv6/conf") / interface / "disable_ipv6"
    if setting.exists():
        syscalls.write_file(setting, "0" if wanted else "1")


def ignore_router_announcements(link: str) -> None:
    """Any neighbour could announce itself as the router for IPv6, and the kernel would believe it.

    /proc/sys/net shows the network namespace of the thread that looks.
    """
    setting = Path("/proc/sys/net/ipv6/conf") / link / "accept_ra"
    if setting.exists():
        syscalls.write_file(setting, "0")
