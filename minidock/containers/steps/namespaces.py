"""Steps that separate a process from the others: its cgroup, its own pid, its namespaces (namespaces(7)).

The order matters twice. The cgroup comes before a new cgroup namespace, whose root is the group that the process is in
at that moment. The pid and user namespaces come with the child's birth: a process cannot change its own pid, and what
other namespaces belong to is decided by the user namespace in which they are made.
"""

from __future__ import annotations

import os
from typing import ClassVar

from minidock.containers.steps.step import Context, Step, Where
from minidock.errors import InvalidSpec, SystemCallFailed
from minidock.kernel import cgroups, links, namespaces, syscalls, systemd
from minidock.kernel.cgroups import Resources
from minidock.kernel.namespaces import KINDS, IdMapping
from minidock.units import bytes_size

WHY = {
    "network": "the container gets network devices, addresses, routes and ports of its own",
    "mount": "what the container mounts, nobody else sees",
    "ipc": "shared memory and message queues are the container's own",
    "uts": "the container can have a host name of its own",
    "cgroup": "the container sees its own cgroup as the root of all",
    "time": "the container's monotonic clock can count from another moment",
}


class MakeCgroup(Step, frozen=True):
    """Make the control group, with its limits. ``path`` empty: named after the container."""

    path: str
    resources: Resources
    man = "cgroups(7)"
    why = "a namespace limits what a process sees, a cgroup what it may use; limits exist before anybody is limited"
    where: ClassVar[Where] = "before"

    @property
    def title(self) -> str:
        memory, cpu, pids = self.resources.memory, self.resources.cpu, self.resources.pids
        limits = [f"{bytes_size(memory.limit)} of memory"] if memory.limit else []
        limits += [f"{cpu.quota / cpu.period:g} processors"] if cpu.quota and cpu.period else []
        limits += [f"{pids} processes"] if pids and pids > 0 else []
        return f"Make a cgroup that allows {', '.join(limits)}" if limits else "Make a cgroup, without limits"

    def apply(self, context: Context) -> None:
        context.cgroup = cgroups.at(cgroup_path(self.path, context.container_id))
        context.cgroup.create()
        context.cgroup.apply(self.resources)


class NameScope(Step, frozen=True):
    """Say which scope of systemd's will be the control group."""

    path: str
    man = "systemd.scope(5)"
    why = "systemd makes a cgroup for processes that exist: first the name, then a process, then the group"
    where: ClassVar[Where] = "before"

    @property
    def title(self) -> str:
        return f"Choose the systemd scope {self.path}"

    def apply(self, context: Context) -> None:
        context.cgroup = cgroups.at(self.path)
        context.cgroup.refuse_if_in_use()


class StartScope(Step, frozen=True):
    """Have systemd make the scope, with the child in it, and set the limits."""

    path: str
    resources: Resources
    man = "org.freedesktop.systemd1(5)"
    why = "on a machine with systemd there is one who makes cgroups; others ask it, over D-Bus, for one of their own"
    where: ClassVar[Where] = "parent"

    @property
    def title(self) -> str:
        return f"Ask systemd for the scope {self.path}"

    def apply(self, context: Context) -> None:
        scope = cgroups.parse_scope(self.path)
        assert scope is not None and context.cgroup is not None, "NameScope comes before StartScope"
        systemd.start_scope(scope.unit, scope.slice, context.child, f"minidock container {context.container_id}")
        context.cgroup.adopt(context.child)
        context.cgroup.apply(self.resources)


def cgroup_path(path: str, container_id: str) -> str:
    """Where a container's cgroup is, counted from the mount of the hierarchy, or the systemd scope it is."""
    if cgroups.parse_scope(path):
        return path
    return "/" + path.lstrip("/") if path else f"/minidock-{container_id}"


class StartChild(Step, frozen=True):
    """Make the process that will become the container. Like fork, this step returns in both processes."""

    namespaces: tuple[str, ...] = ()
    man = "clone(2), pid_namespaces(7)"
    why = "from here on there are two processes: we, and a copy of us, which will take all further steps"
    where: ClassVar[Where] = "before"

    @property
    def title(self) -> str:
        inside = f", the first in a new {' and '.join(self.namespaces)} namespace" if self.namespaces else ""
        return f"Start a child process{inside}"

    def apply(self, context: Context) -> None:
        # Not dumpable, and so is the child: even in a shared pid namespace nobody without CAP_SYS_PTRACE
        # can open its /proc/PID/exe, which is this very interpreter, or its memory. exec sets it back.
        syscalls.set_dumpable(False)
        context.child = syscalls.clone(sum(KINDS[name].flag for name in self.namespaces))
        context.role = "parent" if context.child else "child"


class StartChildInside(Step, frozen=True):
    """Make a child inside a pid namespace that exists: ``path``, or that of the process behind ``pidfd``."""

    path: str = ""
    pidfd: int = -1
    man = "setns(2)"
    why = "a process never changes its own pid namespace, only that of the children it makes next"
    where: ClassVar[Where] = "before"

    @property
    def title(self) -> str:
        return "Start a child process inside the container's pid namespace"

    def apply(self, context: Context) -> None:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        target = self.pidfd if self.pidfd >= 0 else open_namespace(self.path, "pid")
        try:
            syscalls.setns(target, syscalls.CLONE_NEWPID)
            StartChild().apply(context)
            if context.child:
                syscalls.setns(own, syscalls.CLONE_NEWPID)
        finally:
            os.close(own)
            if target != self.pidfd:
                os.close(target)


