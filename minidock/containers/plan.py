"""``plan(spec)``: a config.json becomes the list of steps taken before exec. This list *is* the container.

The functions here are pure: they look at nothing but the spec, and the same spec always gives the same list. Whoever
wants to know what a container is reads :func:`plan` from top to bottom.
"""

from __future__ import annotations

import msgspec

from minidock.containers import steps as s
from minidock.errors import InvalidSpec, NotImplementedYet
from minidock.kernel import cgroups, seccomp
from minidock.kernel.namespaces import KINDS, IdMapping
from minidock.oci import runtime as oci

INIT_ANNOTATION = "org.minidock.init"
"""``"true"``: the first process is a small init of ours, which reaps zombies, and the program is its child."""


def plan(spec: oci.Spec) -> list[s.Step]:
    """Everything that is done between "there is a bundle" and "the user's program runs", in order."""
    if spec.process is None:
        raise InvalidSpec("process is missing: no command specified")
    linux = spec.linux
    return [
        *_into_cgroup(linux),
        *_users(linux),
        s.NewSession(),
        *_namespaces(linux),
        *_names(spec),
        *(_root(spec) if linux.namespace("mount") else _only_chroot(spec)),
        *_become(spec.process, linux.seccomp, joins=False),
        s.WaitForStart(),
        *_hooks("startContainer", spec.hooks.start_container, "created"),
        *_limits(spec.process),
        _last(spec),
    ]


def plan_exec(spec: oci.Spec, process: oci.Process, pid: int, pidfd: int) -> list[s.Step]:
    """The shorter list for one more program in a running container, whose init is ``pid``."""
    joined = tuple(kind for kind in KINDS if kind != "pid" and spec.linux.namespace(kind))
    return [
        s.StartChildInside(pidfd=pidfd) if spec.linux.namespace("pid") else s.StartChild(),
        s.EnterCgroup(),
        *([] if spec.linux.namespace("mount") else [s.Chroot(f"/proc/{pid}/root")]),
        s.JoinContainer(pidfd, joined),
        *([s.BecomeMappedRoot()] if spec.linux.namespace("user") else []),
        s.NewSession(),
        *([s.OpenTerminal(process.console_size, has_console=False)] if process.terminal else []),
        *_become(process, spec.linux.seccomp, joins=True),
        *_limits(process),
        s.ExecuteProgram(tuple(process.args)),
    ]


def _into_cgroup(linux: oci.Linux) -> list[s.Step]:
    path, limits = linux.cgroups_path, resources(linux.resources)
    if cgroups.parse_scope(path):
        return [s.NameScope(path), _start_child(linux), s.StartScope(path, limits)]
    return [s.MakeCgroup(path, limits), _start_child(linux), s.EnterCgroup()]


def _start_child(linux: oci.Linux) -> s.Step:
    """The pid namespace must be there when the child is born; a new user namespace too, as it shall own the others."""
    pid = linux.namespace("pid")
    if pid is not None and pid.path:
        return s.StartChildInside(pid.path)
    kinds = (linux.namespace(kind) for kind in ("user", "pid"))
    return s.StartChild(tuple(kind.type for kind in kinds if kind is not None and not kind.path))


def _users(linux: oci.Linux) -> list[s.Step]:
    user = linux.namespace("user")
    if user is None:
        return []
    enter: list[s.Step]
    if user.path:
        enter = [s.JoinNamespace("user", user.path)]
    else:
        enter = [s.MapUsers(_mappings(linux.uid_mappings), _mappings(linux.gid_mappings))]
    return [*enter, s.BecomeMappedRoot()]


def _mappings(mappings: list[oci.IdMapping]) -> tuple[IdMapping, ...]:
    return tuple(IdMapping(mapping.container_id, mapping.host_id, mapping.size) for mapping in mappings)


