"""Steps that give a process another root directory: from chroot(2), which teaches, to pivot_root(2), which holds."""

from __future__ import annotations

import os

from minidock.containers.steps import inside
from minidock.containers.steps.step import Context, Step
from minidock.errors import InvalidSpec, SystemCallFailed
from minidock.kernel import mounts, syscalls
from minidock.oci import runtime as oci


class KeepMountsApart(Step, frozen=True):
    """Set the propagation of all mounts that the new namespace was copied with. ``propagation``: rslave, rprivate, …"""

    propagation: str = "rslave"
    man = "mount_namespaces(7)"
    why = "a new mount namespace is a copy that still hears from, and tells, the original: stop the telling"

    @property
    def title(self) -> str:
        return f"Make every mount {self.propagation[1:]}"

    def apply(self, context: Context) -> None:
        syscalls.mount(None, "/", None, mounts.PROPAGATION_OPTIONS[self.propagation])


class KeepParentPrivate(Step, frozen=True):
    """Make the mount that the root file system will be mounted on private."""

    path: str
    man = "pivot_root(2)"
    why = "pivot_root refuses a parent that is shared: the new root would appear on the host"

    @property
    def title(self) -> str:
        return "Make the mount below the root file system private"

    def apply(self, context: Context) -> None:
        path = os.path.realpath(context.bundle / self.path)
        points = [
            mount.mount_point for mount in mounts.mounts() if f"{path}/".startswith(mount.mount_point.rstrip("/") + "/")
        ]
        syscalls.mount(None, max(points, key=len), None, syscalls.MS_PRIVATE)


class MountOverlay(Step, frozen=True):
    """Mount the layers of an image, with a writable one on top, as the container's root."""

    path: str
    data: str
    flags: int = 0
    source: str = "overlay"
    man = "mount(2), overlayfs: docs.kernel.org/filesystems/overlayfs.html"
    why = "the layers are read-only and shared by all containers; what this one writes goes to its own upper directory"

    @property
    def title(self) -> str:
        return "Mount the image's layers and a writable one as the root"

    def apply(self, context: Context) -> None:
        # A directory as source is where relative lowerdirs count from: 500 of them fit in a page of options only if
        # each is short. The kernel looks them up from the working directory.
        if self.source.startswith("/"):
            syscalls.chdir(self.source)
        path = str((context.bundle / self.path).absolute())
        syscalls.mount("overlay", path, "overlay", self.flags, self.data)
        context.root = syscalls.openat(syscalls.AT_FDCWD, path, os.O_PATH | os.O_DIRECTORY)


class BindRoot(Step, frozen=True):
    """Make a directory of the host a mount of its own, to be the container's root."""

    path: str
    man = "mount(2), pivot_root(2)"
    why = "pivot_root wants a mount, not just a directory; a bind mount makes one out of the other"

    @property
    def title(self) -> str:
        return f"Bind {self.path} to itself as the root"

    def apply(self, context: Context) -> None:
        path = os.path.realpath(context.bundle / self.path)
        if path == "/":
            raise InvalidSpec("root.path is the host's own root")
        if not os.path.isdir(path):  # noqa: PTH112 - no pathlib on this path: it runs in every container's start
            raise InvalidSpec(f"root.path {path}: no such directory")
        syscalls.mount(path, path, None, syscalls.MS_BIND | syscalls.MS_REC)
        context.root = syscalls.openat(syscalls.AT_FDCWD, path, os.O_PATH | os.O_DIRECTORY)


class Chroot(Step, frozen=True):
    """Call a directory ``/``: the oldest container, and no jail."""

    path: str
    man = "chroot(2)"
    why = (
        "names are looked up from another directory; but the old root is still mounted, and root can find its way back"
    )

    @property
    def title(self) -> str:
        return f"Change the root directory to {self.path}"

    def apply(self, context: Context) -> None:
        syscalls.chroot(context.bundle / self.path)
        syscalls.chdir("/")


class PivotRoot(Step, frozen=True):
    """Make the root file system the root mount, and unmount the host's."""

    man = "pivot_root(2)"
    why = "afterwards the host's files are not forbidden: they are not there"

    @property
    def title(self) -> str:
        return "Swap the root, and let the host's go"

    def apply(self, context: Context) -> None:
        old = syscalls.openat(syscalls.AT_FDCWD, "/", os.O_PATH | os.O_DIRECTORY)
        syscalls.fchdir(context.root)
        # "." and ".": the old root lands on top of the new one, and no directory has to be made for it.
        syscalls.pivot_root(".", ".")
        # We stand in the old root now. Its unmounting must not propagate to the host.
        syscalls.fchdir(old)
        os.close(old)
        syscalls.mount(None, ".", None, syscalls.MS_REC | syscalls.MS_SLAVE)
        syscalls.umount2(".", syscalls.MNT_DETACH)
        syscalls.chdir("/")
        _close_root(context)


class PropagateRoot(Step, frozen=True):
    """Set the propagation of the container's root mount."""

    propagation: str
    man = "mount_namespaces(7)"
    why = "decides whether mounts that appear under the root are seen elsewhere, and the other way round"

    @property
    def title(self) -> str:
        return f"Make the root mount {self.propagation}"

    def apply(self, context: Context) -> None:
        syscalls.mount(None, "/", None, mounts.PROPAGATION_OPTIONS[self.propagation])


class ReadOnlyRoot(Step, frozen=True):
    """Make the root mount read-only; what is mounted below keeps its own mode."""

    man = "mount_setattr(2)"
    why = "a container that cannot change its program cannot be made to run another"

    @property
    def title(self) -> str:
        return "Make the root read-only"

    def apply(self, context: Context) -> None:
        syscalls.mount_setattr(context.root, "", syscalls.MOUNT_ATTR_RDONLY)


class MakeWorkingDirectory(Step, frozen=True):
    """Make the directory that the program will start in, if the image lacks it."""

    path: str
    man = "mkdir(2)"
    why = "Docker's users may name a working directory that does not exist yet"

    @property
    def title(self) -> str:
        return f"Make the working directory {self.path}"

    def apply(self, context: Context) -> None:
        try:
            os.close(inside.make_directory(context.root, self.path))
        except SystemCallFailed as error:
            # On a read-only root the directory must be there already; magic links are refused when we go there.
            if error.errno_name not in ("EROFS", "ELOOP", "EXDEV"):
                raise InvalidSpec(f'mkdir of cwd ("{self.path}"): {(error.strerror or "").lower()}') from None


def mount_root(mount: oci.Mount, path: str) -> MountOverlay:
    """The step for config.json's overlay mount on ``/``; ``path`` is where, counted from the bundle."""
    options = mounts.parse_options(mount.options)
    return MountOverlay(path, options.data, options.flags, mount.source)


def _close_root(context: Context) -> None:
    os.close(context.root)
    context.root = -1
