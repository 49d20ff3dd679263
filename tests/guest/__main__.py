"""Run tests in a guest with pure cgroup v2: ``python -m tests.guest PYTEST-ARGUMENT…``, or with ``--systemd``.

Without ``--systemd`` the guest has a small first process, and any tests of the suite can be run. With it, the tests of
the service run (``tests/systemd``), with a reboot in their middle. pytest's output comes out as if it ran here, its
JUnit reports go into a directory (``--junit``). The exit status is pytest's, or 125 when the machine itself failed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.guest.image import image
from tests.guest.job import pack
from tests.guest.machine import MachineFailed, run

ENVIRONMENT = """\
export CI={ci} MINIDOCK_GUEST={guest} MINIDOCK_TEST_PATIENCE=200 PATH=/job/bin:$PATH
modprobe tun # a test gives it to a container
tests() { python3 -m pytest -p no:cacheprovider --timeout 400 --junit-xml="/job/results/$(date +%s).xml" "$@"; }
"""
SERVICE = """\
if [ ! -e /job/rebooted ]; then
    ln -s /job/bin/* /usr/local/bin
    tests tests/systemd/test_before_reboot.py || exit
    touch /job/rebooted
    exit 99
fi
tests tests/systemd/test_after_reboot.py
"""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.guest", description=__doc__)
    parser.add_argument("--systemd", action="store_true", help="boot systemd, and test the service")
    parser.add_argument("--limit", type=float, default=2700.0, metavar="SECONDS", help="for the whole run (2700)")
    parser.add_argument("--junit", type=Path, metavar="DIR", help="where the JUnit reports go")
    parser.add_argument("--shell", metavar="COMMAND", help="run this in the guest instead of tests")
    options, arguments = parser.parse_known_args()
    kind = "systemd" if options.systemd else "small"
    environment = ENVIRONMENT.replace("{ci}", os.environ.get("CI", "")).replace("{guest}", kind)
    script = options.shell or (SERVICE if options.systemd else f"tests {shlex.join(arguments)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the machine ends with us
    with tempfile.TemporaryDirectory(prefix="minidock-job-") as directory:
        job, results = Path(directory, "job.tar"), Path(directory, "results")
        pack(job, f"{environment}{script}\n")
        try:
            status = run(image(), job, results, limit=options.limit, systemd=options.systemd)
        except MachineFailed as error:
            print(error, file=sys.stderr)
            sys.exit(125)
        if options.junit:
            options.junit.mkdir(exist_ok=True)
            for report in results.glob("*.xml"):
                shutil.copy(report, options.junit)
    sys.exit(status)


if __name__ == "__main__":
    main()