class MapUsers(Step, frozen=True):
    """Say which users outside the ids inside a new user namespace are."""

    uids: tuple[IdMapping, ...]
    gids: tuple[IdMapping, ...]
    man = "user_namespaces(7)"
    why = "root inside becomes an ordinary user outside; only somebody outside may say which"
    where: ClassVar[Where] = "parent"

    @property
    def title(self) -> str:
        return "Map the container's users to users of the host"

    def apply(self, context: Context) -> None:
        namespaces.write_id_maps(context.child, self.uids, self.gids)


class BecomeMappedRoot(Step, frozen=True):
    """Be user 0 of the new user namespace."""

    man = "user_namespaces(7)"
    why = "until now nobody's id was mapped; what the next steps make shall belong to the container's root"

    @property
    def title(self) -> str:
        return "Become root of the user namespace"

    def apply(self, context: Context) -> None:
        syscalls.setgroups(())
        syscalls.setresgid(0, 0, 0)
        syscalls.setresuid(0, 0, 0)
        context.devices_are_bound = True
        # A change of user makes a process dumpable, or not, as /proc/sys/fs/suid_dumpable says.
        syscalls.set_dumpable(False)


class EnterCgroup(Step, frozen=True):
    """Move the child into the container's cgroup, before it can make children that would stay outside."""

    man = "cgroups(7)"
    why = "every process that the container will ever make is born in its parent's cgroup, and so under the limits"

    @property
    def title(self) -> str:
        return "Enter the cgroup"

    def apply(self, context: Context) -> None:
        assert context.cgroup is not None, "MakeCgroup comes before EnterCgroup"
        context.cgroup.enter()


class NewNamespace(Step, frozen=True):
    """Leave the runtime's namespace of this kind for a new one."""

    type: str
    man = "unshare(2)"

    @property
    def title(self) -> str:
        return f"Enter a new {self.type} namespace"

    @property
    def why(self) -> str:  # type: ignore[override]  # the same thing, but it depends on the type
        return WHY[self.type]

    def apply(self, context: Context) -> None:
        syscalls.unshare(KINDS[self.type].flag)


class JoinNamespace(Step, frozen=True):
    """Enter a namespace that exists, e.g. another container's network."""

    type: str
    path: str
    man = "setns(2)"
    why = "two containers that share a namespace share what it separates"

    @property
    def title(self) -> str:
        return f"Join the {self.type} namespace {self.path}"

    def apply(self, context: Context) -> None:
        namespace = open_namespace(self.path, self.type)
        try:
            syscalls.setns(namespace, KINDS[self.type].flag)
        finally:
            os.close(namespace)


class JoinContainer(Step, frozen=True):
    """Enter all namespaces of a running container's init at once."""

    pidfd: int
    types: tuple[str, ...]
    man = "setns(2)"
    why = "exec is nothing else: one more process in the namespaces and the cgroup of another"

    @property
    def title(self) -> str:
        return "Join the container's namespaces"

    def apply(self, context: Context) -> None:
        if self.types:
            syscalls.setns(self.pidfd, sum(KINDS[name].flag for name in self.types))


class RaiseLoopback(Step, frozen=True):
    """Switch on the network device ``lo``."""

    man = "netdevice(7)"
    why = "a new network namespace has nothing but a loopback device, and even that is down"

    @property
    def title(self) -> str:
        return "Switch on the loopback device"

    def apply(self, context: Context) -> None:
        links.loopback_up()


class SetHostName(Step, frozen=True):
    """Name the container."""

    name: str
    man = "sethostname(2)"
    why = "the name belongs to the uts namespace: the host keeps its own"

    @property
    def title(self) -> str:
        return f"Set the host name to {self.name}"

    def apply(self, context: Context) -> None:
        syscalls.sethostname(self.name)


class SetDomainName(Step, frozen=True):
    """Set the NIS domain name."""

    name: str
    man = "setdomainname(2)"
    why = "the second name of a uts namespace"

    @property
    def title(self) -> str:
        return f"Set the domain name to {self.name}"

    def apply(self, context: Context) -> None:
        syscalls.setdomainname(self.name)


class SetSysctls(Step, frozen=True):
    """Set kernel parameters of the container's own network and ipc namespaces."""

    values: tuple[tuple[str, str], ...]
    man = "sysctl(8), proc_sys(5)"
    why = "some kernel parameters exist once per namespace, and a process sets those of its own"

    @property
    def title(self) -> str:
        return "Set " + ", ".join(f"{key} = {value}" for key, value in self.values)

    def apply(self, context: Context) -> None:
        # We are still in the host's root, and /proc is the host's own; sys in it shows everybody their namespaces.
        for key, value in self.values:
            syscalls.write_file("/proc/sys/" + sysctl_path(key), value)


def sysctl_path(key: str) -> str:
    """``net.ipv4.ip_forward`` as a path. A key written with slashes may have dots in its names (``eth0.1``)."""
    return key if "/" in key and ("." not in key or key.index("/") < key.index(".")) else key.replace(".", "/")


def open_namespace(path: str, type: str) -> int:
    """Open a namespace's file. Raises :class:`InvalidSpec`, also when there is none: the path is configuration."""
    try:
        return namespaces.open_namespace(path, KINDS[type])
    except SystemCallFailed as error:
        raise InvalidSpec(f"namespace path {path}: {error.strerror}") from None