def _namespaces(linux: oci.Linux) -> list[s.Step]:
    """Existing ones are joined first: their files are named by paths of the runtime's mount namespace."""
    others = [namespace for namespace in linux.namespaces if namespace.type not in ("user", "pid")]
    if any(namespace.type == "time" and not namespace.path for namespace in others):
        raise NotImplementedYet("a new time namespace: only joining one is supported")
    order = list(KINDS)
    joined = sorted((n for n in others if n.path), key=lambda n: (n.type == "mount", order.index(n.type)))
    new = sorted((n for n in others if not n.path), key=lambda n: order.index(n.type))
    taken: list[s.Step] = [s.JoinNamespace(namespace.type, namespace.path) for namespace in joined]
    taken += [s.NewNamespace(namespace.type) for namespace in new]
    if any(namespace.type == "network" for namespace in new):
        taken.append(s.RaiseLoopback())
    return taken


def _names(spec: oci.Spec) -> list[s.Step]:
    taken: list[s.Step] = []
    if spec.hostname:
        taken.append(s.SetHostName(spec.hostname))
    if spec.domainname:
        taken.append(s.SetDomainName(spec.domainname))
    if spec.linux.sysctl:
        taken.append(s.SetSysctls(tuple(spec.linux.sysctl.items())))
    return taken


def _root(spec: oci.Spec) -> list[s.Step]:
    """From the copy of the host's mounts to a root of the container's own."""
    linux, process = spec.linux, spec.process
    assert process is not None, "plan has looked"
    propagation = linux.rootfs_propagation
    overlay = next((mount for mount in spec.mounts if _is_root(mount)), None)
    others = [mount for mount in spec.mounts if mount is not overlay]
    has_cgroup_namespace = linux.namespace("cgroup") is not None
    return [
        # A volume can only be shared with the host if its mount still is when it is bound.
        *([] if propagation.endswith("shared") else [s.KeepMountsApart(_recursive(propagation or "slave"))]),
        *([s.KeepParentPrivate(spec.root.path)] if propagation.endswith("shared") else []),
        s.mount_root(overlay, spec.root.path) if overlay else s.BindRoot(spec.root.path),
        *(s.mount_step(mount, has_cgroup_namespace) for mount in others),
        s.MakeDevices(devices(linux)),
        s.LinkDevices(),
        *([s.OpenTerminal(process.console_size)] if process.terminal else []),
        s.MakeWorkingDirectory(process.cwd),
        *_hooks("prestart", spec.hooks.prestart, "creating"),
        *_hooks("createRuntime", spec.hooks.create_runtime, "creating"),
        *_hooks("createContainer", spec.hooks.create_container, "creating"),
        *(s.MakeReadOnly(mount.destination) for mount in others if mount.type == "tmpfs" and "ro" in mount.options),
        *([s.MaskPaths(tuple(linux.masked_paths))] if linux.masked_paths else []),
        *([s.ProtectPaths(tuple(linux.readonly_paths))] if linux.readonly_paths else []),
        *([s.ReadOnlyRoot()] if spec.root.readonly else []),
        s.PivotRoot(),
        *([s.PropagateRoot(propagation)] if propagation else []),
    ]


def _is_root(mount: oci.Mount) -> bool:
    return mount.type == "overlay" and mount.destination == "/"


def _recursive(propagation: str) -> str:
    return propagation if propagation in ("rslave", "rprivate", "runbindable") else f"r{propagation}"


def _only_chroot(spec: oci.Spec) -> list[s.Step]:
    """Without a mount namespace every mount would be the host's: nothing can be mounted, masked or pivoted."""
    linux, process = spec.linux, spec.process
    if (
        spec.mounts
        or linux.masked_paths
        or linux.readonly_paths
        or spec.root.readonly
        or (process and process.terminal)
    ):
        raise InvalidSpec("mounts, masks, a read-only root and terminals need a mount namespace")
    return [s.Chroot(spec.root.path)]


def devices(linux: oci.Linux) -> tuple[oci.Device, ...]:
    """The default devices and those of the configuration, which wins."""
    by_path = {device.path: device for device in (*s.DEFAULT_DEVICES, *linux.devices)}
    return tuple(by_path.values())


