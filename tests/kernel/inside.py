"""Run a function in a process of its own, in namespaces of its own: what a test does to it, it does to nobody else."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any, TypeVar

from minidock.errors import SystemCallFailed
from minidock.kernel import syscalls

Result = TypeVar("Result")


class ChildKilledError(Exception):
    """The child ended without an answer: ``signal`` killed it, or (0) it became another program or left."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"ended without an answer, by signal {signal}")
        self.signal = signal


def inside(function: Callable[..., Result], *args: Any, namespaces: int = 0) -> Result:
    """Call ``function`` in a forked child and return what it returned, or raise what it raised (both are pickled).

    ``namespaces`` (CLONE_NEW…) are new for the child. In a new mount namespace nothing travels back to the host; in
    a new pid namespace the function runs as process 1.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(writing, lambda: _enter(function, args, namespaces))
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        data = stream.read()
    ended = syscalls.wait_for(child)
    if not data:
        raise ChildKilledError(ended.signal or 0)
    succeeded, value = pickle.loads(data)
    if not succeeded:
        raise SystemCallFailed(*value) if isinstance(value, tuple) else value
    result: Result = value
    return result


def _enter(function: Callable[..., Result], args: tuple[Any, ...], namespaces: int) -> Result:
    if namespaces:
        syscalls.unshare(namespaces)
    if namespaces & syscalls.CLONE_NEWNS:
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    if namespaces & syscalls.CLONE_NEWPID:
        return inside(function, *args)
    return function(*args)


def _answer(writing: int, work: Callable[[], object]) -> None:
    """Write the outcome and leave at once: pytest's own exit handlers belong to the parent."""
    status = 1
    try:
        outcome: tuple[bool, object]
        try:
            outcome = True, work()
        except SystemCallFailed as error:
            outcome = False, (error.call, error.operand, error.errno)
        except ChildKilledError as error:
            os.kill(os.getpid(), error.signal)
            return
        except BaseException as error:
            outcome = False, error
        data = pickle.dumps(outcome)
        while data:
            data = data[os.write(writing, data) :]
        status = 0
    finally:
        os._exit(status)
