"""The OCI runtime: create, start, execute, kill, state, delete.

Everything here is synchronous and keeps nothing in memory between calls: what is known is in the state directory.
The caller becomes the parent of init, and must be single-threaded, as everybody who forks and goes on in Python must.

Source: https://github.com/opencontainers/runtime-spec/blob/main/runtime.md
"""

from __future__ import annotations

import fcntl
import os
import signal as signals
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from minidock.containers import state as states
from minidock.containers.init import Relay, Story, take, tell_nobody
from minidock.containers.plan import plan, plan_exec
from minidock.containers.steps import Context
from minidock.containers.steps.namespaces import cgroup_path
from minidock.containers.wire import Failure
from minidock.errors import Conflict, InvalidSpec, MinidockError, NoSuchContainer, SystemCallFailed
from minidock.kernel import cgroups, syscalls
from minidock.oci import runtime as oci


class Stdio(msgspec.Struct, frozen=True):
    """The file descriptors that become 0, 1 and 2 of a process without a terminal. The caller keeps them."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


class Created(msgspec.Struct, frozen=True):
    """Init, a child of the caller, and the master side of its terminal, when it has one; the caller closes that."""

    pid: int
    console: int | None


class Running(msgspec.Struct, frozen=True):
    """A process that joined a container, a child of the caller; ``console`` as in :class:`Created`."""

    pid: int
    console: int | None


def create(
    bundle: Path, state_dir: Path, container_id: str, stdio: Stdio | None = None, explain: bool = False
) -> Created:
    """Take every step of the bundle's plan except the last; init then waits. See :func:`start`.

    ``state_dir`` is created, and must not exist. An error leaves nothing behind: no process, cgroup or directory.
    Raises :class:`Conflict` when ``state_dir`` is taken, :class:`InvalidSpec`, :class:`SystemCallFailed`.
    """
    spec = load(bundle)
    steps = plan(spec)
    assert spec.process is not None, "plan has looked"
    context = _context(spec.process, bundle.absolute(), container_id, stdio)
    _make_state_dir(state_dir)
    relays = Relay.pair()
    try:
        with _gates(state_dir, context), _recorded(state_dir, explain) as story:
            context.state = lambda status: _describe(spec, context, status)
            take(steps, context, relays, story)
        states.write(state_dir, _record(spec, context, explain))
    except BaseException:
        _undo(state_dir, context, relays[0])
        raise
    finally:
        relays[0].close()
    return Created(context.child, relays[0].console)


def create_by(program: str, bundle: Path, state_dir: Path, container_id: str, stdio: Stdio | None) -> Created:
    """The same by another runtime, whose executable file this is. All else here then asks that one."""
    from minidock.containers import foreign

    spec = load(bundle)
    _make_state_dir(state_dir)
    try:
        return Created(*foreign.create(program, spec, bundle.absolute(), state_dir, container_id, _numbers(stdio)))
    except BaseException:
        states.remove(state_dir)
        raise


def _numbers(stdio: Stdio | None) -> tuple[int, int, int]:
    return (stdio.stdin, stdio.stdout, stdio.stderr) if stdio is not None else (0, 1, 2)


def start(state_dir: Path) -> None:
    """Let init execute the user's program; returns once it has.

    Raises :class:`Conflict` when the container is not in state created, and
    :class:`~minidock.errors.ProgramNotFound` or :class:`~minidock.errors.ProgramNotExecutable`.
    """
    record = states.read(state_dir)
    if record.runtime:
        from minidock.containers import foreign

        foreign.start(record, state_dir)
        return
    now = states.status(state_dir, record)
    if now != "created":
        raise Conflict(f"cannot start a container that has {'stopped' if now == 'stopped' else 'started'}")
    open_gate(state_dir)
    if record.spec.hooks.poststart:
        _after_start(state_dir, record)


def open_gate(state_dir: Path) -> None:
    """The part of :func:`start` that lets init go on; the rest are poststart hooks. Raises what it raises."""
    with _locked(state_dir):
        failure = _open_gate(state_dir)
    if failure is not None:
        raise failure


def execute(state_dir: Path, process: oci.Process, stdio: Stdio | None = None) -> Running:
    """Run one more program inside a running container; returns once exec has happened.

    Raises :class:`Conflict` when the container does not run, and what :func:`start` raises.
    """
    oci.validate_process(process)
    record = states.read(state_dir)
    if record.runtime:
        from minidock.containers import foreign

        return Running(*foreign.execute(record, state_dir, process, _numbers(stdio)))
    with _pidfd(record) as pidfd:
        if pidfd is None or states.status(state_dir, record) != "running":
            raise Conflict(f"container {record.id} is not running")
        context = _context(process, Path(record.bundle), record.id, stdio)
        context.cgroup = cgroups.at(record.cgroup)
        relays = Relay.pair()
        try:
            with _recorded(state_dir, record.explain) as story:
                take(plan_exec(record.spec, process, record.pid, pidfd), context, relays, story)
        except BaseException:
            _end_child(context, relays[0])
            raise
        finally:
            relays[0].close()
    return Running(context.child, relays[0].console)


def kill(state_dir: Path, signal: int, everyone: bool = False) -> None:
    """Send a signal to init, or to every process of the container. Raises :class:`Conflict` when it has stopped."""
    record = states.read(state_dir)
    if record.runtime:
        from minidock.containers import foreign

        foreign.kill(record, state_dir, signal, everyone)
        return
    with _pidfd(record) as pidfd:
        if pidfd is None:
            raise Conflict(f"container {record.id} is not running")
        if not everyone:
            syscalls.pidfd_send_signal(pidfd, signal)
            return
        cgroup = cgroups.at(record.cgroup)
        if signal == signals.SIGKILL:
            cgroup.kill()
            return
        for pid in cgroup.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal)


def state(state_dir: Path) -> oci.State:
    """The container's state as the runtime-spec has it. Raises :class:`NoSuchContainer`."""
    return states.state(state_dir)


