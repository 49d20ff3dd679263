"""``minidock-runtime run`` against ``runc run``, on the same bundle."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

from tests import bundles
from tests.benchmarks.report import Row, paired

RUNS = 30
MINIDOCK_RUNTIME = str(Path(sys.executable).with_name("minidock-runtime"))


def measure() -> list[Row]:
    """Milliseconds from the command to its end, medians of pairs."""
    with tempfile.TemporaryDirectory() as directory:
        bundle = bundles.make(Path(directory, "bundle"), "true")
        ours, peer = (_runner(program, bundle, Path(directory)) for program in (MINIDOCK_RUNTIME, "runc"))
        mine, theirs = paired(ours, peer, RUNS)
    return [Row("minidock-runtime run", mine * 1000, theirs * 1000, "ms", 1.0)]


def _runner(program: str, bundle: Path, directory: Path) -> Callable[[], object]:
    """What runs one container after the other, each under an id of its own."""
    # Installed modules are compiled. So are ours after the first run, if Python may keep what it has compiled.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    root = directory / Path(program).name
    numbers = count()

    def run() -> None:
        container = f"benchmark-{os.getpid()}-{next(numbers)}"
        command = [program, "--root", str(root), "run", "-b", str(bundle), container]
        subprocess.run(command, env=environment, check=True)

    return run
