"""What can be asked of a container at its creation, and what comes of it: seen in the container, or refused."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from minidock.kernel import cgroups
from tests.engine.harness import Daemon

pytestmark = pytest.mark.root

IS_V2 = cgroups.detect().kind == "v2"


def out(daemon: Daemon, *words: str) -> str:
    """What a container without a network says: options, then ``tiny`` and a command."""
    return daemon.ok("run", "--rm", "--net", "none", *words)


def limit(daemon: Daemon, container: str, controller: str, v1: str, v2: str) -> str:
    """What the kernel says in a file of the container's cgroup."""
    directories = cgroups.at(f"/minidock/{container}").directories()
    path = directories[""] / v2 if IS_V2 else directories[controller] / v1
    return path.read_text().strip()


def block_device() -> str:
    """A block device of this machine's, under a name that we make if it has none."""
    for entry in sorted(Path("/sys/block").iterdir()):
        path = Path("/dev") / entry.name
        if path.exists() and stat.S_ISBLK(path.stat().st_mode):
            return str(path)
    pytest.skip("no block device on this machine")


def test_ipc_modes(daemon: Daemon) -> None:
    """private is one's own; shareable can be joined, shared memory too; none has none; a private one is refused."""
    donor = daemon.ok("run", "-d", "--net", "none", "--ipc", "shareable", "tiny", "sleep", "1000")
    daemon.ok("exec", donor, "sh", "-c", "echo shared > /dev/shm/x")
    joined = ("--ipc", f"container:{donor}", "tiny")
    assert out(daemon, *joined, "sh", "-c", "cat /dev/shm/x; echo back > /dev/shm/y") == "shared"
    assert daemon.ok("exec", donor, "cat", "/dev/shm/y") == "back"
    own = daemon.ok("exec", donor, "readlink", "/proc/self/ns/ipc")
    assert out(daemon, *joined, "readlink", "/proc/self/ns/ipc") == own != str(Path("/proc/self/ns/ipc").readlink())
    assert out(daemon, "--ipc", "host", "tiny", "readlink", "/proc/self/ns/ipc") == str(
        Path("/proc/self/ns/ipc").readlink()
    )
    assert out(daemon, "--ipc", "none", "tiny", "sh", "-c", "test -e /dev/shm || echo none") == "none"
    private = daemon.ok("run", "-d", "--net", "none", "tiny", "sleep", "1000")
    refused = daemon.docker("run", "--rm", "--ipc", f"container:{private}", "tiny", "true")
    assert "non-shareable IPC (hint: use IpcMode:shareable for the donor container)" in refused.stderr


def test_pid_and_uts_modes(daemon: Daemon) -> None:
    """The host's, or another container's, which has to run."""
    donor = daemon.ok("run", "-d", "--net", "none", "tiny", "sleep", "998")
    assert "sleep 998" in out(
        daemon, "--pid", f"container:{donor}", "tiny", "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '"
    )
    assert out(daemon, "--pid", "host", "tiny", "readlink", "/proc/self/ns/pid") == str(
        Path("/proc/self/ns/pid").readlink()
    )
    assert out(daemon, "--uts", "host", "tiny", "readlink", "/proc/self/ns/uts") == str(
        Path("/proc/self/ns/uts").readlink()
    )
    daemon.ok("kill", donor)
    assert "is not running" in daemon.docker("run", "--rm", "--pid", f"container:{donor}", "tiny", "true").stderr


