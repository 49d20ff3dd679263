"""The problem of chapter 2: another root hides files, and nothing else.

``python -m chapters problem 2``
"""

from __future__ import annotations

import subprocess

from chapters.ch01_chroot.container import plan
from chapters.rootfs import PATH, tiny_root
from minidock.containers.init import run
from minidock.containers.steps import Context
from minidock.oci import runtime as oci

SCRIPT = """
mount -t proc proc /proc
echo "my host name is the host's: $(hostname)"
echo "I see processes outside: $(ls /proc | grep -c '^[0-9]') of them, and I am number $$"
kill {victim} && echo "and I have just killed number {victim}, which is not mine"
"""


def main(arguments: list[str]) -> int:
    """Start a program on the host; let chapter 1's container find it and kill it."""
    victim = subprocess.Popen(["sleep", "1000"])
    try:
        program = ("sh", "-c", SCRIPT.format(victim=victim.pid))
        with tiny_root() as root:
            code = run(plan(root, program), Context(oci.Process("/", list(program), [PATH])))
        print(f"the host's sleep ended with signal {-victim.wait(5)}")
        return code
    finally:
        victim.kill()
        victim.wait()
