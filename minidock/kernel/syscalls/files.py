"""System calls on files and directories, all of them relative to a directory that is held open.

A path is walked anew at every call, and somebody else may swap a component for a symbolic link in between. So the
engine opens a directory once, and goes on from that descriptor: the ``…at`` calls, and openat2(2) which can refuse
to follow links or to leave the directory.
"""

from __future__ import annotations

import ctypes
import os
from errno import EINVAL, EIO

from minidock.errors import SystemCallFailed
from minidock.kernel.notation import choice, flags, named, octal, quoted
from minidock.kernel.syscalls.seam import Argument, Path, check_identities, invoke

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_REMOVEDIR = 0x200
AT_SYMLINK_FOLLOW = 0x400
AT_EMPTY_PATH = 0x1000
_AT = flags(named(globals(), "AT_"))

# How openat2(2) may walk a path. Stable since Linux 5.6.
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
_RESOLVE = flags(named(globals(), "RESOLVE_"))

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4
_RENAME = flags(named(globals(), "RENAME_"))

PROC_SUPER_MAGIC = 0x9FA0
CGROUP_SUPER_MAGIC = 0x27E0EB
CGROUP2_SUPER_MAGIC = 0x63677270

# The numbers of O_DIRECTORY, O_NOFOLLOW and O_DIRECT differ between x86 and arm: take the C library's.
_OPEN_ORDER = (
    "O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_SYNC O_NOFOLLOW O_CLOEXEC O_PATH O_TMPFILE O_DIRECTORY"
)
_OPEN_NAMES = {int(getattr(os, name)): name for name in _OPEN_ORDER.split()}
_ACCESS = {os.O_RDONLY: "O_RDONLY", os.O_WRONLY: "O_WRONLY", os.O_RDWR: "O_RDWR"}


def _open_flags(value: object) -> str:
    """The access mode is a number in the lowest two bits, not a set: ``O_RDONLY`` is 0."""
    assert isinstance(value, int)
    rest = flags(_OPEN_NAMES, zero="")(value & ~os.O_ACCMODE)
    return "|".join(filter(None, [_ACCESS.get(value & os.O_ACCMODE, "O_ACCMODE"), rest]))


def at(descriptor: int) -> Argument:
    """A directory descriptor as an argument: ``AT_FDCWD``, or its number."""
    return descriptor, choice({AT_FDCWD: "AT_FDCWD"}) if descriptor == AT_FDCWD else str


def openat(directory: int, path: Path, open_flags: int, mode: int = 0) -> int:
    """Open ``path``, relative to ``directory`` (or AT_FDCWD); a new file gets ``mode``. Close-on-exec. open(2)."""
    arguments: list[Argument] = [at(directory), path, (open_flags | os.O_CLOEXEC, _open_flags)]
    if open_flags & (os.O_CREAT | os.O_TMPFILE & ~os.O_DIRECTORY):
        arguments.append((mode, octal))
    return invoke("openat", *arguments, operand=_named(path))


