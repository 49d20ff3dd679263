"""A container's life: create, start, its end, stop, kill, restart, pause, remove.

::

    create ──▶ created ──start──▶ running ──exit──▶ exited ──remove──▶ (gone)
                  ▲                │   ▲               │
                  └─ start failed ─┘   └──── start ────┘
                                   restart policy: running ──exit──▶ restarting ──start──▶ running

Each change is made under the container's lock, written to the database, and only then told to anybody. Waiting for a
program is never done under the lock: the one who records its end needs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import shutil
import signal
import time
from pathlib import Path

from minidock.containers.control import Exit, LaunchRequest, Shim
from minidock.daemon import (
    binds,
    creation,
    health,
    joining,
    links,
    log_drivers,
    names,
    plugging,
    restarts,
    spec,
    story,
    surroundings,
    volume_use,
)
from minidock.daemon.container import Container
from minidock.daemon.defaults import STOP_SIGNAL, STOP_TIMEOUT
from minidock.daemon.engine import Engine
from minidock.daemon.records import Record, State
from minidock.daemon.signals import signal_number
from minidock.errors import Conflict, InvalidInput, MinidockError, NotModified, ShimGone, SystemCallFailed
from minidock.images import Image
from minidock.kernel import cgroups
from minidock.messages import ContainerCreate
from minidock.oci import runtime as oci
from minidock.oci.platform import Platform

log = logging.getLogger(__name__)

START_FAILED = 128
"""Docker's exit code for a container that could not be started, when nothing better is known."""
LOST = 255
"""And for one of whose end nobody knows."""
KILL_AGAIN = 5.0
"""Seconds after which SIGKILL should have been heard."""
_STOP_FIRST = ": stop the container before removing or force remove"


async def create(
    engine: Engine,
    request: ContainerCreate,
    name: str,
    explain: bool = False,
    of_build: Image | None = None,
    platform: Platform | None = None,
) -> Container:
    """Make a container of an image. Raises NotFound, InvalidInput, Conflict (the name), NotImplementedYet.

    ``of_build`` is the image of a build's step, which nobody else knows; ``platform`` what the image has to be for.
    """
    image = of_build or engine.images.get(request.image)
    creation.check_platform(request.image, image.config, platform)
    config = creation.merge(request, image.config.config)
    arguments = creation.arguments(config)
    creation.check(config, request.host_config)
    container_id = names.new_id()
    config.hostname = config.hostname or joining.shared_hostname(engine, request.host_config)
    config.hostname = config.hostname or spec.default_hostname(container_id, request.host_config)
    bundle = engine.bundle(container_id)
    host, warnings = creation.completed(request.host_config, engine.default_log, engine.config.runtimes)
    networks = joining.asked(engine, request, config, host)
    links.check(engine, host)
    mounts = binds.attached(config, host, volume_use.inherited(engine, host))
    name = names.check(name) if name else names.invent(set(engine.names))
    engine.reserve_name(name, container_id)
    try:
        bundle.parent.mkdir(mode=0o700, exist_ok=True)
        bundle.mkdir(mode=0o710)
        root = await asyncio.to_thread(engine.images.snapshots.prepare, container_id, image, bundle)
        mounts = await volume_use.attach(engine, container_id, mounts, bundle)
        record = Record(
            id=container_id,
            name=name,
            created_ns=time.time_ns(),
            image=request.image,
            image_id=image.id,
            config=config,
            host=host,
            args=arguments,
            mounts=mounts,
            root=root,
            explain=explain,
            networks=networks,
            of_build=of_build is not None,
            cgroup=spec.choose_cgroup(host, container_id, engine.config.cgroup_driver),
        )
        container = Container(record, bundle, engine.state_dir(container_id), warnings)
        engine.records.save(record)
    except BaseException:
        del engine.names[name]
        await asyncio.to_thread(_remove_files, engine, container_id, bundle)
        raise
    engine.add(container)
    await volume_use.release(engine, container_id)
    engine.tell(container, "create")
    return container


