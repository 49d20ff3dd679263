"""A registry on loopback, and images to push to it: no lesson needs the internet."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from minidock.content.store import Content
from minidock.errors import MinidockError
from minidock.images.archive_writer import Writer
from minidock.images.image import Layer
from minidock.images.tiny import find_busybox, write_tiny
from minidock.oci import digest as digests
from minidock.oci.image import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    ContainerDefaults,
    Descriptor,
    ImageConfig,
    Manifest,
    RootFs,
    encode,
)
from minidock.oci.platform import host
from minidock.oci.reference import Reference, parse
from minidock.registry.push import push


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Our own registry, as a process with its directory at ``root``; where it listens: ``127.0.0.1:port``.

    What it is asked, it writes to ``root / "log"``. Raises MinidockError when it does not start.
    """
    command = [sys.executable, "-I", "-m", "minidock.registry.server", "serve", "--root", str(root), "--listen"]
    # A session of its own: ^C is for us, and we end it.
    with (root / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().rpartition("//")[2].strip()
        if not address:
            raise MinidockError(f"the chapter's registry did not start: {(root / 'log').read_text().strip()}")
        yield address
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def image(content: Content, layers: Sequence[Layer], config: ContainerDefaults) -> Descriptor:
    """Store an image of these layers, the lowest first; its manifest."""
    platform = host()
    rootfs = RootFs(type="layers", diff_ids=[layer.diff_id for layer in layers])
    document = ImageConfig(architecture=platform.architecture, os=platform.os, config=config, rootfs=rootfs)
    manifest = Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        config=content.add(encode(document), OCI_CONFIG),
        layers=[layer.descriptor for layer in layers],
    )
    return content.add(encode(manifest), OCI_MANIFEST)


def image_of(content: Content, archives: Sequence[bytes]) -> Descriptor:
    """Store an image of these archives, uncompressed, the lowest first; its manifest."""
    layers = [Layer(content.add(archive, OCI_LAYER), digests.of(archive)) for archive in archives]
    return image(content, layers, ContainerDefaults())


def publish(name: Reference, archives: Sequence[bytes]) -> None:
    """Push an image of these layers (uncompressed archives, the lowest first)."""
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as directory:
        content = Content(Path(directory, "images"), Path(directory, "ingest"))
        asyncio.run(push(name, image_of(content, archives), content))


def tiny_layer() -> bytes:
    """The archive of a root file system with a shell in it."""
    archive = io.BytesIO()
    writer = Writer(archive.write)
    write_tiny(writer, find_busybox())
    writer.close()
    return archive.getvalue()


def programs(texts: Mapping[str, str]) -> bytes:
    """The archive of a layer with these scripts in it, by path."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, text in texts.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(text.encode()), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    return archive.getvalue()


@contextmanager
def tiny_registry() -> Iterator[Reference]:
    """A registry with one image in it, of two layers: a shell, and a script ``hello``. Its name."""
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as directory, serving(Path(directory)) as address:
        name = parse(f"{address}/course/tiny:latest")
        publish(name, [tiny_layer(), programs({"bin/hello": "#!/bin/sh\necho hello from a layer\n"})])
        yield name
