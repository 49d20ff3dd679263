"""Push to a registry and pull from it, an image of 100 MB in four layers; ours against Debian's docker-registry.

skopeo is the client of both and keeps the layers as they come, so that only the registries differ. Each run has another
image, as a registry answers for what it has already without being sent it.
"""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from tests.benchmarks.report import Row, timed
from tests.registries import TestImage, debian_registry, make_image, own_registry, tar_of

LAYERS, LAYER = 4, 25_000_000
RUNS = 5
#: ours/docker-registry's: as fast, give or take what two runs differ by
BUDGET = 1.2


def measure() -> list[Row]:
    """Median seconds of both, run in turn."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-registry-") as at,
        own_registry(Path(at) / "ours", quiet=True) as ours,
        debian_registry(Path(at) / "peers") as peers,
    ):
        pushes: list[tuple[float, ...]] = []
        pulls: list[tuple[float, ...]] = []
        for run in range(RUNS):
            layout = Path(at) / "layout"
            image(run).write_layout(layout)
            addresses = [ours, peers.address]
            pushes.append(tuple(_timed(f"oci:{layout}:latest", f"docker://{each}/b:{run}") for each in addresses))
            pulls.append(tuple(_timed(f"docker://{each}/b:{run}", f"dir:{at}/pulled") for each in addresses))
            shutil.rmtree(layout)
    return [_row("push", pushes), _row("pull", pulls)]


def _row(what: str, times: list[tuple[float, ...]]) -> Row:
    ours, peers = (statistics.median(column) for column in zip(*times, strict=True))
    return Row(f"{what} of 100 MB in {LAYERS} layers, by skopeo", ours, peers, "s", BUDGET)


def image(run: int) -> TestImage:
    """Layers that do not compress: each is as large as it is."""
    noise = random.Random(run)
    return make_image([tar_of({"noise": noise.randbytes(LAYER)}) for _ in range(LAYERS)])


def _timed(source: str, target: str) -> float:
    words = ["skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]
    seconds = timed(partial(subprocess.run, [*words, source, target], check=True, capture_output=True))
    shutil.rmtree(target.removeprefix("dir:"), ignore_errors=True)
    return seconds
