"""vagrant/provision.sh on machines that have nothing: it does everything, and a second time nothing."""

from __future__ import annotations

import pytest

from tests.fresh.machine import SUITES, machine

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]

# What a daemon that only looks leaves: its database and log are written to. apt and Python keep caches.
LIVING = (
    "-path /var/lib/minidock -o -path /var/log/minidockd.log -o -path /proc -o -path /sys -o -path /run -o -path /tmp"
)


@pytest.mark.parametrize("suite", SUITES)
def test_provision_does_everything_once(suite: str) -> None:
    """Group, member, completion, image, message of the day; the second run says nothing and touches no file."""
    with machine(suite) as fresh:
        fresh.run("git clone --quiet /srv/minidock.git /vagrant && useradd --create-home vagrant")
        first = fresh.run("/vagrant/vagrant/provision.sh").stdout
        assert "minidock: vagrant is in the group minidock" in first
        assert "minidock: the image tiny" in first
        assert "minidock" in fresh.run("id -nG vagrant").stdout
        assert fresh.run("minidock run --rm tiny echo hello 2>/dev/null").stdout == "hello\n"
        complete = "source /usr/share/bash-completion/completions/minidock; COMP_WORDS=(minidock sto); COMP_CWORD=1"
        assert fresh.run(f"{complete}; _minidock; echo $COMPREPLY").stdout == "stop\n"
        assert "Type first:" in fresh.run("cat /etc/motd").stdout
        fresh.run("minidock system stop; touch /root/before; sleep 0.01")
        second = fresh.run("/vagrant/vagrant/provision.sh").stdout
        assert second == ""
        changed = fresh.run(f"find / \\( {LIVING} \\) -prune -o -newer /root/before -type f -print").stdout
        assert changed == ""
