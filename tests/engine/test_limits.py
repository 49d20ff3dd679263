"""What a container may use, as the user says it and as the kernel does it. The same tests on cgroup v1 and v2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minidock.daemon import support
from minidock.daemon.description import info_warnings
from minidock.errors import InvalidInput
from minidock.kernel import cgroups
from minidock.messages import HostConfig
from tests.engine.harness import Daemon, wait_for

pytestmark = pytest.mark.root

LAYOUT = cgroups.detect()
IS_V2 = LAYOUT.kind == "v2"
LIMITS = {
    "memory": ("memory.limit_in_bytes", "memory.max"),
    "memory and swap": ("memory.memsw.limit_in_bytes", "memory.swap.max"),
    "memory that is kept": ("memory.soft_limit_in_bytes", "memory.low"),
    "processors": ("cpu.cfs_quota_us", "cpu.max"),
    "shares": ("cpu.shares", "cpu.weight"),
    "cpuset": ("cpuset.cpus", "cpuset.cpus"),
    "processes": ("pids.max", "pids.max"),
}
CONTROLLERS = {"memory and swap": "memory", "memory that is kept": "memory", "processors": "cpu", "shares": "cpu"}
CONTROLLERS |= {"processes": "pids"}


def directory(container: str, controller: str) -> Path:
    """Where the container's group of this controller is."""
    return cgroups.at(f"/minidock/{container}").directories()["" if IS_V2 else controller]


def limit(container: str, what: str) -> str:
    """What the kernel says."""
    return (directory(container, CONTROLLERS.get(what, what)) / LIMITS[what][IS_V2]).read_text().strip()


def test_every_limit_reaches_the_kernel(daemon: Daemon) -> None:
    """Each option of docker run, read back from the container's own group."""
    options = (
        *("-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpu-shares", "512"),
        *("--cpuset-cpus", "0", "--pids-limit", "20"),
    )
    container = daemon.ok("run", "-d", *options, "tiny", "sleep", "1000")
    assert {what: limit(container, what) for what in LIMITS} == {
        "memory": str(64 << 20),
        "memory and swap": str((32 if IS_V2 else 96) << 20),
        "memory that is kept": str(32 << 20),
        "processors": "50000 100000" if IS_V2 else "50000",
        "shares": "59" if IS_V2 else "512",
        "cpuset": "0",
        "processes": "20",
    }


def test_without_options_there_is_no_limit(daemon: Daemon) -> None:
    """As much as the machine has."""
    container = daemon.ok("run", "-d", "tiny", "sleep", "1000")
    stats = cgroups.at(f"/minidock/{container}").stats()
    assert stats.memory and stats.memory.limit is None and stats.pids and stats.pids.limit is None


def test_who_takes_too_much_memory_is_killed(daemon: Daemon) -> None:
    """137, and inspect says why."""
    script = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo survived"
    done = daemon.docker("run", "--name", "eater", "-m", "16m", "--memory-swap", "16m", "tiny", "sh", "-c", script)
    assert "survived" not in done.stdout and done.returncode in (137, 2), done
    assert daemon.inspect("eater")["State"]["OOMKilled"] is True


def test_who_forks_too_often_is_refused(daemon: Daemon) -> None:
    """The shell itself says that it cannot fork."""
    done = daemon.docker(
        "run", "--rm", "--pids-limit", "3", "tiny", "sh", "-c", "sleep 9 & sleep 9 & sleep 9 & sleep 9"
    )
    assert "fork" in done.stderr and done.returncode != 0


def test_a_cpuset_is_what_the_program_sees(daemon: Daemon) -> None:
    """And a processor that is not there is refused."""
    status = daemon.ok("run", "--rm", "--cpuset-cpus", "0", "tiny", "cat", "/proc/self/status")
    assert "Cpus_allowed_list:\t0\n" in status
    assert "Requested CPUs are not available" in daemon.docker("run", "--cpuset-cpus", "4096", "tiny", "true").stderr


def test_a_device_is_given_with_the_asked_access(daemon: Daemon) -> None:
    """By --device as asked; by --device-cgroup-rule, to a node that is there anyway; not at all otherwise."""
    script = "head -c 0 /dev/kmsg && echo read; : > /dev/kmsg && echo written"
    bound = ("-v", "/dev/kmsg:/dev/kmsg")
    for options, shown in (
        (("--device", "/dev/kmsg:/dev/kmsg:r"), "read\n"),
        (("--device", "/dev/kmsg"), "read\nwritten\n"),
        (("--privileged",), "read\nwritten\n"),
        (bound, ""),
        ((*bound, "--device-cgroup-rule", "c 1:11 w"), "written\n"),
    ):
        done = daemon.docker("run", "--rm", "--cap-add", "SYSLOG", *options, "tiny", "sh", "-c", script)
        assert done.stdout == shown, (options, done.stderr)


def test_pause_stops_and_unpause_goes_on(daemon: Daemon) -> None:
    """A counter stands still, in every process of the container; then it counts on."""
    script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"
    container = daemon.ok("run", "-d", "tiny", "sh", "-c", script)
    wait_for(lambda: daemon.docker("logs", container).stdout.count("\n") > 3, "it to count")
    daemon.ok("pause", container)
    before = daemon.ok("logs", container)
    assert daemon.inspect(container)["State"]["Status"] == "paused"
    assert "is paused" in daemon.docker("exec", container, "true").stderr
    assert daemon.ok("logs", container) == before
    daemon.ok("unpause", container)
    wait_for(lambda: daemon.ok("logs", container) != before, "it to go on")
    daemon.ok("pause", container)
    daemon.ok("rm", "-f", container)


