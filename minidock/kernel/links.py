"""The loopback device, without netlink: two ioctls are all it takes. netdevice(7)."""

from __future__ import annotations

import ctypes
import os

from minidock.kernel import syscalls
from minidock.kernel.notation import choice, flags, literal

_AF_INET = 2
_SOCK_DGRAM = 2
_IFF_UP = 0x1
_IFF = flags({0x1: "IFF_UP", 0x8: "IFF_LOOPBACK", 0x40: "IFF_RUNNING"})


class _InterfaceRequest(ctypes.Structure):
    """``struct ifreq``: a name of 16 bytes, and a union of which only the flags matter here."""

    _fields_ = (("name", ctypes.c_char * 16), ("flags", ctypes.c_short), ("rest", ctypes.c_char * 22))


def loopback_up() -> None:
    """Bring ``lo`` up in this network namespace: a new one has it, but down, and even 127.0.0.1 answers nothing.

    The kernel gives it 127.0.0.1 and ::1 by itself.
    """
    kind = (_SOCK_DGRAM | os.O_CLOEXEC, literal("SOCK_DGRAM|SOCK_CLOEXEC"))
    anything = syscalls.invoke("socket", (_AF_INET, choice({_AF_INET: "AF_INET"})), kind, (0, literal("IPPROTO_IP")))
    try:
        request = _InterfaceRequest(b"lo")
        shown = (request, lambda _: f'{{ifr_name="lo", ifr_flags={_IFF(request.flags)}}}')
        syscalls.ioctl(anything, "SIOCGIFFLAGS", shown)
        request.flags |= _IFF_UP
        syscalls.ioctl(anything, "SIOCSIFFLAGS", shown)
    finally:
        os.close(anything)
