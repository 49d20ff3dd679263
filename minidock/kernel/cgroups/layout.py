"""Which cgroups this host has, and where: read from mountinfo, never assumed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from msgspec import Struct

from minidock.errors import InvalidSpec, KernelFeatureMissing
from minidock.kernel.cgroups.interface import Cgroup

CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "devices", "freezer", "hugetlb")
"""What limits need, by the names of cgroup v2 (there, devices and freezer are not controllers but always present)."""

# What version 1 calls differently.
_V1_NAMES = {"blkio": "io"}


class Layout(Struct, frozen=True):
    """``kind`` is ``v1``, ``v2``, ``hybrid`` or ``none``.

    ``v1`` maps each controller of version 1 (``memory``, ``blkio``, ``name=systemd``, …) to its mount; several may
    share one. ``v2`` is the mount of the unified tree, ``missing`` the controllers of which this host has none.
    """

    kind: str
    v1: dict[str, Path] = {}
    v2: Path | None = None
    missing: tuple[str, ...] = ()

    @property
    def obstacle(self) -> str:
        """Why no container can have a cgroup here, and what to do; empty when it can."""
        mounts = [self.v2] if self.v2 and not self.v1 else sorted(set(self.v1.values()))
        if not mounts:
            return "no cgroups are mounted: mount -t cgroup2 none /sys/fs/cgroup"
        read_only = [str(mount) for mount in mounts if not os.access(mount, os.W_OK)]
        if not read_only:
            return ""
        return (
            f"cgroups are read-only at {', '.join(read_only)}: inside a container, it has to be --privileged; "
            f"elsewhere mount -o remount,rw {read_only[0]}"
        )

    @property
    def counts_swap(self) -> bool:
        """Version 1 may have been booted without (``swapaccount=0``); version 2 has no way to tell at its root."""
        memory = self.v1.get("memory")
        return memory is None or (memory / "memory.memsw.limit_in_bytes").exists()


def at(path: str, layout: Layout | None = None) -> Cgroup:
    """The cgroup ``path`` (counted from the mount of each hierarchy), existing or not. Nothing is touched.

    ``SLICE:PREFIX:NAME`` is a scope of systemd's, as in runc: ``PREFIX-NAME.scope`` in that slice. In version 2 the
    group is one below it, ``container``: the limits of the scope itself are systemd's, which writes them again at each
    ``daemon-reload``; what is below is ours (``Delegate=yes``).

    Raises ``KernelFeatureMissing`` on a host without cgroups, ``InvalidSpec`` for a path that leads out of the mount,
    and for the mount itself: a container that had the root for its cgroup would take the host with it when killed.
    """
    # Imported here because a host needs only one of them, and init starts the faster for it.
    layout = layout or detect()
    if layout.kind == "none":
        raise KernelFeatureMissing(layout.obstacle)
    if scope := parse_scope(path):
        path = f"{slice_path(scope.slice)}/{scope.unit}"
    names = [name for name in path.split("/") if name not in ("", ".")]
    if not names or ".." in names:
        raise InvalidSpec(f"cgroup path {path!r} does not lead to a group below the cgroup mount")
    if layout.kind == "v2":
        from minidock.kernel.cgroups.v2 import CgroupV2

        assert layout.v2
        path += "/container" if scope else ""
        return CgroupV2(path, layout.v2)
    from minidock.kernel.cgroups.v1 import CgroupV1

    return CgroupV1(path, layout.v1)


class Scope(Struct, frozen=True):
    """A scope of systemd's: the slice that it is in, and its own name."""

    slice: str
    unit: str


def parse_scope(path: str) -> Scope | None:
    """``minidock.slice:minidock:4f2a…`` names the scope ``minidock-4f2a….scope``; None: an ordinary path."""
    slice_name, *rest = path.split(":")
    if len(rest) != 2 or "/" in path or not slice_name.endswith(".slice"):
        return None
    return Scope(slice_name, f"{'-'.join(name for name in rest if name)}.scope")


def slice_path(name: str) -> str:
    """Where a slice is: each dash goes one deeper, ``a-b.slice`` is in ``a.slice`` (systemd.slice(5))."""
    words = name.removesuffix(".slice").split("-")
    if words == [""]:
        return ""  # -.slice is the root
    return "".join(f"/{'-'.join(words[: number + 1])}.slice" for number in range(len(words)))


def detect(mountinfo: str = "/proc/self/mountinfo") -> Layout:
    """Read what is mounted (proc_pid_mountinfo(5), cgroups(7))."""
    return parse_mountinfo(os.fsdecode(Path(mountinfo).read_bytes()))


def parse_mountinfo(text: str) -> Layout:
    """The layout that mountinfo's ``text`` shows.

    A mount may show a hierarchy only from some group down (its *root* field is not ``/``): in a container without a
    cgroup namespace, say. That group is then the root of all that can be made, so only the mount point counts.
    The first mount of a hierarchy wins.
    """
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in filter(None, text.split("\n")):
        before, _, after = line.partition(" - ")
        mount_point = Path(_unescape(before.split(" ")[4]))
        file_system, _, super_options = after.split(" ", 2)
        if file_system == "cgroup2" and v2 is None:
            v2 = mount_point
        elif file_system == "cgroup":
            for name in _hierarchies(super_options):
                v1.setdefault(name, mount_point)
    return _describe(v1, v2)


def _hierarchies(super_options: str) -> list[str]:
    """The controllers, or the ``name=…``, that a version 1 mount's options list among others."""
    plain = {"rw", "ro", "xattr", "clone_children", "noprefix", "favordynmods", "cpuset_v2_mode"}
    names = [option for option in super_options.split(",") if option not in plain]
    return [name for name in names if "=" not in name or name.startswith("name=")]


def _describe(v1: dict[str, Path], v2: Path | None) -> Layout:
    controllers = {_V1_NAMES.get(name, name) for name in v1 if "=" not in name}
    if controllers:
        kind = "hybrid" if v2 else "v1"
    elif v2:
        kind = "v2"
        listed = v2 / "cgroup.controllers"
        controllers = {"devices", "freezer", *(listed.read_text().split() if listed.exists() else ())}
    else:
        kind = "none"
    return Layout(kind, v1, v2, tuple(name for name in CONTROLLERS if name not in controllers))


def _unescape(text: str) -> str:
    """mountinfo writes space, tab, newline and backslash as octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
