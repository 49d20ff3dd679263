"""The plan is a pure function, and its order is what makes a container safe: properties over many specs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from minidock.containers import steps as s
from minidock.containers.plan import plan, plan_exec, resources
from minidock.errors import InvalidSpec, NotImplementedYet
from minidock.kernel import cgroups
from minidock.oci import runtime as oci
from tests.strategies import runtime_processes, runtime_specs

few = settings(max_examples=40)


def position(steps: list[s.Step], kind: type[s.Step]) -> int:
    """Where the only step of this kind is; -1 when there is none."""
    found = [index for index, step in enumerate(steps) if isinstance(step, kind)]
    assert len(found) <= 1, f"{kind.__name__} is there {len(found)} times"
    return found[0] if found else -1


@few
@given(runtime_specs())
def test_the_same_spec_gives_the_same_plan(spec: oci.Spec) -> None:
    """A plan depends on nothing but the spec, also when that has been written down and read again."""
    assert plan(spec) == plan(spec) == plan(oci.parse(oci.encode(spec)))


@few
@given(runtime_specs())
def test_the_program_is_executed_once_and_last(spec: oci.Spec) -> None:
    """Whatever is done to a process is done before it is the user's."""
    steps = plan(spec)
    assert [isinstance(step, s.ExecuteProgram | s.BecomeInit) for step in steps].count(True) == 1
    assert isinstance(steps[-1], s.ExecuteProgram | s.BecomeInit)


@few
@given(runtime_specs())
def test_steps_before_the_fork_come_before_all_others(spec: oci.Spec) -> None:
    """A step of the runtime alone cannot stand after the child's birth: nobody would take it."""
    wheres = [step.where for step in plan(spec)]
    birth = wheres.index("child")
    assert "before" not in wheres[birth:]
    assert isinstance(plan(spec)[birth - 1], s.StartChild | s.StartChildInside)


@few
@given(runtime_specs())
def test_the_cgroup_is_entered_before_its_namespace_is_made(spec: oci.Spec) -> None:
    """A cgroup namespace's root is the group that its maker is in at that moment."""
    steps = plan(spec)
    entered = position(steps, s.EnterCgroup)
    new = [i for i, step in enumerate(steps) if isinstance(step, s.NewNamespace) and step.type == "cgroup"]
    assert all(entered < index for index in new)


@few
@given(runtime_specs())
def test_the_user_namespace_comes_before_all_that_it_shall_own(spec: oci.Spec) -> None:
    """Namespaces belong to the user namespace in which they are made."""
    steps = plan(spec)
    news = [index for index, step in enumerate(steps) if isinstance(step, s.NewNamespace)]
    for mapped in (position(steps, s.MapUsers), position(steps, s.BecomeMappedRoot)):
        assert mapped == -1 or all(mapped < index for index in news)


@few
@given(runtime_specs())
def test_mounts_come_between_the_new_root_and_the_pivot(spec: oci.Spec) -> None:
    """Mounts need the new root, and the old one with their sources; masks cover what was mounted."""
    steps = plan(spec)
    root = max(position(steps, s.BindRoot), position(steps, s.MountOverlay))
    pivot = position(steps, s.PivotRoot)
    inside = (s.MountFilesystem, s.BindMount, s.MountCgroups, s.MakeDevices, s.LinkDevices, s.OpenTerminal)
    shields = (s.MaskPaths, s.ProtectPaths, s.ReadOnlyRoot)
    mounted = [index for index, step in enumerate(steps) if isinstance(step, inside)]
    shielded = [index for index, step in enumerate(steps) if isinstance(step, shields)]
    assert all(root < index < pivot for index in mounted + shielded)
    assert not shielded or max(mounted) < min(shielded)


@few
@given(runtime_specs())
def test_every_mount_of_the_spec_is_in_the_plan_in_its_order(spec: oci.Spec) -> None:
    """The runtime-spec: mounts are made in the listed order."""
    steps = [step for step in plan(spec) if isinstance(step, s.MountFilesystem | s.BindMount | s.MountCgroups)]
    asked = [mount.destination for mount in spec.mounts if mount.type != "overlay"]
    assert [step.destination for step in steps] == asked


