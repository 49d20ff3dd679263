"""Pseudo-terminals that live in a container's own /dev/pts.

A pseudo-terminal belongs to the devpts mount whose ``ptmx`` was opened. The container must get one of its own mount:
then ``tty`` finds it in the container's /dev/pts, and no path of the host is involved.
"""

from __future__ import annotations

import ctypes
import os
import stat

from minidock.errors import InvalidSpec
from minidock.kernel import syscalls
from minidock.kernel.notation import flags, literal

_DEVPTS_SUPER_MAGIC = 0x1CD1
_OPEN = flags({os.O_NOCTTY: "O_NOCTTY", os.O_CLOEXEC: "O_CLOEXEC"})


def open_pair(pts_directory: int) -> tuple[int, int]:
    """A new pseudo-terminal of the devpts mount that ``pts_directory`` is open on: (controlling side, terminal side).

    The terminal is never opened by its path /dev/pts/N, which the container's image may have turned into a link to
    something else (CVE-2025-52565): the kernel hands it out by TIOCGPTPEER (Linux 4.13). ioctl_tty(2).

    Raises :class:`InvalidSpec` when the directory is not on a devpts.
    """
    controller = syscalls.openat(pts_directory, "ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NOFOLLOW)
    try:
        status = os.fstat(controller)
        if syscalls.filesystem_magic(controller) != _DEVPTS_SUPER_MAGIC or not stat.S_ISCHR(status.st_mode):
            raise InvalidSpec("/dev/pts is not a devpts mount: a terminal needs one of the container's own")
        unlock = (ctypes.c_int * 1)(0)
        syscalls.ioctl(controller, "TIOCSPTLCK", (unlock, literal("[0]")))
        peer_flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        return controller, syscalls.ioctl(
            controller, "TIOCGPTPEER", (peer_flags, lambda _: f"O_RDWR|{_OPEN(peer_flags & ~os.O_RDWR)}")
        )
    except BaseException:
        os.close(controller)
        raise


def number(controller: int) -> int:
    """N of the terminal's name /dev/pts/N."""
    value = (ctypes.c_uint * 1)()
    syscalls.ioctl(controller, "TIOCGPTN", (value, lambda _: f"[{value[0]}]"))
    return int(value[0])


def set_size(descriptor: int, height: int, width: int) -> None:
    """Tell a terminal its size in characters. The foreground processes get SIGWINCH if it changed."""
    size = (ctypes.c_ushort * 4)(height, width, 0, 0)
    text = f"{{ws_row={height}, ws_col={width}, ws_xpixel=0, ws_ypixel=0}}"
    syscalls.ioctl(descriptor, "TIOCSWINSZ", (size, literal(text)))


def get_size(descriptor: int) -> tuple[int, int]:
    """(height, width) of a terminal in characters; zeros when nobody has said."""
    size = (ctypes.c_ushort * 4)()
    syscalls.ioctl(descriptor, "TIOCGWINSZ", (size, lambda _: f"{{ws_row={size[0]}, ws_col={size[1]}, ...}}"))
    return int(size[0]), int(size[1])


def make_controlling(terminal: int) -> None:
    """Make it the controlling terminal of the session that this process leads: ^C and window changes come from it.

    Only a session leader without one may: setsid(2) comes first.
    """
    syscalls.ioctl(terminal, "TIOCSCTTY", 0)
