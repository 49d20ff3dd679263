"""A program's output through ``run``, ``attach`` and ``logs``, with the log kept: of long lines, and of short ones."""

from __future__ import annotations

import subprocess
from functools import partial

from tests.benchmarks.pair import both
from tests.benchmarks.report import Row, timed

MEGABYTES = 500
FEWER = 100
# Cheap to write, so that what is measured is the way from there: `yes x | tr -d` would take longer than that way.
PROGRAMS = {
    "lines of 63 bytes": f"yes {'x' * 62}",
    "one endless line of x": "head -c 1000000 /dev/zero | tr '\\0' x > /x; while cat /x; do true; done",
}


def measure() -> list[Row]:
    """MB/s, one run each (a run takes many seconds)."""
    with both() as (ours, peer):
        rows = []
        for what, writing in PROGRAMS.items():
            program = f"{{ {writing}; }} 2>/dev/null | head -c {MEGABYTES * 1_000_000}"
            run = ("run", "--rm", "tiny", "sh", "-c", program)
            mine = MEGABYTES / timed(partial(_shown, ours.host, *run))
            theirs = MEGABYTES / timed(partial(_shown, peer.host, *run))
            rows.append(Row(f"{MEGABYTES} MB through run, {what}", mine, theirs, "MB/s", 2.0, higher_is_better=True))
            rows += attach_and_logs(ours.host, peer.host, what, writing)
        return rows


def attach_and_logs(ours: str, peer: str, what: str, writing: str, megabytes: int = FEWER) -> list[Row]:
    """A program that waits for a word before it writes, so that nothing is missed; then what the log has of it."""
    program = f"read word; {{ {writing}; }} 2>/dev/null | head -c {megabytes * 1_000_000}"
    speeds = []
    for host in (ours, peer):
        _shown(host, "run", "-di", "--name", "writer", "tiny", "sh", "-c", program)
        attach = timed(partial(_shown, host, "attach", "writer", word=b"go\n"))
        logs = timed(partial(_shown, host, "logs", "writer"))
        _shown(host, "rm", "-f", "writer")
        speeds.append((megabytes / attach, megabytes / logs))
    (attach_ours, logs_ours), (attach_peer, logs_peer) = speeds
    return [
        Row(f"{megabytes} MB through attach, {what}", attach_ours, attach_peer, "MB/s", 1.0, higher_is_better=True),
        Row(f"{megabytes} MB through logs, {what}", logs_ours, logs_peer, "MB/s", 1.0, higher_is_better=True),
    ]


def _shown(host: str, *words: str, word: bytes = b"") -> None:
    """Docker's command line; what it shows goes through a pipe, as to a program that reads it, and is not kept."""
    docker = subprocess.Popen(["docker", "-H", host, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with docker:
        assert docker.stdin is not None and docker.stdout is not None
        docker.stdin.write(word)
        docker.stdin.close()
        while docker.stdout.read(1 << 20):
            continue
    if docker.returncode != 0:
        raise RuntimeError(f"docker {' '.join(words)}: {docker.returncode}")
