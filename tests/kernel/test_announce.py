"""What the kernel layer says it did is what the kernel saw: held against strace of the same process, word for word."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minidock.kernel import announce, syscalls

pytestmark = pytest.mark.root

# Does a little of everything, each call in a form that has something to render, and prints what was announced.
_PROGRAM = r"""
import os, signal, sys
from minidock.errors import SystemCallFailed
from minidock.kernel import announce, capabilities, inotify, links, mounts, namespaces, pty, seccomp, syscalls as s

told = []
allow = seccomp.compile_profile(seccomp.parse({"defaultAction": "SCMP_ACT_ALLOW"}))  # reads a file, which root can
with announce.listen(told.append):
    child = s.fork()
    if child == 0:
        s.unshare(s.CLONE_NEWNS | s.CLONE_NEWUTS | s.CLONE_NEWNET)
        s.mount(None, "/", None, s.MS_REC | s.MS_PRIVATE)
        s.mount("tmpfs", "/mnt", "tmpfs", s.MS_NOSUID | s.MS_NODEV, "size=1m,mode=755")
        s.mkdirat(s.AT_FDCWD, "/mnt/a \"b\"\n\xe9", 0o711)
        s.mount("/mnt", "/mnt", None, s.MS_BIND | s.MS_REC)
        s.mount(None, "/mnt", None, s.MS_REMOUNT | s.MS_BIND | s.MS_NOEXEC | s.MS_RELATIME)
        tree = s.open_tree(s.AT_FDCWD, "/mnt", clone=True, recursive=True)
        s.move_mount(tree, s.AT_FDCWD, "/mnt")
        os.close(tree)
        s.umount2("/mnt", s.MNT_DETACH | s.UMOUNT_NOFOLLOW)
        s.sethostname("h\u00f6st")
        s.setdomainname("domain")
        mnt = s.openat(s.AT_FDCWD, "/mnt", os.O_PATH | os.O_DIRECTORY)
        s.mknodat(mnt, "null", 0o020666, os.makedev(1, 3))
        s.mknodat(mnt, "fifo", 0o010600)
        s.symlinkat("null", mnt, "link")
        s.fchownat(mnt, "link", 1, 2)
        s.renameat2(mnt, "link", mnt, "fifo", s.RENAME_EXCHANGE)
        s.unlinkat(mnt, "null")
        os.close(s.openat(mnt, "new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))
        plain = s.openat2(mnt, "new", os.O_RDWR, s.RESOLVE_IN_ROOT | s.RESOLVE_NO_MAGICLINKS)
        s.fchown(plain, 0, 0)
        s.fchmod(plain, 0o4755)
        s.write(plain, b"\0binary\xff1\n")
        try:
            s.openat(mnt, "missing", os.O_RDONLY)
        except SystemCallFailed:
            pass
        s.write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "80")
        links.loopback_up()
        s.setns(os.open("/proc/self/ns/uts", os.O_RDONLY), s.CLONE_NEWUTS)
        with inotify.Inotify() as watch:
            watch.remove(watch.add("/mnt", inotify.IN_CREATE | inotify.IN_MOVED_TO))
        s.mount("devpts", "/dev/pts", "devpts", s.MS_NOSUID, "newinstance,ptmxmode=0666")
        pts = s.openat(s.AT_FDCWD, "/dev/pts", os.O_PATH | os.O_DIRECTORY)
        controller, terminal = pty.open_pair(pts)
        s.setsid()
        pty.make_controlling(terminal)
        pty.set_size(controller, 25, 80)
        pty.number(controller)
        s.dup3(terminal, 90, close_on_exec=True)
        s.close_range(91)
        s.umask(0o27)
        s.set_rlimit("NOFILE", 20, 1024)
        s.set_rlimit("CORE", 0, -1)
        s.join_session_keyring("minidock")
        s.set_no_new_privs()
        s.set_dumpable(False)
        s.set_child_subreaper()
        s.set_keep_capabilities(True)
        s.bounding_drop(25)
        s.setgroups([3, 4])
        s.setgroups([])
        s.setresgid(5, 5, 5)
        s.setresuid(6, 6, 6)
        wanted = capabilities.mask(["CAP_KILL", "CAP_NET_BIND_SERVICE"])
        capabilities.assume(capabilities.Sets(wanted, wanted, wanted, wanted, wanted))
        s.seccomp_set_filter(allow, 2)
        for call in told:
            print(call.pid, call, flush=True)
        s.execve("/bin/true", ["true", "it's"], {"A": "1"})
    pidfd = s.pidfd_open(child)
    s.waitid(s.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    s.wait_for(child)
    for call in told:
        print(call.pid, call, flush=True)
"""


def _comparable(line: str) -> str:
    """A call without what strace and we may differ in by nature: addresses, and what is elided."""
    line = re.sub(r"\) += ", ") = ", line)
    line = re.sub(r", child_tidptr=0x[0-9a-f]+", "", line)
    line = re.sub(r"0x[0-9a-f]+ /\* (\d+) vars? \*/|\[/\* (\d+) vars \*/\]", "ENVIRONMENT", line)
    line = re.sub(r"\{len=(\d+), filter=(?:\{\.\.\.\}|0x[0-9a-f]+)\}", r"{len=\1}", line)
    line = re.sub(r"(umask\(\w+\)) = \d+", r"\1 = FORMER", line)
    line = re.sub(r"(fstatfs\(\d+), .*\)", r"\1, STATFS)", line)
    line = re.sub(r"(si_status=\w+), [^}]*\}", r"\1}", line)
    line = re.sub(r"(TIOCGPTPEER, )\S+\)", r"\1FLAGS)", line)
    line = re.sub(r"(capget\(\{version=_LINUX_CAPABILITY_VERSION_3, pid=0\}, )\{[^}]*\}", r"\1{SETS}", line)
    return re.sub(r" \([A-Z][a-z ]+\)$", "", line)


def test_announced_calls_are_a_subsequence_of_straces(tmp_path: Path) -> None:
    """Each call that was announced appears in the kernel's own record, in the same order and the same words."""
    if not shutil.which("strace"):
        pytest.skip("strace is missing: apt-get install strace")
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-s", "4096", "-o", str(trace), sys.executable, "-c", _PROGRAM]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    seen = _by_process(_joined(trace.read_text().splitlines()))
    announced = _by_process(ran.stdout.splitlines())
    assert sorted(map(len, announced.values())) == [4, 66]
    for pid, calls in announced.items():
        rest = iter(seen[pid])
        for call in calls:
            assert any(call == line for line in rest), f"strace did not see {call}"


def _by_process(lines: list[str]) -> dict[str, list[str]]:
    calls: dict[str, list[str]] = {}
    for line in lines:
        pid, call = line.split(maxsplit=1)
        calls.setdefault(pid, []).append(_comparable(call))
    return calls


def _joined(lines: list[str]) -> list[str]:
    """Calls that strace had to print in two parts, because the other process came in between."""
    pending: dict[str, str] = {}
    joined = []
    for line in lines:
        pid = line.split()[0]
        if line.endswith(" <unfinished ...>"):
            pending[pid] = line.removesuffix(" <unfinished ...>")
        elif "<... " in line:
            joined.append(pending.pop(pid) + line.split(" resumed>", 1)[1])
        else:
            joined.append(line)
    return joined


def test_nobody_listens_nothing_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a listener no argument is turned into text, and with two each hears every call once."""

    def refuse(*_: object) -> tuple[str, ...]:
        raise AssertionError("rendered for nobody")

    with monkeypatch.context() as patch:
        patch.setattr("minidock.kernel.syscalls.seam.render", refuse)
        syscalls.umask(syscalls.umask(0o22))
    one: list[announce.Call] = []
    two: list[announce.Call] = []
    with announce.listen(one.append):
        with announce.listen(two.append):
            mask = syscalls.umask(0o22)
        syscalls.umask(mask)
    assert [call.name for call in one] == ["umask", "umask"]
    assert two == one[:1]
    assert two[0].args == ("022",) and two[0].result == mask and two[0].duration_ns > 0
    assert not announce.listeners
