"""Pull from a registry on this machine: one layer of 117 MB, and the same in five layers; against dockerd.

Docker's own client asks both daemons, so that only the daemons differ. A pull ends when the image could be run:
downloaded, verified, unpacked. Each run pulls another image, and none is removed in between: for five minutes after a
removal ext4 passes over the freed inodes one by one (``recently_deleted`` in the kernel's ialloc.c), and making files
takes several times as long, whoever makes them. For the same reason this is best run when nothing else ran before.
"""

from __future__ import annotations

import io
import os
import random
import statistics
import tarfile
import tempfile
from functools import partial
from pathlib import Path

from tests.benchmarks.report import Row, timed
from tests.engine.harness import running_daemon
from tests.peers import Dockerd, dockerd
from tests.registries import debian_registry, make_image, push

#: bytes of the layers as they are sent, all together
COMPRESSED = 117_000_000
FILE = 64 * 1024
RUNS = 3
#: ours/docker's, from the design
BUDGET = 0.7


def measure() -> list[Row]:
    """Median seconds of both, run in turn."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-pull-") as directory,
        running_daemon(image=False) as daemon,
        dockerd(own_network=False) as peer,
        debian_registry(Path(directory) / "ours", inside=daemon.inside()) as ours,
        debian_registry(Path(directory) / "peers") as peers,
    ):
        rows = []
        for count in (1, 5):
            times: list[tuple[float, float]] = []
            for run in range(RUNS):
                layers = [archive(f"{count}-{run}-{number}", COMPRESSED // count) for number in range(count)]
                image = make_image(layers)
                names = [f"{registry.address}/layers-{count}:{run}" for registry in (ours, peers)]
                push(image, names[0], Path(directory), inside=daemon.inside())
                push(image, names[1], Path(directory))
                # What was pushed and what the run before unpacked is still being written: nobody shall wait for it.
                os.sync()
                seconds = timed(partial(daemon.ok, "pull", "-q", names[0]))
                os.sync()
                peer_seconds = timed(partial(_pull, peer, names[1]))
                times.append((seconds, peer_seconds))
            what = f"pull of 117 MB in {count} layer{'s' if count > 1 else ''}"
            median_ours, median_peer = (statistics.median(column) for column in zip(*times, strict=True))
            rows.append(Row(what, median_ours, median_peer, "s", BUDGET))
        return rows


def _pull(peer: Dockerd, name: str) -> None:
    peer.docker("pull", "-q", name).check_returncode()


def archive(seed: str, compressed: int) -> bytes:
    """A tar archive of files that compress to about half, as programs do; ``compressed`` bytes after that."""
    noise = random.Random(seed)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(2 * compressed // FILE):
            content = noise.randbytes(FILE // 2) + bytes(FILE // 2)
            entry = tarfile.TarInfo(f"usr/lib/{seed}/{number % 50}/{number}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
