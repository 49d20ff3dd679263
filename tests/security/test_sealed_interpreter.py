"""The interpreter that makes processes in containers is a sealed copy in memory: writing to it changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_exec_runs_sealed(tmp_path: Path) -> None:
    """minidock-runtime exec, which joins a container that may be hostile already, does so from the copy."""
    probe = (
        "import os, sys\n"
        "from minidock.containers import command, runtime\n"
        "runtime.execute = lambda *a, **k: sys.exit(os.readlink('/proc/self/exe'))\n"
        "command.Command._process = lambda self: None\n"
        "sys.exit(command.main(sys.argv[1:]))\n"
    )
    script = tmp_path / "probe.py"
    script.write_text(probe)
    ran = subprocess.run([sys.executable, script, "exec", "some", "true"], capture_output=True, text=True)
    assert ran.stderr.startswith("/memfd:minidock-python")


async def test_the_daemons_containers_begin_sealed(tmp_path: Path) -> None:
    """What waits to become a container's program, and the exec that joins it later, are forks of a sealed launcher."""
    async with containers(tmp_path) as made:
        shim = await made.create("sleep", "1000")
        for pid in (made.launcher.pid, shim.init_pid):
            assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:minidock-python")  # noqa: PTH115
