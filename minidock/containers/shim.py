"""The shim: one process per container, from its creation to its end. It outlives the daemon.

It is init's parent, so it gets its exit status; it holds the other ends of its pipes or its terminal, writes its log,
serves who attaches, and answers on ``shim.sock`` in the container's state directory. The daemon may be killed and
started again at any moment: it finds the shim there, or else ``exit.json`` in the bundle.

When init ends: read what is left of its output, write and sync ``exit.json``, remove the runtime's state, and only then
tell those who wait. A container that was created but never started ends with the last control connection: nobody
else knows of it.

A process forked from the launcher (:mod:`minidock.containers.launcher`): single-threaded, one loop, no imports.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from minidock.containers import runtime, state, wire
from minidock.containers.apart import apart
from minidock.containers.exits import EXIT_NAME, Exit, code_of, write_exit
from minidock.containers.logs import LogWriter
from minidock.containers.poller import IN, Connection, Poller
from minidock.containers.pump import Pipes, Pump
from minidock.containers.runtime import Stdio
from minidock.errors import CannotRun, Conflict, MinidockError, NoSuchExec, SystemCallFailed
from minidock.kernel import cgroups
from minidock.oci import runtime as oci

Make = Callable[[Stdio | None], tuple[int, list[int]]]
"""Makes a process, and returns its pid and, when it has a terminal, the descriptor of that."""

GRACE = 2.0
"""Seconds to wait for the end of an ended program's output, when somebody else holds it open. As Docker."""
REMEMBERED = 100
"""How many exit codes of execs are kept for who asks late."""
REQUEST_LIMIT = 16 * 1024 * 1024
"""The longest request, in bytes: an exec may bring as many arguments as execve(2) takes."""


@dataclass(eq=False)
class Program:
    """A process that the shim is the parent of: init, or an exec. ``code`` is None while it lives."""

    pid: int
    pump: Pump
    waiters: list[tuple[Connection, int]] = field(default_factory=list)
    code: int | None = None
    deadline: float = 0.0

    @property
    def finished(self) -> bool:
        """Has it ended, and is all its output read, or not worth waiting for?"""
        return self.code is not None and (self.pump.drained or time.monotonic() >= self.deadline)

    def end(self, code: int) -> None:
        """It has ended. Read the rest of its output, for a while."""
        self.code = code
        self.deadline = time.monotonic() + GRACE
        self.pump.close_input()
        self.pump.hurry()

    def tell(self, result: object) -> None:
        """Answer those who wait for it, and let those go who are attached to it."""
        for connection, number in self.waiters:
            connection.send(wire.encode(wire.Reply(number, result)))
        self.waiters.clear()
        self.pump.release()


class Control:
    """A connection that carries requests, until one of them makes it a stream."""

    def __init__(self, connection: Connection, handle: Callable[[Control, wire.AnyRequest], None]) -> None:
        self.connection = connection
        self.is_stream = False
        self._handle = handle
        self._buffer = b""
        connection.receive = self._receive

    def attach(self, pump: Pump, streams: wire.Streams, closes_stdin: bool) -> None:
        """From now on this is a stream. What came after the request is input already."""
        self.is_stream = True
        pump.attach(self.connection, streams, closes_stdin)
        if self._buffer:
            self.connection.receive(self._buffer)

    def answer(self, number: int, result: object = None, failure: wire.Failure | None = None) -> None:
        """Send the answer to request ``number``."""
        self.connection.send(wire.encode(wire.Reply(number, result, failure)))

    def _receive(self, data: bytes) -> None:
        self._buffer += data
        if not data or len(self._buffer) > REQUEST_LIMIT:
            self.connection.drop()
            return
        while not self.is_stream and b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            try:
                request = wire.decode_request(line)
            except msgspec.MsgspecError:
                self.connection.drop()
                return
            self._handle(self, request)


