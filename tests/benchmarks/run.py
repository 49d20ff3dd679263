"""``run --rm IMAGE true``: with Docker's client on both daemons, and with our client on ours."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.pair import both, quietly
from tests.benchmarks.report import Row, paired

RUNS = 15
MINIDOCK = str(Path(sys.executable).with_name("minidock"))


def measure() -> list[Row]:
    """Milliseconds, medians of pairs."""
    with both() as (ours, peer):

        def docker_on_ours() -> None:
            ours.docker("run", "--rm", "tiny", "true").check_returncode()

        def minidock_on_ours() -> None:
            quietly([MINIDOCK, "run", "--rm", "tiny", "true"], ours.environment)

        def docker_on_dockerd() -> None:
            peer.docker("run", "--rm", "tiny", "true").check_returncode()

        def without_network() -> None:
            ours.docker("run", "--rm", "--network", "none", "tiny", "true").check_returncode()

        def peer_without_network() -> None:
            peer.docker("run", "--rm", "--network", "none", "tiny", "true").check_returncode()

        cases = [
            ("docker run --rm tiny true, bridge", docker_on_ours, docker_on_dockerd, 0.30),
            ("docker run --rm --network none tiny true", without_network, peer_without_network, 0.30),
            ("minidock run --rm tiny true, bridge", minidock_on_ours, docker_on_dockerd, 0.40),
        ]
        rows = []
        for what, a, b, budget in cases:
            mine, theirs = paired(a, b, RUNS)
            rows.append(Row(what, mine * 1000, theirs * 1000, "ms", budget))
        return rows
