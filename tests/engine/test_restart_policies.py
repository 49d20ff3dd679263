"""``--restart``: who starts again, through ends, stops, kills, removals and daemons that come and go."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.harness import Daemon, running_daemon, wait_for

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def mortal_daemon() -> Iterator[Daemon]:
    """A daemon that the tests of this module may stop, kill and start."""
    with running_daemon() as daemon:
        yield daemon


@pytest.fixture
def mortal(mortal_daemon: Daemon) -> Iterator[Daemon]:
    """The same, without containers afterwards."""
    yield mortal_daemon
    for container in mortal_daemon.json("GET", "/containers/json?all=1"):
        mortal_daemon.request("DELETE", f"/containers/{container['Id']}?force=1")


def run(daemon: Daemon, policy: str, *command: str) -> str:
    """A container's id."""
    return daemon.ok("run", "-d", "--net", "none", "--restart", policy, "tiny", *command)


def state(daemon: Daemon, container: str) -> Any:
    """What inspect says of its state."""
    return daemon.inspect(container)["State"]


def restart_count(daemon: Daemon, container: str) -> int:
    """How often its policy has started it."""
    count: int = daemon.inspect(container)["RestartCount"]
    return count


def test_always_starts_again_and_counts(daemon: Daemon) -> None:
    """Also after success; each run writes into the same log, and every end is told."""
    container = run(daemon, "always", "echo", "once more")
    wait_for(lambda: restart_count(daemon, container) >= 3, "a third end")
    daemon.ok("stop", container)
    assert state(daemon, container)["Status"] == "exited"
    lines = daemon.ok("logs", container).splitlines()
    assert set(lines) == {"once more"} and len(lines) >= 3
    events = daemon.ok(
        "events", "--since", "1", "--until", str(time.time()), "-f", f"container={container}", "-f", "event=die"
    )
    assert len(events.splitlines()) == len(lines) and "exitCode=0" in events and "execDuration=0" in events


def test_a_stop_during_a_start_by_policy_is_the_end(daemon: Daemon) -> None:
    """The start goes on to its end, and then the container is stopped and stays so."""
    container = run(daemon, "always", "sh", "-c", "sleep 0.05")
    bundle = daemon.root / "data/containers" / container / "config.json"
    for _ in range(10):
        known = bundle.stat().st_mtime_ns
        while bundle.stat().st_mtime_ns == known:
            os.sched_yield()  # not a moment is to be lost: a start by the policy is now under way
        assert daemon.request("POST", f"/containers/{container}/stop")[0] in (204, 304)
        assert state(daemon, container)["Status"] == "exited"
        daemon.ok("start", container)


def test_on_failure_gives_up_after_so_many_times(daemon: Daemon) -> None:
    """Three runs: the first, and two more. Success ends it at once."""
    container = run(daemon, "on-failure:2", "sh", "-c", "echo run; exit 3")
    wait_for(lambda: state(daemon, container)["Status"] == "exited", "it to be given up")
    assert daemon.ok("logs", container) == "run\nrun\nrun"
    assert restart_count(daemon, container) == 2 and state(daemon, container)["ExitCode"] == 3
    assert daemon.ok("wait", run(daemon, "on-failure:2", "true")) == "0"
    daemon.docker("start", "-a", container)
    assert daemon.ok("logs", container).count("run") >= 4, "a start by hand counts anew"


def test_restarting_is_a_state_in_which_it_counts_as_running(daemon: Daemon) -> None:
    """ps shows it, inspect calls it running and restarting, and nothing can be done in it; Docker's words."""
    container = run(daemon, "always", "sh", "-c", "exit 7")
    wait_for(lambda: restart_count(daemon, container) >= 6, "pauses to become long")
    wait_for(lambda: state(daemon, container)["Status"] == "restarting", "a pause")
    now = state(daemon, container)
    assert (now["Running"], now["Restarting"], now["Pid"], now["ExitCode"]) == (True, True, 0, 7)
    shown = daemon.ok("ps", "--format", "{{.State}} {{.Status}}", "-f", "status=restarting")
    assert shown.startswith("restarting Restarting (7) ") and shown.endswith(" ago")
    text = f"Container {container} is restarting, wait until the container is running"
    for command in (["exec", container, "true"], ["pause", container]):
        done = daemon.docker(*command)
        assert done.returncode != 0 and "is restarting, wait until the container is running" in done.stderr, command
    assert text in daemon.docker("exec", container, "true").stderr
    assert daemon.request("POST", f"/containers/{container}/attach?stream=1&stdout=1")[0] == 409
    refused = daemon.docker("rm", container)
    assert "container is restarting: stop the container before removing or force remove" in refused.stderr
    assert daemon.request("POST", f"/containers/{container}/start")[0] == 304
    waiting = daemon.popen("wait", container)
    daemon.ok("stop", container)
    assert waiting.wait(30) == 0
    assert state(daemon, container)["Status"] == "exited"
    assert daemon.request("POST", f"/containers/{container}/stop")[0] == 304