class Shim:
    """One container. Making the object creates it; raises what :func:`runtime.create` raises."""

    def __init__(self, request: wire.LaunchRequest, poller: Poller) -> None:
        self.request = request
        self.bundle = Path(request.bundle)
        self.state_dir = Path(request.state_dir)
        self.poller = poller
        self.controls: list[Control] = []
        self.execs: dict[str, Program] = {}
        self.exec_codes: dict[str, int] = {}
        self.started_ns = 0
        self.error: MinidockError | None = None
        self.concluded = False
        _wake_for_children(poller, self._reap)
        # What the last run left. From here on an exit.json means that this run has ended.
        (self.bundle / EXIT_NAME).unlink(missing_ok=True)
        self.log = LogWriter(Path(request.log), request.log_options) if request.log else None
        self.cgroup = ""
        self.has_own_pids = True
        self.has_hooks = False
        self.init = self._run(request.terminal, request.open_stdin, self.log, self._create)
        self.listener = wire.listen(self.state_dir)
        poller.watch(self.listener.fileno(), IN, lambda events: self.serve(self.listener.accept()[0]))

    def serve(self, sock: socket.socket) -> None:
        """Greet a new client, and listen to it."""
        self.controls = [control for control in self.controls if control.connection.open]
        control = Control(Connection(self.poller, sock), self._handle)
        self.controls.append(control)
        control.answer(0, wire.Greeting(self.init.pid, self.started_ns > 0, self.request.bundle))

    def run(self) -> None:
        """Serve until the container has ended and everybody has read how."""
        while True:
            self.poller.turn(self._timeout())
            for exec_id, program in list(self.execs.items()):
                if program.finished:
                    self._conclude_exec(exec_id, program)
            if self.init.finished and not self.concluded:
                self._conclude()
            if self.concluded and not any(control.connection.open for control in self.controls):
                return
            if not self.started_ns and not self.concluded and self._is_nobodys():
                self._remove_state()
                return

    # --- programs --------------------------------------------------------------------------------------------------

    def _create(self, stdio: Stdio | None) -> tuple[int, list[int]]:
        request = self.request

        def work() -> tuple[object, list[int]]:
            if request.runtime:
                made = runtime.create_by(request.runtime, self.bundle, self.state_dir, request.id, stdio)
            else:
                made = runtime.create(self.bundle, self.state_dir, request.id, stdio, request.explain)
            record = state.read(self.state_dir)
            facts = (made.pid, record.cgroup, _has_own_pids(record.spec), bool(record.spec.hooks.poststart))
            return facts, _descriptors(made.console)

        facts, descriptors = apart(work)
        pid, self.cgroup, self.has_own_pids, self.has_hooks = msgspec.convert(facts, tuple[int, str, bool, bool])
        return pid, descriptors

    def _join(self, process: oci.Process, stdio: Stdio | None) -> tuple[int, list[int]]:
        def work() -> tuple[object, list[int]]:
            made = runtime.execute(self.state_dir, process, stdio)
            return made.pid, _descriptors(made.console)

        pid, descriptors = apart(work)
        return msgspec.convert(pid, int), descriptors

    def _run(self, terminal: bool, stdin: bool, log: LogWriter | None, make: Make) -> Program:
        """``make`` a process with new pipes, or with a terminal, and take care of the other ends."""
        if terminal:
            pid, (console,) = make(None)
            return Program(pid, Pump.of_terminal(self.poller, log, console))
        pipes = Pipes.make(stdin)
        try:
            pid, _ = make(pipes.child)
        except BaseException:
            pipes.close()
            raise
        finally:
            pipes.close_child()
        return Program(pid, Pump.of_pipes(self.poller, log, pipes))

    def _reap(self) -> None:
        """Some children have ended: init, execs, or orphans that came to us (PR_SET_CHILD_SUBREAPER)."""
        programs = {program.pid: program for program in (self.init, *self.execs.values())}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            program = programs.get(pid)
            if program is not None and program.code is None:
                program.end(code_of(status))
                if program is self.init and not self.has_own_pids:
                    # No pid namespace that ended with it: what else runs in the container ends now.
                    with suppress(SystemCallFailed):
                        cgroups.at(self.cgroup).kill()

    def _program(self, exec_id: str | None) -> Program:
        if exec_id is None:
            return self.init
        if exec_id not in self.execs:
            raise NoSuchExec(exec_id)
        return self.execs[exec_id]

    # --- requests --------------------------------------------------------------------------------------------------

    def _handle(self, control: Control, request: wire.AnyRequest) -> None:
        try:
            self._do(control, request)
        except Exception as error:
            control.answer(request.number, failure=wire.Failure.of(error))

    def _do(self, control: Control, request: wire.AnyRequest) -> None:
        """Do what is asked, and answer: now, or, for those who wait, later."""
        match request:
            case wire.Start():
                self._start()
                control.answer(request.number)
            case wire.Kill():
                _do_apart(runtime.kill, self.state_dir, request.signal, request.everyone)
                control.answer(request.number)
            case wire.Resize():
                self._program(request.exec_id).pump.resize(request.height, request.width)
                control.answer(request.number)
            case wire.Attach():
                self._attach(control, request)
            case wire.Execute():
                self._execute(control, request)
            case wire.Wait():
                self.init.waiters.append((control.connection, request.number))
            case wire.WaitExec() if request.exec_id in self.exec_codes:
                control.answer(request.number, self.exec_codes[request.exec_id])
            case wire.WaitExec():
                self._program(request.exec_id).waiters.append((control.connection, request.number))

    def _start(self) -> None:
        if self.started_ns:
            raise Conflict("the container is running already")
        try:
            if self.has_hooks or self.request.runtime:
                _do_apart(runtime.start, self.state_dir)
            else:
                runtime.open_gate(self.state_dir)  # opening two files costs less than a process
        except MinidockError as error:
            self.error = error
            raise
        self.started_ns = time.time_ns()

    def _attach(self, control: Control, request: wire.Attach) -> None:
        program = self._program(request.exec_id)
        if program.code is not None:
            raise Conflict("cannot attach: the program has ended")
        once = self.request.stdin_once if request.exec_id is None else True
        control.answer(request.number)
        control.attach(program.pump, request.streams, once and program.pump.framed)

    def _execute(self, control: Control, request: wire.Execute) -> None:
        if request.exec_id in self.execs:
            raise Conflict(f"exec {request.exec_id} runs already")
        process = request.process
        program = self._run(process.terminal, request.streams.stdin, None, partial(self._join, process))
        self.execs[request.exec_id] = program
        # Nothing of its output is lost: it is in the pipe until this connection is attached.
        control.answer(request.number, program.pid)
        control.attach(program.pump, request.streams, closes_stdin=not process.terminal)

    # --- ends ------------------------------------------------------------------------------------------------------

    def _timeout(self) -> float | None:
        """Seconds until somebody's grace is over; None when nobody has any."""
        ended = [program for program in (self.init, *self.execs.values()) if program.code is not None]
        if self.concluded or not ended:
            return None
        return max(0.0, min(program.deadline for program in ended) - time.monotonic())

    def _is_nobodys(self) -> bool:
        return not any(control.connection.open and not control.is_stream for control in self.controls)

    def _conclude_exec(self, exec_id: str, program: Program) -> None:
        """Its pump goes on until the end of its output, for a daemon that it may have left behind."""
        assert program.code is not None
        del self.execs[exec_id]
        self.exec_codes[exec_id] = program.code
        if len(self.exec_codes) > REMEMBERED:
            del self.exec_codes[next(iter(self.exec_codes))]
        program.tell(program.code)

    def _conclude(self) -> None:
        """First the disk, then the rest of the world."""
        how = self._exit()
        try:
            write_exit(self.bundle, how)
        except OSError as error:
            how = msgspec.structs.replace(how, error=f"the exit status is not on disk: {error}")
        self._remove_state()
        for exec_id, program in list(self.execs.items()):
            program.end(program.code if program.code is not None else 128 + signal.SIGKILL)
            self._conclude_exec(exec_id, program)
        self.init.tell(how)
        for control in self.controls:
            control.connection.finish()
        self.concluded = True

    def _exit(self) -> Exit:
        assert self.init.code is not None
        code = self.error.exit_code if isinstance(self.error, CannotRun) else self.init.code
        oom_killed = False
        with suppress(SystemCallFailed):  # somebody removed the cgroup before us
            oom_killed = cgroups.at(self.cgroup).oom_kills() > 0
        return Exit(code, oom_killed, self.started_ns, time.time_ns(), str(self.error or ""))

    def _remove_state(self) -> None:
        """Our socket, and all that create made. What fails here is found, and removed, by the next daemon's sweep."""
        self.poller.forget(self.listener.fileno())
        self.listener.close()
        (self.state_dir / wire.SOCKET_NAME).unlink(missing_ok=True)
        with suppress(MinidockError):
            runtime.delete(self.state_dir, force=True)


