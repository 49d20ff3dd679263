"""clone(2): a child that is born into namespaces of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import time

from minidock.errors import SystemCallFailed
from minidock.kernel import announce
from minidock.kernel.notation import flags
from minidock.kernel.syscalls.processes import CLONE_NEWPID, CLONE_NEWUSER
from minidock.kernel.syscalls.seam import number

_NAMESPACES = flags({CLONE_NEWUSER: "CLONE_NEWUSER", CLONE_NEWPID: "CLONE_NEWPID", int(signal.SIGCHLD): "SIGCHLD"})
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def clone(namespaces: int = 0) -> int:
    """Duplicate this process, as fork does; the child is born in new namespaces of these kinds. 0 in the child.

    After ``unshare(CLONE_NEWPID)`` the caller's *later* children would all be born in the new namespace, hooks among
    them; clone leaves the caller as it was. And with CLONE_NEWUSER the kernel makes the user namespace first, so that
    it owns the pid namespace. The caller must have one thread.

    os.fork knows no flags. The three functions around the call are what os.fork does itself: the C API offers them to
    whoever makes "a similar function that clones the current process". clone(2); Python's C API, PyOS_BeforeFork.
    """
    arguments = [ctypes.c_long(word) for word in (number("clone"), namespaces | signal.SIGCHLD, 0, 0, 0, 0)]
    start = time.monotonic_ns()
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(_libc.syscall(*arguments))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    error = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    shown = ("child_stack=NULL", f"flags={_NAMESPACES(namespaces | signal.SIGCHLD)}")
    if announce.listeners:
        outcome = error if pid < 0 else 0
        call = announce.Call(os.getpid(), "clone", shown, pid, outcome, start, time.monotonic_ns() - start)
        announce.announce(call)
    if pid < 0:
        raise SystemCallFailed("clone", shown[1], error)
    return pid
