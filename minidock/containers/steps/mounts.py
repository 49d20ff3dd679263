"""Steps that fill the container's root: file systems, binds of the host's files, cgroups."""

from __future__ import annotations

import os
import re
from pathlib import Path

from minidock.containers.steps import inside
from minidock.containers.steps.step import Context, Step
from minidock.errors import InvalidSpec, SystemCallFailed
from minidock.kernel import cgroups, mounts, syscalls
from minidock.oci import runtime as oci

ATTRIBUTES = {
    syscalls.MS_RDONLY: syscalls.MOUNT_ATTR_RDONLY,
    syscalls.MS_NOSUID: syscalls.MOUNT_ATTR_NOSUID,
    syscalls.MS_NODEV: syscalls.MOUNT_ATTR_NODEV,
    syscalls.MS_NOEXEC: syscalls.MOUNT_ATTR_NOEXEC,
    syscalls.MS_NODIRATIME: syscalls.MOUNT_ATTR_NODIRATIME,
    syscalls.MS_NOSYMFOLLOW: syscalls.MOUNT_ATTR_NOSYMFOLLOW,
    syscalls.MS_NOATIME: syscalls.MOUNT_ATTR_NOATIME,
    syscalls.MS_STRICTATIME: syscalls.MOUNT_ATTR_STRICTATIME,
}
"""mount(2)'s flags as mount_setattr(2) has them. (relatime is the mode when no other is set.)"""
ATIME_FLAGS = syscalls.MS_NOATIME | syscalls.MS_STRICTATIME | syscalls.MS_RELATIME

# What may be put over files of the container's own /proc: harmless counters, which lxcfs for one replaces.
OVER_PROC = re.compile(
    r"/proc/(cpuinfo|diskstats|meminfo|stat|swaps|uptime|loadavg|slabinfo|net/dev|sys/kernel/ns_last_pid|sys/crypto/fips_enabled)"
)
SUBPATH = "x-subpath="
"""An option of ours for binds: not the source is bound but a path in it, walked as if the source were ``/``."""
KERNEL_FILESYSTEMS = ("proc", "sysfs", "cgroup", "cgroup2")
"""They must land on real directories: behind a link, /proc would not be where everybody looks for it."""


class MountFilesystem(Step, frozen=True):
    """Mount a new file system (proc, sysfs, tmpfs, devpts, mqueue, …) inside the root."""

    destination: str
    filesystem: str
    source: str
    options: tuple[str, ...] = ()
    man = "mount(2)"

    @property
    def title(self) -> str:
        return f"Mount {self.filesystem} on {self.destination}"

    @property
    def why(self) -> str:  # type: ignore[override]  # the same thing, but it depends on the file system
        return {
            "proc": "/proc shows the processes of the pid namespace it is mounted in: only the container's own",
            "sysfs": "/sys shows devices and the network devices of the container's network namespace",
            "devpts": "terminals of the container's own, that nobody else can open",
            "mqueue": "POSIX message queues of the container's ipc namespace",
            "tmpfs": "a file system in memory, gone when the container ends",
        }.get(self.filesystem, "a file system of the container's own")

    def apply(self, context: Context) -> None:
        options = mounts.parse_options(self.options)
        if self.filesystem != "proc" and is_proc(self.destination):
            raise InvalidSpec(_NOT_A_PROC)
        target = place(context, self.destination, self.filesystem, directory=True)
        try:
            where = inside.by_descriptor(target)
            data = options.data or None
            syscalls.mount(self.source or self.filesystem, where, self.filesystem, options.flags, data)
        finally:
            os.close(target)
        if options.propagation or options.recursive_set or options.recursive_clear:
            change(context.root, self.destination, options)


class BindMount(Step, frozen=True):
    """Let a file or directory of the host appear inside the root."""

    destination: str
    source: str
    options: tuple[str, ...] = ()
    subpath: str = ""
    """A directory or file inside the source, which may be a volume that other containers write to."""
    man = "open_tree(2), mount_setattr(2), move_mount(2)"
    why = "a bind mount shows the same files at a second place: this is what a volume is"

    @property
    def title(self) -> str:
        return f"Bind {self.source}{f' ({self.subpath})' if self.subpath else ''} on {self.destination}"

    def apply(self, context: Context) -> None:
        source = os.path.join(context.bundle, self.source)  # noqa: PTH118 - an absolute source stays as it is
        options = mounts.parse_options(self.options)
        refuse_procfs_replacement(context, self.destination, source)
        tree = clone_tree(source, recursive=bool(options.flags & syscalls.MS_REC), subpath=self.subpath)
        try:
            # The copy gets its attributes while nobody can see it: there is no moment in which it is writable.
            configure(tree, options)
            target = place(context, self.destination, "bind", directory=inside.is_directory(tree))
            try:
                syscalls.move_mount(tree, target, "")
            finally:
                os.close(target)
        finally:
            os.close(tree)


