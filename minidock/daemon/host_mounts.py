"""Work in the host's mount namespace, or in a copy of it that lasts as long as the work.

The daemon has a mount namespace of its own (see :mod:`minidock.daemon.main`), which may not see what the host mounted
later. Namespaces belong to threads, not to processes: so whoever needs the host's mounts gets a thread, which enters
the host's namespace, works, and ends. In a copy of the namespace, what the work mounts is seen by nobody else and is
gone with the thread, even if the daemon is killed.

Source: setns(2), unshare(2), mount_namespaces(7).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from minidock.daemon.own_thread import in_own_thread
from minidock.kernel import syscalls

T = TypeVar("T")


class HostMounts:
    """The mount namespace of ``pid``, which is the host's."""

    def __init__(self, pid: int) -> None:
        self._namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._namespace)

    async def change(self, work: Callable[[], T]) -> T:
        """What ``work`` mounts stays, and containers see it. Raises what it raises."""
        return await in_own_thread(lambda: self._enter(work))

    async def copy(self, work: Callable[[], T]) -> T:
        """What ``work`` mounts goes when it ends. Raises what it raises."""

        def apart() -> T:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            # Slaves: what the host unmounts, we do not keep busy.
            syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
            return work()

        return await in_own_thread(lambda: self._enter(apart))

    def _enter(self, work: Callable[[], T]) -> T:
        # A thread shares its working directory and root with the others, and could not change namespaces.
        syscalls.unshare(syscalls.CLONE_FS)
        syscalls.setns(self._namespace, syscalls.CLONE_NEWNS)
        return work()
