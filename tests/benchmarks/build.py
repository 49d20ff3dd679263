"""A Dockerfile of 20 steps, cold and from the cache, through Docker's own client; against dockerd's classic builder."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.pair import both, quietly
from tests.benchmarks.report import Row, paired

FILES = 500
#: ours/dockerd's
BUDGET = 0.5

STEPS = "\n".join(
    ["FROM tiny", "WORKDIR /app", "COPY requirements requirements", "ENV A=1"]
    + [f"RUN head -c 1000000 /dev/zero > /file{number} && mkdir /d{number}" for number in range(6)]
    + ["COPY src src", "RUN cat src/* > all", "ARG V=1", "LABEL v=$V", "EXPOSE 80", "USER 1000"]
    + ["COPY --chown=1000 src other", "RUN true", "ENTRYPOINT ['/bin/sh']", "CMD ['x']"]
)


def measure() -> list[Row]:
    """Median seconds of both, run in turn."""
    with both() as (ours, peer), TemporaryDirectory() as directory:
        context = Path(directory)
        (context / "src").mkdir()
        (context / "Dockerfile").write_text(STEPS)
        (context / "requirements").write_text("x")
        for number in range(FILES):
            (context / "src" / f"{number}").write_text(f"{number}" * 500)

        def build(host: str, *options: str) -> None:
            environment = os.environ | {"DOCKER_BUILDKIT": "0", "DOCKER_HOST": host}
            quietly(["docker", "build", "-t", "bench", *options, directory], environment)

        cold = paired(partial(build, ours.host, "--no-cache"), partial(build, peer.host, "--no-cache"), runs=3)
        cached = paired(partial(build, ours.host), partial(build, peer.host), runs=5)
    return [
        Row("build of 20 steps, cold", *cold, "s", BUDGET),
        Row("build of 20 steps, all cached", cached[0] * 1000, cached[1] * 1000, "ms", 1.0),
    ]
