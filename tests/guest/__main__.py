"""Run tests in a guest with pure cgroup v2: ``python -m tests.guest [--systemd] [PYTEST-ARGUMENT…]``.

pytest's output comes out as if it ran here, its JUnit report with ``--junit FILE``. The exit status is pytest's, or 125
when the machine itself failed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from tests.guest.image import image
from tests.guest.job import pack
from tests.guest.machine import MachineFailed, run

PYTEST = "python3 -m pytest -p no:cacheprovider --junit-xml=/job/results/junit.xml"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.guest", description=__doc__)
    parser.add_argument("--systemd", action="store_true", help="boot systemd (slower) instead of a small first process")
    parser.add_argument("--limit", type=float, default=900.0, metavar="SECONDS", help="for the whole run (900)")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="where the JUnit report goes")
    parser.add_argument("--shell", metavar="COMMAND", help="run this in the guest instead of tests")
    options, arguments = parser.parse_known_args()
    exports = f"export CI={os.environ.get('CI', '')} PATH=/job/bin:$PATH\n"
    with tempfile.TemporaryDirectory(prefix="minidock-job-") as directory:
        job, results = Path(directory, "job.tar"), Path(directory, "results")
        pack(job, exports + (options.shell or f"{PYTEST} {shlex.join(arguments)}") + "\n")
        try:
            status = run(image(), job, results, limit=options.limit, systemd=options.systemd)
        except MachineFailed as error:
            print(error, file=sys.stderr)
            sys.exit(125)
        if options.junit:
            shutil.copy(results / "junit.xml", options.junit)
    sys.exit(status)


if __name__ == "__main__":
    main()
