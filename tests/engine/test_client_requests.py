"""What ``minidock`` asks for is what ``docker`` asks for: both speak to a server that only writes down."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.peers import words_of_docker_28

pytestmark = words_of_docker_28

MINIDOCK = [sys.executable, "-c", "from minidock.client.main import main; main()"]


class Recorder(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers 500 to everything but a ping, and remembers what was asked."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.host = f"unix://{path}"
        self.seen: list[tuple[str, str, Any]] = []

    def asked_by(self, command: list[str], words: list[str], directory: Path) -> tuple[str, str, Any]:
        """Run a command; the one request that it made (besides the ping)."""
        self.seen.clear()
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "HERE": "1"}
        subprocess.run(
            [*command, "-H", self.host, *words], input=b"", capture_output=True, cwd=directory, env=environment
        )
        (request,) = self.seen
        return request


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        """A unix socket's peer has none."""
        return ""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_ping = self.path.endswith("/_ping")
        if not is_ping:
            self.server.seen.append((self.command, self.path, json.loads(body) if body else None))
        answer = b"" if is_ping else b'{"message": "written down"}'
        self.send_response(200 if is_ping else 500)
        self.send_header("Api-Version", "1.44")
        self.send_header("Ostype", "linux")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815 - http.server's names


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """A recorder in a thread of its own."""
    with Recorder(tmp_path / "socket") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def meant(value: Any) -> Any:
    """A request without what means nothing: null, zero, empty, and Docker's way to say "no limit"."""
    if isinstance(value, dict):
        inner = {name: meant(item) for name, item in value.items()}
        return {
            name: item
            for name, item in inner.items()
            if item not in (None, False, 0, "", [], {}, [0, 0]) and (name, item) != ("MemorySwappiness", -1)
        }
    if isinstance(value, list):
        return [meant(item) for item in value]
    return value


@pytest.mark.parametrize(
    "words",
    [
        "",
        "-d",
        "-i",
        "-it -d",
        "-a stdin -a stderr",
        "-e A=b -e HERE -e GONE -e EMPTY= --env-file env",
        "-w /w -u 1:2 --hostname h --domainname d --entrypoint /e",
        "--entrypoint=",
        "-v /a:/b -v /c:/d:ro -v ./rel:/x -v /anonymous",
        "--mount type=bind,src=/m,dst=/n,readonly --mount type=tmpfs,target=/t,tmpfs-size=10m,tmpfs-mode=1770",
        "--mount type=bind,source=/m,destination=/n,bind-propagation=rslave",
        "--read-only --tmpfs /t --tmpfs /u:size=1m,mode=755",
        "-m 512m --memory-swap -1 --memory-reservation 1g --memory-swappiness 3 --shm-size 1m",
        "--cpus 1.5 -c 5 --cpuset-cpus 0 --cpuset-mems 0 --cpu-period 1000 --cpu-quota 2000 --pids-limit 10",
        "--cap-add NET_ADMIN --cap-drop ALL --privileged --security-opt no-new-privileges",
        "--security-opt seccomp=profile.json --security-opt apparmor=unconfined",
        "--ulimit nofile=10:20 --ulimit nproc=5 --init --stop-signal TERM --stop-timeout 3",
        "--init=false --rm=false --oom-kill-disable --oom-score-adj 3",
        "--rm --network none",
        "--network host --pid host --ipc host --uts host --userns host --cgroupns host --cgroup-parent p",
        "--label a=b -l c --label-file labels --add-host a:1.2.3.4 --dns 1.1.1.1 --dns-option x --dns-search y",
        "--device /dev/null --device /dev/zero:/dev/x --device /dev/full:r --group-add 5",
        "--sysctl net.ipv4.ip_forward=1 --restart on-failure:3 --log-driver json-file --log-opt max-size=1m",
        "-p 80:80 -p 127.0.0.1::53/udp -p 9 --expose 90 -P",
        "--name web --platform linux/amd64 --cidfile cid",
    ],
)
def test_run_asks_for_what_docker_run_asks_for(recorder: Recorder, tmp_path: Path, words: str) -> None:
    """Flag by flag: the same path, the same query, and a document that means the same."""
    directory = tmp_path / "here"
    directory.mkdir()
    (directory / "env").write_text("X=1\n# a comment\n\nHERE\nGONE\n")
    (directory / "labels").write_text("file=1\n")
    (directory / "profile.json").write_text('{ "defaultAction": "SCMP_ACT_ALLOW" }')
    command = ["run", *words.split(), "image", "a", "-b"]
    docker = shutil.which("docker")
    assert docker is not None, "docker's command line is the reference here"
    theirs = recorder.asked_by([docker], command, directory)
    ours = recorder.asked_by(MINIDOCK, command, directory)
    assert ours[:2] == theirs[:2]
    expected, got = meant(theirs[2]), meant(ours[2])
    # Docker repeats the network in a second place, and gives its default a name there.
    expected.pop("NetworkingConfig", None)
    # Docker passes -e and -v through Go maps, whose order is another one each time.
    for where, name in (("", "Env"), ("HostConfig", "Binds")):
        for body in (expected, got):
            part = body.get(where, {}) if where else body
            part[name] = sorted(part.get(name) or [])
    assert got == expected


@pytest.mark.parametrize(
    "words",
    [
        "ps",
        "ps -a -s --filter status=exited --filter label=a=b",
        "ps -l",
        "ps -n 3",
        "images --filter dangling=true -a",
        "images alpine",
        "stop -t 3 x",
        "kill -s HUP x",
        "restart -t 1 x",
        "start x",
        "pause x",
        "unpause x",
        "wait x",
        "rm -f -v x",
        "rmi -f a/b:c",
        "rename x y",
        "info",
        "logs x",
        "events --since 1136073600 --until 1136073601.5 --filter type=container",
    ],
)
def test_other_commands_ask_for_what_docker_asks_for(recorder: Recorder, tmp_path: Path, words: str) -> None:
    """The first request of each: method, path and query."""
    docker = shutil.which("docker")
    assert docker is not None, "docker's command line is the reference here"
    theirs = recorder.asked_by([docker], words.split(), tmp_path)
    ours = recorder.asked_by(MINIDOCK, words.split(), tmp_path)
    assert _parts(ours) == _parts(theirs)


def _parts(request: tuple[str, str, Any]) -> tuple[str, str, set[tuple[str, str]], Any]:
    method, target, body = request
    split = urlsplit(target)
    query = {(name, _same(value)) for name, value in parse_qsl(split.query)}
    return method, split.path, query, body and meant(body)


def _same(value: str) -> str:
    """JSON in a query, whatever its order and spaces."""
    return json.dumps(json.loads(value), sort_keys=True) if value.startswith("{") else value


def test_binds_are_asked_for_in_the_order_of_the_command_line(recorder: Recorder, tmp_path: Path) -> None:
    """Docker's own order is any; ours is the user's."""
    _, _, body = recorder.asked_by(MINIDOCK, ["run", "-v", "/c:/d:ro", "-v", "/a:/b", "-v", "/b:/c", "image"], tmp_path)
    assert body["HostConfig"]["Binds"] == ["/c:/d:ro", "/a:/b", "/b:/c"]