class _OpenHow(ctypes.Structure):
    """``struct open_how`` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(directory: int, path: Path, open_flags: int, resolve: int, mode: int = 0) -> int:
    """Open ``path`` with rules for the walk (``RESOLVE_…``). Close-on-exec. openat2(2).

    With RESOLVE_IN_ROOT, ``directory`` is the root of the walk: absolute links and ``..`` stay inside.
    """
    how = _OpenHow(open_flags | os.O_CLOEXEC, mode, resolve)

    def render(_: object) -> str:
        parts = [f"flags={_open_flags(how.flags)}"]
        if how.flags & (os.O_CREAT | os.O_TMPFILE & ~os.O_DIRECTORY):
            parts.append(f"mode={octal(how.mode)}")
        parts.append(f"resolve={_RESOLVE(how.resolve)}")
        return "{" + ", ".join(parts) + "}"

    return invoke("openat2", at(directory), path, (how, render), ctypes.sizeof(how), operand=_named(path))


def write(descriptor: int, data: bytes, operand: str = "") -> int:
    """Write once; how many bytes were taken. ``operand`` names the file in an error. write(2)."""
    buffer = (ctypes.c_char * len(data)).from_buffer_copy(data) if data else None
    return invoke("write", descriptor, (buffer, lambda _: quoted(data)), len(data), operand=operand)


def write_file(path: Path, text: str | bytes, directory: int = AT_FDCWD, open_flags: int = 0) -> None:
    """Write ``text`` into an existing file with one write, as files of /proc, /sys and cgroups want it.

    ``open_flags`` are added to O_WRONLY (O_NOFOLLOW, O_CREAT, …). Raises :class:`SystemCallFailed` that names the path
    and the text.
    """
    data = os.fsencode(text)
    descriptor = openat(directory, path, os.O_WRONLY | open_flags, 0o644)
    try:
        what = f"{_named(path)}, {quoted(data)}"
        if write(descriptor, data, what) != len(data):
            raise SystemCallFailed("write", what, EIO)
    finally:
        os.close(descriptor)


def mkdirat(directory: int, path: Path, mode: int = 0o755) -> None:
    """Make a directory. mkdir(2)."""
    invoke("mkdirat", at(directory), path, (mode, octal), operand=_named(path))


_FILE_TYPES = {0o020000: "S_IFCHR", 0o060000: "S_IFBLK", 0o100000: "S_IFREG", 0o010000: "S_IFIFO", 0o140000: "S_IFSOCK"}


def mknodat(directory: int, path: Path, mode: int, device: int = 0) -> None:
    """Make a device file, FIFO, socket or regular file: ``mode`` holds type and permissions. mknod(2).

    EINVAL for a device number beyond the kernel's 12 bits of major and 20 bits of minor: it would cut off the rest,
    and make another device.
    """
    if os.major(device) >= 1 << 12 or os.minor(device) >= 1 << 20:
        raise SystemCallFailed("mknodat", f"{_named(path)}, {os.major(device)}:{os.minor(device)}", EINVAL)

    def render_mode(_: object) -> str:
        return f"{_FILE_TYPES.get(mode & 0o170000, '0')}|{octal(mode & 0o7777)}"

    arguments: list[Argument] = [at(directory), path, (mode, render_mode)]
    # strace shows a device number only where it means something.
    # C's "%#x" writes zero without a prefix.
    makedev = f"makedev({os.major(device):#x}, {os.minor(device):#x})".replace("0x0,", "0,").replace("0x0)", "0)")
    if mode & 0o170000 in (0o020000, 0o060000):
        arguments.append((device, lambda _: makedev))
    invoke("mknodat", *arguments, operand=_named(path))


def symlinkat(target: Path, directory: int, path: Path) -> None:
    """Make a symbolic link at ``path`` that says ``target``. symlink(2)."""
    invoke("symlinkat", target, at(directory), path, operand=f"{_named(target)}, {_named(path)}")


def unlinkat(directory: int, path: Path, at_flags: int = 0) -> None:
    """Remove a name; a directory's with AT_REMOVEDIR. unlink(2)."""
    invoke("unlinkat", at(directory), path, (at_flags, _AT), operand=_named(path))


def renameat2(from_directory: int, source: Path, directory: int, path: Path, rename_flags: int = 0) -> None:
    """Rename; RENAME_NOREPLACE never replaces, RENAME_EXCHANGE swaps two. rename(2)."""
    what = f"{_named(source)}, {_named(path)}"
    invoke("renameat2", at(from_directory), source, at(directory), path, (rename_flags, _RENAME), operand=what)


def fchownat(directory: int, path: Path, uid: int, gid: int, at_flags: int = AT_SYMLINK_NOFOLLOW) -> None:
    """Give the file to a user and a group, by default a link itself. Clears set-uid bits. chown(2)."""
    check_identities("fchownat", uid, gid)
    invoke("fchownat", at(directory), path, uid, gid, (at_flags, _AT), operand=_named(path))


