"""The same machine after a reboot: containers were stopped in time, and restart policies have acted."""

from __future__ import annotations

import pytest

from tests.systemd.machine import PROOF, docker, inspect, ok, state, wait_for

pytestmark = pytest.mark.root


def test_containers_were_stopped_in_order() -> None:
    """Each got its signal and the time to obey, from minidockd, before the machine went: the end is on record."""
    assert (PROOF / "told").read_text() == "stopped\n"
    wait_for(lambda: state("minidockd.service") == "active", "the service")
    told = inspect("told")["State"]
    assert (told["Status"], told["ExitCode"], told["OOMKilled"]) == ("exited", 3, False)
    assert inspect("deaf")["State"]["ExitCode"] == 137


def test_restart_policies_act_at_boot() -> None:
    """What should run again runs; what a person had stopped does not."""
    for name in ("always", "unless"):
        ok("sh", "-c", f"until docker -H unix:///run/minidock.sock top {name}; do sleep 0.2; done")
        assert inspect(name)["State"]["Running"]
    assert inspect("stopped")["State"]["Status"] == "exited"


def test_uninstall_leaves_no_unit() -> None:
    """And no process of ours, once the containers are gone."""
    docker("rm", "-f", "always", "unless", "stopped", "told", "deaf")
    ok("make", "uninstall-systemd")
    assert state("minidockd.service") == state("minidockd.socket") == "inactive"
    assert "could not be found" in ok("sh", "-c", "systemctl status minidockd.service 2>&1; true")
