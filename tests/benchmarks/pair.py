"""Our daemon and dockerd side by side, each with the image ``tiny``."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engine.harness import Daemon, running_daemon, tiny_archive
from tests.peers import Dockerd, dockerd


@contextmanager
def both(own_network: bool = True) -> Iterator[tuple[Daemon, Dockerd]]:
    """Two daemons, each with a bridge of its own in a network namespace of its own."""
    with running_daemon() as ours, dockerd(own_network=own_network) as peer:
        peer.docker("import", "-", "tiny", stdin=tiny_archive()).check_returncode()
        yield ours, peer


def quietly(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command that has to succeed; nothing of it is shown."""
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def pss_mb(pid: int) -> float:
    """The proportional set size of a process, in MB: memory that is shared counts in shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss in /proc/{pid}/smaps_rollup")


def command_line(pid: int) -> str:
    """The words that a process was started with, as one text; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
