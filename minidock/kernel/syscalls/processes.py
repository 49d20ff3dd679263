"""System calls that make, name, wait for and signal processes, and put them into namespaces."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence

from msgspec import Struct

from minidock.errors import SystemCallFailed
from minidock.kernel import announce
from minidock.kernel.notation import choice, flags, named, quoted
from minidock.kernel.syscalls.seam import Argument, Path, invoke

# unshare(2), setns(2): linux/sched.h. CLONE_NEWTIME is not for clone(2): its bits hold the exit signal there.
CLONE_NEWTIME = 0x00000080
CLONE_FS = 0x00000200
CLONE_FILES = 0x00000400
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_CLONE = flags(named(globals(), "CLONE_"))

_SIGNALS = choice({number.value: number.name for number in signal.Signals})
_GLIBCS_SIGNALS = choice({32: "SIGRTMIN", 33: "SIGRT_1"})
"""The first two real-time signals, as the kernel counts them. glibc keeps them for its threads (nptl(7))."""

P_PID = 1
P_PIDFD = 3
_ID_TYPES = choice({P_PID: "P_PID", P_PIDFD: "P_PIDFD"})
_WAIT = flags({os.WNOHANG: "WNOHANG", os.WEXITED: "WEXITED", os.WNOWAIT: "WNOWAIT"})

RLIMITS = (
    "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING",
    "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
)  # fmt: skip
"""Resource limits in the kernel's order, without ``RLIMIT_``: the position is the number (asm-generic/resource.h)."""
RLIM_INFINITY = (1 << 64) - 1


def unshare(clone_flags: int) -> None:
    """Leave the namespaces of these kinds for new ones. unshare(2).

    A new pid or time namespace is for children made later: the caller itself stays in the old one.
    """
    invoke("unshare", (clone_flags, _CLONE))


def setns(descriptor: int, clone_flags: int = 0) -> None:
    """Enter the namespace behind a /proc/PID/ns file, or with a pidfd those of a process. setns(2).

    ``clone_flags`` other than 0 demand that kind of namespace: EINVAL when it is another.
    """
    invoke("setns", descriptor, (clone_flags, _CLONE))


def fork() -> int:
    """Duplicate this process; 0 in the child. fork(2), which the C library makes with clone(2).

    In the child only what is async-signal-safe in spirit: no locks that another thread may hold, no shared handlers.
    """
    start = time.monotonic_ns()
    try:
        pid = os.fork()
    except OSError as error:
        raise SystemCallFailed("clone", "SIGCHLD", error.errno or 0) from error
    if pid and announce.listeners:
        args = ("child_stack=NULL", "flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD")
        announce.announce(announce.Call(os.getpid(), "clone", args, pid, 0, start, time.monotonic_ns() - start))
    return pid


def execve(path: Path, argv: Sequence[str | bytes], environment: Mapping[str, str]) -> None:
    """Become another program; returns only by raising. execve(2).

    It is announced as done before it is tried: afterwards nobody is left to do it. A failure is announced after that.
    """
    arguments = [os.fsencode(text) for text in argv]
    variables = [os.fsencode(f"{key}={value}") for key, value in environment.items()]
    if any(b"\0" in text for text in arguments + variables):
        raise SystemCallFailed("execve", quoted(os.fsencode(path)), 22)
    shown = "[" + ", ".join(map(quoted, arguments)) + "]"
    words: tuple[Argument, ...] = (
        path,
        (_c_strings(arguments), lambda _: shown),
        (_c_strings(variables), lambda _: f"[/* {len(variables)} vars */]"),
    )
    if announce.listeners:
        args = (quoted(os.fsencode(path)), shown, f"[/* {len(variables)} vars */]")
        announce.announce(announce.Call(os.getpid(), "execve", args, 0, 0, time.monotonic_ns(), 0))
    invoke("execve", *words, acts_on=1)


