"""System calls that change what a process sees as its file system: mounts, roots, working directory."""

from __future__ import annotations

import ctypes
import os

from minidock.kernel.notation import flags, named
from minidock.kernel.syscalls.files import AT_EMPTY_PATH, at
from minidock.kernel.syscalls.seam import Path, invoke

# mount(2), linux/mount.h
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SILENT = 1 << 15
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_I_VERSION = 1 << 23
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25
_MS = flags(named(globals(), "MS_"))

# umount2(2)
MNT_FORCE = 1
MNT_DETACH = 2
MNT_EXPIRE = 4
UMOUNT_NOFOLLOW = 8
_UMOUNT = flags(named(globals(), "MNT_") | named(globals(), "UMOUNT_"))

# The newer calls that hold a mount by descriptor: open_tree(2), move_mount(2), mount_setattr(2), fsopen(2).
OPEN_TREE_CLONE = 1
AT_RECURSIVE = 0x8000
MOVE_MOUNT_F_EMPTY_PATH = 4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR__ATIME = 0x70  # not a flag but a field of three bits: a mount's atime mode is one number
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_NOSYMFOLLOW = 0x200000
_ATTRIBUTES = flags(named(globals(), "MOUNT_ATTR_"))
_MOVE_MOUNT = flags(named(globals(), "MOVE_MOUNT_"))
_AT_TREE = flags({AT_EMPTY_PATH: "AT_EMPTY_PATH", AT_RECURSIVE: "AT_RECURSIVE"})


def mount(
    source: Path | None, target: Path, filesystem: str | None, mount_flags: int = 0, data: str | None = None
) -> None:
    """Mount, bind, remount, move, or change propagation: ``mount_flags`` decide which. mount(2)."""
    invoke("mount", source, target, filesystem, (mount_flags, _MS), data, acts_on=2)


def umount2(target: Path, umount_flags: int = 0) -> None:
    """Take a mount away; with MNT_DETACH at once, even if it is in use. umount(2)."""
    invoke("umount2", target, (umount_flags, _UMOUNT))


def pivot_root(new_root: Path, put_old: Path) -> None:
    """Swap the root mount of this mount namespace: unlike after chroot, the old root can then be unmounted.

    ``new_root`` must be a mount point whose parent is not shared. pivot_root(2); the trick with ``.`` and ``.``, which
    stacks the old root on the new one, is from there.
    """
    invoke("pivot_root", new_root, put_old)


def chroot(path: Path) -> None:
    """Change what ``/`` means for this process. Not a jail: root can break out. chroot(2)."""
    invoke("chroot", path)


def chdir(path: Path) -> None:
    """Change the working directory. chdir(2)."""
    invoke("chdir", path)


def fchdir(descriptor: int) -> None:
    """Change the working directory to an open one. chdir(2)."""
    invoke("fchdir", descriptor)


def open_tree(directory: int, path: Path, clone: bool = False, recursive: bool = False) -> int:
    """A descriptor for a mount; with ``clone`` for a new, detached bind mount of it. open_tree(2). Close-on-exec."""
    value = os.O_CLOEXEC | (OPEN_TREE_CLONE if clone else 0) | (AT_RECURSIVE if recursive else 0)
    value |= AT_EMPTY_PATH if not os.fspath(path) else 0
    names = {OPEN_TREE_CLONE: "OPEN_TREE_CLONE", os.O_CLOEXEC: "OPEN_TREE_CLOEXEC", AT_EMPTY_PATH: "AT_EMPTY_PATH"}
    return invoke("open_tree", at(directory), path, (value, flags(names | {AT_RECURSIVE: "AT_RECURSIVE"})))


def move_mount(mount_descriptor: int, directory: int, path: Path) -> None:
    """Attach a mount held by descriptor at ``path``; with an empty path at ``directory`` itself. move_mount(2)."""
    value = MOVE_MOUNT_F_EMPTY_PATH | (0 if os.fspath(path) else MOVE_MOUNT_T_EMPTY_PATH)
    invoke("move_mount", mount_descriptor, "", at(directory), path, (value, _MOVE_MOUNT))


class _MountAttributes(ctypes.Structure):
    """``struct mount_attr`` of mount_setattr(2)."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def mount_setattr(
    directory: int, path: Path, set_flags: int = 0, clear: int = 0, propagation: int = 0, recursive: bool = False
) -> None:
    """Change a mount's attributes (``MOUNT_ATTR_…``); ``recursive``: those of all mounts below too. mount_setattr(2).

    This is the only way to make a whole tree read-only: MS_REMOUNT|MS_REC changes the top mount alone.
    """
    attributes = _MountAttributes(set_flags, clear, propagation, 0)
    at_flags = (AT_RECURSIVE if recursive else 0) | (0 if os.fspath(path) else AT_EMPTY_PATH)

    def render(_: object) -> str:
        return (
            f"{{attr_set={_ATTRIBUTES(set_flags)}, attr_clr={_ATTRIBUTES(clear)}, "
            f"propagation={_MS(propagation)}, userns_fd=0}}"
        )

    size = ctypes.sizeof(attributes)
    invoke("mount_setattr", at(directory), path, (at_flags, _AT_TREE), (attributes, render), size, acts_on=2)
