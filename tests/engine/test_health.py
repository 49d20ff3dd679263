"""Health checks: from starting to healthy to unhealthy, with what the probes said, through daemons that come and go."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from minidock.database import Database
from minidock.images.images import Images
from minidock.oci.image import ContainerDefaults, Healthcheck
from minidock.oci.reference import parse
from tests.engine.harness import Daemon, running_daemon, tiny_archive, wait_for
from tests.peers import words_of_docker_28

pytestmark = pytest.mark.root

FAST = ("--health-interval", "100ms", "--health-retries", "2")
WAIT = ("tiny", "sleep", "1000")


def run(daemon: Daemon, *options: str) -> str:
    """A container's id."""
    return daemon.ok("run", "-d", "--net", "none", *options, *WAIT)


def health(daemon: Daemon, container: str) -> Any:
    """What inspect says of its health."""
    return daemon.inspect(container)["State"].get("Health")


def becomes(daemon: Daemon, container: str, status: str) -> Any:
    """Wait for this health."""
    wait_for(lambda: health(daemon, container)["Status"] == status, status)
    return health(daemon, container)


def test_from_healthy_to_unhealthy_and_back(daemon: Daemon) -> None:
    """The words in ps, the filter, the streak, the last five results, the events, in order."""
    container = run(daemon, "--health-cmd", "test ! -e /bad || { echo so bad; exit 3; }", *FAST)
    shown = ("ps", "--format", "{{.Status}}", "-f", f"id={container}")
    becomes(daemon, container, "healthy")
    assert daemon.ok(*shown).endswith(" (healthy)")
    daemon.ok("exec", container, "touch", "/bad")
    now = becomes(daemon, container, "unhealthy")
    assert now["FailingStreak"] >= 2 and daemon.ok(*shown).endswith(" (unhealthy)")
    last = now["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (3, "so bad\n") and last["Start"] < last["End"]
    wait_for(lambda: health(daemon, container)["FailingStreak"] >= 6, "more failures")
    assert len(health(daemon, container)["Log"]) == 5
    assert daemon.ok("ps", "-q", "--no-trunc", "-f", "health=unhealthy") == container
    assert daemon.ok("ps", "-q", "-f", "health=healthy", "-f", "health=starting") == ""
    daemon.ok("exec", container, "rm", "/bad")
    assert becomes(daemon, container, "healthy")["FailingStreak"] == 0
    told = ("events", "--since", "1", "--until", str(time.time()), "-f", f"container={container}")
    events = daemon.ok(*told, "-f", "event=health_status", "--format", "{{.Action}}").splitlines()
    assert events == [f"health_status: {word}" for word in ("healthy", "unhealthy", "healthy")]
    daemon.ok("kill", container)
    assert daemon.ok("wait", container) == "137"
    assert health(daemon, container)["Status"] == "unhealthy"


def test_a_probe_s_events(daemon: Daemon) -> None:
    """A probe is an exec: created, started, ended, with its command."""
    container = run(daemon, "--health-cmd", "true", *FAST)
    becomes(daemon, container, "healthy")
    told = (
        "events",
        "--since",
        "1",
        "--until",
        str(time.time()),
        "-f",
        f"container={container}",
        "--format",
        "{{.Action}}",
    )
    actions = daemon.ok(*told).splitlines()
    begin = actions.index("exec_create: /bin/sh -c true")
    assert actions[begin : begin + 3] == ["exec_create: /bin/sh -c true", "exec_start: /bin/sh -c true", "exec_die"]


def test_output_is_cut(daemon: Daemon) -> None:
    """4096 bytes of it are kept, and three dots say so."""
    container = run(daemon, "--health-cmd", "head -c 100000 /dev/zero | tr '\\0' x", *FAST)
    output = becomes(daemon, container, "healthy")["Log"][0]["Output"]
    assert output == "x" * 4096 + "..."


def test_a_probe_that_hangs_is_killed(daemon: Daemon) -> None:
    """Code -1, what it had said, and no process is left behind."""
    container = run(daemon, "--health-cmd", "echo so far; exec sleep 999", "--health-timeout", "1s", *FAST)
    last = becomes(daemon, container, "unhealthy")["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (-1, "Health check exceeded timeout (1s): so far\n")
    daemon.ok("pause", container)  # no probe runs now, or it stands still
    assert daemon.ok("top", container, "-eo", "pid,args").count("sleep 999") <= 1


def test_a_probe_that_cannot_run(daemon: Daemon) -> None:
    """Code -1, and why."""
    document = {"Test": ["CMD", "/nonsense"], "Interval": 10**8, "Retries": 1}
    body = {"Image": "tiny", "Cmd": ["sleep", "1000"], "Healthcheck": document, "HostConfig": {"NetworkMode": "none"}}
    container = daemon.json("POST", "/containers/create", body)["Id"]
    daemon.ok("start", container)
    last = becomes(daemon, container, "unhealthy")["Log"][-1]
    assert last["ExitCode"] == -1 and "no such file or directory" in last["Output"]


@words_of_docker_28
def test_the_start_period_forgives(daemon: Daemon) -> None:
    """Failures in it do not count; probes come at the start interval; a success ends it early."""
    options = ("--health-start-period", "1h", "--health-start-interval", "50ms", "--health-retries", "1")
    container = run(daemon, "--health-cmd", "test -e /good", "--health-interval", "1h", *options)
    wait_for(lambda: len(health(daemon, container)["Log"]) >= 3, "some failures")
    assert health(daemon, container)["Status"] == "starting" and health(daemon, container)["FailingStreak"] == 0
    assert "(health: starting)" in daemon.ok("ps", "--format", "{{.Status}}", "-f", f"id={container}")
    daemon.ok("exec", container, "touch", "/good")
    becomes(daemon, container, "healthy")


@pytest.fixture(scope="module")
def mortal() -> Iterator[Daemon]:
    """A daemon that may die."""
    with running_daemon() as daemon:
        yield daemon


def test_the_next_daemon_goes_on(mortal: Daemon) -> None:
    """Killed in the middle: the health and its log are there afterwards, and probes go on."""
    container = run(mortal, "--health-cmd", "echo well", *FAST)
    becomes(mortal, container, "healthy")
    mortal.kill()
    mortal.start()
    now = health(mortal, container)
    assert now["Status"] == "healthy" and now["Log"]
    seen = {entry["Start"] for entry in now["Log"]}
    wait_for(lambda: {entry["Start"] for entry in health(mortal, container)["Log"]} - seen, "another probe")
    assert json.dumps(health(mortal, container)).count("well") >= 1


def test_the_image_s_check_can_be_changed_and_switched_off(mortal: Daemon) -> None:
    """HEALTHCHECK of an image holds; --health-interval changes a part of it; --no-healthcheck is none."""
    mortal.kill()
    database = Database(mortal.root / "data/minidock.db")
    check = Healthcheck(test=["CMD", "true"], interval=10**8, retries=7)
    images = Images(mortal.root / "data", database)
    images.import_rootfs(io.BytesIO(tiny_archive()), parse("checked"), ContainerDefaults(healthcheck=check), "")
    database.close()
    mortal.start()
    assert mortal.json("GET", "/images/checked/json")["Config"]["Healthcheck"]["Retries"] == 7
    started = [
        mortal.ok("run", "-d", "--net", "none", *options, "checked", "sleep", "1000")
        for options in ((), ("--health-interval", "2h"), ("--no-healthcheck",))
    ]
    becomes(mortal, started[0], "healthy")
    config = mortal.inspect(started[1])["Config"]["Healthcheck"]
    assert config == {"Test": ["CMD", "true"], "Interval": 7200 * 10**9, "Retries": 7}
    assert health(mortal, started[2]) is None
    assert "health" not in mortal.ok("ps", "--format", "{{.Status}}", "-f", f"id={started[2]}")
    assert mortal.ok("ps", "-q", "--no-trunc", "-f", "health=none") == started[2]
