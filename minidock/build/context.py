"""A build's context: the files that a Dockerfile may copy, unpacked into a directory of the build's own.

The archive is a stranger's. Its files are root's, as with Docker, and it may not hold devices; nothing in it can
lead out of the directory, neither when it is unpacked nor when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO, cast

from minidock import dockerignore
from minidock.build.sources import Source
from minidock.dockerignore import Ignore
from minidock.errors import InvalidInput, InvalidSpec, NotFound
from minidock.images.archive import BLOCK_DEVICE, CHARACTER, Reader
from minidock.images.compression import CHUNK, ReadAhead, Stream, decompressed
from minidock.images.extract import Extraction
from minidock.images.unpack import Limits, blamed_on

MAX_TEXT = 4 * 1024 * 1024
"""The longest Dockerfile or ignore file that is read, in bytes."""


def unpack(file: BinaryIO, directory: Path, limits: Limits = Limits()) -> None:  # noqa: B008  # immutable
    """Unpack an archive, packed or not, into an empty directory. Raises InvalidSpec, CorruptContent, NoSpace."""
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = Extraction(root, "", keep_kinds=False, owner=(0, 0), own_attributes=False)
    try:
        with ReadAhead(decompressed(io.BufferedReader(cast(io.RawIOBase, file), CHUNK))) as archive:
            stream = Stream(archive, limits.size, hashlib.sha256())
            reader = Reader(stream)
            for count, entry in enumerate(reader):
                if entry.type in (CHARACTER, BLOCK_DEVICE):
                    raise InvalidSpec(f"build context holds a device, which nobody can copy: {entry.name!r}")
                if count >= limits.entries:
                    raise InvalidSpec(f"build context has more than {limits.entries} files: refused")
                with blamed_on(entry):
                    tree.add(entry, reader)
            stream.finish()
        tree.set_directory_times()
    finally:
        tree.close()
        os.close(root)


def read_dockerfile(source: Source, name: str) -> str:
    """The Dockerfile's text. Without a name it is ``Dockerfile``, or ``dockerfile``. Raises InvalidInput."""
    for candidate in [name] if name else ["Dockerfile", "dockerfile"]:
        with contextlib.suppress(NotFound):
            text = source.read_text(candidate, MAX_TEXT)
            if not text:
                raise InvalidInput(f"the Dockerfile ({candidate}) cannot be empty")
            return text
    raise InvalidInput(f"Cannot locate specified Dockerfile: {name or 'Dockerfile'}")


def leave_out(source: Source, dockerfile: str) -> None:
    """Remove what the ignore file excludes; one that is named after the Dockerfile wins. Raises InvalidInput."""
    for name in (f"{dockerfile or 'Dockerfile'}{dockerignore.FILE_NAME}", dockerignore.FILE_NAME):
        with contextlib.suppress(NotFound):
            patterns = dockerignore.read(source.read_text(name, MAX_TEXT))
            _remove_excluded(source.root, Ignore(patterns))
            return


def _remove_excluded(root: Path, ignore: Ignore) -> None:
    """Files first; then, from the bottom up, the excluded directories in which nothing has stayed."""
    directories = [""]
    for directory in directories:
        with os.scandir(root / directory) as entries:
            for entry in entries:
                path = f"{directory}/{entry.name}".lstrip("/")
                if entry.is_dir(follow_symlinks=False):
                    directories.append(path)
                elif ignore.excludes(path):
                    Path(entry).unlink()
    for directory in reversed(directories[1:]):
        if ignore.excludes(directory):
            with contextlib.suppress(OSError):
                (root / directory).rmdir()
