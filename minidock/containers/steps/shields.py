"""Steps that take parts of /proc and /sys away again: what is in no namespace must not be seen, or not be written."""

from __future__ import annotations

import os
import stat

from minidock.containers.steps import inside
from minidock.containers.steps.step import Context, Step
from minidock.errors import InvalidSpec
from minidock.kernel import syscalls


class MaskPaths(Step, frozen=True):
    """Cover files with /dev/null and directories with an empty read-only tmpfs."""

    paths: tuple[str, ...]
    man = "mount(2)"
    why = "kernel memory, keys, timers and firmware of the host belong to no namespace"

    @property
    def title(self) -> str:
        return "Hide " + ", ".join(self.paths)

    def apply(self, context: Context) -> None:
        # The host's own null, held open: what the image calls /dev/null may be anything (CVE-2025-31133).
        null = syscalls.openat(syscalls.AT_FDCWD, "/dev/null", os.O_PATH | os.O_NOFOLLOW)
        try:
            status = os.fstat(null)
            if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(1, 3):
                raise InvalidSpec(
                    "/dev/null of the host is not the null device: repair it with mknod -m 666 /dev/null c 1 3"
                )
            for path in self.paths:
                self._mask(context.root, path, null)
        finally:
            os.close(null)

    def _mask(self, root: int, path: str, null: int) -> None:
        with inside.found(root, path) as target:
            if target is None:
                return
            if inside.is_directory(target):
                flags = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
                syscalls.mount("tmpfs", inside.by_descriptor(target), "tmpfs", flags)
                return
            tree = syscalls.open_tree(null, "", clone=True)
            try:
                syscalls.move_mount(tree, target, "")
            finally:
                os.close(tree)


class ProtectPaths(Step, frozen=True):
    """Make files and directories read-only by binding them on themselves."""

    paths: tuple[str, ...]
    man = "open_tree(2), mount_setattr(2)"
    why = "kernel parameters may be read, but one container must not set them for all"

    @property
    def title(self) -> str:
        return "Make " + ", ".join(self.paths) + " read-only"

    def apply(self, context: Context) -> None:
        for path in self.paths:
            with inside.found(context.root, path) as target:
                if target is None:
                    continue
                tree = syscalls.open_tree(target, "", clone=True, recursive=True)
                try:
                    syscalls.mount_setattr(tree, "", syscalls.MOUNT_ATTR_RDONLY, recursive=True)
                    syscalls.move_mount(tree, target, "")
                finally:
                    os.close(tree)