def test_names_and_sizes(daemon: Daemon) -> None:
    """--hostname, --domainname, --shm-size, --sysctl, --annotation, --init, --oom-score-adj."""
    names = ("cat", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname")
    assert out(daemon, "-h", "ship", "--domainname", "sea.org", "tiny", *names).split() == ["ship", "sea.org"]
    assert out(daemon, "--shm-size", "1m", "tiny", "df", "-k", "/dev/shm").split()[8] == "1024"
    assert out(daemon, "--sysctl", "net.ipv4.ip_forward=1", "tiny", "cat", "/proc/sys/net/ipv4/ip_forward") == "1"
    # The client itself refuses this one.
    body = {"Image": "tiny", "Cmd": ["true"], "HostConfig": {"Sysctls": {"kernel.panic": "1"}}}
    made = daemon.json("POST", "/containers/create", body)["Id"]
    status, answer = daemon.request("POST", f"/containers/{made}/start")
    assert status == 400 and "sysctl 'kernel.panic' is not in a separate kernel namespace" in answer.decode()
    assert out(daemon, "--oom-score-adj", "321", "tiny", "cat", "/proc/self/oom_score_adj") == "321"
    assert out(daemon, "--init", "tiny", "sh", "-c", "echo $$") != "1"
    body = {"Image": "tiny", "Cmd": ["true"], "HostConfig": {"Annotations": {"org.x": "y"}}}
    container = daemon.json("POST", "/containers/create", body)["Id"]
    assert daemon.inspect(container)["HostConfig"]["Annotations"] == {"org.x": "y"}


def test_groups_by_number_and_name(daemon: Daemon, tmp_path: Path) -> None:
    """Names are those of the container's own /etc/group; an unknown one is an error."""
    (tmp_path / "group").write_text("root:x:0:\nstaff:x:50:\n")
    options = ("-v", f"{tmp_path}/group:/etc/group", "--group-add", "staff", "--group-add", "1234")
    groups = out(daemon, *options, "tiny", "sh", "-c", "grep Groups: /proc/self/status").split()[1:]
    assert {"50", "1234"} <= set(groups)
    refused = daemon.docker("run", "--rm", "--group-add", "nonsense", "tiny", "true")
    assert refused.returncode != 0 and "nable to find group nonsense" in refused.stderr


def test_devices(daemon: Daemon) -> None:
    """One with fewer rights, a directory of them, a rule for those to come."""
    tun = "/dev/net/tun"
    if not Path(tun).exists():
        pytest.skip(f"no {tun} on this machine: modprobe tun")
    script = ": </dev/x && echo readable; : >/dev/x"
    options = ("--device", f"{tun}:/dev/x:r")
    done = daemon.docker("run", "--rm", "--net", "none", *options, "tiny", "sh", "-c", script)
    assert done.stdout == "readable\n" and "Operation not permitted" in done.stderr
    assert "tun" in out(daemon, "--device", "/dev/net:/dev/more", "tiny", "ls", "/dev/more")
    script = "mknod /k c 1 11; head -c 1 /k >/dev/null 2>&1; echo $?"
    assert out(daemon, "--device-cgroup-rule", "c 1:11 rwm", "tiny", "sh", "-c", script)[-1] in "01"
    for body, text in (
        ({"DeviceCgroupRules": ["nonsense"]}, "invalid device cgroup rule format: 'nonsense'"),
        ({"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]},
         'could not select device driver "" with capabilities: [[gpu]]'),
    ):  # fmt: skip
        assert text in refusal(daemon, body)


def test_limits_reach_the_kernel(daemon: Daemon) -> None:
    """Processors, memory, block devices: what was asked is what the cgroup says."""
    disk = block_device()
    number = Path(disk).stat().st_rdev
    container = daemon.ok(
        *("run", "-d", "--net", "none", "--cpu-period", "50000", "--cpu-quota", "25000", "--cpuset-cpus", "0"),
        *("-m", "64m", "--memory-reservation", "32m", "--pids-limit", "-1", "--cpu-shares", "2048"),
        *("--device-read-bps", f"{disk}:1mb", "--device-write-iops", f"{disk}:77", "tiny", "sleep", "1000"),
    )
    assert limit(daemon, container, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "25000"
    assert limit(daemon, container, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    assert limit(daemon, container, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)
    assert limit(daemon, container, "pids", "pids.max", "pids.max") == "max"
    device = f"{os.major(number)}:{os.minor(number)}"
    if IS_V2:
        assert f"{device} rbps=1048576" in limit(daemon, container, "", "", "io.max")
    else:
        assert limit(daemon, container, "blkio", "blkio.throttle.read_bps_device", "") == f"{device} 1048576"
        assert limit(daemon, container, "blkio", "blkio.throttle.write_iops_device", "") == f"{device} 77"
    host = daemon.inspect(container)["HostConfig"]
    assert host["BlkioDeviceReadBps"] == [{"Path": disk, "Rate": 1048576}]


def test_what_the_kernel_lacks_is_left_out_with_a_warning(daemon: Daemon) -> None:
    """As dockerd: the container is made, and the client prints why it is not quite as asked."""
    layout = cgroups.detect()
    has_weight = IS_V2 or any(
        (layout.v1["blkio"] / name).exists() for name in ("blkio.bfq.io_serviced", "blkio.weight")
    )
    body = {"BlkioWeight": 300, "OomKillDisable": True, "Memory": 64 << 20, "MemorySwappiness": 10}
    made = daemon.json("POST", "/containers/create", {"Image": "tiny", "Cmd": ["true"], "HostConfig": body})
    warnings = "\n".join(made["Warnings"])
    assert ("Block I/O weight" in warnings) is not has_weight
    assert ("OomKillDisable discarded" in warnings) is IS_V2 and ("swappiness discarded" in warnings) is IS_V2
    daemon.ok("start", "-a", made["Id"])


def test_security_options(daemon: Daemon) -> None:
    """seccomp from a file and off, what other machines have (AppArmor, SELinux), no new privileges, whole /proc."""
    seccomp = ("sh", "-c", "grep Seccomp: /proc/self/status")
    assert out(daemon, "tiny", *seccomp).split()[1] == "2"
    assert out(daemon, "--security-opt", "seccomp=unconfined", "tiny", *seccomp).split()[1] == "0"
    for option in ("apparmor=unconfined", "label=disable", "label=type:x"):
        assert out(daemon, "--security-opt", option, "tiny", "echo", "fine") == "fine"
    assert (
        out(daemon, "--security-opt", "no-new-privileges", "tiny", "sh", "-c", "grep NoNewPrivs /proc/self/status")[-1]
        == "1"
    )
    masked = ("sh", "-c", "head -c 1 /proc/timer_list | wc -c")
    assert out(daemon, "tiny", *masked) == "0"
    assert out(daemon, "--security-opt", "systempaths=unconfined", "tiny", *masked) == "1"


def refusal(daemon: Daemon, host: dict[str, Any]) -> str:
    """What create says to this HostConfig."""
    body = {"Image": "tiny", "Cmd": ["true"], "HostConfig": host}
    status, answer = daemon.request("POST", "/containers/create", json.dumps(body).encode())
    assert status in (400, 501), answer
    text: str = json.loads(answer)["message"]
    return text


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"StorageOpt": {"size": "1G"}}, "--storage-opt is supported only for overlay over xfs with 'pquota' mount"),
        ({"Runtime": "nonsense"}, "unknown or invalid runtime name: nonsense"),
        ({"IpcMode": "nonsense"}, "invalid IPC mode: nonsense"),
        ({"PidMode": "nonsense"}, "invalid PID mode: nonsense"),
        ({"UTSMode": "nonsense"}, "invalid UTS mode: nonsense"),
        ({"UsernsMode": "nonsense"}, "invalid user namespace mode: nonsense"),
        ({"BlkioWeight": 5}, "Range of blkio weight is from 10 to 1000"),
        ({"BlkioDeviceReadBps": [{"Path": "/nonsense", "Rate": 1}]}, "stat /nonsense: no such file or directory"),
        ({"OomScoreAdj": 2000}, "Invalid value 2000, range for oom score adj is [-1000, 1000]"),
        ({"CpuPeriod": 1}, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
        ({"CpuQuota": 1}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"MemorySwappiness": 200}, "Invalid value: 200, valid memory swappiness range is 0-100"),
        ({"Memory": 64 << 20, "MemoryReservation": 65 << 20}, "Minimum memory limit can not be less than memory"),
        ({"ShmSize": -1}, "SHM size can not be less than 0"),
        ({"SecurityOpt": ["no-new-privileges=x"]}, 'invalid --security-opt 2: "no-new-privileges=x"'),
        ({"LogConfig": {"Type": "nonsense"}}, 'error looking up logging plugin nonsense: plugin "nonsense" not found'),
        ({"LogConfig": {"Type": "syslog"}}, "log driver 'syslog': minidock does not have this"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_cannot_be_meant(daemon: Daemon, host: dict[str, Any], text: str) -> None:
    """Docker's words."""
    assert refusal(daemon, host).startswith(text)
