"""Where the two programs begin that make containers: ``minidock-runtime``, and the daemon's launcher.

Both first become a copy of the interpreter that no container can overwrite (see :mod:`minidock.containers.sealed`), and
do so before anything else is loaded: what was loaded until then is loaded twice.

``minidock-runtime`` lives for some milliseconds, and Python is made for longer lives. What is left out here takes ten
milliseconds of what is a hundred otherwise: see docs/decisions/0040.
"""

import gc
import os
import sys

from minidock.containers.sealed import reexec_sealed

# Commands whose processes enter a container, or become one.
_ENTERING = {"create", "run", "exec"}


def main() -> None:
    """Run the command line, and end with its exit code."""
    # A collection would look through what was just loaded, and find nothing to free; after a fork, its marks would also
    # make copies of all the memory that the two processes still share.
    gc.disable()
    if not _ENTERING.isdisjoint(sys.argv[1:]):
        reexec_sealed()
    _load_msgspec()
    from minidock.containers import command

    code = command.main()
    # Not sys.exit: it would take every module apart, a moment before the kernel frees the memory as a whole.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def launch() -> None:
    """Be the launcher. Every process of its containers, until it execs, is a fork of it and runs its interpreter."""
    reexec_sealed()
    _load_msgspec()
    from minidock.containers import launcher

    launcher.main()


def _load_msgspec() -> None:
    """msgspec takes three names from typing_extensions if that is installed, and from typing otherwise.

    (get_type_hints, Required, NotRequired.) For our types those do as well, and typing_extensions takes 10 ms to load.
    """
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]  # "there is no such module" (import system)
    import msgspec  # noqa: F401

    del sys.modules["typing_extensions"]


if __name__ == "__main__":
    launch()
