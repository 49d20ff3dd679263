"""A container's root: an overlay of its image's layers, with a writable directory of its own on top.

Nothing is copied, and the host never has the mount: ``prepare`` only says what the container's init shall mount, in
the container's own mount namespace.

The options of mount(2) must fit in one page, 4096 bytes, and each layer takes its share. So layers have short names
in ``layers/l``. If they fit with absolute paths, those are used, which anybody can read and mount by hand. If not,
the names are relative, and the mount's ``source`` (which overlayfs does not care about) is the directory where they
count from: who mounts it, changes to that directory first.

Source: the kernel's Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from minidock.content.disk import remove_tree, space_errors, tree_size
from minidock.database import Database
from minidock.errors import InvalidInput, KernelFeatureMissing, NotFound, SystemCallFailed
from minidock.images.changes import Change, changes
from minidock.images.image import Image
from minidock.images.layers import MAX_LAYERS, Layers
from minidock.kernel import syscalls
from minidock.oci.runtime import Mount

SCHEMA = """
create table if not exists snapshots (
    container text primary key,     -- its id
    diff_ids  text not null         -- JSON: the layers that it stands on, the lowest first
)
"""

#: mount(2) copies one page of options, and the last byte must be a zero.
MAX_OPTIONS = 4095
#: A rename of a directory, or a change of a file's owner, must copy: only so the upper directory *is* the difference.
_WHOLE_COPIES = ("redirect_dir=off", "metacopy=off")


class Snapshots:
    """The containers' file systems. Several threads may use it."""

    def __init__(self, layers: Layers, database: Database) -> None:
        if any(character in str(layers.root.resolve()) for character in ",:\\"):
            raise InvalidInput(
                f"data root {layers.root.parent} holds a comma, colon or backslash: overlayfs reads them"
            )
        self._layers = layers
        self._database = database
        database.create(SCHEMA)
        self._lock = threading.Lock()
        self._mounted: dict[Path, int] = {}

    def check(self) -> None:
        """Try an overlay on the data root's file system, in this process's mount namespace.

        Raises KernelFeatureMissing where there can be none: inside a container, where the data root is itself on an
        overlay, on NFS, ….
        """
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=self._layers.root) as scratch:
            lower, upper, work, target = (Path(scratch, name) for name in ("lower", "upper", "work", "rootfs"))
            for directory in (lower, upper, work, target):
                directory.mkdir()
            try:
                options = f"lowerdir={lower},upperdir={upper},workdir={work}"
                syscalls.mount("overlay", target, "overlay", 0, options)
            except SystemCallFailed as failure:
                if failure.errno != errno.EINVAL:
                    raise
                raise KernelFeatureMissing(
                    f"no overlay can be written on the file system of {self._layers.root.parent}: choose a --data-root "
                    f"on ext4, xfs, btrfs or tmpfs; inside a container, on a volume"
                ) from None
            syscalls.umount2(target, 0)

    def prepare(self, container_id: str, image: Image, bundle: Path) -> Mount:
        """Make ``upper``, ``work`` and ``rootfs`` in the bundle; what ``config.json`` shall mount as ``/``.

        From now on the layers are kept, even if the image is removed. Raises NotFound (a layer), InvalidInput (too
        many layers), NoSpace.
        """
        mount = self._mount(image.diff_ids, bundle)
        with space_errors(bundle):
            for name in ("upper", "work", "rootfs"):
                (bundle / name).mkdir()
                (bundle / name).chmod(0o755)  # whatever the umask is: upper's mode is that of the container's /
        with self._database.transaction() as transaction:
            record = (container_id, json.dumps(image.diff_ids))
            transaction.execute("insert or replace into snapshots values (?, ?)", record)
        return mount

    @contextmanager
    def mounted(self, bundle: Path) -> Iterator[Path]:
        """The root of a container that does not run, mounted in this process's mount namespace while the block lasts.

        The bundle's directory has the container's id as name. Several may look at the same time. Raises NotFound.
        """
        rootfs = bundle / "rootfs"
        with self._lock:
            if not self._mounted.get(bundle):
                self._mount_here(self._mount(self.diff_ids(bundle.name), bundle), rootfs)
            self._mounted[bundle] = self._mounted.get(bundle, 0) + 1
        try:
            yield rootfs
        finally:
            with self._lock:
                self._mounted[bundle] -= 1
                if not self._mounted[bundle]:
                    del self._mounted[bundle]
                    syscalls.umount2(rootfs, syscalls.MNT_DETACH)

    def diff_ids(self, container_id: str) -> list[str]:
        """The layers that a container stands on, the lowest first. Raises NotFound."""
        for row in self._database.query("select diff_ids from snapshots where container = ?", container_id):
            found: list[str] = json.loads(row["diff_ids"])
            return found
        raise NotFound(f"container {container_id} has no file system")

    def layers_in_use(self) -> set[str]:
        """The diff-ids that any container stands on."""
        rows = self._database.query("select diff_ids from snapshots")
        return {diff_id for row in rows for diff_id in json.loads(row["diff_ids"])}

    def size(self, bundle: Path) -> int:
        """How many bytes the files have that a container wrote. A file with several names counts once."""
        return tree_size(bundle / "upper")

    def image_size(self, container_id: str) -> int:
        """How many bytes the layers have that a container stands on. Raises NotFound."""
        return sum(self._layers.size(diff_id) for diff_id in self.diff_ids(container_id))

    def changes(self, bundle: Path) -> list[Change]:
        """What a container changed, by name. Raises NotFound."""
        names = self._layers.lowerdirs(self.diff_ids(bundle.name))
        return changes(bundle / "upper", [self._layers.root / "l" / name for name in names])

    def remove(self, container_id: str, bundle: Path) -> None:
        """Remove what :meth:`prepare` made; no error if it is not there."""
        for name in ("upper", "work", "rootfs"):
            _remove(bundle, name)
        with self._database.transaction() as transaction:
            transaction.execute("delete from snapshots where container = ?", (container_id,))

    def _mount(self, diff_ids: Sequence[str], bundle: Path) -> Mount:
        if len(diff_ids) > MAX_LAYERS:
            raise InvalidInput(f"image has {len(diff_ids)} layers: overlayfs stacks at most {MAX_LAYERS}")
        names = self._layers.lowerdirs(diff_ids)
        links = self._layers.root / "l"
        own = [f"upperdir={bundle / 'upper'}", f"workdir={bundle / 'work'}", *_WHOLE_COPIES]
        absolute = ["lowerdir=" + ":".join(str(links / name) for name in names), *own]
        if len(",".join(absolute)) <= MAX_OPTIONS:
            return Mount(destination="/", type="overlay", source="overlay", options=absolute)
        relative = ["lowerdir=" + ":".join(names), *own]
        if len(",".join(relative)) > MAX_OPTIONS:
            raise InvalidInput(f"image has {len(diff_ids)} layers: their names do not fit in a page of mount options")
        return Mount(destination="/", type="overlay", source=str(links), options=relative)

    def _mount_here(self, mount: Mount, target: Path) -> None:
        def mount_it() -> None:
            if mount.source.startswith("/"):
                # A working directory belongs to the whole process, unless a thread says that it wants its own.
                syscalls.unshare(syscalls.CLONE_FS)
                syscalls.chdir(mount.source)
            syscalls.mount("overlay", target, "overlay", 0, ",".join(mount.options))

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="mount") as thread:
            thread.submit(mount_it).result()


def _remove(bundle: Path, name: str) -> None:
    """Remove one directory of a bundle. (``work`` holds a directory without any permission: root does not mind.)"""
    try:
        descriptor = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_tree(name, descriptor, descriptor)
    except FileNotFoundError:
        return
    finally:
        os.close(descriptor)