def serve(request: wire.LaunchRequest, sock: socket.socket) -> None:
    """Be the shim of a new container: create it, tell so on ``sock``, and serve it to its end."""
    poller = Poller()
    try:
        shim = Shim(request, poller)
    except Exception as error:
        sock.sendall(wire.encode(wire.Reply(0, failure=wire.Failure.of(error))))
        return
    shim.serve(sock)
    shim.run()


def _do_apart(function: Callable[..., None], *args: object) -> None:
    """Call a function that returns nothing in a process of its own."""

    def work() -> tuple[object, list[int]]:
        function(*args)
        return None, []

    apart(work)


def _descriptors(console: int | None) -> list[int]:
    return [] if console is None else [console]


def _has_own_pids(spec: oci.Spec) -> bool:
    linux = spec.linux or oci.Linux()
    return any(namespace.type == "pid" and not namespace.path for namespace in linux.namespaces)


def _wake_for_children(poller: Poller, reap: Callable[[], None]) -> None:
    """Call ``reap`` from the loop after a child has ended: the signal itself only writes a byte to a pipe."""
    inner, outer = os.pipe()
    for fd in (inner, outer):
        os.set_blocking(fd, False)

    def woken(events: int) -> None:
        os.read(inner, 4096)
        reap()

    signal.set_wakeup_fd(outer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    # System calls go on after the signal, also those that are not made by Python's own functions.
    signal.siginterrupt(signal.SIGCHLD, False)
    poller.watch(inner, IN, woken)
