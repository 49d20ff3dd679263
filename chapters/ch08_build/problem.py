"""The problem of chapter 8: an image that was made by hand.

``python -m chapters problem 8``
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from chapters.ch04_images.container import start
from chapters.rootfs import tiny_root
from minidock.images.archive_writer import Writer
from minidock.images.diff import write_diff

SESSIONS = ("echo hunter2 > /token", "test $(cat /token) = hunter2 && echo the program > /bin/app", "rm /token")


def commit(upper: Path) -> bytes:
    """What a container changed, as a layer: what ``docker commit`` stores."""
    archive = io.BytesIO()
    writer = Writer(archive.write)
    write_diff(upper, writer)
    writer.close()
    return archive.getvalue()


def by_hand(base: Path, place: Path) -> list[Path]:
    """Three times somebody types something into a container, and keeps what it changed. The topmost layer first."""
    layers = [base]
    for number, script in enumerate(SESSIONS):
        start(layers, place / str(number), ("sh", "-c", script))
        layers.insert(0, place / str(number) / "upper")
    return layers


def main(arguments: list[str]) -> int:
    """Make an image, look at it as a stranger would, and make it again."""
    with tiny_root() as base:
        layers = by_hand(base, base.parent / "first")
        start(layers, base.parent / "look", ("sh", "-c", "test -e /token || echo no container sees the token"))
        archives = [commit(upper) for upper in reversed(layers[:-1])]
        print("all that the image says of how it was made:")
        for archive in archives:
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                print("  a layer with", *(member.name for member in tar if not member.isdir()))
        with tarfile.open(fileobj=io.BytesIO(archives[0])) as tar:
            print("the first layer's token:", b"".join(tar.extractfile("token") or ()).decode().strip())
        again = [commit(upper) for upper in reversed(by_hand(base, base.parent / "second")[:-1])]
        same = [one == other for one, other in zip(archives, again, strict=True)]
        print("made again, with the very same words: equal layers?", *("yes" if each else "no" for each in same))
    return 0