async def start(engine: Engine, container: Container, by_policy: bool = False) -> None:
    """Run the container's program. Raises NotModified when it runs, and whatever keeps it from running.

    ``by_policy``: it waited for this start since its last end, and what counts its starts goes on.
    """
    async with container.lock:
        if container.removing:
            raise Conflict("container is marked for removal and cannot be started")
        if container.record.state.status == "paused":
            raise Conflict("cannot start a paused container, try unpause instead")
        before = container.record.state
        if container.record.running or (before.status == "restarting") != by_policy:
            raise NotModified("container is already running")
        if container.cleaning is not None:
            await container.cleaning
        try:
            shim = await _run(engine, container)
        except BaseException as error:
            await _start_failed(engine, container, error)
            raise
        container.record.state = State(
            status="running",
            pid=shim.init_pid,
            started_ns=time.time_ns(),
            finished_ns=before.finished_ns,
            restart_count=before.restart_count if by_policy else 0,
            manually_stopped=by_policy and before.manually_stopped,  # a stop that came while this start was under way
            health=health.begin(container.record),
        )
        if not by_policy:
            container.pause_before_start = 0.0
        engine.records.save(container.record)
        watch(engine, container, shim)
    engine.tell(container, "start")


async def _run(engine: Engine, container: Container) -> Shim:
    """Create the container in the kernel, connect it, let its program go."""
    record = container.record
    await volume_use.hold_for_run(engine, container)
    await surroundings.prepare(engine, container)
    await asyncio.to_thread(plugging.prepare, engine, container)
    document = spec.build(record, record.root, container.bundle, engine.namespace_of)
    document = spec.with_variables(document, [*container.hidden_env, *links.environment(engine, container)])
    (container.bundle / "config.json").write_bytes(oci.encode(document))
    if container.log is not None:
        container.log.parent.mkdir(mode=0o700, exist_ok=True)
    request = LaunchRequest(
        id=record.id,
        bundle=str(container.bundle),
        state_dir=str(container.state_dir),
        log=str(container.log) if container.log is not None else None,
        log_options=log_drivers.options(record),
        terminal=record.config.tty,
        open_stdin=record.config.open_stdin,
        stdin_once=record.config.stdin_once,
        explain=record.explain,
        runtime=creation.runtime_program(record.host.runtime, engine.config.runtimes),
    )
    shim = container.shim = await engine.launcher.launch(request)
    await plugging.connect(engine, container, shim.init_pid)
    await container.hand_over_streams(shim)
    with story.kept(container):
        await shim.start()
    return shim


async def _start_failed(engine: Engine, container: Container, error: BaseException) -> None:
    """As if never tried, but for the exit code and the reason, which ``inspect`` shows."""
    state = container.record.state
    state.exit_code = error.exit_code if isinstance(error, MinidockError) else START_FAILED
    if state.exit_code not in (126, 127):
        state.exit_code = START_FAILED
    state.error = str(error)
    if container.shim is not None:
        # A shim whose container was never started ends, and removes it, when we let go.
        await container.shim.close()
        container.shim = None
    await _leave(engine, container)
    was_restarting = state.status == "restarting"
    state.status = "exited" if was_restarting else state.status
    engine.records.save(container.record)
    if was_restarting:
        container.announce_exit(state.exit_code)
    failure = error if isinstance(error, MinidockError) else MinidockError(f"{type(error).__name__}: {error}")
    container.turn_away(failure)
    engine.tell(container, "die", exitCode=str(state.exit_code))
    if container.record.host.auto_remove and not container.removing:
        container.removing = True
        await _remove_now(engine, container, with_volumes=True)


def watch(engine: Engine, container: Container, shim: Shim) -> None:
    """One task a running container: it waits for the end and records it. Another one looks after its health."""
    container.shim = shim
    if health.is_checked(container.record):
        container.health_check = asyncio.create_task(health.watch(engine, container))
    container.monitor = asyncio.create_task(_watch(engine, container, shim))


async def _watch(engine: Engine, container: Container, shim: Shim) -> None:
    try:
        ended = await shim.wait()
    except MinidockError as error:
        log.error("%s has ended, nobody knows how: %s", container.name, error)
        ended = Exit(LOST, finished_ns=time.time_ns(), error=str(error))
    async with container.lock:
        await shim.close()
        container.shim = None
        if container.health_check is not None:
            container.health_check.cancel()
        record_exit(engine, container, ended, may_go_on=not (engine.is_ending or container.removing))
        # Slow (the kernel waits for a grace period before a link is gone), so nobody waits for it.
        container.cleaning = asyncio.create_task(_leave(engine, container))
        if container.record.state.status == "restarting":
            container.next_start = asyncio.create_task(_start_again(engine, container))
        elif container.record.host.auto_remove and not (container.removing or container.restarted_by_hand):
            container.removing = True
            await _remove_now(engine, container, with_volumes=True)


async def _leave(engine: Engine, container: Container) -> None:
    """Give back what it had while it ran: links, addresses, volumes."""
    await plugging.disconnect(engine, container)
    await volume_use.release_after_run(engine, container)


