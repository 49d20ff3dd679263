"""What a container finds around it: its sources of binds, volumes, network, and the files that name it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import InvalidInput


def prepare(engine: Engine, container: Container) -> None:
    """Before the container is created: what it binds is there. Raises InvalidInput."""
    for item in container.record.mounts:
        source = Path(item.source)
        if item.kind == "bind" and item.make_source:
            _make_source(source)
        elif item.kind == "bind" and not source.exists():
            raise InvalidInput(f'invalid mount config for type "bind": bind source path does not exist: {source}')


def _make_source(source: Path) -> None:
    try:
        source.mkdir(mode=0o755, parents=True, exist_ok=True)
    except FileExistsError:
        pass  # a file may be bound too
    except OSError as error:
        raise InvalidInput(f"error while creating mount source path '{source}': {error.strerror}") from None


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