def test_what_is_frozen_while_it_is_killed_ends_too(daemon: Daemon) -> None:
    """A pause may come between SIGKILL and the end: on cgroup v1 the signal then waits; who has sent it must not."""
    container = daemon.ok("run", "-d", "--stop-signal", "KILL", "tiny", "sleep", "1000")
    cgroups.at(f"/minidock/{container}").freeze()  # so late that the daemon does not know of it
    daemon.ok("stop", container)
    assert daemon.inspect(container)["State"]["ExitCode"] == 137
    daemon.ok("rm", container)


def test_the_container_sees_its_own_cgroup_and_cannot_change_it(daemon: Daemon) -> None:
    """Its limits are where programs look for them (a JVM, say), read-only; writable for a privileged container."""
    file = "/sys/fs/cgroup/pids.max" if IS_V2 else "/sys/fs/cgroup/pids/pids.max"
    script = f"cat {file}; echo 1 > {file}; mkdir {Path(file).parent}/x"
    done = daemon.docker("run", "--rm", "--pids-limit", "77", "tiny", "sh", "-c", script)
    assert done.stdout == "77\n" and done.stderr.count("Read-only file system") == 2
    done = daemon.docker("run", "--rm", "--privileged", "tiny", "sh", "-c", f"mkdir {Path(file).parent}/x && echo made")
    assert done.stdout == "made\n"


def test_cgroup_namespaces(daemon: Daemon) -> None:
    """private: its group is the root of all it sees. host: it is shown by its path. The default is the version's."""
    show = ("tiny", "sh", "-c", "grep pids /proc/self/cgroup || cat /proc/self/cgroup; ls /sys/fs/cgroup")
    for options, private in ((("--cgroupns", "private"), True), (("--cgroupns", "host"), False), ((), IS_V2)):
        path, *names = daemon.ok("run", "--name", "shown", *options, *show).splitlines()
        assert (path.endswith(":/")) is private, options
        assert path.endswith(f"/minidock/{daemon.inspect('shown')['Id']}") is not private
        assert ("cgroup.procs" in names) is IS_V2
        if IS_V2:  # the group's own files, or the host's whole tree
            assert ("memory.max" in names) is private and ("minidock" in names) is not private
        assert daemon.inspect("shown")["HostConfig"]["CgroupnsMode"] == ("private" if private else "host")
        daemon.ok("rm", "shown")


def test_a_privileged_container_makes_groups_of_its_own(daemon: Daemon) -> None:
    """And they go with it, processes and all."""
    root = "/sys/fs/cgroup" if IS_V2 else "/sys/fs/cgroup/pids"
    script = f"mkdir {root}/own && sh -c 'echo 0 > {root}/own/cgroup.procs; exec sleep 999' & sleep 1000"
    container = daemon.ok("run", "-d", "--privileged", "tiny", "sh", "-c", script)
    group = cgroups.at(f"/minidock/{container}")
    wait_for(lambda: len(group.processes()) == 3 or (directory(container, "pids") / "own").is_dir(), "its own group")
    daemon.ok("rm", "-f", container)
    assert not group.exists


def test_info_tells_the_version(daemon: Daemon) -> None:
    """Docker's words, in what was looked up."""
    info = json.loads(daemon.ok("info", "--format", "{{json .}}"))
    assert (info["CgroupVersion"], info["CgroupDriver"]) == ("2" if IS_V2 else "1", "cgroupfs")
    assert info["MemoryLimit"] and info["CpuCfsQuota"] and info["PidsLimit"] and info["OomKillDisable"] is not IS_V2


def test_what_this_version_cannot_do_is_dropped_with_a_warning(daemon: Daemon) -> None:
    """A limit of version 1 does not keep a container from running on version 2, and inspect shows that it has none."""
    done = daemon.docker(
        "create", "--name", "warned", "-m", "16m", "--memory-swappiness", "10", "--oom-kill-disable", "tiny", "true"
    )
    assert done.returncode == 0
    host = daemon.inspect("warned")["HostConfig"]
    if IS_V2:
        assert "Memory swappiness discarded." in done.stderr and "OomKillDisable discarded." in done.stderr
        assert host["MemorySwappiness"] is None and not host["OomKillDisable"]
    else:
        assert "WARNING" not in done.stderr and host["MemorySwappiness"] == 10 and host["OomKillDisable"]
    assert daemon.docker("start", "-a", "warned").returncode == 0


def test_a_host_without_controllers_runs_containers_without_limits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every limit has its warning, none is an error but --cpus, as with Docker."""
    nothing = cgroups.Layout("v2", v2=tmp_path, missing=("cpu", "cpuset", "memory", "pids", "io"))
    monkeypatch.setattr(cgroups, "detect", lambda: nothing)
    asked = HostConfig(
        memory=64 << 20,
        memory_reservation=32 << 20,
        memory_swappiness=10,
        oom_kill_disable=True,
        pids_limit=10,
        cpu_shares=512,
        cpuset_cpus="0",
        blkio_weight=100,
    )
    left, warnings = support.adapted(asked)
    assert left == HostConfig() and len(warnings) == 8
    at_the_root = [line for line in info_warnings(nothing) if "no memory cgroup controller" in line]
    assert len(at_the_root) == 1 and "the kernel has none" in at_the_root[0]
    (tmp_path / "cgroup.events").touch()  # a group below the root: a service's, or a container's
    assert any("no memory cgroup controller" in line and "Delegate=yes" in line for line in info_warnings(nothing))
    with pytest.raises(InvalidInput, match="NanoCPUs can not be set"):
        support.adapted(HostConfig(nano_cpus=1))
