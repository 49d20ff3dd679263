"""A container's files, from outside: for ``cp`` and ``export``.

The host never has a container's root mounted. So a thread mounts it for itself, in a copy of the host's mount namespace
that ends with the work: of a container that runs, a clone of the mount that its programs have as ``/``; of one that
stands still, a new overlay. On it come the volumes and binds, by the same steps that the container's init takes. What
has no files of its own is not there: /proc, /sys, tmpfs. That is what Docker shows, too.

The work gets a descriptor of the root and reaches everything through openat2(2), for which that root is ``/``. No
thread works with the container's root as its own: what Python loads late (an encoding, a module) it would load from
there (CVE-2019-14271).

Source: open_tree(2), move_mount(2); moby, ``daemon/containerfs_linux.go``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from minidock.containers import state
from minidock.containers.steps import mount_step
from minidock.containers.steps.step import Context
from minidock.daemon import volume_use
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.daemon.own_thread import in_own_thread
from minidock.daemon.spec import NET_FILES
from minidock.errors import NoSuchContainer
from minidock.kernel import syscalls
from minidock.oci.runtime import Mount, Process

T = TypeVar("T")


async def inside(engine: Engine, container: Container, work: Callable[[int], T], only_root: bool = False) -> T:
    """``work``, in a thread, with a descriptor of the container's root directory. Raises what it raises.

    ``only_root``: without volumes and binds. A container that stands still is kept from being started meanwhile.
    """
    while True:
        if container.record.running:
            root = await in_own_thread(partial(_clone_root, container))
            if root is not None:
                return await _look(engine, container, work, only_root, root)
            await container.wait("not-running")
        async with container.lock:
            if container.removing or container.id not in engine.containers:
                raise NoSuchContainer(container.name)
            if not container.record.running:
                return await _look(engine, container, work, only_root, None)


async def _look(engine: Engine, container: Container, work: Callable[[int], T], only_root: bool, root: int | None) -> T:
    mounts = [] if only_root else _mounts(container)
    names = [] if only_root else volume_use.names_of(container.record.mounts)
    try:
        async with volume_use.held(engine, names):
            return await engine.host_mounts.copy(partial(_with_mounts, engine, container, mounts, work, root))
    finally:
        if root is not None:
            os.close(root)


def _clone_root(container: Container) -> int | None:
    """A detached copy of the mount that a running container has as ``/``; None when it has ended.

    It can only be made where that mount is: a thread goes there, makes one call, and ends.
    """
    try:
        record = state.read(container.state_dir)
        namespace = os.open(f"/proc/{record.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except (NoSuchContainer, FileNotFoundError, ProcessLookupError):
        return None
    try:
        # Opened first, compared then: if the pid is somebody else's by now, the times differ.
        if state.start_time(record.pid) != record.start_time:
            return None
        syscalls.unshare(syscalls.CLONE_FS)
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        return syscalls.open_tree(syscalls.AT_FDCWD, "/", clone=True)
    finally:
        os.close(namespace)


def _mounts(container: Container) -> list[Mount]:
    """What is mounted on the root, as far as it is on a disk."""
    kept = [item.mount() for item in container.record.mounts if item.kind != "tmpfs"]
    taken = {mount.destination for mount in kept}
    for name in NET_FILES:
        file = container.bundle / name
        if file.exists() and f"/etc/{name}" not in taken:
            kept.append(Mount(f"/etc/{name}", "bind", str(file), ["bind", "rprivate"]))
    return sorted(kept, key=lambda mount: mount.destination.count("/"))


def _with_mounts(
    engine: Engine, container: Container, mounts: list[Mount], work: Callable[[int], T], clone: int | None
) -> T:
    with _mounted(engine, container, clone) as context:
        for mount in mounts:
            mount_step(mount, own_cgroup_namespace=False).apply(context)
        if container.record.host.readonly_rootfs:
            syscalls.mount_setattr(context.root, "", syscalls.MOUNT_ATTR_RDONLY)
        return work(context.root)


@contextmanager
def _mounted(engine: Engine, container: Container, clone: int | None) -> Iterator[Context]:
    """The root, on the empty directory that the bundle has for it."""
    context = Context(Process("/"), container.bundle)
    if clone is None:
        with engine.images.snapshots.mounted(container.bundle) as rootfs, _opened(context, str(rootfs)):
            yield context
        return
    rootfs = container.bundle / "rootfs"
    syscalls.move_mount(clone, syscalls.AT_FDCWD, rootfs)
    with _opened(context, str(rootfs)):
        yield context


@contextmanager
def _opened(context: Context, path: str) -> Iterator[None]:
    context.root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield
    finally:
        os.close(context.root)