def fchown(descriptor: int, uid: int, gid: int) -> None:
    """Give an open file to a user and a group. chown(2)."""
    check_identities("fchown", uid, gid)
    invoke("fchown", descriptor, uid, gid)


def fchmod(descriptor: int, mode: int) -> None:
    """Set the permissions of an open file: nothing to follow, nothing to race with. chmod(2)."""
    invoke("fchmod", descriptor, (mode, octal))


def syncfs(descriptor: int) -> None:
    """Wait until all that was written to this file's file system is on the disk. syncfs(2).

    For a tree of many files one call costs less than an fsync of each: 50,000 files take a fifth of a second.
    """
    invoke("syncfs", descriptor)


def readlinkat(directory: int, path: Path) -> str:
    """What a symbolic link says. readlink(2)."""
    size = 4096
    buffer = ctypes.create_string_buffer(size)
    length = invoke(
        "readlinkat", at(directory), path, (buffer, lambda _: quoted(buffer.value)), size, operand=_named(path)
    )
    return os.fsdecode(buffer.raw[:length])


_IOCTLS = {
    0x5410: "TIOCSPGRP", 0x540E: "TIOCSCTTY", 0x5413: "TIOCGWINSZ", 0x5414: "TIOCSWINSZ", 0x5441: "TIOCGPTPEER",
    0x80045430: "TIOCGPTN", 0x40045431: "TIOCSPTLCK", 0x8913: "SIOCGIFFLAGS", 0x8914: "SIOCSIFFLAGS",
    0xB703: "NS_GET_NSTYPE",
}  # fmt: skip
_IOCTL_NUMBERS = {name: number for number, name in _IOCTLS.items()}


def ioctl(descriptor: int, request: str, argument: Argument = 0) -> int:
    """Ask a device (or a namespace, or a socket) for what is not reading or writing; ``request`` by name. ioctl(2)."""
    what = f"{descriptor}, {request}"
    return invoke("ioctl", descriptor, (_IOCTL_NUMBERS[request], choice(_IOCTLS)), argument, operand=what)


def umask(mask: int) -> int:
    """Permissions that new files of this process do not get; returns the former mask. umask(2)."""
    return invoke("umask", (mask, octal))


def filesystem_magic(descriptor: int) -> int:
    """What kind of file system an open file is on: PROC_SUPER_MAGIC, …: the proof that /proc is /proc. statfs(2)."""
    buffer = (ctypes.c_long * 16)()  # struct statfs has 120 bytes, f_type first, on both architectures
    invoke("fstatfs", descriptor, (buffer, lambda _: f"{{f_type={buffer[0]:#x}, ...}}"))
    return int(buffer[0])


def dup3(descriptor: int, number: int, close_on_exec: bool = False) -> None:
    """Make ``number`` another name of ``descriptor``, which must be a different number. dup(2)."""
    cloexec = os.O_CLOEXEC if close_on_exec else 0
    invoke("dup3", descriptor, number, (cloexec, flags(_OPEN_NAMES)))


def dup2(descriptor: int, number: int) -> None:
    """Make ``number`` another name of ``descriptor``, inherited over exec even if they are the same. dup(2)."""
    if descriptor == number:
        os.set_inheritable(descriptor, True)
    else:
        dup3(descriptor, number)


CLOSE_RANGE_CLOEXEC = 4


def close_range(first: int, last: int = 0xFFFFFFFF, cloexec: bool = False) -> None:
    """Close the descriptors from ``first`` to ``last``; with ``cloexec`` leave that to exec. close_range(2)."""
    names = flags({CLOSE_RANGE_CLOEXEC: "CLOSE_RANGE_CLOEXEC"})
    invoke("close_range", first, last, (CLOSE_RANGE_CLOEXEC if cloexec else 0, names))


def _named(path: Path) -> str:
    return quoted(os.fsencode(path))
