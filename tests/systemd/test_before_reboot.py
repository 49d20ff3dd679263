"""minidockd as a service: installed as a user would, started by its socket, restarted under running containers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.machine import CONFIG, PROOF, docker, inspect, journal, ok, run, state, wait_for

pytestmark = pytest.mark.root

CGROUPS = Path("/sys/fs/cgroup")


@pytest.fixture(scope="module", autouse=True)
def service() -> Iterator[None]:
    """`make install-systemd`, and the image tiny."""
    ok("make", "install-systemd")
    image = subprocess.run(["minidock-tiny"], capture_output=True, check=True).stdout
    docker_import = ["docker", "-H", "unix:///run/minidock.sock", "import", "-", "tiny"]
    subprocess.run(docker_import, input=image, check=True, capture_output=True)
    PROOF.mkdir(exist_ok=True)
    yield


def restart() -> None:
    """As an administrator after an update."""
    ok("systemctl", "restart", "minidockd.service")


def configure(**settings: object) -> None:
    """Write the configuration file."""
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text(json.dumps({name.replace("_", "-"): value for name, value in settings.items()}))


def test_the_service_is_ready_on_its_socket() -> None:
    """The socket is systemd's, for the group; the daemon said that it is ready; info tells the truth about cgroups."""
    assert state("minidockd.service") == state("minidockd.socket") == "active"
    assert Path("/run/minidock.sock").stat().st_mode & 0o777 == 0o660
    assert Path("/run/minidock.sock").group() == "minidock"
    info = json.loads(docker("info", "--format", "{{json .}}"))
    assert (info["CgroupVersion"], info["CgroupDriver"]) == ("2", "cgroupfs")
    assert ok("systemctl", "show", "-P", "OOMScoreAdjust", "minidockd.service") == "-500"


def test_the_socket_starts_the_service() -> None:
    """A client that comes while no daemon runs waits for one."""
    ok("systemctl", "stop", "minidockd.service")
    assert state("minidockd.service") == "inactive"
    assert docker("version", "--format", "{{.Server.Os}}") == "linux"
    assert state("minidockd.service") == "active"


def test_containers_live_through_a_restart() -> None:
    """The same process, no line of the log lost, and the code that it ends with at last."""
    script = "i=0; while [ ! -e /proof/end ]; do echo $i; i=$((i+1)); sleep 0.2; done; exit 7"
    docker("run", "-d", "--name", "lives", "-v", f"{PROOF}:/proof", "tiny", "sh", "-c", script)
    before = inspect("lives")["State"]["Pid"]
    restart()
    assert inspect("lives")["State"]["Pid"] == before
    (PROOF / "end").touch()
    assert docker("wait", "lives") == "7"
    lines = docker("logs", "lives").splitlines()
    assert lines == [str(number) for number in range(len(lines))] and len(lines) > 3
    docker("rm", "lives")


def test_an_end_without_a_daemon_is_known_to_the_next() -> None:
    """A container that ends while the service is stopped keeps its exit code."""
    docker("run", "-d", "--name", "ends", "tiny", "sleep", "1000")
    pid = inspect("ends")["State"]["Pid"]
    ok("systemctl", "stop", "minidockd.socket", "minidockd.service")
    os.kill(pid, signal.SIGKILL)
    ok("systemctl", "start", "minidockd.socket", "minidockd.service")
    wait_for(lambda: inspect("ends")["State"]["Status"] == "exited", "its end to be told")
    assert inspect("ends")["State"]["ExitCode"] == 137
    docker("rm", "ends")


def test_a_crash_is_followed_by_a_new_daemon() -> None:
    """Restart=on-failure; what ran, runs."""
    docker("run", "-d", "--name", "survives", "tiny", "sleep", "1000")
    daemon = ok("systemctl", "show", "-P", "MainPID", "minidockd.service")
    os.kill(int(daemon), signal.SIGKILL)
    wait_for(lambda: ok("systemctl", "show", "-P", "MainPID", "minidockd.service") not in ("0", daemon), "a new daemon")
    assert inspect("survives")["State"]["Running"]
    docker("rm", "-f", "survives")