def _become(process: oci.Process, profile: oci.Seccomp | None, joins: bool) -> list[s.Step]:
    """From root of the container to the user of the process, with the rights that they shall have and no more."""
    if process.apparmor_profile or process.selinux_label:
        raise NotImplementedYet("AppArmor and SELinux labels: remove apparmorProfile and selinuxLabel")
    load = [s.LoadSeccomp(*compile_filter(profile))] if profile else []
    # Without no_new_privs, loading a filter takes CAP_SYS_ADMIN: then it comes before rights are given up. With it, it
    # comes as late as possible, so that the filter need not allow what our own last steps call.
    early, late = ([], load) if process.no_new_privileges else (load, [])
    sets, limits = process.capabilities, tuple(process.rlimits)
    return [
        *([s.SetOomScore(process.oom_score_adj)] if process.oom_score_adj is not None else []),
        s.NewKeyring(),
        s.ConnectStdio(process.terminal),
        s.FindUser(process.user),
        s.SetUmask(process.user.umask if process.user.umask is not None else 0o022),
        s.OwnStdio(),
        *([s.SetNoNewPrivileges()] if process.no_new_privileges else []),
        *early,
        *([s.RaiseLimits(limits)] if limits else []),
        *([s.DropBoundingSet(tuple(sets.bounding))] if sets else []),
        s.SetUser(),
        s.SetDirectory(process.cwd),
        *([s.SetCapabilities(sets)] if sets else []),
        s.FindProgram(process.args[0]),
        s.CloseFiles(),
        *late,
    ]


def _limits(process: oci.Process) -> list[s.Step]:
    return [s.SetLimits(tuple(process.rlimits))] if process.rlimits else []


def _last(spec: oci.Spec) -> s.Step:
    assert spec.process is not None, "plan has looked"
    args = tuple(spec.process.args)
    return s.BecomeInit(args) if spec.annotations.get(INIT_ANNOTATION) == "true" else s.ExecuteProgram(args)


def _hooks(kind: str, hooks: list[oci.Hook], status: oci.Status) -> list[s.Step]:
    if not hooks:
        return []
    # Here and not above: what hooks need takes longer to load than the rest of a container takes to start.
    from minidock.containers.hooks import RunHooksInside, RunHooksOutside

    outside = kind in ("prestart", "createRuntime")
    return [(RunHooksOutside if outside else RunHooksInside)(kind, tuple(hooks), status)]


def compile_filter(profile: oci.Seccomp) -> tuple[bytes, int, int]:
    """The filter as a program for the kernel, its flags, and how many rules it came from."""
    checked = seccomp.parse(msgspec.to_builtins(profile))
    return seccomp.compile_profile(checked), checked.flags, len(profile.syscalls)


def resources(asked: oci.Resources | None) -> cgroups.Resources:
    """linux.resources as the cgroup wants it."""
    if asked is None:
        return cgroups.Resources()
    return cgroups.Resources(
        memory=_memory(asked.memory or oci.Memory()),
        cpu=_cpu(asked.cpu or oci.Cpu()),
        pids=asked.pids.limit if asked.pids else None,
        block_io=_block_io(asked.block_io or oci.BlockIO()),
        hugepages={limit.page_size: limit.limit for limit in asked.hugepage_limits},
        devices=tuple(
            cgroups.DeviceRule(rule.allow, rule.type, rule.major, rule.minor, rule.access or "rwm")
            for rule in asked.devices
        ),
        unified=asked.unified,
    )


def _memory(asked: oci.Memory) -> cgroups.Memory:
    return cgroups.Memory(
        limit=asked.limit,
        reservation=asked.reservation,
        swap=asked.swap,
        swappiness=asked.swappiness,
        disable_oom_killer=asked.disable_oom_killer or None,
    )


def _cpu(asked: oci.Cpu) -> cgroups.Cpu:
    values = {name: getattr(asked, name) for name in asked.__struct_fields__}
    return cgroups.Cpu(**{name: None if value == "" else value for name, value in values.items()})


def _block_io(asked: oci.BlockIO) -> cgroups.BlockIO:
    kinds = ("read_bps", "write_bps", "read_iops", "write_iops")
    return cgroups.BlockIO(
        weight=asked.weight,
        weight_devices=tuple(
            cgroups.DeviceWeight(device.major, device.minor, device.weight)
            for device in asked.weight_device
            if device.weight is not None
        ),
        throttles=tuple(
            cgroups.Throttle(kind, device.major, device.minor, device.rate)
            for kind in kinds
            for device in getattr(asked, f"throttle_{kind}_device")
        ),
    )
