"""The daemon where something is missing, full, or in the way: one line, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.harness import Daemon, running_daemon, tiny_archive
from tests.kernel.groups import existing

pytestmark = pytest.mark.root

PROJECT = Path(__file__).parents[2]
MINIDOCKD = [sys.executable, "-m", "minidock.daemon.main"]


def refused(command: list[str], **options: object) -> str:
    """The one line with which a daemon refuses to start."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, **options)  # type: ignore[call-overload]
    assert done.returncode == 1 and done.stderr.startswith("minidockd: ") and len(done.stderr.splitlines()) == 1, done
    line: str = done.stderr
    return line


def test_not_root_is_told(tmp_path: Path) -> None:
    """And nothing is made, not even a directory."""
    # The interpreter may lie where nobody else can read: everything is imported before the rights are given up.
    script = "import os; from minidock.daemon.main import main; os.setresuid(65534, 65534, 65534); main()"
    line = refused([sys.executable, "-c", script, "--data-root", f"{tmp_path}/d"])
    assert "needs to run as root" in line and [*tmp_path.iterdir()] == []


def test_a_host_that_gives_root_away_is_refused(tmp_path: Path) -> None:
    """Anything but loopback needs TLS, which is not here yet."""
    assert "would give root on this machine" in refused([*MINIDOCKD, "-H", "tcp://0.0.0.0:2375"])


def test_a_foreign_bridge_is_left_alone() -> None:
    """A link of that name that is not ours: the daemon says so, and touches nothing."""
    with tempfile.TemporaryDirectory(prefix="minidock-test-") as directory:
        daemon = Daemon(Path(directory))
        (Path(directory) / "daemon.json").write_text("{}")
        try:
            link = ["ip", "link", "add", "minidocktest0", "type", "bridge"]
            subprocess.run([*daemon.inside(), *link], check=True)
            line = refused([*daemon.inside(), *MINIDOCKD, *daemon.arguments()], env=daemon.environment)
            assert "not ours" in line and sorted(daemon.links()) == ["lo", "minidocktest0"]
            subprocess.run([*daemon.inside(), "ip", "link", "del", "minidocktest0"], check=True)
        finally:
            daemon.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("umount -R /sys/fs/cgroup", "no cgroups are mounted: mount -t cgroup2"),
        (
            "for m in $(grep -oE '/sys/fs/cgroup[^ ]*' /proc/self/mountinfo); do mount -o remount,bind,ro $m; done",
            "cgroups are read-only at /sys/fs/cgroup",
        ),
        (
            "grep -v overlay /proc/filesystems > $D/f; mount --bind $D/f /proc/filesystems; "
            "mkdir -p /lib/modules; mount -t tmpfs none /lib/modules",
            "no overlay file system: modprobe overlay",
        ),
        ("mount --bind /dev/null $(readlink -f $(command -v nft))", "need the program nft: apt install nftables"),
        (
            "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys",
            "/proc/sys is read-only: inside a container, it has to be --privileged",
        ),
        (
            "cd $D; mkdir data low up work; mount -t overlay -o lowerdir=low,upperdir=up,workdir=work none data; cd -",
            "choose a --data-root on ext4, xfs, btrfs or tmpfs; inside a container, on a volume",
        ),
        (
            'echo \'{"exec-opts": ["native.cgroupdriver=systemd"]}\' > $D/daemon.json; '
            "[ ! -d /run/systemd ] || mount -t tmpfs none /run/systemd",
            "systemd is not this machine's first process: use --exec-opt native.cgroupdriver=cgroupfs",
        ),
    ],
)
def test_what_the_machine_lacks_is_told_with_the_remedy(tmp_path: Path, change: str, told: str) -> None:
    """No cgroups, no overlay, no nft; what is read-only, or an overlay, in a container: one line, nothing is left."""
    daemon = Daemon(tmp_path)
    (tmp_path / "daemon.json").write_text("{}")
    try:
        script = f'D={tmp_path}; {change}; exec "$@"'
        words = [*daemon.inside(), "unshare", "--mount", "--", "sh", "-c", script, "sh", *MINIDOCKD]
        assert told in refused([*words, *daemon.arguments()], env=daemon.environment)
    finally:
        daemon.close()


def test_an_old_kernel_is_told_the_version_to_get(tmp_path: Path) -> None:
    """To this process openat2 does not exist, as before Linux 5.6."""
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["openat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
    }
    script = (
        "from minidock.kernel import seccomp, syscalls; from minidock.daemon.main import main; "
        f"syscalls.set_no_new_privs(); seccomp.load(seccomp.compile_profile(seccomp.parse({profile}))); main()"
    )
    roots = ["--data-root", f"{tmp_path}/d", "--exec-root", f"{tmp_path}/e"]
    line = refused([sys.executable, "-c", script, *roots])
    assert "no openat2: Linux 5.6 or newer" in line


