"""The seam and the system calls, on the real kernel."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from minidock.errors import SystemCallFailed
from minidock.kernel import announce, seccomp, syscalls
from minidock.kernel.syscalls import seam
from tests.kernel.inside import ChildKilledError, inside

pytestmark = pytest.mark.root

PR_GET_DUMPABLE = 3  # linux/prctl.h
_MOUNTS = syscalls.CLONE_NEWNS


@pytest.mark.parametrize(("column", "machine"), [(0, "x86_64"), (1, "aarch64")])
def test_numbers_are_those_of_the_tables(column: int, machine: str) -> None:
    """The seam's short table and the seccomp table, which come from different headers, say the same."""
    table = seccomp.numbers()[machine]
    assert {name: numbers[column] for name, numbers in seam.NUMBERS.items()} == {
        name: table[name] for name in seam.NUMBERS
    }


def test_a_failure_names_call_operand_and_reason() -> None:
    """The message reads as the kernel's answer to a question."""
    with pytest.raises(SystemCallFailed) as caught:
        syscalls.mount("overlay", "/does/not/exist", "overlay", 0, "lowerdir=/")
    assert str(caught.value) == 'mount("overlay", "/does/not/exist"): No such file or directory'
    assert caught.value.errno == errno.ENOENT


def test_a_nul_is_refused_before_the_kernel_cuts_it_off(tmp_path: Path) -> None:
    """A path with NUL would otherwise name another file: the part before it."""
    (tmp_path / "a").touch()
    with pytest.raises(SystemCallFailed) as caught:
        syscalls.unlinkat(syscalls.AT_FDCWD, f"{tmp_path}/a\0b")
    assert caught.value.errno == errno.EINVAL
    assert (tmp_path / "a").exists()


def test_integers_keep_all_their_bits() -> None:
    """A limit above 2**32 arrives: arguments are words, not C ints."""

    def work() -> str:
        syscalls.set_rlimit("FSIZE", 5 << 32, -1)
        return Path("/proc/self/limits").read_text()

    limits = inside(work)
    assert next(line for line in limits.splitlines() if "file size" in line).split()[3:5] == [str(5 << 32), "unlimited"]


def test_an_interrupted_call_is_tried_again() -> None:
    """A signal in the middle of a wait: its handler runs, and the wait goes on."""

    def work() -> tuple[int, list[int]]:
        reading, writing = os.pipe()
        signal.signal(signal.SIGUSR1, lambda *_: os.write(writing, b"handled") and None)
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            waitid = str(seam.NUMBERS["waitid"][os.uname().machine == "aarch64"])
            while Path(f"/proc/{parent}/syscall").read_text().split()[0] != waitid:
                os.sched_yield()
            os.kill(parent, signal.SIGUSR1)
            os.read(reading, 7)
            os._exit(7)
        calls: list[int] = []
        with announce.listen(lambda call: calls.append(call.errno)):
            ended = syscalls.waitid(syscalls.P_PID, child)
        return ended.code if ended else -1, calls

    assert inside(work) == (7, [errno.EINTR, 0])


