"""Do something in a process of one's own, for the sake of memory.

What a Python process touches after a fork it has to have for itself, if only because reference counts change: creating
a container costs its parent three megabytes, for as long as it lives. So a shim, which lives long, has a child do it,
that lives for a few milliseconds. The container's init, a grandchild then, becomes the shim's child when its parent
ends: the shim is a child subreaper (PR_SET_CHILD_SUBREAPER(2const)). containerd's shim does the same with runc.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

from minidock.containers.wire import Failure, Reply, decode_reply, encode
from minidock.errors import MinidockError
from minidock.kernel import syscalls

MESSAGE_LIMIT = 64 * 1024

Work = Callable[[], tuple[object, list[int]]]


def apart(work: Work) -> tuple[object, list[int]]:
    """What ``work()`` returns in a child: something that JSON can say, and at most one open file descriptor.

    Processes that it started are ours when this returns. Raises what it raised.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        _work(work, theirs)
    theirs.close()
    with ours:
        message, descriptors, _, _ = socket.recv_fds(ours, MESSAGE_LIMIT, 1)
    os.waitpid(child, 0)
    if not message:
        raise MinidockError("the process that worked for the container's shim was killed")
    reply = decode_reply(message)
    if reply.failure:
        raise reply.failure.error()
    return reply.result, descriptors


def _work(work: Work, answer: socket.socket) -> None:
    """In the child. Does not return."""
    try:
        syscalls.set_parent_death_signal(signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        descriptors: list[int] = []
        try:
            result, descriptors = work()
            reply = Reply(0, result)
        except Exception as error:
            reply = Reply(0, failure=Failure.of(error))
        socket.send_fds(answer, [encode(reply)], descriptors)
    finally:
        os._exit(0)
