"""500 MB through ``run`` to a pipe, with the log kept: of long lines, and of short ones."""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks.pair import both
from tests.benchmarks.report import Row, timed

MEGABYTES = 500
# 64 KiB blocks of zeros have no line end at all; `yes` writes lines of 63 bytes.
PROGRAMS = {
    "lines of 63 bytes": f"yes {'x' * 62} | head -c {MEGABYTES * 1_000_000}",
    "one endless line of x": f"yes x | tr -d '\\n' | head -c {MEGABYTES * 1_000_000}",
}


def measure() -> list[Row]:
    """MB/s, one run each (a run takes many seconds)."""
    with both() as (ours, peer):
        rows = []
        for what, program in PROGRAMS.items():
            mine = MEGABYTES / timed(_through(ours.docker, program))
            theirs = MEGABYTES / timed(_through(peer.docker, program))
            rows.append(Row(f"{MEGABYTES} MB through run, {what}", mine, theirs, "MB/s", 2.0, higher_is_better=True))
        return rows


def _through(docker: Callable[..., object], program: str) -> Callable[[], object]:
    return lambda: docker("run", "--rm", "tiny", "sh", "-c", program, timeout=120)
