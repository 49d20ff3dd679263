"""Containers and volumes: who has which, when an image's files are copied into one, when one may be removed.

A volume is in use while a container's record names it, or while somebody *holds* it: a container that is being created
or runs, or a copy into one that stands still. With options for the local driver (``type``, ``device``, ``o``) a file
system is mounted on the volume's directory from its first holder to its last. Nothing of this is written down: after a
crash, the holders are the containers that run.

Source: moby, ``volume/service/store.go``, ``volume/local/local_unix.go``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from minidock.containers.steps import inside
from minidock.daemon import binds
from minidock.daemon.binds import Attached
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.daemon.names import new_id
from minidock.daemon.volumes import Volume
from minidock.errors import Conflict, InvalidInput, MinidockError, NoSuchContainer, NoSuchVolume, NotFound
from minidock.images.archive_writer import Writer
from minidock.images.extract import extract
from minidock.images.walk import Walk
from minidock.kernel import mounts, syscalls
from minidock.messages import HostConfig

log = logging.getLogger(__name__)


def users(engine: Engine, name: str) -> list[str]:
    """The ids of the containers that have the volume, and whoever else holds it."""
    having = [key for key, container in engine.containers.items() if name in names_of(container.record.mounts)]
    return having + sorted(engine.holders.of(name) - set(having))


def names_of(mounts_: Iterable[Attached]) -> list[str]:
    """The names of the volumes among these mounts."""
    return [item.name for item in mounts_ if item.kind == "volume"]


def inherited(engine: Engine, host: HostConfig) -> list[Attached]:
    """The mounts that come from other containers (``--volumes-from NAME[:ro]``). Raises InvalidInput."""
    found = []
    for text in host.volumes_from or []:
        name, _, mode = text.partition(":")
        try:
            found += binds.inherit(engine.container(name).record.mounts, mode)
        except NoSuchContainer as error:
            # Not 404: that would tell Docker's client that the image is missing.
            raise InvalidInput(str(error)) from None
    return found


async def attach(engine: Engine, container_id: str, wanted: list[Attached], bundle: Path) -> list[Attached]:
    """The same mounts, with volumes that exist, held by ``container_id``; new and empty ones got the image's files.

    Raises InvalidInput, and what mounting a volume raises; then the volumes that have no name are removed again.
    """
    made: list[Attached] = []
    try:
        for item in wanted:
            made.append(await _make(engine, item, container_id) if item.kind == "volume" else item)
        await hold(engine, container_id, names_of(made))
        filled = [item for item in made if item.copy_up]
        if filled:
            await engine.host_mounts.copy(lambda: _fill(engine, filled, bundle))
    except BaseException:
        await release(engine, container_id)
        await remove_anonymous(engine, made)
        raise
    return made


async def _make(engine: Engine, item: Attached, holder: str) -> Attached:
    async with engine.holders.naming:
        volume, is_new = await asyncio.to_thread(engine.volumes.create, item.name, item.labels, item.driver_options)
        engine.holders.add(volume.name, holder)
    if is_new:
        engine.events.publish("volume", "create", volume.name, driver="local")
    return msgspec.structs.replace(item, name=volume.name, source=str(volume.path))


def _fill(engine: Engine, wanted: list[Attached], bundle: Path) -> None:
    """In a copy of the host's mounts: what the image has at each place is copied, if the volume is empty."""
    with engine.images.snapshots.mounted(bundle) as rootfs:
        root = os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for item in wanted:
                with inside.found(root, item.destination) as place, suppress(NotADirectoryError):
                    if place is not None and not os.listdir(item.source):  # noqa: PTH208
                        _copy(place, Path(item.source))
        finally:
            os.close(root)


def _copy(source: int, target: Path) -> None:
    """Everything below ``source``, and its own owner and mode; as an archive that one thread writes and one reads."""
    out, into = os.pipe()
    tree, files = (os.open(name, os.O_RDONLY | os.O_DIRECTORY) for name in (f"/proc/self/fd/{source}", target))

    def write() -> None:
        with open(into, "wb") as pipe, suppress(BrokenPipeError):  # noqa: PTH123
            writer = Writer(pipe.write)
            Walk(tree, writer, ".").write()
            writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with open(out, "rb") as archive:  # noqa: PTH123
            extract(archive, files, own_attributes=True)
    finally:
        thread.join()
        os.close(tree)
        os.close(files)


async def hold(engine: Engine, holder: str, names: Iterable[str]) -> None:
    """Nobody can remove these volumes, and what their options say is mounted, until :func:`release`.

    Raises NoSuchVolume, MinidockError (what cannot be mounted, in Docker's words).
    """
    for name in names:
        volume = engine.volumes.get(name)
        engine.holders.add(name, holder)
        if volume.options:
            async with engine.holders.mounting:
                await engine.host_mounts.change(lambda volume=volume: _mount(volume))  # type: ignore[misc]


