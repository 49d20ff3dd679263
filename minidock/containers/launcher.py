"""The launcher: a small process that forks shims for the daemon.

The daemon has threads, an event loop and many modules; a fork of it would be slow and unsafe. The launcher has one
thread, has loaded all that a container needs, and waits: a container costs a fork, not a start of Python. Its objects
are frozen, so that no garbage collection of a shim writes into the pages that all of them share.

It gets requests (:class:`~minidock.containers.wire.LaunchRequest`), each with a file descriptor, on a socket whose
number is its argument, and ends when the daemon's side is closed. It stays in the host's mount namespace, whatever the
daemon does; one that comes after the daemon has left it is told by a second argument, a descriptor, where that is.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from minidock.containers import shim
from minidock.containers.wire import LaunchRequest, decode_launch
from minidock.errors import KernelFeatureMissing
from minidock.kernel import cgroups, seccomp, syscalls

MESSAGE_LIMIT = 64 * 1024


def main() -> None:
    """Serve the daemon on the socket that it left open for us."""
    daemon = socket.socket(fileno=int(sys.argv[1]))
    for mounts in map(int, sys.argv[2:]):
        syscalls.setns(mounts, syscalls.CLONE_NEWNS)
        os.close(mounts)
    # Nobody here wants to know how shims end: without zombies (wait(2), notes on SIGCHLD).
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _load_the_rest()
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(daemon, MESSAGE_LIMIT, 1)
        if not message:
            return
        if os.fork() == 0:
            daemon.close()
            _be_shim(decode_launch(message), socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])


def _load_the_rest() -> None:
    """What is loaded at first use would be loaded by every container anew: each is a fork of this process."""
    seccomp.numbers()
    with suppress(KernelFeatureMissing):  # a machine without cgroups, where no container needs their module
        cgroups.at("minidock/any")


def _be_shim(request: LaunchRequest, control: socket.socket) -> None:
    """In the child: leave the daemon's session, terminal and files, and serve the container. Does not return."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _leave_files()
        syscalls.set_child_subreaper()
        shim.serve(request, control)
        status = 0
    except BaseException:
        (Path(request.bundle) / "shim.log").write_text(traceback.format_exc())
    finally:
        os._exit(status)


def _leave_files() -> None:
    """Who reads the daemon's output to its end must not wait for its containers."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)
