"""Pull from a registry on this machine: one layer of 117 MB, and the same in five layers; against dockerd.

Docker's own client asks both daemons, so that only the daemons differ. Each pull begins without the image, and ends
when the image could be run: downloaded, verified, unpacked.
"""

from __future__ import annotations

import io
import random
import statistics
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.report import Row, timed
from tests.engine.harness import running_daemon
from tests.peers import dockerd
from tests.registries import debian_registry, make_image, push

#: bytes of the layers as they are sent, all together
COMPRESSED = 117_000_000
FILE = 64 * 1024
RUNS = 5
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
            image = make_image([archive(number, COMPRESSED // count) for number in range(count)])
            names = [f"{registry.address}/layers-{count}" for registry in (ours, peers)]
            push(image, names[0], Path(directory), inside=daemon.inside())
            push(image, names[1], Path(directory))

            def pull_ours(name: str = names[0]) -> None:
                daemon.docker("pull", "-q", name, timeout=120).check_returncode()

            def pull_peers(name: str = names[1]) -> None:
                peer.docker("pull", "-q", name).check_returncode()

            times: dict[Callable[[], None], list[float]] = {pull_ours: [], pull_peers: []}
            for _ in range(RUNS):
                times[pull_ours].append(timed(pull_ours))
                daemon.docker("rmi", names[0]).check_returncode()
                times[pull_peers].append(timed(pull_peers))
                peer.docker("rmi", names[1]).check_returncode()
            median_ours, median_peer = (statistics.median(seconds) for seconds in times.values())
            what = f"pull of 117 MB in {count} layer{'s' if count > 1 else ''}"
            rows.append(Row(what, median_ours, median_peer, "s", BUDGET))
        return rows


def archive(seed: int, compressed: int) -> bytes:
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
