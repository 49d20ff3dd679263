"""The one narrow seam between Python and the kernel: every system call of the engine goes through :func:`invoke`.

Calls are made by number with glibc's ``syscall(2)``, not by glibc's wrapper of the same name. So what we announce is
what strace sees; there is no difference between the C libraries; and calls younger than the C library work. It also
means that a call acts on the calling thread alone, where glibc would sometimes go round all threads (setresuid,
setgroups): the processes that become containers have one thread.

On both architectures an argument is a machine word, which is why every integer is passed as a C long: ctypes would
pass a plain Python int as 32 bits and leave the upper half of the register to chance.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from errno import EINTR, EINVAL
from typing import Final

from minidock.errors import KernelFeatureMissing, SystemCallFailed
from minidock.kernel import announce
from minidock.kernel.notation import Renderer, quoted

# name: (x86_64, aarch64), from asm/unistd_64.h and asm-generic/unistd.h. Calls from 424 on have one number everywhere.
NUMBERS: Final = {
    "bpf": (321, 280),
    "capget": (125, 90),
    "capset": (126, 91),
    "chdir": (80, 49),
    "chroot": (161, 51),
    "clone": (56, 220),
    "close_range": (436, 436),
    "dup3": (292, 24),
    "execve": (59, 221),
    "fchdir": (81, 50),
    "fchmod": (91, 52),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "fcntl": (72, 25),
    "fstatfs": (138, 44),
    "inotify_add_watch": (254, 27),
    "inotify_init1": (294, 26),
    "inotify_rm_watch": (255, 28),
    "ioctl": (16, 29),
    "keyctl": (250, 219),
    "mkdirat": (258, 34),
    "mknodat": (259, 33),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "openat": (257, 56),
    "openat2": (437, 437),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "readlinkat": (267, 78),
    "renameat2": (316, 276),
    "rt_sigaction": (13, 134),
    "seccomp": (317, 277),
    "setdomainname": (171, 162),
    "setgroups": (116, 159),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setresgid": (119, 149),
    "setresuid": (117, 147),
    "setsid": (112, 157),
    "socket": (41, 198),
    "symlinkat": (266, 36),
    "syncfs": (306, 267),
    "umask": (95, 166),
    "umount2": (166, 39),
    "unlinkat": (263, 35),
    "unshare": (272, 97),
    "waitid": (247, 95),
    "write": (1, 64),
}

_MACHINES = {"x86_64": 0, "aarch64": 1}

Path = str | bytes | os.PathLike[str]
Plain = int | Path | None | ctypes.Structure | ctypes.Array  # type: ignore[type-arg]  # an array of anything
Argument = Plain | tuple[Plain, Renderer]
"""What goes to the kernel; with a renderer where the plain notation (decimal, quoted, ``NULL``) is not strace's."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _numbers() -> dict[str, ctypes.c_long]:
    machine = os.uname().machine
    # A 32-bit Python on a 64-bit kernel enters it by another door, with other numbers.
    if machine not in _MACHINES or sys.maxsize < 1 << 32:
        raise KernelFeatureMissing(
            f"no system call numbers for {machine}: a 64-bit Python on x86_64 or aarch64 is needed"
        )
    column = _MACHINES[machine]
    return {name: ctypes.c_long(numbers[column]) for name, numbers in NUMBERS.items()}


_OWN_NUMBERS = _numbers()
_ZERO = ctypes.c_long(0)


def invoke(name: str, *arguments: Argument, acts_on: int = 6, operand: str = "") -> int:
    """Make the system call ``name`` and return its result; announce it; try again when a signal interrupted it.

    Text is passed as a C string, None as NULL, structures and arrays by address. ``acts_on`` says how many of the
    arguments an error names; ``operand`` replaces them, where a file descriptor alone would say nothing.

    Raises :class:`SystemCallFailed`.
    """
    words = [_word(argument[0] if isinstance(argument, tuple) else argument) for argument in arguments]
    # C strings end at the first NUL: the kernel would silently act on another file than the one that was named.
    error = EINVAL if any(isinstance(word, bytes) and b"\0" in word for word in words) else EINTR
    # syscall(2) fills six registers; where we give less, it would take whatever lies on the stack.
    words += [_ZERO] * (6 - len(words))
    while error == EINTR:
        start = time.monotonic_ns()
        result = int(_libc.syscall(_OWN_NUMBERS[name], *words))
        error = ctypes.get_errno() if result == -1 else 0
        if announce.listeners:
            _announce(name, arguments, result, error, start)
        if error == 0:
            return result
    raise SystemCallFailed(name, operand or ", ".join(render(arguments)[:acts_on]), error)


def number(name: str) -> int:
    """This machine's number of the call ``name``."""
    return _OWN_NUMBERS[name].value


def check_identities(name: str, *numbers: int) -> None:
    """Users' and groups' numbers, or -1 for "as it is", must fit into 32 bits: EINVAL for the call ``name`` otherwise.

    The kernel would cut off the rest, and 2**32 be root (CVE-2024-40635).
    """
    if not all(-1 <= value < (1 << 32) - 1 for value in numbers):
        raise SystemCallFailed(name, ", ".join(map(str, numbers)), EINVAL)


def render(arguments: tuple[Argument, ...]) -> tuple[str, ...]:
    """The arguments in the kernel's notation."""
    return tuple(_render(argument) for argument in arguments)


def _render(argument: Argument) -> str:
    if isinstance(argument, tuple):
        value, renderer = argument
        return renderer(value)
    if argument is None:
        return "NULL"
    if isinstance(argument, int):
        return str(argument)
    if isinstance(argument, (str, bytes, os.PathLike)):
        return quoted(os.fsencode(argument))
    return "{...}"


def _word(value: Plain) -> object:
    """What ctypes puts into a register for ``value``."""
    if value is None:
        return ctypes.c_void_p(None)
    if isinstance(value, int):
        return ctypes.c_long(value)
    if isinstance(value, (str, bytes, os.PathLike)):
        return os.fsencode(value)
    return ctypes.byref(value) if isinstance(value, ctypes.Structure) else value


def _announce(name: str, arguments: tuple[Argument, ...], result: int, error: int, start: int) -> None:
    end = time.monotonic_ns()
    announce.announce(announce.Call(os.getpid(), name, render(arguments), result, error, start, end - start))