async def release(engine: Engine, holder: str) -> None:
    """``holder`` needs its volumes no longer; what nobody needs is unmounted."""
    async with engine.holders.mounting:
        for name in engine.holders.drop(holder):
            with suppress(NoSuchVolume):
                volume = engine.volumes.get(name)
                if volume.options:
                    await engine.host_mounts.change(lambda volume=volume: _unmount(volume))  # type: ignore[misc]


@asynccontextmanager
async def held(engine: Engine, names: Iterable[str]) -> AsyncIterator[None]:
    """:func:`hold` and :func:`release` for a ``with``."""
    holder = new_id()
    try:
        await hold(engine, holder, names)
        yield
    finally:
        await release(engine, holder)


async def hold_for_run(engine: Engine, container: Container) -> None:
    """The container is about to run. Raises as :func:`hold`."""
    await hold(engine, container.id, names_of(container.record.mounts))
    for item in container.record.mounts:
        if item.kind == "volume":
            attributes = {"destination": item.destination, "read/write": str(not item.read_only).lower()}
            _tell(engine, "mount", item, container, **attributes, propagation=item.propagation)


async def release_after_run(engine: Engine, container: Container) -> None:
    """The container does not run any more."""
    held_by_it = [item for item in container.record.mounts if container.id in engine.holders.of(item.name)]
    await release(engine, container.id)
    for item in held_by_it:
        _tell(engine, "unmount", item, container)


def _tell(engine: Engine, action: str, item: Attached, container: Container, **attributes: str) -> None:
    engine.events.publish("volume", action, item.name, driver="local", container=container.id, **attributes)


def _is_mounted(volume: Volume) -> bool:
    return any(mount.mount_point == str(volume.path) for mount in mounts.mounts("thread-self"))


def _mount(volume: Volume) -> None:
    """In the host's mount namespace. The options are those of mount(8), as far as they are the kernel's."""
    if _is_mounted(volume):
        return
    chosen = volume.options
    options = mounts.parse_options(chosen.get("o", "").split(","))
    data, device = options.data, chosen["device"]
    if chosen["type"] in ("nfs", "cifs"):
        data = _resolve_address(data)
    try:
        syscalls.mount(device, volume.path, chosen["type"], options.flags, data or None)
        if options.flags & syscalls.MS_BIND and options.flags & syscalls.MS_RDONLY:
            # mount(2): a new bind takes over its source's flags; others have to be asked for once more.
            syscalls.mount(None, volume.path, None, options.flags | syscalls.MS_REMOUNT)
        for propagation in options.propagation:
            syscalls.mount(None, volume.path, None, propagation)
    except OSError as error:
        flags = f", flags: {options.flags:#x}" if options.flags else ""
        data = f", data: {data}" if data else ""
        raise InvalidInput(
            f"error while mounting volume '{volume.path}': failed to mount local volume: "
            f"mount {device}:{volume.path}{flags}{data}: {(error.strerror or '').lower()}"
        ) from None


def _resolve_address(data: str) -> str:
    """The kernel's nfs and cifs know addresses only: the name in ``addr=`` becomes one, as mount.nfs(8) does it."""
    found = []
    for option in data.split(","):
        if option.startswith("addr="):
            host = option.removeprefix("addr=")
            try:
                option = f"addr={socket.getaddrinfo(host, None)[0][4][0]}"
            except OSError as error:
                raise InvalidInput(f"error resolving passed in network volume address: {host}: {error}") from None
        found.append(option)
    return ",".join(found)


def _unmount(volume: Volume) -> None:
    if not _is_mounted(volume):
        return
    try:
        syscalls.umount2(volume.path, syscalls.MNT_DETACH)
    except OSError as error:
        log.warning("volume %s: %s", volume.name, error)


async def remove(engine: Engine, name: str, force: bool = False) -> None:
    """Remove a volume that nobody uses. Raises NoSuchVolume (not with ``force``), Conflict."""
    try:
        engine.volumes.get(name)
    except NoSuchVolume:
        if force:
            return
        raise
    async with engine.holders.naming:
        having = users(engine, name)
        if having:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(having)}]")
        removed = await asyncio.to_thread(engine.volumes.remove, name)
    await asyncio.to_thread(engine.volumes.discard, removed)
    engine.events.publish("volume", "destroy", name, driver="local")


async def remove_anonymous(engine: Engine, mounts_: Iterable[Attached]) -> None:
    """What ``rm -v`` and ``--rm`` take along: volumes without a name that no other container has."""
    for item in mounts_:
        if item.kind == "volume" and item.anonymous and item.name:
            try:
                await remove(engine, item.name)
            except (Conflict, NotFound):
                continue
            except (MinidockError, OSError) as error:
                log.warning("removing volume %s: %s", item.name, error)


async def recover(engine: Engine) -> None:
    """At the daemon's start: the containers that run hold their volumes, and what nobody holds is unmounted."""
    await asyncio.to_thread(engine.volumes.sweep)
    for container in engine.containers.values():
        if container.record.running:
            for name in names_of(container.record.mounts):
                engine.holders.add(name, container.id)
    for volume in engine.volumes.all():
        if volume.options and not engine.holders.of(volume.name):
            await engine.host_mounts.change(lambda volume=volume: _unmount(volume))  # type: ignore[misc]
