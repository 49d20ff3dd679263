"""What a container finds around it: its sources of binds, volumes, network, and the files that name it."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
from pathlib import Path

from minidock.daemon import story
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.daemon.records import Address
from minidock.errors import InvalidInput, MinidockError, NoSuchNetwork
from minidock.messages import HostConfig
from minidock.networks.files import hosts, resolv_conf

log = logging.getLogger(__name__)


def prepare(engine: Engine, container: Container) -> None:
    """Before the container is created: what it binds is there, and so are hostname, hosts and resolv.conf.

    Raises NoSuchNetwork, NoSuchContainer (``--network container:…``), InvalidInput.
    """
    for item in container.record.mounts:
        source = Path(item.source)
        if item.kind == "bind" and item.make_source:
            _make_source(source)
        elif item.kind == "bind" and not source.exists():
            raise InvalidInput(f'invalid mount config for type "bind": bind source path does not exist: {source}')
    mode = container.record.host.network_mode
    if mode not in ("bridge", "host", "none") and not mode.startswith("container:"):
        raise NoSuchNetwork(mode)
    write_names(engine, container)


def _make_source(source: Path) -> None:
    try:
        source.mkdir(mode=0o755, parents=True, exist_ok=True)
    except FileExistsError:
        pass  # a file may be bound too
    except OSError as error:
        raise InvalidInput(f"error while creating mount source path '{source}': {error.strerror}") from None


def write_names(engine: Engine, container: Container) -> None:
    """hostname, hosts and resolv.conf, in place: they may be bound into a running container."""
    record, host = container.record, container.record.host
    own_network = host.network_mode not in ("host",) and not host.network_mode.startswith("container:")
    address = record.address.address if record.address else None
    name, domain = record.config.hostname, record.config.domainname
    _write(container.bundle / "hostname", f"{name}\n")
    _write(container.bundle / "hosts", hosts(name, domain, address, _extra_hosts(engine, host)))
    _write(
        container.bundle / "resolv.conf",
        resolv_conf(host.dns or [], host.dns_search or [], host.dns_options or [], isolated=own_network),
    )


def _extra_hosts(engine: Engine, host: HostConfig) -> list[tuple[str, str]]:
    found = []
    for entry in host.extra_hosts or []:
        name, _, address = entry.partition("=") if "=" in entry else entry.partition(":")
        if address == "host-gateway" and engine.bridge is not None:
            address = str(engine.bridge.gateway)
        found.append((name, address.strip("[]")))
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


async def connect(engine: Engine, container: Container, pid: int) -> None:
    """Plug the waiting init's network namespace into the bridge."""
    if engine.bridge is None or container.record.host.network_mode != "bridge":
        return
    with story.of_the_network(container, engine.config.bridge):
        end = await asyncio.to_thread(engine.bridge.connect, container.id, pid)
    container.record.address = Address(str(end.address), end.prefix, str(end.gateway), end.mac)
    write_names(engine, container)


async def disconnect(engine: Engine, container: Container) -> None:
    """Take the container's link and lease away."""
    if engine.bridge is None or container.record.address is None:
        return
    container.record.address = None
    try:
        await asyncio.to_thread(engine.bridge.disconnect, container.id)
    except MinidockError as error:
        log.warning("disconnecting %s: %s", container.name, error)


def make_volumes(engine: Engine, container: Container) -> None:
    """A directory for each anonymous volume, which begins as a copy of what the image has at that place."""
    volumes = [item for item in container.record.mounts if item.kind == "volume"]
    if not volumes:
        return
    with engine.images.snapshots.mounted(container.bundle) as root:
        for item in volumes:
            source = _inside(root, item.destination)
            target = Path(item.source)
            target.mkdir(mode=0o755, parents=True)
            if source is not None:
                _copy_tree(source, target)


def _inside(root: Path, path: str) -> Path | None:
    """The directory ``path`` of the image. None when there is none, or when a link would lead elsewhere."""
    current = root
    for part in path.strip("/").split("/"):
        current = current / part
        if current.is_symlink() or not current.is_dir():
            return None
    return current


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a directory's content with owners, modes, times and attributes; links are copied, never followed."""
    for entry in source.iterdir():
        copy, status = target / entry.name, entry.lstat()
        if entry.is_symlink():
            copy.symlink_to(entry.readlink())
        elif entry.is_dir():
            copy.mkdir()
            _copy_tree(entry, copy)
        elif entry.is_file():
            shutil.copyfile(entry, copy)
        else:
            os.mknod(copy, status.st_mode, status.st_rdev)
        _copy_status(entry, copy, status)
    _copy_status(source, target, source.lstat())


def _copy_status(source: Path, target: Path, status: os.stat_result) -> None:
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        target.chmod(stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source, follow_symlinks=False):
        # overlayfs shows its own bookkeeping to root; it would be wrong anywhere else.
        if not name.startswith("trusted.overlay."):
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
