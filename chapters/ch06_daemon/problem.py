"""The problem of chapter 6: a container that was started from a terminal loses all when the terminal goes.

``python -m chapters problem 6``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from chapters.course import ROOT
from minidock.kernel import syscalls

SCRIPT = "echo working; read line; echo the result is 42 || exit 9; exit 0"


def main(arguments: list[str]) -> int:
    """Start chapter 2's container from a process, kill that process, and see who learns how the program ended."""
    # The orphan becomes ours, not the machine's first process's: somebody has to clean up after this demonstration.
    syscalls.set_child_subreaper()
    command = [sys.executable, "-P", "-m", "chapters", "run", "2", "--", "sh", "-c", SCRIPT]
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as directory:
        parent = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": directory, "PYTHONPATH": str(ROOT.parent)},
        )
        assert parent.stdin is not None and parent.stdout is not None
        print(f"the container says: {parent.stdout.readline().decode().strip()}")
        orphan = int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()[0])
        try:
            parent.kill()
            parent.stdout.close()
            print(f"its parent is killed, its terminal closed; who waited gets {parent.wait()}")
            parent.stdin.write(b"go on\n")
            parent.stdin.close()
        except BrokenPipeError:
            print("the container died with its parent")
        finally:
            code = os.waitstatus_to_exitcode(os.waitpid(orphan, 0)[1])
        print(f"the program's own end was {code}: nobody was there to learn it, and its result is in no file")
    return 0