@pytest.mark.parametrize("how", [["kill"], ["stop", "-t", "0"], ["rm", "-f"]])
def test_what_is_stopped_while_it_waits_stays_stopped(daemon: Daemon, how: list[str]) -> None:
    """kill, stop and rm -f between two runs: no further run."""
    container = run(daemon, "always", "false")
    wait_for(lambda: restart_count(daemon, container) >= 4, "pauses to become long")
    daemon.ok(*how, container)
    left = [item["State"] for item in daemon.json("GET", "/containers/json?all=1")]
    assert left == ([] if how[0] == "rm" else ["exited"])


def test_a_manual_stop_is_respected(daemon: Daemon) -> None:
    """A running one that is killed does not start again; a start by hand makes the policy hold again."""
    container = run(daemon, "unless-stopped", "sleep", "1000")
    daemon.ok("kill", container)
    assert daemon.ok("wait", container) == "137"
    assert state(daemon, container)["Status"] == "exited"
    daemon.ok("start", container)
    pid = state(daemon, container)["Pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: state(daemon, container)["Pid"] not in (0, pid), "it to be started again")


def test_restart_does_not_remove(daemon: Daemon) -> None:
    """``docker restart`` of a ``--rm`` container: it is there afterwards."""
    container = daemon.ok("run", "-d", "--rm", "--net", "none", "tiny", "sleep", "1000")
    daemon.ok("restart", "-t", "0", container)
    assert state(daemon, container)["Running"]


def test_conflicts(daemon: Daemon) -> None:
    """--rm with a policy, and policies that are none: refused in Docker's words."""
    body = {"Image": "tiny", "Cmd": ["true"]}
    wrong = body | {"HostConfig": {"AutoRemove": True, "RestartPolicy": {"Name": "always"}}}
    for document, text in (
        (wrong, "can't create 'AutoRemove' container with restart policy"),
        (body | {"HostConfig": {"RestartPolicy": {"Name": "x"}}}, "unknown policy 'x'"),
    ):
        status, answer = daemon.request("POST", "/containers/create", json.dumps(document).encode())
        assert status == 400 and text in json.loads(answer)["message"]
    container = daemon.ok("run", "-d", "--rm", "--net", "none", "tiny", "sleep", "1000")
    refused = daemon.docker("update", "--restart", "always", container)
    assert "Restart policy cannot be updated because AutoRemove is enabled for the container" in refused.stderr


def test_update_changes_the_policy_of_a_running_container(daemon: Daemon) -> None:
    """``docker update --restart``: it holds from the next end on."""
    container = run(daemon, "no", "sleep", "1000")
    assert daemon.ok("update", "--restart", "on-failure:3", container) == container
    policy = daemon.inspect(container)["HostConfig"]["RestartPolicy"]
    assert policy == {"Name": "on-failure", "MaximumRetryCount": 3}
    pid = state(daemon, container)["Pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: state(daemon, container)["Pid"] not in (0, pid), "it to be started again")
    assert restart_count(daemon, container) == 1


def test_after_a_stop_of_the_daemon(mortal: Daemon) -> None:
    """always and unless-stopped start again, one that was stopped by hand only with always; others stay."""
    policies = ("no", "always", "unless-stopped", "on-failure")
    running = {policy: run(mortal, policy, "sleep", "1000") for policy in policies}
    stopped = {policy: run(mortal, policy, "sleep", "1000") for policy in policies}
    mortal.ok("kill", *stopped.values())
    mortal.stop()
    mortal.start()
    again = {policy for policy, container in running.items() if state(mortal, container)["Running"]}
    assert again == {"always", "unless-stopped"}
    assert {policy for policy, container in stopped.items() if state(mortal, container)["Running"]} == {"always"}
    assert restart_count(mortal, running["always"]) == 0


def test_after_a_crash_of_the_daemon(mortal: Daemon) -> None:
    """What ran goes on; what ended meanwhile, or waited for its next start, starts as its policy says."""
    goes_on = run(mortal, "always", "sleep", "1000")
    waits = run(mortal, "on-failure", "sh", "-c", "test -e /flag || exit 1; sleep 1000")
    wait_for(lambda: restart_count(mortal, waits) >= 3, "long pauses")
    ends = run(mortal, "unless-stopped", "sh", "-c", "test -e /flag && sleep 1000; touch /flag; sleep 0.5")
    pid = state(mortal, goes_on)["Pid"]
    mortal.kill()
    wait_for(lambda: (mortal.root / "data/containers" / ends / "exit.json").exists(), "its end")
    mortal.start()
    assert state(mortal, goes_on)["Pid"] == pid
    wait_for(lambda: state(mortal, ends)["Status"] == "running", "it to be started")
    wait_for(lambda: restart_count(mortal, waits) >= 1, "it to be started, and to fail again")
