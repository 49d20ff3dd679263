"""Steps one by one: a shorter list than the plan's is a smaller container, and each step can be looked at alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidock.containers import steps as s
from minidock.containers.init import run
from minidock.containers.steps import Context, Step, inside
from minidock.errors import InvalidSpec, SystemCallFailed
from minidock.kernel import syscalls
from minidock.oci import runtime as oci
from tests import bundles
from tests.kernel.inside import inside as in_a_child

pytestmark = pytest.mark.root


def container(tmp_path: Path, script: str, *steps: Step) -> tuple[int, str]:
    """Run a shell script after ``steps``, in a bundle of busybox; its exit code and output."""
    if not (tmp_path / "rootfs").exists():
        bundles.rootfs(tmp_path / "rootfs")
    args = ("sh", "-c", script)
    context = Context(oci.Process("/", list(args), ["PATH=/bin"]), tmp_path)
    reading, writing = os.pipe()
    null = os.open("/dev/null", os.O_RDONLY)
    context.stdio = (null, writing, writing)
    try:
        code = run([s.StartChild(), *steps, s.ConnectStdio(), s.ExecuteProgram(args)], context)
    finally:
        os.close(writing)
        os.close(null)
    with os.fdopen(reading) as output:
        return code, output.read()


def test_the_smallest_container_is_a_changed_root(tmp_path: Path) -> None:
    """chroot and exec: the program sees another file system, but the host's processes and names."""
    code, output = container(tmp_path, "ls /; hostname", s.Chroot("rootfs"))
    assert code == 0
    assert output.split() == [*sorted(path.name for path in (tmp_path / "rootfs").iterdir()), os.uname().nodename]


def escape() -> list[str]:
    """Break out of a chroot: after chroot to a directory below, the working directory is outside, and .. leads up."""
    Path("/sub").mkdir()
    os.chroot("/sub")
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return sorted(path.name for path in Path("/").iterdir())


def jailed(tmp_path: Path, pivot: bool) -> list[str]:
    """Enter the root by chroot or by pivot_root, then try to escape; what is seen as / afterwards."""
    context = Context(oci.Process("/", ["x"]), tmp_path)
    if pivot:
        for step in (s.BindRoot("rootfs"), s.PivotRoot()):
            step.apply(context)
    else:
        s.Chroot("rootfs").apply(context)
    return escape()


@pytest.mark.parametrize("pivot", [False, True], ids=["chroot", "pivot_root"])
def test_root_breaks_out_of_chroot_but_not_out_of_pivot_root(tmp_path: Path, pivot: bool) -> None:
    """Attack before defence: the same attack reaches the host's root after chroot, and nothing after pivot_root."""
    bundles.rootfs(tmp_path / "rootfs")
    seen = in_a_child(jailed, tmp_path, pivot, namespaces=syscalls.CLONE_NEWNS)
    host = sorted(path.name for path in Path("/").iterdir())
    ours = sorted([*(path.name for path in (tmp_path / "rootfs").iterdir())])
    assert seen == (ours if pivot else host)


def test_namespaces_one_at_a_time(tmp_path: Path) -> None:
    """With a uts namespace the name is the container's own; with a pid namespace the shell is process 1."""
    host = os.uname().nodename
    steps = (s.NewNamespace("uts"), s.SetHostName("mine"), s.Chroot("rootfs"))
    assert container(tmp_path, "hostname", *steps) == (0, "mine\n")
    assert os.uname().nodename == host
    context = Context(oci.Process("/", ["true"]), tmp_path)
    args = ("sh", "-c", "exit $$")
    assert run([s.StartChild(("pid",)), s.Chroot("rootfs"), s.ExecuteProgram(args)], context) == 1


def test_a_step_that_fails_is_heard(tmp_path: Path) -> None:
    """An error in the child is raised in the parent, as the same error, and no child is left."""
    with pytest.raises(SystemCallFailed, match="chroot") as caught:
        container(tmp_path, "true", s.Chroot("nosuch"))
    assert caught.value.errno_name == "ENOENT"
    with pytest.raises(InvalidSpec, match="no such directory"):
        container(tmp_path, "true", s.BindRoot("nosuch"))


def test_a_cgroup_is_gone_with_its_container(tmp_path: Path) -> None:
    """MakeCgroup and EnterCgroup alone: the shell is inside, and the group is removed at the end."""
    from minidock.kernel import cgroups

    bundles.rootfs(tmp_path / "rootfs")
    name = f"/minidock-step-{os.getpid()}"
    context = Context(oci.Process("/", ["sh"]), tmp_path)
    args = ("sh", "-c", f"grep -q {name} /proc/self/cgroup")
    steps = [s.MakeCgroup(name, cgroups.Resources()), s.StartChild(), s.EnterCgroup(), s.ExecuteProgram(args)]
    assert run(steps, context) == 0
    assert not cgroups.at(name).exists


@pytest.mark.parametrize("path", ["/a/b", "a/b/", "/link/b", "/../a/./b", "/up/a/b"])
def test_places_are_made_inside(tmp_path: Path, path: str) -> None:
    """Whatever the path, what is made is below the root, and the descriptor is of what was made."""
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "link").symlink_to("/a")
    (root / "up").symlink_to("../../../..")
    descriptor = os.open(root, os.O_PATH)
    made = inside.make_directory(descriptor, path)
    assert Path(inside.by_descriptor(made)).readlink() == root / "a/b"
    os.close(made)
    os.close(descriptor)


def test_a_dangling_link_is_followed_inside(tmp_path: Path) -> None:
    """A link to what does not exist yet leads, like every other, to a place inside the root, which is made."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    outside = tmp_path / "outside"
    (root / "run").symlink_to(outside)
    (root / "etc/file").symlink_to("../a/../../b/file")
    descriptor = os.open(root, os.O_PATH)
    made = {
        "/run/x": inside.make_directory(descriptor, "/run/x"),
        "/etc/file": inside.make_file(descriptor, "/etc/file"),
    }
    paths = {path: str(Path(inside.by_descriptor(opened)).readlink()) for path, opened in made.items()}
    for opened in (descriptor, *made.values()):
        os.close(opened)
    assert paths == {"/run/x": f"{root}{outside}/x", "/etc/file": f"{root}/b/file"}
    assert not outside.exists()


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """Two links that lead to each other are an error, and not a walk without an end."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    descriptor = os.open(tmp_path, os.O_PATH)
    for make in (inside.make_directory, inside.make_file):
        with pytest.raises(SystemCallFailed, match="Too many levels"):
            make(descriptor, "/a/x")
    os.close(descriptor)
