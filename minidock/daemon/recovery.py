"""After a daemon comes a daemon: find out what happened in between, and sweep what nobody owns.

A daemon may be killed between any two statements. What it leaves is one of these, and each has one answer:

- the record says *running*, the shim lives: connect to it, go on waiting for its end
  (and let it go on, if it stands still for a commit that ended with the daemon; who paused it by hand wants it so);
- the record says *running*, the shim is gone: ``exit.json`` tells how it ended (it was on the disk before anybody was
  told); without one, the machine went down, and the exit code is 255, as Docker's;
- the record says *not running*, but a shim lives: the daemon died while it started this one. If the program runs, it
  runs. If init still waits: as if never tried (a shim ends by itself when the daemon goes before the start);
- the record says *restarting*: it waited for its next start, and has ended;
- a directory, a state directory, a link or a lease without a record: swept.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time

from minidock.containers import runtime
from minidock.containers.control import Shim, ShimGone, bury, read_exit
from minidock.daemon import lifecycle, restarts, services, volume_use
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import MinidockError

log = logging.getLogger(__name__)


async def recover(engine: Engine) -> None:
    """Bring the records up to date with the kernel; afterwards nothing is left that has no record."""
    for record in engine.records.all():
        engine.add(Container(record, engine.bundle(record.id), engine.state_dir(record.id)))
    await asyncio.gather(*(_recover(engine, container) for container in list(engine.containers.values())))
    for container in list(engine.containers.values()):
        if container.record.of_build:
            await lifecycle.remove(engine, container, force=True)
    await asyncio.to_thread(_sweep, engine)
    await asyncio.to_thread(engine.workshop.sweep)
    for container in engine.containers.values():
        if container.record.running:
            await services.resume(engine, container)
    await asyncio.to_thread(engine.images.sweep)
    await volume_use.recover(engine)
    for container in list(engine.containers.values()):
        if container.record.host.auto_remove and container.record.state.status == "exited":
            await lifecycle.remove(engine, container, with_volumes=True)


async def start_again(engine: Engine) -> None:
    """Start what is to run from boot on (see :mod:`minidock.daemon.restarts`)."""
    chosen = [
        container
        for container in engine.containers.values()
        if restarts.at_boot(container.record.host.restart_policy, container.record.state, container.ended_unseen)
    ]
    # Who uses another's network or processes has to come after it.
    guests = [container for container in chosen if _is_guest(container)]
    for group in ([container for container in chosen if container not in guests], guests):
        for error in await asyncio.gather(*(lifecycle.start(engine, item) for item in group), return_exceptions=True):
            if error is not None:
                log.error("a container could not be started again: %s", error)


def _is_guest(container: Container) -> bool:
    host = container.record.host
    return any(mode.startswith("container:") for mode in (host.network_mode, host.pid_mode, host.ipc_mode))


async def _recover(engine: Engine, container: Container) -> None:
    record = container.record
    try:
        shim = await Shim.reconnect(container.state_dir)
    except ShimGone:
        await _learn_end(engine, container)
        return
    if not shim.started:
        log.info("%s had been created but not started: taken back", record.name)
        await shim.close()
        await _learn_end(engine, container)
        return
    record.state.pid = shim.init_pid
    if record.state.paused_for_commit:
        log.info("%s was paused for a commit that nobody finishes: it goes on", record.name)
        await lifecycle.thaw(container)
    if not record.running:
        record.state.status, record.state.started_ns = "running", time.time_ns()
    engine.records.save(record)
    lifecycle.watch(engine, container, shim)


async def _learn_end(engine: Engine, container: Container) -> None:
    """No shim: either the container has ended, or it never ran."""
    state = container.record.state
    ended = read_exit(container.bundle)
    if state.status == "restarting":
        state.status, container.ended_unseen = "exited", True
        engine.records.save(container.record)
    if container.record.running:
        ended = await asyncio.to_thread(bury, container.state_dir, container.bundle)
    is_news = ended is not None and ended.started_ns > 0 and ended.finished_ns > state.finished_ns
    if ended is not None and (container.record.running or is_news):
        log.info("%s ended while no daemon ran: exit code %d", container.name, ended.code)
        container.ended_unseen = True
        lifecycle.record_exit(engine, container, ended, may_go_on=False)


def _delete_state(engine: Engine, container_id: str) -> None:
    state_dir = engine.state_dir(container_id)
    try:
        runtime.delete(state_dir, force=True)
    except MinidockError as error:
        log.warning("sweeping %s: %s", state_dir, error)
    shutil.rmtree(state_dir, ignore_errors=True)


def _sweep(engine: Engine) -> None:
    running = {key for key, container in engine.containers.items() if container.record.running}
    for directory, remove, known in (
        (engine.config.exec_root / "containers", _delete_state, running),
        (engine.config.data_root / "containers", _delete_bundle, set(engine.containers)),
    ):
        there = {path.name for path in directory.iterdir()} if directory.exists() else set()
        for name in sorted(there - known):
            log.info("sweeping %s: nobody's", directory / name)
            remove(engine, name)
    engine.networks.sweep({key: engine.containers[key].record.networks for key in running})


def _delete_bundle(engine: Engine, container_id: str) -> None:
    engine.images.snapshots.remove(container_id, engine.bundle(container_id))
    shutil.rmtree(engine.bundle(container_id), ignore_errors=True)
