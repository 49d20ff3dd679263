"""The daemon is killed with SIGKILL, at any moment: no container stops, no status and no log line is lost."""

from __future__ import annotations

import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.harness import Daemon, running_daemon, tiny_archive, wait_for

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def module_daemon() -> Iterator[Daemon]:
    """A daemon that the tests of this module may kill."""
    with running_daemon() as daemon:
        yield daemon


@pytest.fixture
def daemon(module_daemon: Daemon) -> Iterator[Daemon]:
    """The same, alive and without containers afterwards."""
    yield module_daemon
    for container in module_daemon.json("GET", "/containers/json?all=1"):
        module_daemon.request("DELETE", f"/containers/{container['Id']}?force=1")


def test_what_ran_goes_on_and_is_known(daemon: Daemon) -> None:
    """A running container keeps its pid, its address, its log and its streams through a crash."""
    container = daemon.ok("run", "-d", "tiny", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done")
    before = daemon.inspect(container)
    daemon.kill()
    daemon.start()
    after = daemon.inspect(container)
    assert after["State"]["Running"] and after["State"]["Pid"] == before["State"]["Pid"]
    assert after["NetworkSettings"]["IPAddress"] == before["NetworkSettings"]["IPAddress"]
    assert daemon.ok("exec", container, "echo", "still here") == "still here"
    follower = daemon.popen("logs", "-f", container, stdout=subprocess.PIPE)
    daemon.ok("kill", container)
    assert follower.stdout is not None
    lines = [int(line) for line in follower.stdout.read().split()]
    assert follower.wait(10) == 0 and lines == list(range(1, len(lines) + 1)) and len(lines) > 5
    assert daemon.ok("wait", container) == "137"


def test_an_end_that_nobody_saw_is_known(daemon: Daemon) -> None:
    """A container that ends while no daemon lives: exit code, time and last words are there afterwards."""
    container = daemon.ok("run", "-d", "tiny", "sh", "-c", "sleep 0.7; echo last words; exit 23")
    daemon.kill()
    bundle = daemon.root / "data/containers" / container
    wait_for(lambda: (bundle / "exit.json").exists(), "its end")
    daemon.start()
    state = daemon.inspect(container)["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 23) and not state["FinishedAt"].startswith("0001")
    assert daemon.ok("logs", container) == "last words"


def test_rm_is_kept_as_a_promise(daemon: Daemon) -> None:
    """A container with --rm that ends while no daemon lives is removed by the next one."""
    container = daemon.ok("run", "-d", "--rm", "tiny", "sleep", "0.5")
    daemon.kill()
    wait_for(lambda: (daemon.root / "data/containers" / container / "exit.json").exists(), "its end")
    daemon.start()
    assert daemon.ok("ps", "-aq") == "" and not (daemon.root / "data/containers" / container).exists()


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_a_random_moment_of_a_workload(daemon: Daemon, seed: int) -> None:
    """With creates, starts and removals under way: afterwards what is listed is whole, and nothing else is there."""
    chance = random.Random(seed)
    stop = threading.Event()
    workers = [threading.Thread(target=_work, args=(daemon, stop, seed * 10 + number)) for number in range(4)]
    for worker in workers:
        worker.start()
    time.sleep(chance.uniform(0.2, 1.5))  # the moment is the point
    daemon.kill()
    stop.set()
    for worker in workers:
        worker.join()
    daemon.start()
    listed = daemon.json("GET", "/containers/json?all=1")
    for item in listed:
        state = daemon.inspect(item["Id"])["State"]
        if state["Running"]:
            assert b"sleep" in Path(f"/proc/{state['Pid']}/cmdline").read_bytes()
        else:
            assert state["Status"] in ("created", "exited") and state["ExitCode"] in (0, 137)
        assert daemon.docker("start", item["Id"]).returncode == 0
    ids = {item["Id"] for item in listed}
    assert {path.name for path in daemon.root.glob("data/containers/*")} == ids
    assert {path.name for path in daemon.root.glob("exec/containers/*")} == ids
    with sqlite3.connect(f"file:{daemon.root}/data/minidock.db?mode=ro", uri=True) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


def _work(daemon: Daemon, stop: threading.Event, seed: int) -> None:
    """One client: lives of containers, until the daemon is gone."""
    chance = random.Random(seed)
    document = {"Image": "tiny", "Cmd": ["sleep", "1000"], "HostConfig": {}}
    while not stop.is_set():
        try:
            container = daemon.json("POST", "/containers/create", document)["Id"]
            daemon.request("POST", f"/containers/{container}/start")
            if chance.random() < 0.7:
                daemon.request("DELETE", f"/containers/{container}?force=1")
        except (OSError, ValueError, IndexError, AssertionError):
            return  # the daemon was killed in the middle of an answer


def test_a_half_imported_image_is_never_listed(daemon: Daemon) -> None:
    """Killed in the middle of an import: no image, no leftover, and the next import works."""
    archive = tiny_archive()
    head = f"POST /images/create?fromSrc=-&repo=half HTTP/1.1\r\nHost: x\r\nContent-Length: {len(archive)}\r\n\r\n"
    with daemon.connection() as connection:
        connection.sendall(head.encode() + archive[: len(archive) // 2])
        time.sleep(0.1)  # somewhere in the middle
        daemon.kill()
    daemon.start()
    assert daemon.ok("images", "-q", "half") == ""
    daemon.ok("import", "-", "half", input=archive)
    assert daemon.ok("run", "--rm", "half", "echo", "whole") == "whole"
    daemon.ok("rmi", "half")


def test_a_graceful_stop_stops_containers_and_a_second_daemon_is_refused(daemon: Daemon) -> None:
    """SIGTERM ends containers, each in its own time, and takes the bridge down; two daemons never share a root."""
    container = daemon.ok("run", "-d", "--stop-timeout", "0", "tiny", "sleep", "1000")
    second = subprocess.run(
        [sys.executable, "-m", "minidock.daemon.main", *daemon.arguments()],
        capture_output=True,
        text=True,
        env=daemon.environment,
        timeout=20,
    )
    assert second.returncode == 1 and "another minidockd uses" in second.stderr and len(second.stderr.splitlines()) == 1
    daemon.stop()
    assert not Path(f"{daemon.root}/minidock.sock").exists()
    # The kernel takes a container's link away with its network namespace, in its own time.
    wait_for(lambda: daemon.links() == ["lo"], "bridge and links to go")
    daemon.start()
    assert daemon.inspect(container)["State"]["ExitCode"] == 137


def test_the_launcher_s_death_is_survived(daemon: Daemon, tmp_path: Path) -> None:
    """Somebody kills the launcher: the next container gets a new one, which sees the later mounts of the host."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    launcher = next(pid for pid in children if b"containers.entry" in Path(f"/proc/{pid}/cmdline").read_bytes())
    subprocess.run(["kill", "-9", launcher], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "--make-shared", "late", str(tmp_path)], check=True)
    try:
        (tmp_path / "file").write_text("fine")
        volume = f"{tmp_path}:/late:rslave"  # the daemon looks whether this mount is shared: in the host's namespace
        assert daemon.ok("run", "--rm", "-v", volume, "tiny", "cat", "/late/file") == "fine"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_the_socket_is_for_root_and_the_group_alone(daemon: Daemon) -> None:
    """Whoever may speak to the daemon is root on this machine: 0600, or 0660 with the group."""
    assert Path(f"{daemon.root}/minidock.sock").stat().st_mode & 0o007 == 0
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{daemon.root}/minidock.sock")