class MountCgroups(Step, frozen=True):
    """Show the container its cgroup on /sys/fs/cgroup; what is above it only where it shares the host's namespace."""

    destination: str
    options: tuple[str, ...] = ()
    own_namespace: bool = False
    man = "cgroups(7), cgroup_namespaces(7)"
    why = "programs look there for their limits; read-only, because release_agent files run programs on the host"

    @property
    def title(self) -> str:
        return f"Mount the container's cgroup on {self.destination}"

    def apply(self, context: Context) -> None:
        assert context.cgroup is not None, "MakeCgroup comes before MountCgroups"
        options = mounts.parse_options(self.options)
        directories = context.cgroup.directories()
        target = place(context, self.destination, "cgroup", directory=True)
        try:
            if set(directories) == {""}:
                self._unified(target, directories[""], options)
                return
            flags = options.flags & ~syscalls.MS_RDONLY
            syscalls.mount("tmpfs", inside.by_descriptor(target), "tmpfs", flags, "mode=755")
        finally:
            os.close(target)
        self._controllers(context.root, directories, options)

    def _unified(self, target: int, directory: Path, options: mounts.MountOptions) -> None:
        """Version 2: a new mount shows the cgroup namespace's root; in the host's, a bind of the host's whole tree.

        There, /proc/self/cgroup has the path from its top. And a new mount would, in the first cgroup namespace, set
        the one file system's options to ours: the host would lose nsdelegate.
        """
        if self.own_namespace:
            syscalls.mount("cgroup", inside.by_descriptor(target), "cgroup2", options.flags)
            return
        attach(str(cgroups.detect().v2 or directory), target, options)

    def _controllers(self, root: int, directories: dict[str, Path], options: mounts.MountOptions) -> None:
        """Version 1: a tmpfs with a directory for each hierarchy, and in it a bind of our own group."""
        # The tmpfs covers the descriptor that it was mounted on: look again for what is on top.
        top = inside.find(root, self.destination)
        try:
            self._fill(top, directories, options)
            syscalls.mount_setattr(top, "", attributes(options)[0])
        finally:
            os.close(top)

    def _fill(self, top: int, directories: dict[str, Path], options: mounts.MountOptions) -> None:
        layout = cgroups.detect()
        made: set[str] = set()
        for mount_point in layout.v1.values():
            name = mount_point.name
            ours = next((path for path in directories.values() if path.is_relative_to(mount_point)), None)
            if ours is None or name in made:
                continue
            made.add(name)
            syscalls.mkdirat(top, name)
            directory = inside.find(top, name)
            try:
                attach(str(ours), directory, options)
            finally:
                os.close(directory)
        # Several controllers in one hierarchy (cpu,cpuacct) are also known by their own names.
        for controller, mount_point in layout.v1.items():
            if mount_point.name in made and controller != mount_point.name and "=" not in controller:
                syscalls.symlinkat(mount_point.name, top, controller)


class MakeReadOnly(Step, frozen=True):
    """Make a mount read-only after other things have been mounted in it."""

    destination: str
    man = "mount_setattr(2)"
    why = "places for other mounts had to be made in it first"

    @property
    def title(self) -> str:
        return f"Make {self.destination} read-only"

    def apply(self, context: Context) -> None:
        target = inside.find(context.root, self.destination)
        try:
            syscalls.mount_setattr(target, "", syscalls.MOUNT_ATTR_RDONLY)
        finally:
            os.close(target)


def place(context: Context, destination: str, filesystem: str, directory: bool) -> int:
    """A descriptor of the place to mount on, made if it is missing. Raises :class:`InvalidSpec` when it must not be."""
    resolve = inside.RESOLVE
    if filesystem in KERNEL_FILESYSTEMS:
        resolve |= syscalls.RESOLVE_NO_SYMLINKS
    try:
        target = inside.make_directory(context.root, destination, resolve) if directory else None
    except SystemCallFailed as error:
        if error.errno_name in ("ELOOP", "EEXIST", "ENOTDIR"):
            raise InvalidSpec(f"cannot mount {filesystem} on {destination}: it is not an ordinary directory") from None
        raise
    if target is None:
        target = inside.make_file(context.root, destination)
    if (
        filesystem != "proc"
        and syscalls.filesystem_magic(target) == syscalls.PROC_SUPER_MAGIC
        and not OVER_PROC.fullmatch(destination)
    ):
        os.close(target)
        raise InvalidSpec(f"cannot mount over {destination}: it is inside the container's /proc")
    return target


_NOT_A_PROC = "cannot mount over /proc: it must be a proc file system"


def is_proc(destination: str) -> bool:
    """Is this place, however it is written, ``/proc``?"""
    return os.path.normpath("/" + destination.lstrip("/")) == "/proc"


def refuse_procfs_replacement(context: Context, destination: str, source: str) -> None:
    """What stands at /proc must be a procfs: everybody, we included, trusts what is read and written there."""
    if not is_proc(destination):
        return
    descriptor = syscalls.openat(syscalls.AT_FDCWD, source, os.O_PATH)
    try:
        if syscalls.filesystem_magic(descriptor) != syscalls.PROC_SUPER_MAGIC:
            raise InvalidSpec(_NOT_A_PROC)
    finally:
        os.close(descriptor)