def test_reload_takes_over_what_can_change() -> None:
    """SIGHUP, by `systemctl reload`: registries and the log level; a file that is wrong changes nothing."""
    configure(insecure_registries=["registry.lan:5000"], log_level="debug")
    daemon = ok("systemctl", "show", "-P", "MainPID", "minidockd.service")
    ok("systemctl", "reload", "minidockd.service")
    wait_for(lambda: "registry.lan:5000" in docker("info", "--format", "{{json .RegistryConfig}}"), "the reload")
    CONFIG.write_text("{nonsense")
    ok("systemctl", "reload", "minidockd.service")
    wait_for(lambda: "the configuration stays as it was" in journal(), "the complaint")
    assert "registry.lan:5000" in docker("info", "--format", "{{json .RegistryConfig}}")
    assert ok("systemctl", "show", "-P", "MainPID", "minidockd.service") == daemon
    CONFIG.unlink()


def test_systemd_makes_the_cgroups() -> None:
    """With the cgroup driver systemd each container is a scope, with its limits; it goes with the container."""
    configure(exec_opts=["native.cgroupdriver=systemd"])
    restart()
    assert docker("info", "--format", "{{.CgroupDriver}} {{.CgroupVersion}}") == "systemd 2"
    limits = ("-m", "64m", "--pids-limit", "50", "--cpus", "0.5", "--cpuset-cpus", "0")
    container = docker("run", "-d", *limits, "tiny", "sleep", "1000")
    scope, unit = CGROUPS / f"system.slice/minidock-{container}.scope", f"minidock-{container}.scope"
    group = scope / "container"
    told = {name: (group / name).read_text().strip() for name in ("memory.max", "pids.max", "cpu.max", "cpuset.cpus")}
    assert told == {"memory.max": str(64 << 20), "pids.max": "50", "cpu.max": "50000 100000", "cpuset.cpus": "0"}
    assert state(unit) == "active" and ok("systemctl", "show", "-P", "Delegate", unit) == "yes"
    assert docker("exec", container, "cat", "/proc/self/cgroup") == "0::/"
    docker("pause", container)
    assert "frozen 1" in (group / "cgroup.events").read_text()
    docker("unpause", container)
    docker("update", "-m", "32m", "--memory-swap", "64m", container)
    ok("systemctl", "daemon-reload")  # systemd writes its own idea of every unit then
    assert (group / "memory.max").read_text().strip() == str(32 << 20)
    restart()
    assert inspect(container)["State"]["Running"]
    docker("rm", "-f", container)
    wait_for(lambda: not scope.exists() and state(unit) == "inactive", "the scope to go")


def test_a_scope_in_a_slice_of_the_users() -> None:
    """--cgroup-parent is a slice then; anything else is refused in Docker's words, and leaves nothing."""
    container = docker("run", "-d", "--cgroup-parent", "lab-one.slice", "tiny", "sleep", "1000")
    assert (CGROUPS / f"lab.slice/lab-one.slice/minidock-{container}.scope").is_dir()
    docker("rm", "-f", container)
    done = run("docker", "-H", "unix:///run/minidock.sock", "run", "--cgroup-parent", "/lab", "tiny", "true")
    assert 'should be a valid slice named as "xxx.slice"' in done.stderr and docker("ps", "-aq") == ""


def test_a_container_that_cannot_start_leaves_no_scope() -> None:
    """Nor one that was killed for its memory."""
    run("docker", "-H", "unix:///run/minidock.sock", "run", "--rm", "tiny", "nosuchprogram")
    script = "x=$(head -c 100000000 /dev/zero | tr '\\0' x)"
    run("docker", "-H", "unix:///run/minidock.sock", "run", "--rm", "-m", "16m", "tiny", "sh", "-c", script)
    wait_for(lambda: not [*CGROUPS.glob("**/minidock-*.scope")], "the scopes to go")
    assert "minidock-" not in ok("systemctl", "list-units", "--all", "--no-legend", "*.scope")
    CONFIG.unlink()
    restart()


def test_containers_for_the_next_boot() -> None:
    """Made now, looked at after the reboot: with policies of all kinds, and one that tells how it was ended."""
    for name, policy in (("always", "always"), ("unless", "unless-stopped"), ("stopped", "unless-stopped")):
        docker("run", "-d", "--name", name, "--restart", policy, "tiny", "sleep", "100000")
    docker("stop", "-t", "0", "stopped")
    script = 'trap "sleep 1; echo stopped > /proof/told; exit 3" TERM; while :; do sleep 0.2; done'
    docker("run", "-d", "--name", "told", "-v", f"{PROOF}:/proof", "tiny", "sh", "-c", script)
    # This one ignores signals: it ends by minidockd's SIGKILL, and somebody is there to see it, or by systemd's.
    docker("run", "-d", "--name", "deaf", "--stop-timeout", "1", "tiny", "sleep", "100000")
    assert not (PROOF / "told").exists()
