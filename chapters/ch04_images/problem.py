"""The problem of chapter 4: containers that share a root spoil it for each other, and copies of it fill the disk.

``python -m chapters problem 4``
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from chapters.ch03_cgroups.container import plan
from chapters.rootfs import PATH, tiny_root
from minidock.containers.init import run
from minidock.containers.steps import Context
from minidock.oci import runtime as oci

COPIES = 50


def container(root: Path, script: str) -> int:
    """Run a script in chapter 3's container."""
    program = ("sh", "-c", script)
    context = Context(oci.Process("/", list(program), [PATH]), container_id=f"chapter-{os.getpid()}")
    return run(plan(root, program), context)


def main(arguments: list[str]) -> int:
    """Two containers on one root; then a copy of it for each of many."""
    with tiny_root() as root:
        container(
            root, "mkdir -p /root; echo hunter2 > /root/password; rm /bin/ls; echo 'first: I leave nothing behind'"
        )
        container(
            root, "echo \"second: I found $(cat /root/password)\"; test -e /bin/ls || echo 'second: who took ls?'"
        )
    with tiny_root() as root:
        begin = time.monotonic()
        for number in range(COPIES):
            subprocess.run(["cp", "-a", root, root.parent / f"copy{number}"], check=True)
        milliseconds = (time.monotonic() - begin) * 1000 / COPIES
        size = int(subprocess.check_output(["du", "-sk", root]).split()[0])
    print(f"a copy each: {milliseconds:.0f} ms and {size} KB for the smallest root there is")
    print("a thousand containers of an image of 1 GB: 1 TB of disk, and as many copies of libc in the page cache")
    return 0