_OF_A_PROCESS = re.compile(r"/proc/(\d+)/root(/.+)")


def _clone_theirs(pid: int, path: str, recursive: bool) -> int:
    """A copy of a mount that only the process ``pid`` has: the shared memory of another container, say.

    The path under /proc leads there, but a mount of another mount namespace cannot be copied. So we go there, and come
    back with the copy, which belongs to no namespace until it is mounted.
    """
    names = ("/proc/self/ns/mnt", f"/proc/{pid}/ns/mnt", ".")
    home, theirs, here = opened = [os.open(name, os.O_RDONLY | os.O_CLOEXEC) for name in names]
    try:
        syscalls.setns(theirs, syscalls.CLONE_NEWNS)
        try:
            return syscalls.open_tree(syscalls.AT_FDCWD, path, clone=True, recursive=recursive)
        finally:
            syscalls.setns(home, syscalls.CLONE_NEWNS)
            os.fchdir(here)
    finally:
        for each in opened:
            os.close(each)


def clone_tree(source: str, recursive: bool, subpath: str = "") -> int:
    """A detached copy of the mount at ``source``, or of what is at ``subpath`` in it, whatever links are on the way.

    Raises :class:`InvalidSpec` when there is nothing.
    """
    try:
        if not subpath and (theirs := _OF_A_PROCESS.fullmatch(source)):
            return _clone_theirs(int(theirs[1]), theirs[2], recursive)
        if not subpath:
            return syscalls.open_tree(syscalls.AT_FDCWD, source, clone=True, recursive=recursive)
        top = syscalls.openat(syscalls.AT_FDCWD, source, os.O_PATH | os.O_DIRECTORY)
        try:
            place = inside.find(top, subpath)
        finally:
            os.close(top)
        try:
            return syscalls.open_tree(place, "", clone=True, recursive=recursive)
        finally:
            os.close(place)
    except SystemCallFailed as error:
        if error.errno_name == "ENOENT":
            raise InvalidSpec(f"bind source path does not exist: {os.path.join(source, subpath)}") from None  # noqa: PTH118
        raise


def attach(source: str, target: int, options: mounts.MountOptions) -> None:
    """Bind a host directory, with these options, on an open place."""
    tree = clone_tree(source, recursive=False)
    try:
        configure(tree, options)
        syscalls.move_mount(tree, target, "")
    finally:
        os.close(tree)


def configure(tree: int, options: mounts.MountOptions) -> None:
    """Give a mount that is held by descriptor its attributes and its propagation."""
    to_set, to_clear = attributes(options)
    if to_set or to_clear:
        syscalls.mount_setattr(tree, "", to_set, to_clear)
    _change_open(tree, options)


def attributes(options: mounts.MountOptions) -> tuple[int, int]:
    """The attributes to set and to clear. The access-time mode is one number: setting one clears the old one."""
    to_set = sum(attribute for flag, attribute in ATTRIBUTES.items() if options.flags & flag)
    to_clear = sum(attribute for flag, attribute in ATTRIBUTES.items() if options.cleared & flag)
    if (options.flags | options.cleared) & ATIME_FLAGS:
        to_clear |= syscalls.MOUNT_ATTR__ATIME
    return to_set, to_clear


def change(root: int, destination: str, options: mounts.MountOptions) -> None:
    """Propagation and recursive attributes of the mount that is now at ``destination``."""
    target = inside.find(root, destination)
    try:
        _change_open(target, options)
    finally:
        os.close(target)


def _change_open(mount: int, options: mounts.MountOptions) -> None:
    if options.recursive_set or options.recursive_clear:
        syscalls.mount_setattr(mount, "", options.recursive_set, options.recursive_clear, recursive=True)
    for propagation in options.propagation:
        recursive = bool(propagation & syscalls.MS_REC)
        syscalls.mount_setattr(mount, "", propagation=propagation & ~syscalls.MS_REC, recursive=recursive)


def step_for(mount: oci.Mount, own_cgroup_namespace: bool) -> Step:
    """The step that a mount of config.json asks for. A relative destination counts from the root."""
    destination = "/" + mount.destination.lstrip("/")
    options = tuple(mount.options)
    if mount.type == "bind" or "bind" in options or "rbind" in options:
        if "bind" not in options and "rbind" not in options:
            options = ("bind", *options)
        subpath = next((option for option in options if option.startswith(SUBPATH)), "")
        options = tuple(option for option in options if option != subpath)
        return BindMount(destination, mount.source, options, subpath.removeprefix(SUBPATH))
    if mount.type in ("cgroup", "cgroup2"):
        return MountCgroups(destination, options, own_cgroup_namespace)
    if not mount.type:
        raise InvalidSpec(f"mount on {destination}: no type")
    if mount.type == "tmpfs":
        options = tuple(option for option in options if option != "ro")
    return MountFilesystem(destination, mount.type, mount.source, options)
