"""Taking a plan: two processes walk the same list, and each takes the steps that are its own.

Which of the two has the turn follows from the list alone. Where the next step is the other's, a process passes the turn
on over a socket pair and waits until it comes back. An error travels the same way, and ends the walk on both sides.

In the child, no module is imported, no name looked up and no file of the container loaded by Python once its root is
entered: all that it needs is in memory since before the fork.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec

from minidock.containers.steps import Context, Step, WaitForStart
from minidock.containers.wire import Failure
from minidock.errors import MinidockError
from minidock.kernel import syscalls

TURN = b"turn"
CONSOLE = b"console"
MESSAGE_SIZE = 1 << 16

Story = Callable[[Step], None]
"""Is told about each step before this process takes it."""


def tell_nobody(step: Step) -> None:
    """The story of a container that nobody wants to hear."""


class Relay:
    """One end of the socket pair (seqpacket: a message is a message) between the runtime and its child.

    Plain read and write wherever possible: late steps run under the container's seccomp filter.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.console: int | None = None
        """The controlling side of the terminal, once the child has sent it."""

    @classmethod
    def pair(cls) -> tuple[Relay, Relay]:
        """The runtime's end and the child's."""
        ours, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(childs)

    def pass_on(self) -> None:
        """It is the other's turn."""
        try:
            os.write(self._end.fileno(), TURN)
        except BrokenPipeError:
            # The other has ended. What it said before that is what counts: wait reads it.
            return

    def fail(self, error: BaseException) -> None:
        """Tell the other that it is over, and why."""
        try:
            os.write(self._end.fileno(), msgspec.json.encode(Failure.of(error)))
        except BrokenPipeError:
            return

    def send_console(self, controller: int) -> None:
        """Hand the terminal's controlling side over (SCM_RIGHTS, unix(7)), and keep none."""
        socket.send_fds(self._end, [CONSOLE], [controller])
        os.close(controller)

    def wait(self) -> bool:
        """Wait for the turn. False when the other's end was closed instead; raises the error that the other had."""
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._end, MESSAGE_SIZE, 1)
            except ConnectionResetError:
                return False
            if message != CONSOLE:
                break
            self.console = descriptors[0]
            os.set_inheritable(self.console, False)
        if message.startswith(b"{"):
            raise msgspec.json.decode(message, type=Failure).error()
        return message == TURN

    def close(self) -> None:
        """Close this end."""
        self._end.close()


def take(steps: Sequence[Step], context: Context, relays: tuple[Relay, Relay], story: Story = tell_nobody) -> None:
    """Take the steps up to :class:`WaitForStart`; the child never comes back from here.

    The parent returns when the child waits for its start, or, where the plan has no such step, when it has become the
    program. Raises what went wrong, on either side; the child has ended then.
    """
    parents, childs = relays
    try:
        for index, step in enumerate(steps):
            if step.where == "before":
                story(step)
                step.apply(context)
            elif context.role == "child":
                parents.close()
                _be_the_child(steps[index:], context, childs, story)
            else:
                childs.close()
                _be_the_parent(steps[index:], context, parents, story)
                return
    finally:
        childs.close()


def run(steps: Sequence[Step], context: Context) -> int:
    """Take any list of steps that starts a child and ends in a program; wait for it; its exit code.

    This is all that a runtime is without its book-keeping. The program may see, or change, whatever the steps leave it.
    """
    relays = Relay.pair()
    try:
        take(steps, context, relays)
        return syscalls.wait_for(context.child).code
    finally:
        relays[0].close()
        if context.cgroup is not None and context.cgroup.exists:
            context.cgroup.kill()
            context.cgroup.delete()


def _be_the_parent(steps: Sequence[Step], context: Context, relay: Relay, story: Story) -> None:
    """Our steps, each after the child's that stand before it. The child has the first turn."""
    our_turn = False
    for step in steps:
        if isinstance(step, WaitForStart):
            break
        if step.where == "parent" and not our_turn:
            our_turn = _must_have(relay.wait())
        elif step.where != "parent" and our_turn:
            relay.pass_on()
            our_turn = False
        if step.where == "parent":
            story(step)
            step.apply(context)
    if our_turn:
        relay.pass_on()
    waits = any(isinstance(step, WaitForStart) for step in steps)
    if relay.wait() != waits:
        raise MinidockError("the container's first process ended while it was being set up")


def _be_the_child(steps: Sequence[Step], context: Context, relay: Relay, story: Story) -> NoReturn:
    context.hand_over_console = relay.send_console
    context.say_ready = relay.pass_on
    context.report = relay.fail
    try:
        our_turn = True
        for step in steps:
            if step.where == "parent" and our_turn:
                relay.pass_on()
                our_turn = False
            elif step.where != "parent" and not our_turn:
                our_turn = _must_have(relay.wait())
            if step.where != "parent":
                story(step)
                step.apply(context)
    except BaseException as error:
        context.report(error)
    # Not sys.exit: what the parent has registered to be done at its end is not ours to do.
    os._exit(1)


def _must_have(turn: bool) -> bool:
    if not turn:
        raise MinidockError("the other process ended while the container was being set up")
    return True
