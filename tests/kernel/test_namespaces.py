"""Namespaces on the real kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidock.errors import InvalidSpec, SystemCallFailed
from minidock.kernel import namespaces, syscalls
from minidock.kernel.namespaces import IdMapping
from tests.kernel.inside import inside

pytestmark = pytest.mark.root


@pytest.mark.parametrize("kind", namespaces.KINDS.values(), ids=lambda kind: str(kind.name))
def test_the_kernel_knows_the_kind(kind: namespaces.Kind) -> None:
    """The file in /proc is of the kind that the table says, and a new one is another than ours."""
    assert kind.exists
    descriptor = namespaces.open_namespace(kind.path(), kind)
    assert namespaces.kind_of(descriptor) == kind
    os.close(descriptor)
    # New pid and time namespaces are for children: the caller's own file stays the same.
    file = {"pid": "pid_for_children", "time": "time_for_children"}.get(kind.name, kind.file)
    assert Path(kind.path()).samefile(f"/proc/self/ns/{file}")

    def work() -> int:
        syscalls.unshare(kind.flag)
        if kind.name == "pid":  # its new namespace has no number before it has a process 1
            return inside(lambda: Path(kind.path()).stat().st_ino)
        return Path(f"/proc/self/ns/{file}").stat().st_ino

    assert inside(work) != Path(kind.path()).stat().st_ino


def test_a_path_of_the_wrong_kind_is_an_error(tmp_path: Path) -> None:
    """Another kind, an ordinary file, and a FIFO without a writer: all refused, none waited for, nothing left open."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    network = namespaces.KINDS["network"]
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path, message in (
        ("/proc/self/ns/uts", "is a uts namespace, network is wanted"),
        (str(tmp_path / "file"), "is not a namespace, network is wanted"),
        (str(tmp_path / "fifo"), "is not a namespace, network is wanted"),
    ):
        with pytest.raises(InvalidSpec, match=message):
            namespaces.open_namespace(path, network)
    with pytest.raises(SystemCallFailed, match="No such file"):
        namespaces.open_namespace(str(tmp_path / "missing"), network)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_entering_a_namespace() -> None:
    """setns brings a process into another's namespace, and refuses it by another kind's flag."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        syscalls.unshare(syscalls.CLONE_NEWUTS)
        syscalls.sethostname("there")
        os.write(writing, b"x")
        os.read(os.pipe()[0], 1)  # until killed
    os.read(reading, 1)
    uts = namespaces.KINDS["uts"]

    def work() -> str:
        descriptor = namespaces.open_namespace(uts.path(child), uts)
        with pytest.raises(SystemCallFailed, match="Invalid argument"):
            syscalls.setns(descriptor, syscalls.CLONE_NEWNET)
        syscalls.setns(descriptor, uts.flag)
        return os.uname().nodename

    assert inside(work) == "there"
    os.kill(child, 9)
    syscalls.wait_for(child)
    os.close(reading)
    os.close(writing)


def test_id_maps_of_a_new_user_namespace() -> None:
    """The parent writes the maps; inside, root is root, and outside it is an ordinary user."""
    uids = [IdMapping(0, 100000, 10), IdMapping(10, 200000, 5)]
    gids = [IdMapping(0, 300000, 1)]
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        syscalls.setresgid(0, 0, 0)
        syscalls.setresuid(11, 11, 11)
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    namespaces.write_id_maps(child, uids, gids)
    assert namespaces.parse_id_map(Path(f"/proc/{child}/uid_map").read_text()) == uids
    assert namespaces.parse_id_map(Path(f"/proc/{child}/gid_map").read_text()) == gids
    os.write(done[1], b"x")
    os.read(ready[0], 1)
    status = Path(f"/proc/{child}/status").read_text()
    assert f"Uid:\t{namespaces.to_host(uids, 11)}\t" in status
    assert f"Gid:\t{namespaces.to_host(gids, 0)}\t" in status
    os.write(done[1], b"x")
    assert syscalls.wait_for(child).code == 0
    for descriptor in (*ready, *done):
        os.close(descriptor)


def test_an_ordinary_users_map_needs_setgroups_denied() -> None:
    """Without CAP_SETGID, one maps only oneself, and gives up setgroups first: the same function does both."""

    def work() -> tuple[str, str]:
        syscalls.setgroups([])
        syscalls.setresgid(1000, 1000, 1000)
        syscalls.setresuid(1000, 1000, 1000)
        syscalls.set_dumpable(True)  # a change of user makes our files in /proc root's
        ready, done = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(ready[1], b"x")
            os.read(done[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
        namespaces.write_id_maps(child, [IdMapping(0, 1000, 1)], [IdMapping(0, 1000, 1)])
        answer = Path(f"/proc/{child}/setgroups").read_text(), Path(f"/proc/{child}/gid_map").read_text()
        os.write(done[1], b"x")
        syscalls.wait_for(child)
        return answer

    setgroups, gid_map = inside(work)
    assert setgroups == "deny\n"
    assert namespaces.parse_id_map(gid_map) == [IdMapping(0, 1000, 1)]


def test_process_one() -> None:
    """The first child in a new pid namespace is process 1."""
    assert inside(os.getpid, namespaces=syscalls.CLONE_NEWPID) == 1
