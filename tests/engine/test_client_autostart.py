"""A daemon that the client starts by itself, on the default socket: in namespaces of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.root

MINIDOCK = [sys.executable, "-c", "from minidock.client.main import main; main()"]

# /run, /var/lib and /var/log are empty in here, and gone when the last process is.
PRELUDE = """
set -u
for place in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 none $place; done
ip link set lo up
"""


def inside(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which ``"$@"`` is ``minidock``."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MINIDOCK_HOST", "DOCKER_HOST")}
    command = ["unshare", "--mount", "--net", "--propagation", "private", "--", "sh", "-c", PRELUDE + script, "sh"]
    return subprocess.run(
        [*command, *MINIDOCK], capture_output=True, text=True, timeout=100, env=environment, check=False
    )


def test_the_first_command_starts_the_daemon_and_stop_ends_it() -> None:
    """One line says so; the next command says nothing; after ``system stop`` there is no socket and no daemon."""
    done = inside("""
        "$@" ps; echo "code $?" >&2
        "$@" ps -q; echo "code $?" >&2
        "$@" system stop; echo "code $?" >&2
        test -e /run/minidock.sock && echo "the socket is still there" >&2
        "$@" system stop; echo "code $?" >&2
    """)
    assert done.stdout.startswith("CONTAINER ID")
    lines = done.stderr.splitlines()
    assert lines[0].startswith("minidock: starting the daemon (minidock system stop ends it")
    assert lines[1:3] == ["code 0", "code 0"]
    assert lines[3].startswith("minidock: stopped the daemon (pid ")
    assert lines[4] == "code 0"
    assert lines[5].startswith("Cannot connect to the minidock daemon at unix:///run/minidock.sock.")
    assert lines[6:] == ["code 1"]


def test_two_first_commands_at_once_share_one_daemon() -> None:
    """Both may try to start it; one of the daemons wins, and both commands work."""
    done = inside("""
        "$@" images >/run/1 & first=$!
        "$@" images >/run/2 & wait $first && wait $! && cat /run/1 /run/2
        "$@" system stop
    """)
    assert done.stdout.count("REPOSITORY") == 2, done.stderr
    assert done.stderr.count("starting the daemon") == 1


def test_somebody_else_than_root_is_told_who_can() -> None:
    """Only root can start it; the message says how."""
    reads_all = "--inh-caps +dac_read_search --ambient-caps +dac_read_search"  # the checkout may be in /root
    done = inside(f'setpriv --reuid 65534 --regid 65534 --clear-groups {reads_all} -- "$@" ps; echo "code $?"')
    assert done.stdout == "code 1\n"
    assert "only root can start it: sudo minidockd" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_daemon_that_does_not_start_says_why() -> None:
    """Its last word is repeated, and where there is more."""
    done = inside('mkdir /var/lib/minidock; flock /var/lib/minidock/minidockd.lock "$@" ps; echo "code $?"')
    assert done.stdout == "code 1\n"
    starting, failed = done.stderr.splitlines()
    assert starting.startswith("minidock: starting the daemon")
    assert "another minidockd uses /var/lib/minidock" in failed
    assert "(see /var/log/minidockd.log)" in failed
