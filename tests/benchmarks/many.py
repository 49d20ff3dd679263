"""A hundred containers, started by eight clients at a time, then removed at once; and the memory that they cost.

Memory is the proportional set size (PSS): pages that a hundred shims share count once, in shares.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks.pair import both, command_line, pss_mb
from tests.benchmarks.report import Row, timed
from tests.engine.harness import Daemon, marked
from tests.peers import Dockerd

CONTAINERS = 100
CLIENTS = 8


def measure() -> list[Row]:
    """Start, removal, memory of an idle container's shim, memory of the idle daemon."""
    with both() as (ours, peer):
        rows = [_idle_daemon("idle daemon, fresh, PSS", ours, peer)]
        start_ours, start_peer = timed(lambda: _start(ours.docker)), timed(lambda: _start(peer.docker))
        rows.append(Row(f"{CONTAINERS} x run -d, {CLIENTS} clients at a time", start_ours, start_peer, "s", 0.5))
        rows.append(_idle_shims(ours, peer))
        remove_ours, remove_peer = timed(lambda: _remove(ours.docker)), timed(lambda: _remove(peer.docker))
        rows.append(Row(f"rm -f of {CONTAINERS}", remove_ours, remove_peer, "s", 0.5))
        rows.append(_idle_daemon(f"idle daemon, after {CONTAINERS} containers, PSS", ours, peer))
        return rows


def _start(docker: Callable[..., object]) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda number: docker("run", "-d", "--name", f"c{number}", "tiny", "sleep", "1000"), _numbers()))


def _remove(docker: Callable[..., object]) -> None:
    docker("rm", "-f", *(f"c{number}" for number in _numbers()))


def _numbers() -> range:
    return range(CONTAINERS)


def _idle_shims(ours: Daemon, peer: Dockerd) -> Row:
    mine = [pss_mb(pid) for pid in _shims_of_ours(ours)]
    theirs = [pss_mb(pid) for pid in _shims_of_dockerd(peer)]
    assert len(mine) == len(theirs) == CONTAINERS, (len(mine), len(theirs))
    return Row(f"shim of an idle container, of {CONTAINERS}, PSS", _mean(mine), _mean(theirs), "MB", 0.6)


def _shims_of_ours(ours: Daemon) -> list[int]:
    """Shims are forked from the launcher, never started: they are our processes without the daemon and the launcher."""
    return [pid for pid in marked(ours.root) if pid != ours.pid and not _is_launcher(ours, pid)]


def _is_launcher(ours: Daemon, pid: int) -> bool:
    after_the_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    return int(after_the_name.split()[1]) == ours.pid


def _shims_of_dockerd(peer: Dockerd) -> list[int]:
    """containerd's shims leave its process tree: found by the socket that they were told to talk to."""
    pids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return [pid for pid in pids if "containerd-shim" in command_line(pid) and str(peer.root) in command_line(pid)]


def _idle_daemon(what: str, ours: Daemon, peer: Dockerd) -> Row:
    mine = sum(pss_mb(pid) for pid in marked(ours.root))
    theirs = sum(pss_mb(pid) for pid in peer.processes())
    return Row(what, mine, theirs, "MB", 0.5)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
