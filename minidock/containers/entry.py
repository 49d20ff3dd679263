"""Where ``minidock-runtime`` begins and ends. It lives for some milliseconds, and Python is made for longer lives.

What it leaves out here takes ten milliseconds of what is a hundred otherwise: see docs/decisions/0040.
"""

import gc
import os
import sys


def main() -> None:
    """Run the command line, and end with its exit code."""
    # A collection would look through what was just loaded, and find nothing to free; after a fork, its marks would also
    # make copies of all the memory that the two processes still share.
    gc.disable()
    from minidock.containers import command

    code = command.main()
    # Not sys.exit: it would take every module apart, a moment before the kernel frees the memory as a whole.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
