"""What README.md promises to somebody with a new Debian machine: each command, typed there, and what it prints.

``make test-fresh`` runs this; ``make test`` does not, for it would be a suite within a suite. The parts of the suite
that are run in there are in ``FRESH_TESTS`` (arguments for pytest), by default a part that takes about a minute.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import first_session
from tests.fresh.machine import SUITES, Machine, machine

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]

PART = "tests/kernel/test_runtime.py tests/kernel/test_announce.py tests/engine/test_docker_cli_run.py"


@pytest.fixture(scope="module", params=SUITES)
def fresh(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine on which somebody has cloned the project; the tests below follow one another on it."""
    with machine(request.param) as started:
        started.run("git clone --quiet /srv/minidock.git minidock")
        yield started


def left_behind(fresh: Machine) -> str:
    """What is to be the same before and after: processes, mounts, links, packet filter, files that are not ours."""
    look = "ps -eo args= | grep -v 'ps -eo\\|grep'; cut -d' ' -f5 /proc/self/mountinfo; ls /sys/class/net /tmp /run"
    return fresh.run(f"{look}; nft list ruleset; git -C minidock status --porcelain").stdout


def test_an_ordinary_user_is_told_that_root_is_needed(fresh: Machine) -> None:
    """One line names what is missing and who can install it, and nothing has been done."""
    done = fresh.run(
        "cp -r minidock /tmp/copy; cd /tmp/copy; chmod -R a+rX .; setpriv --reuid 1000 .ci/setup run", check=False
    )
    fresh.run("rm -r /tmp/copy")
    assert done.returncode == 1
    assert done.stdout.startswith("these Debian packages are missing, and only root can install them")
    assert "nftables" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_make_demo(fresh: Machine) -> None:
    """With nothing there but git, make and Python, a container comes to life; twice, and nothing is left."""
    shown = fresh.run("make -C minidock demo").stdout
    assert "and this is my root: /bin /dev /etc" in shown
    before = left_behind(fresh)
    assert fresh.run("make -C minidock demo").stdout.count("$ minidock") == shown.count("$ minidock")
    assert left_behind(fresh) == before


def test_make_test(fresh: Machine) -> None:
    """The suite does its own set-up too, and passes with this Debian's Python, tools and Docker, without a warning."""
    part = os.environ.get("FRESH_TESTS", PART)
    shown = fresh.run(f"cd minidock && make test PYTEST_ARGS='-q -p no:cacheprovider {part}'", limit=3000).stdout
    summary = shown.splitlines()[-1]
    assert "passed" in summary
    assert "failed" not in summary and "warning" not in summary, shown[-3000:]
    assert "policy-rc.d" not in fresh.run("ls /usr/sbin").stdout


def test_make_install_over_an_old_installation(fresh: Machine) -> None:
    """What was removed from the source since is not there any more, and the commands are the new ones."""
    fresh.run("make -C minidock install")
    fresh.run("mkdir -p minidock/build/lib/minidock && touch minidock/build/lib/minidock/gone.py /opt/minidock/old")
    fresh.run("make -C minidock install")
    assert fresh.run("cd / && find /opt/minidock -name gone.py").stdout == ""
    assert fresh.run("git -C minidock status --porcelain").stdout == ""


def test_the_first_session_of_the_readme(fresh: Machine) -> None:
    """Each command prints what README.md shows, but for identifiers, numbers and times."""
    first_session.replay(lambda command: fresh.run(command).stdout)
    assert fresh.run("ps -eo args= | grep -c '[p]ython.*minidock'", check=False).stdout == "0\n"


def test_make_uninstall(fresh: Machine) -> None:
    """The commands are gone."""
    fresh.run("make -C minidock uninstall")
    assert fresh.run("ls /usr/local/bin /opt").stdout.split() == ["/opt:", "/usr/local/bin:"]
