"""An interpreter that no container can overwrite.

Until a new process in a container execs, its ``/proc/PID/exe`` is our interpreter: a file of the host. A container
that gets hold of it could, once nobody runs it any more, write into it, and so run its own code as the host's root
(CVE-2019-5736). So whoever makes processes inside containers runs from a copy in memory, which is sealed: not even root
can write to it. runc does the same with itself. Only Python's own modules are used here, because this comes first.

Source: memfd_create(2), fcntl(2) F_ADD_SEALS, fexecve(3).
"""

from __future__ import annotations

import fcntl
import os
import sys

NAME = "minidock-python"
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def is_sealed() -> bool:
    """Whether this process already runs from a sealed copy."""
    return os.readlink("/proc/self/exe").startswith(f"/memfd:{NAME}")  # noqa: PTH115 - no pathlib needed for this


def reexec_sealed() -> None:
    """Start this program again, with the same arguments, from a sealed copy of the interpreter; or return: it is one.

    To be called first of all: what the process has done until now is done for nothing. The interpreter is told its own
    path as always (argv[0]), and finds its library and its environment from there.
    """
    if is_sealed():
        return
    copy = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    source = os.open("/proc/self/exe", os.O_RDONLY | os.O_CLOEXEC)
    while os.sendfile(copy, source, None, 1 << 24):
        continue
    os.close(source)
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, SEALS)
    os.execve(copy, [sys.executable, *sys.orig_argv[1:]], os.environ)
