"""Filters in the real kernel: what the interpreter says is what happens."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import socket
from typing import Any

import pytest

from minidock.daemon.seccomp_profile import default_profile
from minidock.errors import SystemCallFailed
from minidock.kernel import capabilities, seccomp, syscalls
from tests.kernel.inside import ChildKilledError, inside
from tests.unit.test_seccomp import AUDIT, SystemCall, run

pytestmark = pytest.mark.root

_LIBC = ctypes.CDLL(None, use_errno=True)
_DOCKERS = frozenset(capabilities.names(0xA80425FB))


def _compile(profile: dict[str, Any]) -> bytes:
    return seccomp.compile_profile(seccomp.parse(profile))


def _errno(number: int, *args: int) -> int:
    """Make a system call by number and return its errno, 0 when it succeeded."""
    words = [ctypes.c_long(word) for word in args]
    return ctypes.get_errno() if _LIBC.syscall(ctypes.c_long(number), *words) == -1 else 0


def test_the_kernel_answers_as_the_interpreter() -> None:
    """Harmless calls with arguments around every condition get the errno that the program says, in the kernel too."""
    conditions = [
        {"index": 0, "op": "SCMP_CMP_EQ", "value": 7},
        {"index": 1, "op": "SCMP_CMP_GT", "value": (1 << 32) + 5},
        {"index": 2, "op": "SCMP_CMP_LE", "value": 3},
        {"index": 3, "op": "SCMP_CMP_MASKED_EQ", "value": 0xFF00000000, "valueTwo": 0x1200000000},
        {"index": 4, "op": "SCMP_CMP_NE", "value": 0},
    ]
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 100 + index, "args": [condition]}
            for index, condition in enumerate(conditions)
        ]
        + [{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "args": conditions}],
    }
    program = _compile(profile)
    number = seccomp.numbers()[os.uname().machine]["getpgid"]
    table, audit = seccomp.numbers()[os.uname().machine], AUDIT[os.uname().machine]
    neutral = [0, 0, 4, 0, 0, 0]
    # getppid takes no arguments and cannot fail: whatever is in the registers, only the filter makes an errno.
    interesting = [
        (0, 7), (0, 6), (0, (1 << 32) + 7), (1, (1 << 32) + 5), (1, (1 << 32) + 6), (1, 2 << 32), (1, 6), (2, 3),
        (2, 4), (2, (1 << 32) + 3), (3, 0x1200000000), (3, 0x1300000000), (3, 0x3412FFFFFFFF), (4, 0), (4, 1),
        (4, 1 << 63),
    ]  # fmt: skip
    calls = []
    for index, value in interesting:
        args = [*neutral]
        args[index] = value
        calls.append((table["getppid"], args))
    calls.append((number, [7, 2 << 32, 3, 0x1200000000, 1, 0]))

    def work() -> list[int]:
        syscalls.set_no_new_privs()
        seccomp.load(program)
        return [
            _errno(number, *(value - (1 << 64) if value >> 63 else value for value in args)) for number, args in calls
        ]

    expected = [run(program, SystemCall(number, audit, args)) for number, args in calls]
    assert inside(work) == [0 if answer == seccomp.ALLOW else answer & 0xFFFF for answer in expected]
    assert len(set(expected)) == 7


def test_the_default_profile_in_the_kernel() -> None:
    """As root with all capabilities, the filter alone shuts the doors; ordinary work goes on."""
    program = _compile(default_profile(_DOCKERS))

    def work() -> dict[str, int]:
        seccomp.load(program)  # we are root: no need of no_new_privs
        table = seccomp.numbers()[os.uname().machine]
        errors = {name: _errno(table[name]) for name in ("unshare", "mount", "keyctl", "clone3", "getpid", "syslog")}
        for family in (socket.AF_ALG, socket.AF_VSOCK, socket.AF_INET):
            try:
                socket.socket(family, socket.SOCK_SEQPACKET if family == socket.AF_ALG else socket.SOCK_STREAM).close()
                errors[family.name] = 0
            except OSError as error:
                errors[family.name] = error.errno or 0
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        return errors

    assert inside(work) == {
        "unshare": errno.EPERM,
        "mount": errno.EPERM,
        "keyctl": errno.EPERM,
        "clone3": errno.ENOSYS,
        "getpid": 0,
        "syslog": errno.EPERM,
        "AF_ALG": errno.EPERM,
        "AF_VSOCK": errno.EPERM,
        "AF_INET": 0,
    }


def test_kill_ends_the_process_by_sigsys() -> None:
    """SCMP_ACT_KILL_PROCESS leaves nothing to handle."""

    def work() -> None:
        syscalls.set_no_new_privs()
        seccomp.load(
            _compile(
                {
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_KILL_PROCESS"}],
                }
            )
        )
        os.getppid()

    with pytest.raises(ChildKilledError) as killed:
        inside(work)
    assert killed.value.signal == signal.SIGSYS


def test_a_filter_needs_the_right_or_the_renunciation() -> None:
    """Neither CAP_SYS_ADMIN nor no_new_privs: EACCES, because a filter could fool a set-uid program."""
    program = _compile({"defaultAction": "SCMP_ACT_ALLOW"})

    def work(renounce: bool) -> int:
        syscalls.setresuid(1, 1, 1)
        if renounce:
            syscalls.set_no_new_privs()
        return seccomp.load(program)

    with pytest.raises(SystemCallFailed) as caught:
        inside(work, False)
    assert caught.value.errno == errno.EACCES
    assert inside(work, True) == 0


def test_actions_are_asked_for_by_name() -> None:
    """The kernel says which actions it knows."""
    assert syscalls.seccomp_action_available(seccomp.KILL_PROCESS)
    assert not syscalls.seccomp_action_available(0x12340000)


# mov eax, edi; mov ebx, esi; mov ecx, edx; xor edx, edx; int 0x80: a call through the entrance of 32-bit programs.
# rbx is the caller's, so it is kept on the stack.
_INT_80 = bytes.fromhex("53 89 f8 89 f3 89 d1 31 d2 cd 80 5b c3")


def _call_as_32_bit(number: int, first: int = 0, second: int = 0) -> int:
    """Make an i386 system call from this 64-bit process: what an attacker in a container would do first."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(_INT_80)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int)(address)
    return int(function(number, first, second))


