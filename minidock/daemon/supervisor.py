"""What passes between the daemon and systemd, its supervisor: sockets come in, a few words go out.

Both ways are older than any library for them: environment variables, descriptors from 3 on, one datagram. Sources:
sd_listen_fds(3), sd_notify(3), org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

from minidock.errors import InvalidInput, MinidockError
from minidock.kernel import systemd

FIRST_DESCRIPTOR = 3


def inherited_sockets() -> list[socket.socket]:
    """The listening sockets that systemd has opened for us. Raises InvalidInput when there are none.

    They are taken once: no child of ours inherits them, nor believes that the variables were meant for it.
    """
    meant_for, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    if meant_for != str(os.getpid()) or count == "0":
        raise InvalidInput("no sockets found via socket activation: make sure the service was started by systemd")
    descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]


def tell(*words: str) -> None:
    """One datagram to whoever started us and wants to know: ``READY=1``, ``STOPPING=1``. Nobody may be listening."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto("\n".join(words).encode(), "\0" + address[1:] if address.startswith("@") else address)


def tell_reloading() -> None:
    """Newer systemd wants to know when, to tell this reload's READY=1 from an earlier one's."""
    tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def machine_is_stopping() -> bool:
    """Whether we are being stopped because the machine is. Without systemd nobody can tell: no."""
    if not os.environ.get("NOTIFY_SOCKET"):
        return False
    try:
        return systemd.state() == "stopping"
    except MinidockError:
        return False
