"""stats, top and update: what a container uses and may use. The same tests hold on hosts with cgroup v1 and v2."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minidock.daemon import processes
from minidock.kernel import cgroups
from tests.engine.harness import Daemon, wait_for

pytestmark = pytest.mark.root

IS_V2 = cgroups.detect().kind == "v2"
BUSY = "i=0; while :; do i=$((i+1)); done"


def run(daemon: Daemon, *options: str, command: tuple[str, ...] = ("sleep", "1000")) -> str:
    """A container's id."""
    return daemon.ok("run", "-d", *options, "tiny", *command)


def stats(daemon: Daemon, container: str, query: str = "stream=0&one-shot=1") -> Any:
    """One sample."""
    return daemon.json("GET", f"/containers/{container}/stats?{query}")


def limit(daemon: Daemon, container: str, controller: str, v1: str, v2: str) -> str:
    """What the kernel says in a file of the container's cgroup."""
    directories = cgroups.at(f"/minidock/{container}").directories()
    path = directories[""] / v2 if IS_V2 else directories[controller] / v1
    return path.read_text().strip()


def test_a_busy_container(daemon: Daemon) -> None:
    """Its processor time grows, the sample before comes along, memory and processes are there, eth0 is counted."""
    container = run(daemon, "-m", "64m", "--pids-limit", "100", command=("sh", "-c", BUSY))
    now = stats(daemon, container, "stream=0")
    used, before = now["cpu_stats"], now["precpu_stats"]
    assert used["cpu_usage"]["total_usage"] > before["cpu_usage"]["total_usage"] > 0
    assert used["system_cpu_usage"] > before["system_cpu_usage"] and used["online_cpus"] >= 1
    assert now["preread"] < now["read"] and now["name"] == daemon.inspect(container)["Name"]
    assert now["memory_stats"]["limit"] == 64 << 20 and 0 < now["memory_stats"]["usage"] < 64 << 20
    assert now["pids_stats"] == {"current": 1, "limit": 100}
    assert ("percpu_usage" in used["cpu_usage"]) is not IS_V2 and ("max_usage" in now["memory_stats"]) is not IS_V2
    assert set(now["networks"]) == {"eth0"} and set(now["networks"]["eth0"]) == {
        f"{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errors", "dropped")
    }
    assert "networks" not in stats(daemon, run(daemon, "--net", "none"))


def test_docker_stats_shows_a_line(daemon: Daemon) -> None:
    """The real client computes its percentages from ours."""
    container = run(daemon, "-m", "64m", command=("sh", "-c", BUSY))
    command = ("stats", "--no-stream", "--format", "{{json .}}", container)
    # The client gives each sample two seconds, whatever the machine: an emulated one may need another try.
    shown = json.loads(wait_for(lambda: daemon.docker(*command).stdout, "a line"))
    assert float(shown["CPUPerc"].rstrip("%")) > 0 and shown["MemUsage"].endswith(" / 64MiB") and shown["PIDs"] == "1"


def test_one_shot_and_stream(daemon: Daemon) -> None:
    """One shot has no sample before it; a stream has, from its second on, and ends with the container."""
    container = run(daemon)
    assert stats(daemon, container)["preread"].startswith("0001")
    assert daemon.request("GET", f"/containers/{container}/stats?stream=1&one-shot=1")[0] == 400
    samples = daemon.client().containers.get(container).stats(decode=True)
    first, second = next(samples), next(samples)
    assert first["preread"].startswith("0001") and second["preread"] == first["read"]
    daemon.ok("rm", "-f", container)
    assert all(sample["name"] == first["name"] for sample in samples)


def test_a_stopped_container_uses_nothing(daemon: Daemon) -> None:
    """Zeros, and the shape stays."""
    container = daemon.ok("create", "tiny", "true")
    now = stats(daemon, container, "stream=0")
    assert now["read"].startswith("0001") and now["cpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert now["memory_stats"] == {} and now["pids_stats"] == {} and "networks" not in now
    assert "0.00%" in daemon.ok("stats", "--no-stream", container)


def programs(daemon: Daemon, container: str) -> set[str]:
    """The command lines in a container."""
    return {row[-1] for row in daemon.json("GET", f"/containers/{container}/top")["Processes"]}


def test_top_with_the_host_s_ps(daemon: Daemon) -> None:
    """Its processes and nobody else's, by ps's own columns; ps's errors are the user's."""
    container = run(daemon, command=("sh", "-c", "sleep 998 & sleep 999"))
    wait_for(lambda: {"sleep 998", "sleep 999"} <= programs(daemon, container), "both")
    lines = daemon.ok("top", container, "-eo", "pid,comm").splitlines()
    assert lines[0].split() == ["PID", "COMMAND"] and {line.split()[1] for line in lines[1:]} <= {"sh", "sleep"}
    assert "Couldn't find PID field in ps output" in daemon.docker("top", container, "-eo", "comm").stderr
    assert daemon.docker("top", container, "--nonsense").returncode == 1
    assert 'specifying "' in daemon.docker("top", container, "-eo pid=PID").stderr


def test_top_without_ps(daemon: Daemon) -> None:
    """Our own rows are those of ps -ef."""
    container = run(daemon, command=("sh", "-c", "sleep 998 & sleep 999"))
    wait_for(lambda: {"sleep 998", "sleep 999"} <= programs(daemon, container), "both")
    answer = daemon.json("GET", f"/containers/{container}/top")
    for row in answer["Processes"]:
        ours = processes._row(int(row[1]))
        assert ours[1:3] == row[1:3] and ours[5] == row[5] and ours[7] == row[7]


def test_update_of_a_running_container_reaches_the_kernel(daemon: Daemon) -> None:
    """Memory, processors, shares and processes: inspect and the cgroup agree; a stopped one gets it at its start."""
    container = run(daemon, "-m", "64m", "--cpus", "1")
    assert daemon.ok("update", "--cpus", "0.5", "--pids-limit", "33", container) == container
    assert limit(daemon, container, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert limit(daemon, container, "pids", "pids.max", "pids.max") == "33"
    daemon.ok("update", "--pids-limit", "-1", "--cpu-shares", "512", container)
    assert limit(daemon, container, "pids", "pids.max", "pids.max") == "max"
    daemon.ok("update", "-m", "100m", "--memory-swap", "200m", container)
    assert limit(daemon, container, "memory", "memory.limit_in_bytes", "memory.max") == str(100 << 20)
    host = daemon.inspect(container)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["CpuShares"]) == (100 << 20, 200 << 20, 512)
    daemon.ok("stop", "-t", "0", container)
    daemon.ok("update", "-m", "50m", container)
    daemon.ok("start", container)
    assert limit(daemon, container, "memory", "memory.limit_in_bytes", "memory.max") == str(50 << 20)


def test_updates_that_cannot_be(daemon: Daemon) -> None:
    """Docker's words, and nothing is changed."""
    container = run(daemon, "-m", "64m", "--cpus", "1")
    before = daemon.inspect(container)["HostConfig"]
    for options, text in (
        (("--cpu-period", "50000"), "CPU Period cannot be updated as NanoCPUs has already been set"),
        (("-m", "500m"), "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at"),
        (("-m", "1m"), "Minimum memory limit allowed is 6MB"),
        (("--cpus", "4096"), "Range of CPUs is from 0.01 to "),
    ):
        done = daemon.docker("update", *options, container)
        assert done.returncode == 1 and text in done.stderr, options
    assert daemon.inspect(container)["HostConfig"] == before