def delete(state_dir: Path, force: bool = False) -> None:
    """Undo :func:`create` for a stopped container; with ``force`` kill what still runs.

    Raises :class:`NoSuchContainer`; :class:`Conflict` when it has not stopped.
    """
    try:
        record = states.read(state_dir)
    except NoSuchContainer:
        # A create that was killed half-way leaves a directory without a record.
        if not (force and state_dir.is_dir()):
            raise
        states.remove(state_dir)
        return
    if states.status(state_dir, record) != "stopped" and not force:
        raise Conflict(f"container {record.id} is not stopped: stop it before you delete it, or use force")
    if record.runtime:
        from minidock.containers import foreign

        foreign.delete(record, state_dir)
    # In a shared pid namespace others may live on when init has ended.
    cgroup = cgroups.at(record.cgroup)
    if cgroup.exists:
        cgroup.kill()
        _reap(record.pid)
        cgroup.delete()
    states.remove(state_dir)
    if record.spec.hooks.poststop:
        _after_stop(record)


def load(bundle: Path) -> oci.Spec:
    """The bundle's config.json. Raises :class:`InvalidSpec`."""
    try:
        return oci.parse((bundle / "config.json").read_bytes())
    except OSError as error:
        raise InvalidSpec(f"{bundle / 'config.json'}: {error.strerror}") from None


def _context(process: oci.Process, bundle: Path, container_id: str, stdio: Stdio | None) -> Context:
    context = Context(process, bundle, container_id)
    if stdio is not None:
        context.stdio = (stdio.stdin, stdio.stdout, stdio.stderr)
    return context


def _make_state_dir(state_dir: Path) -> None:
    state_dir.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    try:
        state_dir.mkdir(mode=0o700)
    except FileExistsError:
        raise Conflict(f"container id {state_dir.name} is taken: choose another, or delete it") from None


