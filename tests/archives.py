"""Archives for tests, and directory trees as values that can be compared."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from minidock.content.store import Content
from minidock.database import Database
from minidock.images import Images, Limits
from minidock.images.archive import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry
from minidock.images.archive_writer import Writer
from minidock.images.compression import Stream
from minidock.images.layers import Layers
from minidock.images.unpack import unpack
from minidock.oci import digest as digests
from minidock.oci import reference
from minidock.oci.image import OCI_LAYER, ContainerDefaults, Descriptor, ImageConfig, RootFs

Item = tuple[Entry, bytes]


def file(name: str, data: bytes = b"", **fields: object) -> Item:
    """A regular file."""
    return Entry(name, FILE, size=len(data), **fields), data  # type: ignore[arg-type]


def directory(name: str, **fields: object) -> Item:
    """A directory."""
    return Entry(name, DIRECTORY, **{"mode": 0o755, **fields}), b""  # type: ignore[arg-type]


def symlink(name: str, target: str) -> Item:
    """A symbolic link."""
    return Entry(name, SYMLINK, 0o777, link=target), b""


def hardlink(name: str, target: str) -> Item:
    """Another name for an entry of the same archive."""
    return Entry(name, HARDLINK, link=target), b""


def archive(items: Iterable[Item]) -> bytes:
    """A tar archive, made by our own writer."""
    parts: list[bytes] = []
    writer = Writer(parts.append)
    for entry, data in items:
        writer.add(entry, [data])
    writer.close()
    return b"".join(parts)


def unpack_into(target: Path, data: bytes, limits: Limits = Limits()) -> Path:  # noqa: B008  # immutable
    """Unpack an archive into ``target/fs``, as a layer is."""
    (target / "fs").mkdir(parents=True)
    root, trash = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (target / "fs", target))
    try:
        unpack(Stream(io.BytesIO(data), limits.size_of(len(data)), hashlib.sha256()), root, trash, limits)
    finally:
        os.close(root)
        os.close(trash)
    return target / "fs"


@dataclass(frozen=True)
class Node:
    """What one sees of a file: enough to tell two trees apart."""

    kind: str
    mode: int
    uid: int
    gid: int
    content: bytes | str | tuple[int, int]
    mtime_ns: int
    xattrs: tuple[tuple[str, bytes], ...]
    names: int


def tree(root: Path, times: bool = True) -> dict[str, Node]:
    """Every file below ``root``, by its path; ``names`` is the link count of what is no directory."""
    return {str(path.relative_to(root)): _node(path, times) for path in _below(root)}


def _below(root: Path) -> list[Path]:
    """Every path; Path.rglob follows symbolic links to see what they are, and fails where one has too long a target."""
    return [Path(directory, name) for directory, names, files in os.walk(root) for name in sorted(names + files)]


def _node(path: Path, times: bool) -> Node:
    status = path.lstat()
    content: bytes | str | tuple[int, int] = b""
    kind = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}.get(
        stat.S_IFMT(status.st_mode), oct(stat.S_IFMT(status.st_mode))
    )
    if kind == "file":
        content = path.read_bytes()
    elif kind == "symlink":
        content = str(path.readlink())
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        content = (os.major(status.st_rdev), os.minor(status.st_rdev))
    names = [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith("trusted.overlay.")]
    return Node(
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        content,
        status.st_mtime_ns if times else 0,
        tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(names)),
        1 if kind == "directory" else status.st_nlink,
    )


def store(root: Path, limits: Limits = Limits()) -> tuple[Content, Layers]:  # noqa: B008  # immutable
    """An empty content store and its layers."""
    content = Content(root / "images", root / "ingest")
    return content, Layers(root / "layers", content, limits)


def add_layer(content: Content, data: bytes, media_type: str = OCI_LAYER) -> tuple[Descriptor, str]:
    """A plain archive in the store: its descriptor, and its diff-id."""
    return content.add_stream(iter([data]), media_type), digests.of(data)


def unpack_all(layers: Layers, pairs: Sequence[tuple[Descriptor, str]]) -> None:
    """Unpack several (descriptor, diff-id) at the same time."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        for done in [pool.submit(layers.unpack, descriptor, diff_id) for descriptor, diff_id in pairs]:
            done.result()


class Machine:
    """Images under a root of their own, with their database."""

    def __init__(self, root: Path, limits: Limits = Limits()) -> None:  # noqa: B008  # immutable
        self.root = root
        self.database = Database(root / "minidock.db")
        self.images = Images(root, self.database, limits)

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def add(self, name: str, *archives: bytes, **config: object) -> str:
        """An image of plain layers, the lowest first: its id."""
        layers = [add_layer(self.images.content, data) for data in archives]
        unpack_all(self.images.layers, layers)
        image_config = ImageConfig(
            architecture="amd64",
            os="linux",
            config=ContainerDefaults(**config),  # type: ignore[arg-type]
            rootfs=RootFs(type="layers", diff_ids=[diff_id for _, diff_id in layers]),
        )
        return self.images.add_image(layers, image_config, *([reference.parse(name)] if name else [])).id

    def blobs(self) -> set[str]:
        """The names of all blobs."""
        return {path.name for path in (self.root / "images" / "blobs").glob("*/*")}

    def layer_names(self) -> set[str]:
        """The names of all unpacked layers, and of anything else that is where they are."""
        return {path.name for path in (self.root / "layers").iterdir()} - {"l", "init"}

    def on_the_way(self) -> Sequence[Path]:
        """What is in ingest/."""
        return list((self.root / "ingest").iterdir())
