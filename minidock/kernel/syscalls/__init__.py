"""One function per system call, named as in section 2 of the manual: what it does, what it needs, what surprises.

None of them decides anything. They raise :class:`~minidock.errors.SystemCallFailed`, which says which call on what,
and announce themselves (:mod:`minidock.kernel.announce`). Descriptors that they return are close-on-exec.
"""

from minidock.kernel.syscalls.cloning import clone as clone
from minidock.kernel.syscalls.credentials import *  # noqa: F403
from minidock.kernel.syscalls.files import *  # noqa: F403
from minidock.kernel.syscalls.mounting import *  # noqa: F403
from minidock.kernel.syscalls.processes import *  # noqa: F403
from minidock.kernel.syscalls.seam import Argument as Argument
from minidock.kernel.syscalls.seam import Path as Path
from minidock.kernel.syscalls.seam import invoke as invoke