# Only x86 has three entrances into one kernel.
if os.uname().machine == "x86_64":

    def test_the_other_entrances_are_shut_too() -> None:
        """The i386 and x32 numbers of a denied call are denied, and those of an allowed one allowed."""
        program = _compile(default_profile(_DOCKERS))
        tables = seccomp.numbers()
        names = ("mount", "unshare", "keyctl", "clone3", "socketcall", "getpid")

        def work(filtered: bool) -> tuple[dict[str, int], list[int], dict[str, int]]:
            if filtered:
                seccomp.load(program)
            i386 = {name: -_call_as_32_bit(tables["x86"][name]) for name in names}
            families = (socket.AF_ALG, socket.AF_VSOCK, socket.AF_INET)
            sockets = [_call_as_32_bit(tables["x86"]["socket"], family, socket.SOCK_DGRAM) for family in families]
            x32 = {name: _errno(tables["x32"][name]) for name in ("mount", "clone3", "getpid")}
            return i386, sockets, x32

        unfiltered, _, x32_exists = inside(work, False)
        i386, sockets, x32 = inside(work, True)
        assert unfiltered.pop("getpid") < 0 and i386.pop("getpid") < 0  # a pid, the sign turned
        assert (unfiltered["mount"], unfiltered["unshare"]) == (errno.EFAULT, 0)
        assert i386 == {name: errno.ENOSYS if name == "clone3" else errno.EPERM for name in names[:-1]}
        assert sockets[:2] == [-errno.EPERM, -errno.EPERM] and sockets[2] > 0
        # Where the kernel has no x32 an allowed call is unknown; a denied one is denied before that is asked.
        assert x32 == {"mount": errno.EPERM, "clone3": errno.ENOSYS, "getpid": x32_exists["getpid"]}