@contextlib.contextmanager
def daemon_after(script: str) -> Iterator[Daemon]:
    """It runs in a mount namespace of its own, after a script in which ``"$@"`` is the daemon and ``$D`` its root."""

    class Changed(Daemon):
        def inside(self) -> list[str]:
            return [*super().inside(), "unshare", "--mount", "--", "sh", "-c", f"D={self.root}; {script}", "sh"]

    with tempfile.TemporaryDirectory(prefix="minidock-test-") as directory:
        daemon = Changed(Path(directory))
        (Path(directory) / "daemon.json").write_text("{}")
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.close()


def test_a_full_disk_is_told_and_survived() -> None:
    """An import that does not fit leaves no image; a container that fills the disk gets ENOSPC; the daemon goes on."""
    small = 'mkdir -p $D/data && mount -t tmpfs -o size=16m tmpfs $D/data && exec "$@"'
    with daemon_after(small) as daemon:
        daemon.ok("import", "-", "tiny", input=tiny_archive())
        script = "dd if=/dev/zero of=/big bs=1M count=100; echo code $?; rm /big"
        done = daemon.docker("run", "--rm", "tiny", "sh", "-c", script)
        assert "No space left on device" in done.stderr and "code 1" in done.stdout
        large = _archive_of(30_000_000)
        failed = daemon.docker("import", "-", "large", input=large)
        assert failed.returncode == 1 and "space" in failed.stderr.lower() and len(failed.stderr.splitlines()) == 1
        assert daemon.ok("images", "-q", "large") == ""
        assert daemon.ok("run", "--rm", "tiny", "echo", "still fine") == "still fine"


def test_a_read_only_sys_is_enough() -> None:
    """As long as the cgroups below can be written: containers, limits and networks do without the rest of /sys."""
    with daemon_after('mount -o remount,bind,ro /sys; exec "$@"') as daemon:
        daemon.ok("import", "-", "tiny", input=tiny_archive())
        assert daemon.ok("run", "--rm", "-m", "32m", "-p", "8080:80", "tiny", "echo", "fine") == "fine"


def test_without_delegation_limits_are_left_out_and_told() -> None:
    """A service or container that was given a cgroup v2 without controllers: info says how to get them."""
    with existing("v2") as group:
        bare = group.directories()[""] / "bare"  # who makes it switches nothing on for those below
        bare.mkdir()
        enter = f"echo 0 > {bare}/cgroup.procs; umount -R /sys/fs/cgroup"
        mount = 'mount -t cgroup2 none /sys/fs/cgroup; exec "$@"'
        with daemon_after(f"{enter}; exec unshare --cgroup --mount sh -c '{mount}' sh \"$@\"") as daemon:
            daemon.ok("import", "-", "tiny", input=tiny_archive())
            plain = daemon.docker("run", "--rm", "tiny", "echo", "fine")
            assert (plain.stdout, plain.stderr) == ("fine\n", "")
            limited = daemon.docker("run", "--rm", "-m", "32m", "--pids-limit", "10", "tiny", "echo", "fine")
            assert limited.stdout == "fine\n" and limited.stderr.count("WARNING") == 2
            assert "Your kernel does not support memory limit capabilities" in limited.stderr
            warnings = json.loads(daemon.ok("info", "--format", "{{json .Warnings}}"))
            for controller in ("memory", "cpu", "pids", "cpuset", "io"):
                assert [line for line in warnings if f"no {controller} cgroup" in line and "Delegate=yes" in line]


def test_nested_in_a_container(tmp_path: Path) -> None:
    """With --privileged and a volume for its data there is an engine in a container; without it says what to do."""
    places = {path for path in Path("/").iterdir() if path.is_dir()} - {
        Path("/", name) for name in ("proc", "sys", "dev", "tmp", "run", "var", "boot", "lost+found")
    }  # the host's programs, for tiny has no Python
    bound = [word for path in (*places, PROJECT, Path(sys.prefix)) for word in ("-v", f"{path}:{path}:ro")]
    options = [*bound, "-v", f"{tmp_path}:/data", "-w", str(PROJECT), "-e", "PYTHONDONTWRITEBYTECODE=1"]
    (tmp_path / "tiny.tar").write_bytes(tiny_archive())
    minidockd = " ".join([*MINIDOCKD, "-H", "unix:///data/socket", "--exec-root", "/exec", "--data-root"])
    inside = "docker -H unix:///data/socket"
    ready = "until [ -S /data/socket ]; do sleep 0.1; done"
    works = f"{inside} import /data/tiny.tar tiny >/dev/null && {inside} run --rm -m 32m tiny echo hello from below"
    with running_daemon() as daemon:
        path = f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}"
        for more, script, told in (
            ([], f"{minidockd} /data/d", "inside a container, it has to be --privileged"),
            (["--privileged"], f"{minidockd} /d", "inside a container, on a volume"),
            (["--privileged"], f"{minidockd} /data/d & {ready}; {works}; kill $!; wait", "hello from below\n"),
        ):
            done = daemon.docker("run", "--rm", *options, *more, "-e", path, "tiny", "/bin/sh", "-c", script)
            assert told in done.stdout + done.stderr, done


