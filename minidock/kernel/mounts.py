"""What is mounted, as /proc/PID/mountinfo says it, and mount options as people and the OCI runtime-spec write them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from minidock.errors import InvalidSpec
from minidock.kernel import syscalls


class Mount(Struct, frozen=True):
    """One line of /proc/PID/mountinfo. proc_pid_mountinfo(5).

    ``root`` is the directory of the file system that is mounted at ``mount_point``: not ``/`` for a bind mount.
    ``options`` belong to this mount, ``super_options`` to the file system, which other mounts may share. ``optional``
    are the propagation tags: ``shared:N``, ``master:N``, ``propagate_from:N``, ``unbindable``.
    """

    mount_id: int
    parent_id: int
    major: int
    minor: int
    root: str
    mount_point: str
    options: tuple[str, ...]
    optional: tuple[str, ...]
    filesystem: str
    source: str
    super_options: str

    def __str__(self) -> str:
        """The line as the kernel prints it, without the newline."""
        fields = [
            str(self.mount_id),
            str(self.parent_id),
            f"{self.major}:{self.minor}",
            escape(self.root),
            escape(self.mount_point),
            ",".join(self.options),
            *self.optional,
            "-",
            escape(self.filesystem),
            escape(self.source),
            self.super_options,
        ]
        return " ".join(fields)

    @property
    def shared(self) -> bool:
        """Whether mounts made below it appear in other places too."""
        return any(tag.startswith("shared:") for tag in self.optional)


def escape(text: str) -> str:
    """Blank, tab, newline and backslash in octal, as the kernel does so that a line stays a line of fields."""
    return re.sub(r"[ \t\n\\]", lambda match: f"\\{ord(match[0]):03o}", text)


def unescape(text: str) -> str:
    """The opposite of :func:`escape`; any other octal escape is understood too (``#`` is one for some file systems)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def parse_line(line: str) -> Mount:
    """One line of mountinfo. The number of optional fields varies: a lone ``-`` ends them. Raises ValueError."""
    # Split at single blanks: an empty source, as mount("", …) makes, is an empty field and not a missing one.
    fields = line.split(" ")
    separator = fields.index("-", 6)
    filesystem, source, super_options = fields[separator + 1 :]
    major, minor = fields[2].split(":")
    return Mount(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        major=int(major),
        minor=int(minor),
        root=unescape(fields[3]),
        mount_point=unescape(fields[4]),
        options=tuple(fields[5].split(",")),
        optional=tuple(fields[6:separator]),
        filesystem=unescape(filesystem),
        source=unescape(source),
        super_options=super_options,
    )


def mounts(pid: int | str = "self") -> list[Mount]:
    """The mounts that a process sees, in the order in which they hide each other."""
    text = os.fsdecode(Path(f"/proc/{pid}/mountinfo").read_bytes())
    return [parse_line(line) for line in text.split("\n") if line]


# The options of the runtime-spec ("Linux mount options") that are a flag of mount(2): (flag, whether it is set).
FLAG_OPTIONS = {
    "ro": (syscalls.MS_RDONLY, True),
    "rw": (syscalls.MS_RDONLY, False),
    "nosuid": (syscalls.MS_NOSUID, True),
    "suid": (syscalls.MS_NOSUID, False),
    "nodev": (syscalls.MS_NODEV, True),
    "dev": (syscalls.MS_NODEV, False),
    "noexec": (syscalls.MS_NOEXEC, True),
    "exec": (syscalls.MS_NOEXEC, False),
    "sync": (syscalls.MS_SYNCHRONOUS, True),
    "async": (syscalls.MS_SYNCHRONOUS, False),
    "remount": (syscalls.MS_REMOUNT, True),
    "mand": (syscalls.MS_MANDLOCK, True),
    "nomand": (syscalls.MS_MANDLOCK, False),
    "dirsync": (syscalls.MS_DIRSYNC, True),
    "nosymfollow": (syscalls.MS_NOSYMFOLLOW, True),
    "symfollow": (syscalls.MS_NOSYMFOLLOW, False),
    "noatime": (syscalls.MS_NOATIME, True),
    "atime": (syscalls.MS_NOATIME, False),
    "nodiratime": (syscalls.MS_NODIRATIME, True),
    "diratime": (syscalls.MS_NODIRATIME, False),
    "bind": (syscalls.MS_BIND, True),
    "rbind": (syscalls.MS_BIND | syscalls.MS_REC, True),
    "silent": (syscalls.MS_SILENT, True),
    "loud": (syscalls.MS_SILENT, False),
    "relatime": (syscalls.MS_RELATIME, True),
    "norelatime": (syscalls.MS_RELATIME, False),
    "iversion": (syscalls.MS_I_VERSION, True),
    "noiversion": (syscalls.MS_I_VERSION, False),
    "strictatime": (syscalls.MS_STRICTATIME, True),
    "nostrictatime": (syscalls.MS_STRICTATIME, False),
    "lazytime": (syscalls.MS_LAZYTIME, True),
    "nolazytime": (syscalls.MS_LAZYTIME, False),
}

# How mounts made on one side appear on the other; mount_namespaces(7). With the leading r, for the whole tree.
PROPAGATION_OPTIONS = {
    prefix + name: flag | recursive
    for prefix, recursive in (("", 0), ("r", syscalls.MS_REC))
    for name, flag in (
        ("private", syscalls.MS_PRIVATE),
        ("shared", syscalls.MS_SHARED),
        ("slave", syscalls.MS_SLAVE),
        ("unbindable", syscalls.MS_UNBINDABLE),
    )
}

# Attributes for a mount and all mounts below it: mount_setattr(2). The atime mode is one number, so choosing a mode
# clears all of its bits first, and "no mode" falls back to relatime, which is the number 0.
_ATIME = syscalls.MOUNT_ATTR__ATIME
RECURSIVE_OPTIONS = {
    "rro": (syscalls.MOUNT_ATTR_RDONLY, 0),
    "rrw": (0, syscalls.MOUNT_ATTR_RDONLY),
    "rnosuid": (syscalls.MOUNT_ATTR_NOSUID, 0),
    "rsuid": (0, syscalls.MOUNT_ATTR_NOSUID),
    "rnodev": (syscalls.MOUNT_ATTR_NODEV, 0),
    "rdev": (0, syscalls.MOUNT_ATTR_NODEV),
    "rnoexec": (syscalls.MOUNT_ATTR_NOEXEC, 0),
    "rexec": (0, syscalls.MOUNT_ATTR_NOEXEC),
    "rnodiratime": (syscalls.MOUNT_ATTR_NODIRATIME, 0),
    "rdiratime": (0, syscalls.MOUNT_ATTR_NODIRATIME),
    "rnosymfollow": (syscalls.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "rsymfollow": (0, syscalls.MOUNT_ATTR_NOSYMFOLLOW),
    "rrelatime": (0, _ATIME),
    "rnorelatime": (0, 0),
    "rnoatime": (syscalls.MOUNT_ATTR_NOATIME, _ATIME),
    "ratime": (0, _ATIME),
    "rstrictatime": (syscalls.MOUNT_ATTR_STRICTATIME, _ATIME),
    "rnostrictatime": (0, _ATIME),
}


class MountOptions(Struct, frozen=True):
    """A list of options, sorted by which system call each one is for.

    ``flags`` are for mount(2) itself, ``cleared`` those that were asked to be off (a remount must not keep them);
    ``propagation`` are for a mount(2) each, afterwards; ``recursive_set`` and ``recursive_clear`` for mount_setattr(2);
    ``data`` is what the file system itself understands. ``copy_up``: fill a new tmpfs with what it covers.
    """

    flags: int = 0
    cleared: int = 0
    propagation: tuple[int, ...] = ()
    recursive_set: int = 0
    recursive_clear: int = 0
    data: str = ""
    copy_up: bool = False


def parse_options(options: Iterable[str]) -> MountOptions:
    """Sort the options of a runtime-spec mount. A later option overrides an earlier one. Raises InvalidSpec."""
    flags = cleared = recursive_set = recursive_clear = 0
    propagation, data, copy_up = [], [], False
    for option in options:
        if option in FLAG_OPTIONS:
            flag, on = FLAG_OPTIONS[option]
            flags, cleared = (flags | flag, cleared & ~flag) if on else (flags & ~flag, cleared | flag)
        elif option in PROPAGATION_OPTIONS:
            propagation.append(PROPAGATION_OPTIONS[option])
        elif option in RECURSIVE_OPTIONS:
            add, clear = RECURSIVE_OPTIONS[option]
            recursive_set = recursive_set & ~clear | add
            recursive_clear = recursive_clear & ~add | clear
        elif option == "tmpcopyup":
            copy_up = True
        elif option in ("idmap", "ridmap"):
            raise InvalidSpec(f"mount option {option}: id-mapped mounts are not supported, remove the option")
        elif option not in ("defaults", ""):
            data.append(option)
    return MountOptions(flags, cleared, tuple(propagation), recursive_set, recursive_clear, ",".join(data), copy_up)
