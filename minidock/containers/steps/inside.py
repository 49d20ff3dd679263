"""Finding and making places inside the container's root without ever leaving it.

The root file system belongs to the image, that is, to a stranger: ``/dev`` may be a symbolic link to ``/etc`` of the
host, and another container that shares a volume may swap directories for links while we look. So every path is walked
by the kernel with RESOLVE_IN_ROOT, which takes ``..`` and absolute links to be inside the root, and the result is held
as a descriptor. What is mounted is mounted on the descriptor, whatever the path means by then (CVE-2021-30465).

Source: openat2(2), proc_pid_fd(5).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from minidock.errors import SystemCallFailed
from minidock.kernel import syscalls

RESOLVE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS


def find(root: int, path: str, resolve: int = RESOLVE) -> int:
    """An O_PATH descriptor of ``path`` inside ``root``; raises :class:`SystemCallFailed` when there is none."""
    while True:
        try:
            return syscalls.openat2(root, path.strip("/") or ".", os.O_PATH, resolve)
        except SystemCallFailed as error:
            # EAGAIN: something was renamed during the walk, and the kernel cannot say whether ".." stayed inside.
            if error.errno_name != "EAGAIN":
                raise


@contextmanager
def found(root: int, path: str) -> Iterator[int | None]:
    """:func:`find` for a ``with``; None when there is nothing at ``path``."""
    try:
        descriptor = find(root, path)
    except SystemCallFailed as error:
        if error.errno_name not in ("ENOENT", "ENOTDIR"):
            raise
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_directory(root: int, path: str, resolve: int = RESOLVE) -> int:
    """A descriptor of the directory ``path``; what is missing of it is made, owned by whoever we are now.

    A link to what does not exist yet (``/var/run`` to ``/run``) is followed, inside the root, and its target made.
    """
    here = find(root, ".", resolve)
    walked = ""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for index, name in enumerate(parts):
        try:
            below = find(root, f"{walked}/{name}", resolve)
        except SystemCallFailed as error:
            if error.errno_name != "ENOENT" or name == "..":
                raise
            target = _behind_link(here, name, walked)
            if target is not None:
                os.close(here)
                return make_directory(root, "/".join([target, *parts[index + 1 :]]), resolve)
            syscalls.mkdirat(here, name)
            below = find(root, f"{walked}/{name}", resolve)
        os.close(here)
        here, walked = below, f"{walked}/{name}"
    return here


def make_file(root: int, path: str) -> int:
    """A descriptor of the file ``path``; an empty one is made where there is nothing, with its directories."""
    try:
        return find(root, path)
    except SystemCallFailed as error:
        if error.errno_name not in ("ENOENT", "ENOTDIR"):
            raise
    parent, name = split(path)
    directory = make_directory(root, parent)
    try:
        target = _behind_link(directory, name, parent)
        if target is not None:
            return make_file(root, target)
        os.close(syscalls.openat(directory, name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o755))
        return find(root, path)
    finally:
        os.close(directory)


def _behind_link(directory: int, name: str, parent: str) -> str | None:
    """Where a link in ``directory``, which is ``parent`` inside the root, leads to; None when it is no link.

    Links in circles never come here: for them the kernel's walk answers ELOOP and not ENOENT.
    """
    try:
        target = syscalls.readlinkat(directory, name)
    except SystemCallFailed as error:
        if error.errno_name in ("EINVAL", "ENOENT"):
            return None
        raise
    return target if target.startswith("/") else f"{parent}/{target}"


def split(path: str) -> tuple[str, str]:
    """``/a/b/c/`` is ``("/a/b", "c")``."""
    parent, _, name = path.rstrip("/").rpartition("/")
    return parent, name


def is_directory(descriptor: int) -> bool:
    """Whether an open file is a directory."""
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def by_descriptor(descriptor: int) -> str:
    """A path that means this open file whatever has been renamed or mounted since: the host's own /proc resolves it."""
    return f"/proc/self/fd/{descriptor}"