@few
@given(runtime_specs())
def test_rights_are_given_up_in_the_order_in_which_they_are_needed(spec: oci.Spec) -> None:
    """Bounding set before user before capabilities; everything that needs root before that; limits after all."""
    steps = plan(spec)
    user = position(steps, s.SetUser)
    bounding, capabilities = position(steps, s.DropBoundingSet), position(steps, s.SetCapabilities)
    assert position(steps, s.PivotRoot) < position(steps, s.FindUser) < user
    assert position(steps, s.OwnStdio) < user
    assert bounding == capabilities == -1 or bounding < user < capabilities
    limits = position(steps, s.SetLimits)
    assert limits in (-1, len(steps) - 2), "limits are the last thing before the program"


@few
@given(runtime_specs())
def test_the_filter_is_loaded_while_it_may_be_and_as_late_as_possible(spec: oci.Spec) -> None:
    """Without no_new_privs a filter takes CAP_SYS_ADMIN, with it the filter comes after all rights are gone."""
    steps = plan(spec)
    filter, user, nnp = (
        position(steps, s.LoadSeccomp),
        position(steps, s.SetUser),
        position(steps, s.SetNoNewPrivileges),
    )
    if filter == -1:
        return
    if spec.process is not None and spec.process.no_new_privileges:
        assert nnp < user < filter
        assert filter > position(steps, s.CloseFiles)
    else:
        assert position(steps, s.PivotRoot) < filter < user
        assert filter < position(steps, s.DropBoundingSet) or spec.process is None or spec.process.capabilities is None


@few
@given(runtime_specs(), runtime_processes)
def test_exec_joins_first_and_executes_last(spec: oci.Spec, process: oci.Process) -> None:
    """One more program enters the cgroup, then the namespaces, and then gives up the same rights as init did."""
    steps = plan_exec(spec, process, pid=42, pidfd=7)
    assert position(steps, s.EnterCgroup) < position(steps, s.JoinContainer) < position(steps, s.SetUser)
    assert isinstance(steps[-1], s.ExecuteProgram)
    assert position(steps, s.WaitForStart) == -1
    assert (position(steps, s.LoadSeccomp) == -1) == (spec.linux.seccomp is None)


@few
@given(runtime_specs())
def test_every_step_can_be_told_to_a_person(spec: oci.Spec) -> None:
    """Each step has a title, a manual page and a reason."""
    for step in plan(spec):
        assert step.title and step.man, step
        assert step.why and not step.why.endswith((".", "?")), step


def test_unlimited_resources_are_left_alone() -> None:
    """No linux.resources: nothing is written into the cgroup."""
    assert resources(None) == cgroups.Resources() == resources(oci.Resources())


def test_resources_keep_their_numbers() -> None:
    """Limits arrive in the cgroup's terms as they were asked."""
    asked = oci.Resources(
        memory=oci.Memory(limit=1 << 26, swap=1 << 27),
        cpu=oci.Cpu(quota=50000, period=100000, cpus="0-1"),
        pids=oci.Pids(7),
        block_io=oci.BlockIO(throttle_read_bps_device=[oci.ThrottleDevice(8, 0, 1000)]),
    )
    got = resources(asked)
    assert (got.memory.limit, got.memory.swap, got.cpu.quota, got.cpu.cpus) == (1 << 26, 1 << 27, 50000, "0-1")
    assert (got.pids, got.block_io.throttles) == (7, (cgroups.Throttle("read_bps", 8, 0, 1000),))
    assert got.cpu.mems is None


def spec_with(**linux: object) -> oci.Spec:
    """A small spec with these linux properties."""
    namespaces = [oci.Namespace("mount"), oci.Namespace("uts")]
    properties = {"namespaces": namespaces, **linux}
    return oci.Spec("1.2.0", oci.Root("r"), oci.Process("/", ["a"]), linux=oci.Linux(**properties))  # type: ignore[arg-type]


def test_what_cannot_be_done_is_said_at_once() -> None:
    """A time namespace of one's own, and mounts without a mount namespace, are errors and not silently forgotten."""
    with pytest.raises(NotImplementedYet, match="time namespace"):
        plan(spec_with(namespaces=[oci.Namespace("mount"), oci.Namespace("time")]))
    with pytest.raises(InvalidSpec, match="need a mount namespace"):
        plan(spec_with(namespaces=[], masked_paths=["/proc/keys"]))
    with pytest.raises(InvalidSpec, match="no command"):
        plan(oci.Spec("1.2.0", oci.Root("r")))


def test_without_a_mount_namespace_there_is_only_chroot() -> None:
    """A container without namespaces is a changed root directory and nothing else."""
    steps = plan(spec_with(namespaces=[]))
    assert position(steps, s.Chroot) > 0
    assert position(steps, s.PivotRoot) == -1
