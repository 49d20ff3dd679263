"""The problem of chapter 3: a program that sees nothing of the host can still use all of it.

``python -m chapters problem 3``
"""

from __future__ import annotations

from chapters.ch02_namespaces.container import plan
from chapters.rootfs import PATH, tiny_root
from minidock.containers.init import run
from minidock.containers.steps import Context
from minidock.oci import runtime as oci

# A real fork bomb doubles; this one counts to 150, and the end of its pid namespace ends all of them.
SCRIPT = """
i=0; while [ $i -lt 150 ]; do sleep 100 & i=$((i+1)); done
echo "$(ls /proc | grep -c '^[0-9]') processes of mine are running, and nobody minds"
bytes=$(yes | tr -d '\\n' | head -c 60000000 | tail -n 1 | wc -c)
echo "one of my programs held $bytes bytes in memory, and nobody minds"
echo "with a little more patience, the machine would have been mine"
"""


def main(arguments: list[str]) -> int:
    """A fork bomb and a memory hog in chapter 2's container, both stopping by themselves."""
    program = ("sh", "-c", SCRIPT)
    with tiny_root() as root:
        return run(plan(root, program), Context(oci.Process("/", list(program), [PATH])))