def _c_strings(texts: list[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    """``char *texts[]``, with NULL at its end."""
    return (ctypes.c_char_p * (len(texts) + 1))(*texts, None)


def reset_signals() -> None:
    """Give a program the signals it expects: what we ignore, or whoever started us, exec would pass on.

    Python ignores SIGPIPE and SIGXFSZ. glibc's posix_spawn(3) leaves its own two signals ignored, so everything under
    make has them so, and its sigaction(3) refuses to change them: the kernel is asked directly.
    """
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP) and signal.getsignal(number) != signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    default = ctypes.create_string_buffer(32)  # struct sigaction of zeros: SIG_DFL, no flags, nothing blocked
    for glibcs in (32, 33):
        shown = (default, lambda _: "{sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}")
        invoke("rt_sigaction", (glibcs, _GLIBCS_SIGNALS), shown, None, 8)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def setsid() -> int:
    """Lead a new session, without a terminal; EPERM for the leader of a process group. setsid(2)."""
    return invoke("setsid")


def pidfd_open(pid: int) -> int:
    """A descriptor for a process, which never comes to mean another one. Readable when it ends. pidfd_open(2)."""
    return invoke("pidfd_open", pid, 0)


def pidfd_send_signal(pidfd: int, signal_number: int) -> None:
    """Send a signal to the process behind ``pidfd``; ESRCH when it has ended. pidfd_send_signal(2)."""
    invoke("pidfd_send_signal", pidfd, (signal_number, _SIGNALS), None, 0)


class Exit(Struct, frozen=True):
    """How a child ended: ``code`` is its exit code, or 128 + the signal, as shells and Docker count."""

    pid: int
    code: int
    signal: int | None
    core_dumped: bool


class _SigInfo(ctypes.Structure):
    """The part of ``siginfo_t`` that waitid(2) fills in, of 128 bytes."""

    _fields_ = (
        ("signo", ctypes.c_int), ("errno", ctypes.c_int), ("code", ctypes.c_int), ("pad", ctypes.c_int),
        ("pid", ctypes.c_int), ("uid", ctypes.c_uint), ("status", ctypes.c_int), ("rest", ctypes.c_int * 25),
    )  # fmt: skip


_CLD_EXITED = 1
_CLD_DUMPED = 3
_CODES = {1: "CLD_EXITED", 2: "CLD_KILLED", 3: "CLD_DUMPED"}


def _signal_info(info: object) -> str:
    assert isinstance(info, _SigInfo)
    if info.pid == 0:
        return "{}"
    code = _CODES.get(info.code, str(info.code))
    status = info.status if info.code == _CLD_EXITED else _SIGNALS(info.status)
    return f"{{si_signo=SIGCHLD, si_code={code}, si_pid={info.pid}, si_uid={info.uid}, si_status={status}, ...}}"


def waitid(id_type: int, number: int, options: int = os.WEXITED) -> Exit | None:
    """Wait until the child of this pid (P_PID) or pidfd (P_PIDFD) has ended, and reap it unless WNOWAIT is set.

    None with WNOHANG, when it still runs. waitid(2).
    """
    info = _SigInfo()
    invoke(
        "waitid", (id_type, _ID_TYPES), number, (info, _signal_info), (options, _WAIT), None,
        operand=f"{_ID_TYPES(id_type)}, {number}",
    )  # fmt: skip
    if info.pid == 0:
        return None
    if info.code == _CLD_EXITED:
        return Exit(info.pid, info.status, None, False)
    return Exit(info.pid, 128 + info.status, info.status, info.code == _CLD_DUMPED)


def wait_for(pid: int) -> Exit:
    """Wait until the child ``pid`` has ended, and reap it. Python's signal handlers run meanwhile.

    A signal that comes in the last moment before the call that waits is noted by Python, and handled only when that
    call returns, which may be never. So it returns once a second.
    """
    descriptor = os.pidfd_open(pid)
    try:
        while not select.select([descriptor], [], [], 1.0)[0]:
            continue
    finally:
        os.close(descriptor)
    ended = waitid(P_PID, pid)
    assert ended is not None, "without WNOHANG there is always an answer"
    return ended


class _RLimit64(ctypes.Structure):
    """``struct rlimit64``."""

    _fields_ = (("soft", ctypes.c_uint64), ("hard", ctypes.c_uint64))


def set_rlimit(name: str, soft: int, hard: int, pid: int = 0) -> None:
    """Limit a resource of a process (0: of this one). ``name`` is from RLIMITS; -1 is no limit. prlimit(2).

    Raising a hard limit takes CAP_SYS_RESOURCE: EPERM without it.
    """
    limit = _RLimit64(soft & RLIM_INFINITY, hard & RLIM_INFINITY)
    number = RLIMITS.index(name)

    def render(_: object) -> str:
        return f"{{rlim_cur={_limit_text(limit.soft)}, rlim_max={_limit_text(limit.hard)}}}"

    resource = (number, choice({number: f"RLIMIT_{name}"}))
    operand = f"RLIMIT_{name}, soft {_limit_text(limit.soft)}, hard {_limit_text(limit.hard)}"
    invoke("prlimit64", pid, resource, (limit, render), None, operand=operand)


def _limit_text(value: int) -> str:
    """As strace writes a limit: multiples of 1024 from 2048 on as products."""
    if value == RLIM_INFINITY:
        return "RLIM64_INFINITY"
    return f"{value // 1024}*1024" if value > 1024 and value % 1024 == 0 else str(value)


def sethostname(name: str) -> None:
    """Set the host name of this UTS namespace; at most 64 bytes. sethostname(2)."""
    invoke("sethostname", name, len(os.fsencode(name)))


def setdomainname(name: str) -> None:
    """Set the NIS domain name of this UTS namespace; at most 64 bytes. setdomainname(2)."""
    invoke("setdomainname", name, len(os.fsencode(name)))