async def _start_again(engine: Engine, container: Container) -> None:
    await asyncio.sleep(container.pause_before_start)
    try:
        await start(engine, container, by_policy=True)
    except NotModified:
        return
    except MinidockError as error:
        log.warning("%s is not started again: %s", container.name, error)


async def _start_no_more(engine: Engine, container: Container) -> bool:
    """Of a container that waits for its next start make an exited one. False when it does not wait."""
    async with container.lock:  # a start under way holds it
        if container.record.state.status != "restarting":
            return False
        if container.next_start is not None:
            container.next_start.cancel()
        container.record.state.status = "exited"
        engine.records.save(container.record)
        container.announce_exit(container.record.state.exit_code)
        return True


def record_exit(engine: Engine, container: Container, ended: Exit, may_go_on: bool) -> None:
    """Write down how the run ended, and whether another follows; then tell everybody."""
    state = container.record.state
    state.status, state.pid = "exited", 0
    state.exit_code, state.oom_killed, state.error = ended.code, ended.oom_killed, ended.error
    state.started_ns = ended.started_ns or state.started_ns
    state.finished_ns = ended.finished_ns or time.time_ns()
    if state.health is not None:
        state.health.status = "unhealthy"  # as Docker: nobody looks after it any more
    ran_ns = state.finished_ns - state.started_ns
    if may_go_on and restarts.after_exit(container.record.host.restart_policy, state):
        state.status, state.restart_count = "restarting", state.restart_count + 1
        container.pause_before_start = restarts.next_pause(container.pause_before_start, ran_ns)
    engine.records.save(container.record)
    container.execs = {key: item for key, item in container.execs.items() if item.running}
    if ended.oom_killed:
        engine.tell(container, "oom")
    engine.tell(container, "die", exitCode=str(ended.code), execDuration=str(max(0, ran_ns) // 10**9))
    container.announce_exit(ended.code)


async def stop(engine: Engine, container: Container, seconds: int | None = None, sent: str = "") -> None:
    """Ask the program to end (``--stop-signal``); after so many ``seconds`` end it. -1 waits for ever.

    Raises NotModified when it does not run.
    """
    if not container.record.active:
        raise NotModified("container is not running")
    config = container.record.config
    if seconds is None:
        seconds = config.stop_timeout if config.stop_timeout is not None else STOP_TIMEOUT
    await kill(engine, container, sent or config.stop_signal or STOP_SIGNAL, within=seconds)
    engine.tell(container, "stop")


async def kill(engine: Engine, container: Container, sent: str, within: int | None = None) -> None:
    """Send a signal. With ``within``, SIGKILL follows after so many seconds, and the end is waited for.

    Raises Conflict when the container does not run, InvalidInput for what is no signal.
    """
    number = signal_number(sent)
    must_end = within is not None or number == signal.SIGKILL
    if await _is_stopped_by_hand(engine, container, must_end, number):
        return
    shim, exited = container.living_shim(), container.next_exit
    try:
        await shim.kill(number)
    except (Conflict, ShimGone):
        # It has ended in this very moment: whoever wants it to end has that.
        if not must_end:
            raise
    engine.tell(container, "kill", signal=str(number))
    if must_end:
        async with container.lock:  # a pause under way holds it
            with contextlib.suppress(SystemCallFailed):  # it has ended, and its cgroup is gone
                await thaw(container)
        patience = KILL_AGAIN if number == signal.SIGKILL else within
        await _see_the_end(engine, container, shim, exited, patience)


async def _is_stopped_by_hand(engine: Engine, container: Container, must_end: bool, number: int) -> bool:
    """Remember that the user wants it to end. True when that was all, because it only waited for its next start."""
    if not container.record.active or not (must_end or restarts.counts_as_stopping(container.record.config, number)):
        return False
    if not engine.is_ending:
        container.record.state.manually_stopped = True
        engine.records.save(container.record)
    if container.record.running:
        return False
    # A start that is just under way has to end first; then there may be a program to stop.
    return await _start_no_more(engine, container) or (must_end and not container.record.running)


async def _see_the_end(
    engine: Engine, container: Container, shim: Shim, exited: asyncio.Future[int], within: float | None
) -> None:
    """Wait for the end of the run; after ``within`` seconds (never, when it is negative) send SIGKILL to all of it.

    And again: what somebody has frozen in this very moment does not hear it (cgroup v1).
    """
    await asyncio.wait([exited], timeout=None if within is None or within < 0 else within)
    while not exited.done():
        with contextlib.suppress(Conflict, ShimGone):
            await shim.kill(signal.SIGKILL, everyone=True)
            engine.tell(container, "kill", signal="9")
        await asyncio.wait([exited], timeout=KILL_AGAIN)


async def restart(engine: Engine, container: Container, seconds: int | None = None, sent: str = "") -> None:
    """Stop, then start. That it is stopped for a moment is no reason for ``--rm`` to remove it."""
    container.restarted_by_hand = True
    try:
        with contextlib.suppress(NotModified):
            await stop(engine, container, seconds, sent)
        await start(engine, container)
    finally:
        container.restarted_by_hand = False
    engine.tell(container, "restart")


async def pause(engine: Engine, container: Container, for_commit: bool = False) -> None:
    """Freeze every process. ``for_commit``: should this daemon be killed, the next one thaws them. Raises Conflict."""
    async with container.lock:
        container.living_shim()
        state = container.record.state
        if state.status == "paused":
            raise Conflict(f"container {container.id} is already paused")
        state.paused_for_commit = for_commit
        if for_commit:
            engine.records.save(container.record)  # before it stands still, or the next daemon would not know
        async with container.entering:
            await _freeze(container)
            state.status = "paused"
        engine.records.save(container.record)
    engine.tell(container, "pause")


async def _freeze(container: Container) -> None:
    """Let no process go on. Raises Conflict when there is none any more."""
    try:
        await asyncio.to_thread(cgroups.at(spec.cgroups_path(container.record)).freeze)
    except SystemCallFailed as failure:
        if failure.errno != errno.ENOENT:
            raise
        raise Conflict(f"container {container.id} is not running") from failure  # it has ended just now


async def unpause(engine: Engine, container: Container) -> None:
    """Let every process go on. Raises Conflict."""
    async with container.lock:
        if container.record.state.status != "paused":
            raise Conflict(f"container {container.id} is not paused")
        await thaw(container)
        engine.records.save(container.record)
    engine.tell(container, "unpause")


async def thaw(container: Container) -> None:
    """Let every process go on, if they stand still. The lock is held; the record is not saved."""
    state = container.record.state
    if state.status == "paused" or state.paused_for_commit:
        await asyncio.to_thread(cgroups.at(spec.cgroups_path(container.record)).thaw)
        state.status, state.paused_for_commit = "running", False


def rename(engine: Engine, container: Container, name: str) -> None:
    """Give the container another name. Raises InvalidInput, Conflict."""
    old = container.name
    if not name:
        raise InvalidInput("Neither old nor new names may be empty")
    try:
        new = names.check(f"/{name.removeprefix('/')}")
        if old != new:
            engine.reserve_name(new, container.id)
    except (InvalidInput, Conflict) as error:
        raise type(error)(f"Error when allocating new name: {error}") from None
    if old == new:
        raise InvalidInput("Renaming a container with the same name as its current name")
    container.record.name = new
    engine.records.save(container.record)
    del engine.names[old]
    engine.tell(container, "rename", oldName=f"/{old}")


async def remove(engine: Engine, container: Container, force: bool = False, with_volumes: bool = False) -> None:
    """Remove a container, ``with_volumes`` that have no name; a running one only with ``force``. Raises Conflict."""
    if container.removing:
        raise Conflict(f"removal of container {container.name} is already in progress")
    if container.record.active and not force:
        status = container.record.state.status
        way_out = " and must be unpaused first" if status == "paused" else _STOP_FIRST
        raise Conflict(f'cannot remove container "/{container.name}": container is {status}{way_out}')
    container.removing = True
    try:
        # A start under way holds the lock; whether there is something to kill is known only after it.
        async with container.lock:
            active = container.record.active
        if active:
            await kill(engine, container, "KILL")
        async with container.lock:
            await _remove_now(engine, container, with_volumes)
    except BaseException:
        container.removing = False
        raise


async def _remove_now(engine: Engine, container: Container, with_volumes: bool) -> None:
    """The record goes first: killed in the middle, the next daemon finds files without a record and sweeps them."""
    if container.cleaning is not None:
        await container.cleaning
    engine.records.delete(container.id)
    await asyncio.to_thread(_remove_files, engine, container.id, container.bundle)
    engine.forget(container)
    if with_volumes:
        await volume_use.remove_anonymous(engine, container.record.mounts)
    container.announce_removal()
    engine.tell(container, "destroy")


def _remove_files(engine: Engine, container_id: str, bundle: Path) -> None:
    engine.images.snapshots.remove(container_id, bundle)
    shutil.rmtree(bundle, ignore_errors=True)
