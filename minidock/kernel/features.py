"""What this machine's kernel has of what the engine needs, and how to get what is missing: for ``minidock info``.

Each feature is tried or looked up, never guessed from the kernel's version: distributions switch things off and port
things back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from minidock.errors import SystemCallFailed
from minidock.kernel import namespaces, seccomp, syscalls


class Feature(Struct, frozen=True):
    """One thing a kernel may have. ``required``: no container starts without it. ``remedy`` is how to get it."""

    name: str
    present: bool
    required: bool
    remedy: str


def features() -> list[Feature]:
    """All that the engine asks of the kernel, cgroups and packet filter apart. Changes nothing."""
    found = [
        Feature(
            f"{kind.name} namespace",
            kind.exists,
            required=kind.name not in ("user", "cgroup", "time"),
            remedy=f"boot a kernel with {_OPTIONS.get(kind.name, f'CONFIG_{kind.file.upper()}_NS')}=y",
        )
        for kind in namespaces.KINDS.values()
    ]
    return found + [Feature(name, _works(probe), required, remedy) for name, probe, required, remedy in _PROBES]


def missing() -> list[Feature]:
    """The features without which no container starts."""
    return [feature for feature in features() if feature.required and not feature.present]


_OPTIONS = {"mount": "CONFIG_NAMESPACES"}


def _works(probe: Callable[[], bool]) -> bool:
    try:
        return probe()
    except (OSError, SystemCallFailed):
        return False


def _filesystem(name: str) -> bool:
    """Registered now; a module that is not loaded yet is found by its file."""
    if any(line.split()[-1] == name for line in Path("/proc/filesystems").read_text().splitlines()):
        return True
    modules = Path("/lib/modules") / os.uname().release
    return any(modules.glob(f"kernel/fs/**/{name}.ko*"))


def _openat2() -> bool:
    os.close(syscalls.openat2(syscalls.AT_FDCWD, "/", os.O_PATH, syscalls.RESOLVE_IN_ROOT))
    return True


def _pidfd() -> bool:
    os.close(syscalls.pidfd_open(os.getpid()))
    return True


def _open_tree() -> bool:
    os.close(syscalls.open_tree(syscalls.AT_FDCWD, "/"))
    return True


def _close_range() -> bool:
    syscalls.close_range(0xFFFFFFFE)
    return True


_PROBES: list[tuple[str, Callable[[], bool], bool, str]] = [
    (
        "overlay file system",
        lambda: _filesystem("overlay"),
        True,
        "modprobe overlay, or a kernel with CONFIG_OVERLAY_FS",
    ),
    ("openat2", _openat2, True, "Linux 5.6 or newer, not forbidden by a seccomp filter"),
    ("pidfd_open", _pidfd, True, "Linux 5.3 or newer, not forbidden by a seccomp filter"),
    ("close_range", _close_range, True, "Linux 5.9 or newer, not forbidden by a seccomp filter"),
    ("mounts by descriptor", _open_tree, True, "Linux 5.2 or newer, not forbidden by a seccomp filter"),
    (
        "seccomp filters",
        lambda: syscalls.seccomp_action_available(seccomp.KILL_PROCESS),
        False,
        "Linux 4.14 or newer with CONFIG_SECCOMP_FILTER=y; without: --security-opt seccomp=unconfined",
    ),
    ("kernel keyrings", lambda: Path("/proc/keys").exists(), False, "a kernel with CONFIG_KEYS=y"),
]
