"""Steps for /dev: the few devices that every program expects, links, and the console."""

from __future__ import annotations

import os
import stat

from minidock.containers.steps import inside
from minidock.containers.steps.step import Context, Step
from minidock.errors import InvalidSpec, SystemCallFailed
from minidock.kernel import pty, syscalls
from minidock.oci import runtime as oci

DEFAULT = tuple(
    oci.Device(path=f"/dev/{name}", type="c", major=major, minor=minor, file_mode=0o666, uid=0, gid=0)
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)
LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
)
TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


class MakeDevices(Step, frozen=True):
    """Make device files inside the root."""

    devices: tuple[oci.Device, ...]
    man = "mknod(2), null(4), random(4)"
    why = "a device file is a name for a driver; which drivers may be used, the cgroup decides"

    @property
    def title(self) -> str:
        return "Make the devices " + ", ".join(device.path for device in self.devices)

    def apply(self, context: Context) -> None:
        # The modes are meant as they are written.
        mask = os.umask(0)
        try:
            for device in self.devices:
                (bind_device if context.devices_are_bound else make_device)(context.root, device)
        finally:
            os.umask(mask)


def make_device(root: int, device: oci.Device) -> None:
    """Make one device file. One that exists and is the same device stays; raises :class:`InvalidSpec` for another."""
    parent, name = inside.split(device.path)
    directory = inside.make_directory(root, parent)
    number = os.makedev(device.major, device.minor)
    try:
        syscalls.mknodat(directory, name, TYPES[device.type] | (device.file_mode or 0o666) & 0o7777, number)
        syscalls.fchownat(directory, name, device.uid or 0, device.gid or 0)
    except SystemCallFailed as error:
        if error.errno_name != "EEXIST":
            raise
        existing = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_IFMT(existing.st_mode) != TYPES[device.type] or existing.st_rdev != number:
            raise InvalidSpec(f"{device.path} is there already, and is another device") from None
    finally:
        os.close(directory)


def bind_device(root: int, device: oci.Device) -> None:
    """In a user namespace mknod(2) is forbidden: let the host's device appear."""
    tree = syscalls.open_tree(syscalls.AT_FDCWD, device.path, clone=True)
    target = inside.make_file(root, device.path)
    try:
        syscalls.move_mount(tree, target, "")
    finally:
        os.close(tree)
        os.close(target)


class LinkDevices(Step, frozen=True):
    """Make the links in /dev that programs expect."""

    man = "proc_pid_fd(5), pts(4)"
    why = "/dev/stdin is whatever the process that asks has open as 0; /dev/ptmx makes terminals of the container's own"

    @property
    def title(self) -> str:
        return "Link /dev/fd, stdin, stdout, stderr and ptmx"

    def apply(self, context: Context) -> None:
        directory = inside.make_directory(context.root, "/dev")
        try:
            for target, path in LINKS:
                try:
                    syscalls.symlinkat(target, directory, inside.split(path)[1])
                except SystemCallFailed as error:
                    if error.errno_name != "EEXIST":
                        raise
        finally:
            os.close(directory)


class OpenTerminal(Step, frozen=True):
    """Make a pseudo-terminal in the container's /dev/pts, and hand its other side to whoever shows it to a person."""

    size: oci.ConsoleSize | None = None
    has_console: bool = True
    man = "pty(7), pts(4)"
    why = "a terminal has two sides: the program reads and writes one, what stands for screen and keyboard the other"

    @property
    def title(self) -> str:
        return "Open a terminal" + (", and bind it on /dev/console" if self.has_console else "")

    def apply(self, context: Context) -> None:
        root = context.root if context.root >= 0 else syscalls.openat(syscalls.AT_FDCWD, "/", os.O_PATH)
        directory = inside.find(root, "/dev/pts")
        try:
            controller, context.terminal = pty.open_pair(directory)
            if self.size is not None:
                pty.set_size(controller, self.size.height, self.size.width)
            if self.has_console:
                self._bind_console(root, context.terminal)
        finally:
            os.close(directory)
            if root != context.root:
                os.close(root)
        context.hand_over_console(controller)

    def _bind_console(self, root: int, terminal: int) -> None:
        """The descriptor is bound, not its path: /dev/pts/0 of the image may be a link (CVE-2025-52565)."""
        console = inside.make_file(root, "/dev/console")
        tree = syscalls.open_tree(terminal, "", clone=True)
        try:
            syscalls.move_mount(tree, console, "")
        finally:
            os.close(tree)
            os.close(console)