@contextmanager
def _gates(state_dir: Path, context: Context) -> Iterator[None]:
    """Open both FIFOs for reading and writing, which never blocks; the child keeps its copies, we close ours."""
    for name in (states.START_FIFO, states.RESULT_FIFO):
        os.mkfifo(state_dir / name, 0o600)
    context.gate = os.open(state_dir / states.START_FIFO, os.O_RDWR | os.O_CLOEXEC)
    context.result = os.open(state_dir / states.RESULT_FIFO, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield
    finally:
        os.close(context.gate)
        os.close(context.result)


@contextmanager
def _recorded(state_dir: Path, wanted: bool) -> Iterator[Story]:
    """Write steps and calls to explain.jsonl, when somebody wants to read them."""
    if not wanted:
        yield tell_nobody
        return
    # Loaded before there is a child, like everything that the child needs, but not when nobody listens.
    from minidock.containers import explain as explaining

    with explaining.record(state_dir / states.EXPLAIN) as story:
        yield story


def _describe(spec: oci.Spec, context: Context, status: oci.Status) -> oci.State:
    return oci.State(
        oci_version=oci.OCI_VERSION,
        id=context.container_id,
        status=status,
        bundle=str(context.bundle),
        pid=context.child or os.getpid(),
        annotations=spec.annotations,
    )


def _record(spec: oci.Spec, context: Context, explain: bool) -> states.Record:
    started = states.start_time(context.child)
    if started is None:
        raise MinidockError("the container's first process ended while it was being set up")
    return states.Record(
        id=context.container_id,
        bundle=str(context.bundle),
        pid=context.child,
        start_time=started,
        cgroup=cgroup_path(spec.linux.cgroups_path, context.container_id),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        explain=explain,
        spec=spec,
    )


def _undo(state_dir: Path, context: Context, relay: Relay) -> None:
    """After a failed create: no process, no cgroup, no directory."""
    _end_child(context, relay)
    if context.cgroup is not None:
        context.cgroup.delete()
    states.remove(state_dir)


def _end_child(context: Context, relay: Relay) -> None:
    if relay.console is not None:
        os.close(relay.console)
    if context.child:
        with suppress(ProcessLookupError):
            os.kill(context.child, signals.SIGKILL)
        _reap(context.child)


def _reap(pid: int) -> None:
    """Wait for a child of ours that is about to end. Somebody else's child is somebody else's business."""
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


@contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    """Of several who start a container at once, one does."""
    descriptor = os.open(state_dir / states.RECORD, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_gate(state_dir: Path) -> MinidockError | None:
    """Let init go on, and hear how it went: nothing at all means that the program runs."""
    # Without O_NONBLOCK, opening would wait for a writer, and init may have been killed this moment.
    result = os.open(state_dir / states.RESULT_FIFO, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        try:
            gate = os.open(state_dir / states.START_FIFO, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            raise Conflict("cannot start a container that has started or stopped") from None
        os.write(gate, b"1")
        os.close(gate)
        os.set_blocking(result, True)
        data = b""
        while piece := os.read(result, 1 << 16):
            data += piece
    finally:
        os.close(result)
    return msgspec.json.decode(data, type=Failure).error() if data else None


@contextmanager
def _pidfd(record: states.Record) -> Iterator[int | None]:
    """Hold init; None when it has ended. It is looked at once it is held: from then on the pid cannot change hands."""
    try:
        pidfd = syscalls.pidfd_open(record.pid)
    except SystemCallFailed:
        yield None
        return
    try:
        yield pidfd if states.start_time(record.pid) == record.start_time else None
    finally:
        os.close(pidfd)


def _after_start(state_dir: Path, record: states.Record) -> None:
    """A poststart hook that fails stops the container."""
    from minidock.containers import hooks

    try:
        hooks.run("poststart", record.spec.hooks.poststart, state(state_dir))
    except MinidockError:
        cgroups.at(record.cgroup).kill()
        raise


def _after_stop(record: states.Record) -> None:
    """A poststop hook that fails is only a warning: the container is gone already."""
    import sys

    from minidock.containers import hooks

    described = oci.State(oci.OCI_VERSION, record.id, "stopped", record.bundle, 0, record.spec.annotations)
    for hook in record.spec.hooks.poststop:
        try:
            hooks.run("poststop", [hook], described)
        except MinidockError as error:
            print(f"warning: {error}", file=sys.stderr)
