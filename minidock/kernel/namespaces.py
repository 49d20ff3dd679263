"""The kinds of namespaces, their files in /proc, and the user namespace's maps. namespaces(7), user_namespaces(7)."""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec import Struct

from minidock.errors import InvalidSpec, SystemCallFailed
from minidock.kernel import syscalls


class Kind(Struct, frozen=True):
    """One kind of namespace: its name in the runtime-spec, its file in /proc/PID/ns, its flag for unshare(2)."""

    name: str
    file: str
    flag: int

    @property
    def exists(self) -> bool:
        """Whether this kernel has it."""
        return os.path.lexists(f"/proc/self/ns/{self.file}")

    def path(self, pid: int | str = "self") -> str:
        """Where a process's namespace of this kind can be opened: a link that means the namespace, not a path."""
        return f"/proc/{pid}/ns/{self.file}"


KINDS = {
    kind.name: kind
    for kind in (
        Kind("user", "user", syscalls.CLONE_NEWUSER),
        Kind("mount", "mnt", syscalls.CLONE_NEWNS),
        Kind("pid", "pid", syscalls.CLONE_NEWPID),
        Kind("network", "net", syscalls.CLONE_NEWNET),
        Kind("ipc", "ipc", syscalls.CLONE_NEWIPC),
        Kind("uts", "uts", syscalls.CLONE_NEWUTS),
        Kind("cgroup", "cgroup", syscalls.CLONE_NEWCGROUP),
        Kind("time", "time", syscalls.CLONE_NEWTIME),
    )
}
"""By the runtime-spec's names. In this order they are entered: the user namespace gives the right to the others."""


def kind_of(descriptor: int) -> Kind | None:
    """What kind of namespace an open file is; None when it is no namespace at all. ioctl_ns(2)."""
    try:
        flag = syscalls.ioctl(descriptor, "NS_GET_NSTYPE")
    except SystemCallFailed:
        return None
    return next((kind for kind in KINDS.values() if kind.flag == flag), None)


def open_namespace(path: str, kind: Kind) -> int:
    """Open a namespace by path and make sure that it is of this kind. Returns a descriptor for setns(2).

    Raises :class:`InvalidSpec` when it is not, :class:`SystemCallFailed` when it cannot be opened.
    """
    # O_NONBLOCK: the path may be somebody's FIFO, and we only want to look.
    descriptor = syscalls.openat(syscalls.AT_FDCWD, path, os.O_RDONLY | os.O_NONBLOCK)
    found = kind_of(descriptor)
    if found != kind:
        os.close(descriptor)
        raise InvalidSpec(f"{path} is {f'a {found.name}' if found else 'not a'} namespace, {kind.name} is wanted")
    return descriptor


class IdMapping(Struct, frozen=True):
    """``size`` ids from ``container`` on, inside, are those from ``host`` on, outside."""

    container: int
    host: int
    size: int

    def __str__(self) -> str:
        return f"{self.container} {self.host} {self.size}"


def parse_id_map(text: str) -> list[IdMapping]:
    """The content of /proc/PID/uid_map or gid_map. Raises ValueError."""
    mappings = []
    for line in text.splitlines():
        container, host, size = map(int, line.split())
        mappings.append(IdMapping(container, host, size))
    return mappings


def to_host(mappings: Sequence[IdMapping], number: int) -> int | None:
    """The id outside for an id inside; None when it is not mapped: then files of that id belong to ``nobody``."""
    for mapping in mappings:
        if mapping.container <= number < mapping.container + mapping.size:
            return mapping.host + number - mapping.container
    return None


def write_id_maps(
    pid: int | str, uids: Sequence[IdMapping], gids: Sequence[IdMapping], procfs: int = syscalls.AT_FDCWD
) -> None:
    """Give the new user namespace of ``pid`` its users and groups. Once, from the parent user namespace.

    With several mappings, or others than one's own id, the writer needs CAP_SETUID and CAP_SETGID there. Without them
    ``setgroups`` must be denied first: otherwise leaving a group could open a file that denies it (CVE-2014-8989).
    ``procfs`` is a directory to count from instead of /proc.
    """
    prefix = f"{pid}" if procfs != syscalls.AT_FDCWD else f"/proc/{pid}"
    _, permitted, _ = syscalls.capget()
    if not permitted >> syscalls.CAPABILITIES.index("CAP_SETGID") & 1:
        syscalls.write_file(f"{prefix}/setgroups", "deny", procfs)
    # One write for the whole map: a second one is refused with EPERM.
    syscalls.write_file(f"{prefix}/uid_map", "\n".join(map(str, uids)), procfs)
    syscalls.write_file(f"{prefix}/gid_map", "\n".join(map(str, gids)), procfs)
