"""The interpreter that makes processes in containers is a sealed copy in memory: writing to it changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import bundles
from tests.shims import containers

pytestmark = pytest.mark.root

PROGRAM = """
import sys
from minidock.containers.sealed import is_sealed, reexec_sealed
reexec_sealed()
import msgspec
print(is_sealed(), sys.executable, sys.prefix, sys.argv, flush=True)
sys.stdin.read()
"""


def test_a_sealed_copy_runs_as_the_interpreter_would(tmp_path: Path) -> None:
    """Same environment, same packages, same arguments; its exe cannot be written, not even after its end."""
    original = Path(sys.executable).resolve()
    before = original.read_bytes()
    command = [sys.executable, "-c", PROGRAM, "one", "two"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == f"True {sys.executable} {sys.prefix} {['-c', 'one', 'two']}\n"
        exe = os.open(f"/proc/{process.pid}/exe", os.O_RDONLY)
        with pytest.raises(OSError, match="Text file busy"):
            os.open(f"/proc/{process.pid}/exe", os.O_WRONLY)
        process.stdin.close()
        process.wait()
    # Nobody runs it any more: this is the moment that the attack waits for.
    writable = os.open(f"/proc/self/fd/{exe}", os.O_RDWR)
    with pytest.raises(PermissionError):
        os.write(writable, b"#!/evil")
    with pytest.raises(PermissionError):
        os.ftruncate(writable, 0)
    os.close(writable)
    os.close(exe)
    assert original.read_bytes() == before


def sealed(pid: int) -> bool:
    """Whether this process runs from a sealed copy."""
    return os.readlink(f"/proc/{pid}/exe").startswith("/memfd:minidock-python")  # noqa: PTH115


def test_the_runtime_command_runs_sealed(tmp_path: Path) -> None:
    """What enters a container, and init until it execs, are processes of minidock-runtime: they run from the copy."""
    bundle, root, name = tmp_path / "bundle", str(tmp_path / "run"), f"sealed-{os.getpid()}-{tmp_path.name}"
    bundles.rootfs(bundle / "rootfs")
    bundles.write(bundle, bundles.config("sh", "-c", "echo ready; cat"))
    runtime = [str(Path(sys.executable).with_name("minidock-runtime")), "--root", root]
    try:
        subprocess.run([*runtime, "create", "-b", bundle, f"{name}-1"], check=True)
        assert sealed(json.loads((Path(root) / f"{name}-1" / "state.json").read_bytes())["pid"])
        with ready([*runtime, "run", "-b", str(bundle), f"{name}-2"]) as running:
            assert sealed(running)
            with ready([*runtime, "exec", f"{name}-2", "sh", "-c", "echo ready; cat"]) as joining:
                assert sealed(joining)
    finally:
        for number in "12":
            subprocess.run([*runtime, "delete", "-f", f"{name}-{number}"], check=False, capture_output=True)


@contextmanager
def ready(command: list[str]) -> Iterator[int]:
    """The pid of a program that has said it is ready, and ends with its standard input."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        yield process.pid


async def test_the_daemons_containers_begin_sealed(tmp_path: Path) -> None:
    """What waits to become a container's program, and the exec that joins it later, are forks of a sealed launcher."""
    async with containers(tmp_path) as made:
        shim = await made.create("sleep", "1000")
        for pid in (made.launcher.pid, shim.init_pid):
            assert sealed(pid)
