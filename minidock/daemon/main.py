"""``minidockd``: start the engine, serve it, end it.

The order of the start is the point. The launcher comes first, while this process is small and still in the host's mount
namespace: containers have to see what the host mounts later. Only then does the daemon take a mount namespace of its
own, a slave of the host's, so that what it mounts for a moment to look into a container can never leak. Then records,
recovery, network; and when all of that is right, the sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from minidock.containers.control import Launcher
from minidock.daemon import firewall, lifecycle, recovery, reloading, supervisor
from minidock.daemon.api import server
from minidock.daemon.config import Config, load, parse_host
from minidock.daemon.container import Container
from minidock.daemon.defaults import CGROUP_PARENT
from minidock.daemon.engine import Engine
from minidock.errors import Conflict, Forbidden, InvalidInput, KernelFeatureMissing, MinidockError, NotModified
from minidock.kernel import cgroups, features, syscalls, systemd

log = logging.getLogger(__name__)

MOST_THREADS = 64
"""They are made when they are needed."""


def main() -> None:
    """The command. Errors are one line on stderr and exit code 1."""
    try:
        config = load()
        if os.geteuid() != 0:
            raise Forbidden("minidockd needs to run as root: it makes namespaces, mounts and cgroups")
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        reloading.set_log_level(config.log_level)
        asyncio.run(run(config))
    except MinidockError as error:
        sys.exit(f"minidockd: {error}")


async def run(config: Config) -> None:
    """One daemon's whole life. Raises Conflict when another daemon has these roots, and what keeps it from starting."""
    # For work that ends by itself; whoever waits for a client has a thread of its own (minidock.daemon.own_thread).
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="worker"))
    locks = [_lock(root) for root in sorted({config.data_root, config.exec_root})]
    asked_to_end = _on_signals()
    _check_machine(config)
    launcher = await Launcher.spawn()
    try:
        _leave_mount_namespace()
        engine = Engine(config, launcher)
        try:
            engine.images.snapshots.check()
            await _with_network(engine, asked_to_end)
        finally:
            await asyncio.to_thread(engine.database.close)
    finally:
        await launcher.close()
        for lock in locks:
            os.close(lock)


async def _with_network(engine: Engine, asked_to_end: asyncio.Event) -> None:
    await asyncio.to_thread(engine.networks.open)
    try:
        with firewall.mended(engine):
            await _serve(engine, asked_to_end)
    finally:
        # Containers that go on (--live-restore) keep their network.
        if not any(record.running for record in engine.records.all()):
            await asyncio.to_thread(engine.networks.close)


async def _serve(engine: Engine, asked_to_end: asyncio.Event) -> None:
    """From recovery to the end of the last container."""
    await recovery.recover(engine)
    await recovery.start_again(engine)
    runner = await server.listen(engine, engine.config)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloading.reload, engine)
    supervisor.tell("READY=1")
    log.info("ready: data in %s, state in %s", engine.config.data_root, engine.config.exec_root)
    await asked_to_end.wait()
    supervisor.tell("STOPPING=1")
    await _stop(engine, runner)
    _remove_cgroup_parent()


def _remove_cgroup_parent() -> None:
    """The directory above the containers' cgroups goes with the last of them; rmdir(2) refuses while one is there."""
    layout = cgroups.detect()
    directories = set(cgroups.at(CGROUP_PARENT, layout).directories().values())
    if layout.v2:
        # On a hybrid host we make no groups there, but runc does, in the container's place.
        directories.add(layout.v2 / CGROUP_PARENT.lstrip("/"))
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()


def _lock(root: Path) -> int:
    """Two daemons on one root would each believe to be the only writer. The kernel drops the lock when we die."""
    try:
        root.mkdir(mode=0o711, parents=True, exist_ok=True)
        descriptor = os.open(root / "minidockd.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidInput(f"cannot use {root}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Conflict(f"another minidockd uses {root}: stop it, or give this one other roots") from None
    return descriptor


def _on_signals() -> asyncio.Event:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    return asked


def _check_machine(config: Config) -> None:
    lacking = [f"no {feature.name}: {feature.remedy}" for feature in features.missing()]
    if obstacle := cgroups.detect().obstacle:
        lacking.append(obstacle)
    if not os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK):
        lacking.append("/proc/sys is read-only: inside a container, it has to be --privileged")
    if config.cgroup_driver == "systemd" and not systemd.booted():
        lacking.append("systemd is not this machine's first process: use --exec-opt native.cgroupdriver=cgroupfs")
    if lacking:
        raise KernelFeatureMissing("; ".join(lacking))


def _leave_mount_namespace() -> None:
    """From here on what we mount is ours alone. unshare(2) is for the calling thread: no other exists yet."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE)


async def _stop(engine: Engine, runner: web.AppRunner) -> None:
    """As Docker: no more clients, then containers stopped, each in its own time, unless --live-restore.

    When the machine itself is stopping they cannot live on, and better end by us than by SIGKILL.
    """
    engine.is_ending = True
    for site in list(runner.sites):
        await site.stop()
    for path in (parse_host(host) for host in engine.config.hosts):
        if isinstance(path, Path):
            path.unlink(missing_ok=True)
    if not engine.config.live_restore or await asyncio.to_thread(supervisor.machine_is_stopping):
        await asyncio.gather(*(_end(engine, container) for container in list(engine.containers.values())))
    await runner.cleanup()
    await engine.collector.end()


async def _end(engine: Engine, container: Container) -> None:
    try:
        await lifecycle.stop(engine, container)
    except NotModified:
        return
    except MinidockError as error:
        log.warning("stopping %s: %s", container.name, error)
    finally:
        if container.monitor is not None and not container.record.running:
            await container.monitor
        if container.cleaning is not None:
            await container.cleaning


if __name__ == "__main__":
    main()
