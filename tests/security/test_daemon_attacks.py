"""Hostile images, names and clients against a whole daemon: what docs/security.md promises of it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.engine.harness import Daemon, marked, running_daemon, wait_for
from tests.security.test_data_root import AS_NOBODY

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon of this module's own."""
    with running_daemon() as made:
        yield made


def image(daemon: Daemon, name: str, script: str, *changes: str) -> str:
    """An image: tiny after ``script``."""
    daemon.ok("run", "--name", f"makes-{name}", "tiny", "sh", "-ec", script)
    daemon.ok("commit", *(word for change in changes for word in ("-c", change)), f"makes-{name}", name)
    daemon.ok("rm", f"makes-{name}")
    return name


@pytest.mark.parametrize("number", [3, 7, 8, 12, 20])
def test_an_image_cannot_begin_in_a_file_of_ours(daemon: Daemon, number: int) -> None:
    """CVE-2024-21626: -w, WORKDIR and exec -w that name an open file, directly and by a link of the image."""
    where = f"/proc/self/fd/{number}"
    hostile = image(daemon, f"leaked{number}", f"ln -s {where} /link", f"WORKDIR {where}")
    canary = "cat ../../../../../../etc/hostname"
    for words in (["-w", where, "tiny"], ["-w", "/link", hostile], [hostile]):
        done = daemon.docker("run", "--rm", *words, "sh", "-c", canary)
        assert done.returncode != 0 and socket.gethostname() not in done.stdout, done
    running = daemon.ok("run", "-d", "-w", "/", hostile, "sleep", "1000")
    for path in (where, "/link"):
        assert daemon.docker("exec", "-w", path, running, "sh", "-c", canary).returncode != 0
    daemon.ok("rm", "-f", running)


@pytest.mark.parametrize("where", ["/proc", "/proc/sys", "/proc/self/attr", "/link"])
def test_a_volume_cannot_stand_in_for_proc(daemon: Daemon, where: str) -> None:
    """CVE-2019-16884, CVE-2025-52881: by -v, by the image's VOLUME, and by way of a link."""
    hostile = image(daemon, f"volume{where.replace('/', '-')}", "ln -s /proc /link", f"VOLUME {where}")
    for words in (["-v", f"false:{where}", hostile], ["--tmpfs", where, hostile], [hostile]):
        done = daemon.docker("run", "--rm", *words, "sh", "-c", "echo ran")
        assert done.returncode == 125 and "ran" not in done.stdout, done


def test_a_number_is_no_name(daemon: Daemon) -> None:
    """CVE-2026-46680, CVE-2026-30892: users called 1000 and 1, who are root, lend their names to nobody."""
    hostile = image(daemon, "numbers", "for n in 1000 1; do echo $n:x:0:0::/:/bin/sh >> /etc/passwd; done")
    assert daemon.ok("run", "--rm", "-u", "1000", hostile, "id", "-u") == "1000"
    running = daemon.ok("run", "-d", hostile, "sleep", "1000")
    assert daemon.ok("exec", "-u", "1", running, "id", "-u") == "1"
    assert daemon.ok("exec", "-u", "1000:1", running, "id", "-u") == "1000"
    daemon.ok("rm", "-f", running)


@pytest.mark.parametrize("user", ["2147483648", "4294967296", "-1", "0:4294967295"])
def test_a_user_that_wraps_round_is_refused(daemon: Daemon, user: str) -> None:
    """CVE-2024-40635: by -u and by the image's USER; the error names the range."""
    for words in ([f"--user={user}", "tiny"], [image(daemon, f"user{abs(hash(user))}", "true", f"USER {user}")]):
        done = daemon.docker("run", "--rm", *words, "id", "-u")
        assert done.returncode != 0 and done.stdout == "", done
        assert "0-2147483647" in done.stderr or user == "-1", done