def _archive_of(size: int) -> bytes:
    """A tar archive with one file of random bytes."""
    import io
    import tarfile

    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        header = tarfile.TarInfo("big")
        header.size = size
        archive.addfile(header, io.BytesIO(os.urandom(size)))
    return made.getvalue()


def test_live_restore_leaves_containers_running() -> None:
    """With --live-restore a stop of the daemon is no stop of containers; network and names stay."""
    with running_daemon("--live-restore") as daemon:
        container = daemon.ok("run", "-d", "tiny", "sleep", "1000")
        pid = daemon.inspect(container)["State"]["Pid"]
        daemon.stop()
        assert Path(f"/proc/{pid}").exists() and "minidocktest0" in daemon.links()
        daemon.start()
        assert daemon.inspect(container)["State"]["Pid"] == pid
        assert daemon.ok("exec", container, "echo", "here") == "here"


def test_tcp_on_loopback_and_a_group_for_the_socket() -> None:
    """A second address is served too; the socket belongs to the group that was named."""
    with running_daemon("-H", "tcp://127.0.0.1:2375", "--group", "daemon", image=False) as daemon:
        command = [*daemon.inside(), "docker", "-H", "tcp://127.0.0.1:2375", "version", "-f", "{{.Server.Version}}"]
        assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "0.1.0"
        status = Path(f"{daemon.root}/minidock.sock").stat()
        assert (oct(status.st_mode & 0o777), status.st_gid) == ("0o660", 1)


def test_insecure_registries_are_told_by_name_and_by_network() -> None:
    """Docker's client gives up on the whole of info when a network is none; both clients print both."""
    with running_daemon("--insecure-registry", "lan:5000", "--insecure-registry", "10.1.0.0/16", image=False) as daemon:
        ours = [sys.executable, "-c", "from minidock.client.main import main; main()", "info"]
        for shown in (daemon.ok("info"), subprocess.check_output(ours, text=True, env=daemon.environment)):
            listed = shown.partition("Insecure Registries:\n")[2].splitlines()[:3]
            assert [line.strip() for line in listed] == ["lan:5000", "127.0.0.0/8", "10.1.0.0/16"]


def test_a_hundred_containers_by_eight_clients() -> None:
    """Started eight at a time, listed, removed: every one answers, no address is given twice, nothing stays."""
    with running_daemon() as daemon:
        document = {"Image": "tiny", "Cmd": ["sleep", "1000"]}
        ids: list[str] = []

        def client() -> None:
            for _ in range(12):
                container = daemon.json("POST", "/containers/create", document)["Id"]
                daemon.json("POST", f"/containers/{container}/start")
                ids.append(container)

        def remove(mine: list[str]) -> None:
            for container in mine:
                assert daemon.request("DELETE", f"/containers/{container}?force=1")[0] == 204

        _all_of([threading.Thread(target=client) for _ in range(8)])
        listed = daemon.json("GET", "/containers/json")
        addresses = {item["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] for item in listed}
        assert len(ids) == len(listed) == len(addresses) == 96
        _all_of([threading.Thread(target=remove, args=(ids[number::8],)) for number in range(8)])
        assert daemon.json("GET", "/containers/json?all=1") == []


def _all_of(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_story_of_a_start_is_told() -> None:
    """``explain``: what was recorded comes back as text and as JSON, also after a program that ended at once."""
    with running_daemon() as daemon:
        document = {"Image": "tiny", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
        container = daemon.json("POST", "/containers/create?explain=1", document)["Id"]
        status, text = daemon.request("POST", f"/containers/{container}/start?explain=compact")
        assert status == 200 and b"pivot_root" in text and b"execve" in text
        told = daemon.request("GET", f"/containers/{container}/explain?form=json")[1]
        kinds = {json.loads(line)["kind"] for line in told.splitlines()}
        assert kinds == {"step", "call"}
        assert daemon.request("GET", f"/containers/{container}/explain?form=nonsense")[0] == 400
        other = daemon.json("POST", "/containers/create", document)["Id"]
        assert daemon.request("GET", f"/containers/{other}/explain")[0] == 404