@pytest.mark.parametrize(("status", "code", "killer"), [(0, 0, None), (3, 3, None), (-9, 137, 9), (-15, 143, 15)])
def test_how_a_child_ended(status: int, code: int, killer: int | None) -> None:
    """Exit codes as they are, signals as 128 and more."""
    child = os.fork()
    if child == 0:
        if status < 0:
            signal.signal(-status, signal.SIG_DFL) if status != -9 else None
            os.kill(os.getpid(), -status)
        os._exit(status)
    pidfd = syscalls.pidfd_open(child)
    ended = syscalls.waitid(syscalls.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    assert ended == syscalls.waitid(syscalls.P_PID, child) == syscalls.Exit(child, code, killer, False)
    with pytest.raises(SystemCallFailed) as caught:
        syscalls.pidfd_send_signal(pidfd, signal.SIGTERM)
    assert caught.value.errno == errno.ESRCH
    os.close(pidfd)


def test_waiting_without_hanging() -> None:
    """A child that still runs is no answer yet."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reading, 1)
        os._exit(0)
    assert syscalls.waitid(syscalls.P_PID, child, os.WEXITED | os.WNOHANG) is None
    os.write(writing, b"x")
    assert syscalls.wait_for(child).code == 0
    os.close(reading)
    os.close(writing)


def test_openat2_stays_inside(tmp_path: Path) -> None:
    """Absolute links and .. mean the given root; without links allowed they are an error."""
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_text("inside")
    (tmp_path / "inside" / "absolute").symlink_to("/../../file")
    (tmp_path / "file").write_text("outside")
    root = syscalls.openat(syscalls.AT_FDCWD, tmp_path / "inside", os.O_PATH | os.O_DIRECTORY)
    found = syscalls.openat2(root, "absolute", os.O_RDONLY, syscalls.RESOLVE_IN_ROOT)
    assert os.read(found, 100) == b"inside"
    for path, resolve, error in (
        ("absolute", syscalls.RESOLVE_NO_SYMLINKS, errno.ELOOP),
        ("../file", syscalls.RESOLVE_BENEATH, errno.EXDEV),
    ):
        with pytest.raises(SystemCallFailed) as caught:
            syscalls.openat2(root, path, os.O_RDONLY, resolve)
        assert caught.value.errno == error
    os.close(found)
    os.close(root)


def test_files_by_descriptor(tmp_path: Path) -> None:
    """Every …at call acts in the directory that is held open, whatever its path has become."""
    os.mkdir(tmp_path / "d", 0o700)  # noqa: PTH102
    directory = syscalls.openat(syscalls.AT_FDCWD, tmp_path / "d", os.O_PATH | os.O_DIRECTORY)
    (tmp_path / "d").rename(tmp_path / "e")
    former = syscalls.umask(0)
    syscalls.mkdirat(directory, "sub", 0o711)
    syscalls.mknodat(directory, "fifo", 0o010622)
    syscalls.mknodat(directory, "null", 0o020666, os.makedev(1, 3))
    assert syscalls.umask(former) == 0
    syscalls.symlinkat("fifo", directory, "link")
    os.link("fifo", "other", src_dir_fd=directory, dst_dir_fd=directory)
    syscalls.fchownat(directory, "link", 12, 34)
    syscalls.renameat2(directory, "sub", directory, "fifo", syscalls.RENAME_EXCHANGE)
    assert syscalls.readlinkat(directory, "link") == "fifo"
    found = {path.name: path.lstat() for path in (tmp_path / "e").iterdir()}
    assert {name: oct(status.st_mode) for name, status in found.items()} == {
        "sub": "0o10622", "fifo": "0o40711", "null": "0o20666", "link": "0o120777", "other": "0o10622",
    }  # fmt: skip
    assert (found["link"].st_uid, found["link"].st_gid, found["null"].st_rdev) == (12, 34, os.makedev(1, 3))
    with pytest.raises(SystemCallFailed) as caught:
        syscalls.renameat2(directory, "null", directory, "other", syscalls.RENAME_NOREPLACE)
    assert caught.value.errno == errno.EEXIST
    syscalls.unlinkat(directory, "fifo", syscalls.AT_REMOVEDIR)
    syscalls.unlinkat(directory, "null")
    assert {path.name for path in (tmp_path / "e").iterdir()} == {"sub", "link", "other"}
    os.close(directory)


def test_descriptors_are_close_on_exec(tmp_path: Path) -> None:
    """Nothing that the kernel layer opens reaches the container's program by accident."""
    (tmp_path / "f").touch()
    opened = [
        syscalls.openat(syscalls.AT_FDCWD, tmp_path / "f", os.O_RDONLY),
        syscalls.openat2(syscalls.AT_FDCWD, tmp_path / "f", os.O_RDONLY, 0),
        syscalls.pidfd_open(os.getpid()),
        syscalls.open_tree(syscalls.AT_FDCWD, tmp_path),
    ]
    assert [os.get_inheritable(descriptor) for descriptor in opened] == [False] * len(opened)
    syscalls.dup2(opened[0], opened[0])
    assert os.get_inheritable(opened[0])
    for descriptor in opened:
        os.close(descriptor)


def test_close_range_closes_or_marks() -> None:
    """Everything from a number on is closed, or left to exec."""

    def work() -> tuple[bool, list[int]]:
        os.dup2(0, 100)
        os.dup2(0, 200)
        syscalls.close_range(100, 150)
        os.set_inheritable(200, True)
        syscalls.close_range(151, cloexec=True)
        return os.get_inheritable(200), [number for number in (100, 200) if os.path.exists(f"/proc/self/fd/{number}")]  # noqa: PTH110

    assert inside(work) == (False, [200])


def test_write_file_names_the_file_that_refused() -> None:
    """The error of a write says what was written where, not only a descriptor's number."""

    def work() -> None:
        syscalls.write_file("/proc/self/oom_score_adj", "5000")

    with pytest.raises(SystemCallFailed, match=r'write\("/proc/self/oom_score_adj", "5000"\): Invalid argument'):
        inside(work)


@pytest.mark.parametrize("number", [1 << 32, (1 << 32) - 1, -2])
def test_user_numbers_are_not_cut_off(number: int) -> None:
    """What has more than 32 bits would be cut, and 2**32 be root: refused for users, groups and owners alike."""

    attempts: list[Callable[[], None]] = [
        lambda: syscalls.setresuid(number, number, number),
        lambda: syscalls.setresgid(number, number, number),
        lambda: syscalls.setgroups([number]),
        lambda: syscalls.fchown(0, number, number),
        lambda: syscalls.fchownat(syscalls.AT_FDCWD, "/nowhere", number, number),
    ]
    for attempt in attempts:
        with pytest.raises(SystemCallFailed, match=f"{number}.*Invalid argument"):
            inside(attempt)


@pytest.mark.parametrize("device", [os.makedev(1 << 12, 3), os.makedev(1, 1 << 20), os.makedev((1 << 12) + 1, 3)])
def test_device_numbers_are_not_cut_off(device: int, tmp_path: Path) -> None:
    """Major 4097 would become 1, and the file the host's memory."""
    with pytest.raises(SystemCallFailed, match="Invalid argument"):
        syscalls.mknodat(syscalls.AT_FDCWD, tmp_path / "device", 0o020666, device)
    assert not list(tmp_path.iterdir())


def test_exec_hands_over_arguments_environment_and_signals(tmp_path: Path) -> None:
    """The program gets its words, its variables and no other, and SIGPIPE as it expects it."""

    def work() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.dup2(os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT, 0o600), 1)
        syscalls.reset_signals()
        script = (
            'printf "%s\\n" "$0" "$1" "$é"; grep -E "Sig(Ign|Blk)" /proc/self/status; /usr/bin/env -0 | tr "\\0" "\\n"'
        )
        syscalls.execve("/bin/bash", ["bash", "-c", script, "zero", "wörd"], {"A": "b=c"})

    with pytest.raises(ChildKilledError):  # the answer's pipe is closed by exec, without an answer
        inside(work)
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines[:2] == ["zero", "wörd"]
    assert {"SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "A=b=c"} <= set(lines)
    assert not any(line.startswith("HOME=") for line in lines)


@pytest.mark.parametrize(
    ("path", "argv", "error"),
    [("/nowhere", ["x"], errno.ENOENT), ("/etc", ["x"], errno.EACCES), ("/bin/true", ["a\0b"], errno.EINVAL)],
)
def test_a_failed_exec_returns_by_raising(path: str, argv: list[str], error: int) -> None:
    """Missing, not executable, impossible arguments: three different answers."""
    with pytest.raises(SystemCallFailed) as caught:
        inside(lambda: syscalls.execve(path, argv, {}))
    assert (caught.value.call, caught.value.operand, caught.value.errno) == ("execve", json.dumps(path), error)


def test_uts_names_are_the_namespaces_own() -> None:
    """Host and domain name change inside, and the host keeps its own."""
    before = os.uname().nodename

    def work() -> tuple[str, str]:
        syscalls.sethostname("inner")
        syscalls.setdomainname("example")
        return os.uname().nodename, Path("/proc/sys/kernel/domainname").read_text()

    assert inside(work, namespaces=syscalls.CLONE_NEWUTS) == ("inner", "example\n")
    assert os.uname().nodename == before


def test_pivot_root_lets_the_old_root_go(tmp_path: Path) -> None:
    """After the trick with two dots, the new root is all that is left."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "here").touch()

    def work() -> tuple[list[str], str]:
        syscalls.mount(root, root, None, syscalls.MS_BIND)
        syscalls.chdir(root)
        syscalls.pivot_root(".", ".")
        syscalls.umount2(".", syscalls.MNT_DETACH)
        syscalls.chdir("/")
        return [path.name for path in Path("/").iterdir()], str(Path.cwd())

    assert inside(work, namespaces=_MOUNTS) == (["here"], "/")


def test_chroot_alone_is_no_jail(tmp_path: Path) -> None:
    """The classic escape works: a directory outside that is still held leads out. So the engine pivots."""
    (tmp_path / "jail").mkdir()
    (tmp_path / "secret").write_text("outside")

    def work() -> str:
        outside = os.open(tmp_path, os.O_PATH)
        syscalls.chroot(tmp_path / "jail")
        syscalls.fchdir(outside)
        return Path("secret").read_text()

    assert inside(work) == "outside"


def test_who_one_is() -> None:
    """All four user ids, all four group ids, and the supplementary groups."""

    def work() -> list[str]:
        syscalls.setgroups([5, 6])
        syscalls.setresgid(7, 7, 7)
        syscalls.setresuid(8, 8, 8)
        lines = Path("/proc/self/status").read_text().splitlines()
        return [line.rstrip() for line in lines if line.startswith(("Uid", "Gid", "Groups"))]

    assert inside(work) == ["Uid:\t8\t8\t8\t8", "Gid:\t7\t7\t7\t7", "Groups:\t5 6"]


def test_no_groups_at_all() -> None:
    """An empty list empties the supplementary groups."""

    def work() -> list[int]:
        syscalls.setgroups([5])
        syscalls.setgroups([])
        return os.getgroups()

    assert inside(work) == []


def test_not_dumpable_and_no_new_privileges() -> None:
    """Both switches, and that a subreaper adopts an orphan's orphan."""

    def work() -> tuple[bool, bool, bool]:
        syscalls.set_dumpable(False)
        syscalls.set_no_new_privs()
        syscalls.set_child_subreaper()
        reading, writing = os.pipe()
        child = syscalls.fork()
        if child == 0:
            if syscalls.fork() == 0:
                os.close(writing)
                os.read(reading, 1)
                os._exit(0)
            os._exit(0)
        os.close(writing)
        syscalls.wait_for(child)
        orphan = os.waitpid(-1, 0)[0]
        no_new_privs = "NoNewPrivs:\t1\n" in Path("/proc/self/status").read_text()
        return bool(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)), no_new_privs, orphan != child

    assert inside(work) == (False, True, True)


def test_the_child_dies_with_its_parent() -> None:
    """The parent-death signal arrives when the parent ends."""

    def work() -> int | None:
        syscalls.set_child_subreaper()
        reading, writing = os.pipe()
        parent = os.fork()
        if parent == 0:
            child = os.fork()
            if child == 0:
                syscalls.set_parent_death_signal(signal.SIGKILL)
                os.write(writing, b"ready")
                signal.pause()
            os.read(reading, 5)
            os._exit(0)
        syscalls.wait_for(parent)
        orphan = os.waitid(os.P_ALL, 0, os.WEXITED)
        assert orphan is not None
        return int(orphan.si_status)

    assert inside(work) == signal.SIGKILL


def test_a_keyring_of_our_own() -> None:
    """The session keyring that a process joins is a new one each time."""

    def work() -> tuple[int, int]:
        return syscalls.join_session_keyring("one"), syscalls.join_session_keyring("two")

    one, two = inside(work)
    assert one > 0 and two > 0 and one != two