def test_huge_user_files(daemon: Daemon, tmp_path: Path) -> None:
    """CVE-2026-47262: two gigabytes of /etc/passwd are not read into memory."""
    with (tmp_path / "passwd").open("wb") as file:
        file.truncate(2 << 30)
    done = daemon.docker("run", "--rm", "-v", f"{tmp_path}/passwd:/etc/passwd", "-u", "somebody", "tiny", "true")
    assert done.returncode == 125 and done.stderr.count("\n") <= 3, done


def test_labels_of_an_image_command_nothing(daemon: Daemon) -> None:
    """CVE-2026-53488: what the engine writes down for itself is not read from labels."""
    names = ("org.minidock.init", "org.minidock.explain", "com.docker.volume.anonymous", "io.kubernetes.cri.privileged")
    hostile = image(daemon, "labelled", "true", *(f"LABEL {name}=true" for name in names))
    plain = ["run", "--rm", "--label", "org.minidock.init=true"]
    script = "tr '\\0' ' ' < /proc/1/cmdline; grep CapEff /proc/self/status"
    done = [daemon.ok(*plain, name, "sh", "-c", script) for name in ("tiny", hostile)]
    assert done[0] == done[1] and "00000000a80425fb" in done[1] and done[1].startswith("sh -c")


def test_a_device_in_a_layer_cannot_be_opened(daemon: Daemon) -> None:
    """Disk, memory and kernel log, made in a layer: the device rules hold for them, too."""
    script = "mknod /disk b 8 0; mknod /mem c 1 1; mknod /kmsg c 1 11; mknod /null c 1 3"
    hostile = image(daemon, "devices", script)
    for name in ("disk", "mem", "kmsg"):
        done = daemon.docker("run", "--rm", hostile, "head", "-c", "1", f"/{name}")
        assert done.stdout == "" and "Operation not permitted" in done.stderr, done
    assert daemon.ok("run", "--rm", hostile, "head", "-c", "1", "/null") == "", "the canary: an allowed one opens"


def test_no_socket_of_ours_is_without_a_path(daemon: Daemon) -> None:
    """CVE-2020-15257: an abstract socket would be there for every container with the host's network."""
    running = daemon.ok("run", "-d", "--network", "host", "tiny", "sleep", "1000")

    def paths() -> list[str]:
        ours = {os.readlink(link) for pid in marked(daemon.root) for link in Path(f"/proc/{pid}/fd").glob("*")}  # noqa: PTH115
        # The daemon's own list: each network namespace has one.
        lines = [line.split() for line in Path(f"/proc/{daemon.pid}/net/unix").read_text().splitlines()[1:]]
        return [words[7] for words in lines if f"socket:[{words[6]}]" in ours and len(words) > 7]

    # The canary: ours are among them. (The kernel may skip some while others come and go.)
    wait_for(lambda: any(path.endswith("minidock.sock") for path in paths()), "the daemon's socket to be listed")
    assert [path for path in paths() if path.startswith("@")] == []
    daemon.ok("rm", "-f", running)


def test_nobody_may_speak_to_the_daemon(daemon: Daemon) -> None:
    """The socket is the group's and root's."""
    daemon.root.chmod(0o755)
    script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    done = subprocess.run(
        [*AS_NOBODY, "/usr/bin/python3", "-c", script, f"{daemon.root}/minidock.sock"], capture_output=True, text=True
    )
    assert "PermissionError" in done.stderr


def test_a_killed_child_is_told_although_its_parent_goes_on(daemon: Daemon) -> None:
    """The program ends with 0, and OOMKilled says that the kernel took one of its children."""
    script = "(x=$(head -c 100000000 /dev/zero | tr '\\0' x)); sleep 0.2; exit 0"
    done = daemon.docker("run", "--name", "parent", "-m", "16m", "--memory-swap", "16m", "tiny", "sh", "-c", script)
    state = daemon.inspect("parent")["State"]
    assert (done.returncode, state["ExitCode"], state["OOMKilled"]) == (0, 0, True)


