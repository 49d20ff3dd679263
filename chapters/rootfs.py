"""A root file system for the course's programs: made of this machine's own shell, gone at the end."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minidock.images.archive_writer import Writer
from minidock.images.compression import Stream
from minidock.images.tiny import find_busybox, write_tiny
from minidock.images.unpack import Limits, unpack

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@contextmanager
def tiny_root() -> Iterator[Path]:
    """A directory with a shell and some commands in it: what chapter 1 makes by hand, made by the engine."""
    archive = io.BytesIO()
    writer = Writer(archive.write)
    write_tiny(writer, find_busybox())
    writer.close()
    archive.seek(0)
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as directory:
        root = Path(directory) / "rootfs"
        root.mkdir(mode=0o755)
        inside, trash = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (root, directory))
        try:
            unpack(Stream(archive, 1 << 30, hashlib.sha256()), inside, trash, Limits())
        finally:
            os.close(inside)
            os.close(trash)
        yield root
