"""``--init``: a container's first process that does what the first process of a system must.

Orphans become children of process 1, and stay zombies until it waits for them; and a signal for which process 1 has no
handler is not delivered at all. Most programs do neither wait for strangers nor handle SIGTERM. So our own process
stays, as a small init, and the user's program is its child.
"""

from __future__ import annotations

import os
import signal

from minidock.containers.steps.process import execute
from minidock.containers.steps.step import Context, Step
from minidock.errors import CannotRun
from minidock.kernel import syscalls


class BecomeInit(Step, frozen=True):
    """Run the program as a child; pass signals on to it; wait for it, and for every orphan; end with its status."""

    args: tuple[str, ...]
    man = "pid_namespaces(7), waitpid(2), sigwaitinfo(2)"
    why = "process 1 must collect the dead, and is deaf to signals that it does not handle: few programs know"

    @property
    def title(self) -> str:
        return "Stay as init, and execute " + " ".join(self.args) + " as a child"

    def apply(self, context: Context) -> None:
        # Blocked, signals wait for sigwaitinfo: there is no moment in which one would be lost.
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        program = syscalls.fork()
        if program == 0:
            self._become_program(context)
            return
        # What exec would have closed. And our copy of standard input would keep whoever writes to it waiting.
        syscalls.close_range(3)
        os.close(0)
        syscalls.set_name("minidock-init")
        os._exit(look_after(program))

    def _become_program(self, context: Context) -> None:
        """A process group of its own, in the foreground of its terminal: ^C is for the program, not for init."""
        os.setpgid(0, 0)
        try:
            if os.isatty(0):
                signal.signal(signal.SIGTTOU, signal.SIG_IGN)
                os.tcsetpgrp(0, os.getpgrp())
        finally:
            syscalls.reset_signals()
        try:
            execute(context.program, self.args, context.environment)
        except CannotRun as error:
            context.report(error)
            os._exit(error.exit_code)


def look_after(program: int) -> int:
    """Reap every child and pass signals on, until ``program`` has ended; its exit code, or 128 + the signal."""
    while True:
        received = signal.sigwaitinfo(signal.valid_signals()).si_signo
        if received != signal.SIGCHLD:
            try:
                os.kill(program, received)
            except ProcessLookupError:
                continue
            continue
        status = _reap(program)
        if status is not None:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _reap(program: int) -> int | None:
    """Wait for all children that have ended; the program's status, if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == program:
            found = status