def test_few_descriptors_are_the_programs_own_trouble(daemon: Daemon) -> None:
    """--ulimit nofile: EMFILE inside, and start, exec and logs work as ever."""
    words = ("--ulimit", "nofile=20:20")
    script = 'i=3; while [ $i -lt 30 ]; do eval "exec $i</dev/null" || exit 7; i=$((i+1)); done'
    done = daemon.docker("run", "--rm", *words, "tiny", "sh", "-c", script)
    assert done.returncode != 0 and re.search("(?i)too many open files|bad file descriptor", done.stderr), done
    running = daemon.ok("run", "-d", *words, "tiny", "sleep", "1000")
    assert daemon.ok("exec", running, "sh", "-c", "ulimit -n") == "20"
    daemon.ok("rm", "-f", running)


def test_a_thousand_attached_clients_that_do_nothing(daemon: Daemon) -> None:
    """Nobody else notices, and when they go everything that they held is free again."""
    running = daemon.ok("run", "-d", "-i", "tiny", "sleep", "1000")
    before = int(daemon.json("GET", "/info")["NFd"])
    held = []
    request = f"POST /containers/{running}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n"
    try:
        for number in range(1000):
            held.append(daemon.connection())
            # Every other one does not even end its request.
            held[-1].sendall((request + ("\r\n" if number % 2 else "")).encode())
        assert daemon.request("GET", "/_ping")[0] == 200
        assert daemon.ok("exec", running, "echo", "served") == "served"
    finally:
        for connection in held:
            connection.close()
    wait_for(lambda: int(daemon.json("GET", "/info")["NFd"]) <= before + 4, "the descriptors to be free")
    daemon.ok("rm", "-f", running)


def test_aborted_execs_leave_nothing(daemon: Daemon) -> None:
    """CVE-2022-23471, CVE-2025-64329: exec -it whose clients go at once: descriptors, threads, processes."""
    running = daemon.ok("run", "-d", "tiny", "sleep", "1000")

    def held() -> tuple[int, int, int]:
        pids = marked(daemon.root)
        counts = [len(list(Path(f"/proc/{pid}/fd").glob("*"))) for pid in pids]
        return sum(counts), len(list(Path(f"/proc/{daemon.pid}/task").glob("*"))), len(pids)

    def abort(times: int) -> None:
        for number in range(times):
            program = "true" if number % 2 else "nosuch"
            document = {"AttachStdin": True, "AttachStdout": True, "Tty": True, "Cmd": [program]}
            exec_id = daemon.json("POST", f"/containers/{running}/exec", document)["Id"]
            with daemon.connection() as connection:
                body = b'{"Detach":false,"Tty":true}'
                head = f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                connection.recv(16)

    before = held()
    abort(100)
    # A few threads of the pool may be new.
    wait_for(lambda: all(now <= then + 4 for now, then in zip(held(), before, strict=True)), "all to be free", 90)
    daemon.ok("rm", "-f", running)


NAMES = ["../x", "a/b", "..", ".hidden", "a b", "a\0b", "a\nb", "-x", "a", "é", "%2e%2e", "x" * 300 + "/"]


@pytest.mark.parametrize("name", NAMES, ids=[repr(name)[:12] for name in NAMES])
def test_a_name_is_no_path(daemon: Daemon, name: str) -> None:
    """A container's and a volume's name may become a file's, or a line of /etc/hosts: letters, digits, and ``_.-``."""
    status, answer = daemon.request("POST", f"/containers/create?name={quote(name)}", b'{"Image": "tiny"}')
    assert status == 400, answer
    status, answer = daemon.request("POST", "/volumes/create", json.dumps({"Name": name}).encode())
    assert status == 400, answer
    # Docker's networks may be called anything that is visible; nothing of ours is named after them.
    if not name.isprintable():
        status, answer = daemon.request("POST", "/networks/create", json.dumps({"Name": name}).encode())
        assert status == 400, answer
