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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidock.client.commands.run import CREATE, RUN
from minidock.client.flags import parse
from minidock.client.options import request
from minidock.errors import MinidockError
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
    assert comparable(ours[2]) == comparable(theirs[2])


def comparable(body: Any) -> Any:
    """A create document without what means nothing, and without an order that Docker's own does not have."""
    body = meant(body)
    # Docker passes -e, -v and --ulimit through Go maps, whose order is another one each time.
    for where, name in (("", "Env"), ("HostConfig", "Binds")):
        part = body.get(where, {}) if where else body
        part[name] = sorted(set(part.get(name) or []))
    limits = body.get("HostConfig", {}).get("Ulimits", [])
    limits.sort(key=lambda limit: limit["Name"])
    return body


PATHS = st.sampled_from(["/a", "/b/c", "/d e"])
NAMES = st.text("abcxyz", min_size=1, max_size=4)
SIZES = st.sampled_from(["4m", "64M", "1.5g", "8192k", "12345678"])
SMALL = st.integers(0, 100).map(str)
RATES = st.builds("/dev/{}:{}".format, NAMES, SMALL)
PORT = st.integers(1, 65530)
PORTS = st.one_of(
    st.builds("{}:{}".format, PORT, PORT),
    st.builds("127.0.0.1:{}:{}/udp".format, PORT, PORT),
    st.builds("{}".format, PORT),
    st.builds("[::1]::{}".format, PORT),
    PORT.map(lambda port: f"{port}-{port + 2}:{port}-{port + 2}"),
    PORT.map(lambda port: f"{port}-{port + 4}:80/sctp"),
    st.builds("target={},published={},protocol=tcp".format, PORT, PORT),
)
MOUNTS = st.one_of(
    st.builds("type=bind,src={},dst={},readonly".format, PATHS, PATHS),
    st.builds("type=bind,source=.,target={},bind-propagation=rslave".format, PATHS),
    st.builds("type=tmpfs,destination={},tmpfs-size=1m,tmpfs-mode=700".format, PATHS),
    st.builds("src={},dst={},volume-nocopy,volume-label=a=b,volume-driver=local,volume-opt=o=p".format, NAMES, PATHS),
    st.builds('type=volume,dst={},"volume-opt=o=a,b",volume-subpath=x'.format, PATHS),
    st.builds("type=bind,src=/a,dst={},bind-recursive=disabled".format, PATHS),
)
NETWORKS = st.one_of(
    NAMES,
    st.sampled_from(["bridge", "none", "host", "container:x", "default"]),
    st.builds("name={},alias={},ip=10.0.0.{},driver-opt=a=b,mac-address=02:00:00:00:00:01".format, NAMES, NAMES, SMALL),
    st.builds("name={},gw-priority=5,link-local-ip=169.254.1.1".format, NAMES),
)
DURATIONS = st.sampled_from(["1s", "1m30s", "250ms", "2h"])
# Every flag of run that says something about the container, and values that it may have.
VALUES: dict[str, st.SearchStrategy[str]] = {
    "add-host": st.sampled_from(["a:1.2.3.4", "b=[::1]", "c:host-gateway"]),
    "annotation": st.builds("{}={}".format, NAMES, NAMES),
    "attach": st.sampled_from(["stdin", "STDOUT", "stderr"]),
    "blkio-weight": st.integers(10, 1000).map(str),
    "blkio-weight-device": st.builds("/dev/{}:{}".format, NAMES, st.integers(10, 1000)),
    "cap-add": st.sampled_from(["ALL", "net_admin", "CAP_CHOWN"]),
    "cap-drop": st.sampled_from(["ALL", "NET_ADMIN", "chown"]),
    "cgroup-parent": NAMES,
    "cgroupns": st.sampled_from(["host", "private"]),
    "cpu-period": SMALL,
    "cpu-quota": SMALL,
    "cpu-rt-period": SMALL,
    "cpu-rt-runtime": SMALL,
    "cpu-shares": SMALL,
    "cpus": st.sampled_from(["1", "0.5", "1.25", "3e-1"]),
    "cpuset-cpus": st.sampled_from(["0", "0-1", "0,1"]),
    "cpuset-mems": st.just("0"),
    "device": st.sampled_from(
        ["/dev/null", "/dev/zero:/dev/x", "/dev/full:/dev/y:r", "/dev/tty:rw", "vendor.com/class=name"]
    ),
    "device-cgroup-rule": st.sampled_from(["c 1:3 rwm", "a *:* m"]),
    "device-read-bps": RATES.map(lambda text: f"{text}mb"),
    "device-read-iops": RATES,
    "device-write-bps": RATES,
    "device-write-iops": RATES,
    "dns": st.sampled_from(["1.1.1.1", "::1"]),
    "dns-option": NAMES,
    "dns-search": st.sampled_from([".", "example.com"]),
    "domainname": NAMES,
    "entrypoint": st.sampled_from(["/e", ""]),
    "env": st.builds("{}={}".format, NAMES, NAMES),
    "expose": st.sampled_from(["80", "90-92", "53/udp"]),
    "gpus": st.sampled_from(["all", "2", "device=1", "count=1,capabilities=utility"]),
    "group-add": NAMES,
    "health-cmd": st.sampled_from(["true", "exit 1 || x"]),
    "health-interval": DURATIONS,
    "health-retries": SMALL,
    "health-start-interval": DURATIONS,
    "health-start-period": DURATIONS,
    "health-timeout": DURATIONS,
    "hostname": NAMES,
    "ip": st.just("10.0.0.9"),
    "ip6": st.just("fd00::9"),
    "ipc": st.sampled_from(["host", "private", "container:x"]),
    "isolation": st.just("default"),
    "label": st.builds("{}={}".format, NAMES, NAMES),
    "link": st.sampled_from(["web", "web:alias"]),
    "log-driver": st.sampled_from(["json-file", "local"]),
    "log-opt": st.just("max-size=1m"),
    "mac-address": st.just("02:00:00:00:00:02"),
    "memory": SIZES,
    "memory-reservation": SIZES,
    "memory-swap": st.one_of(SIZES, st.just("-1")),
    "memory-swappiness": SMALL,
    "mount": MOUNTS,
    "name": NAMES,
    "network": NETWORKS,
    "network-alias": NAMES,
    "oom-score-adj": st.integers(-1000, 1000).map(str),
    "pid": st.sampled_from(["host", "container:x"]),
    "pids-limit": st.integers(-1, 50).map(str),
    "platform": st.just("linux/amd64"),
    "publish": PORTS,
    "restart": st.sampled_from(["no", "always", "on-failure:3", "unless-stopped"]),
    "runtime": NAMES,
    "security-opt": st.sampled_from(["no-new-privileges", "label=disable", "systempaths=unconfined", "apparmor=x"]),
    "shm-size": SIZES,
    "stop-signal": st.sampled_from(["TERM", "9"]),
    "stop-timeout": SMALL,
    "storage-opt": st.just("size=1g"),
    "sysctl": st.sampled_from(["net.core.somaxconn=1", "kernel.shmmax=2"]),
    "tmpfs": st.sampled_from(["/t", "/u:size=1m,mode=755"]),
    "ulimit": st.sampled_from(["nofile=10:20", "nproc=5", "core=-1"]),
    "user": st.sampled_from(["1", "a:b"]),
    "userns": st.just("host"),
    "uts": st.just("host"),
    "volume": st.sampled_from(["/a:/b", "/c:/d:ro", "name:/x:nocopy", "/alone", "./rel:/y"]),
    "volume-driver": NAMES,
    "volumes-from": st.sampled_from(["x", "y:ro"]),
    "workdir": PATHS,
}
SWITCHES = ("init", "interactive", "no-healthcheck", "oom-kill-disable", "privileged", "publish-all", "read-only", "rm")
NOT_HERE = {
    *(
        "cidfile",
        "detach",
        "detach-keys",
        "disable-content-trust",
        "env-file",
        "explain",
        "kernel-memory",
        "label-file",
        "step",
    ),
    *(
        "pull",
        "quiet",
        "sig-proxy",
        "tty",
        "use-api-socket",
        "cpu-count",
        "cpu-percent",
        "io-maxbandwidth",
        "io-maxiops",
    ),
    "link-local-ip",
}


def test_every_flag_of_run_is_tried() -> None:
    """A new flag gets a strategy, or a place among those that other tests look at."""
    assert {flag.name for flag in RUN.flags} == {*VALUES, *SWITCHES, *NOT_HERE}


flag_words = st.one_of(
    st.sampled_from(sorted(VALUES)).flatmap(lambda name: VALUES[name].map(lambda value: f"--{name}={value}")),
    st.builds("--{}={}".format, st.sampled_from(SWITCHES), st.sampled_from(["true", "false"])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(flag_words, max_size=14))
def test_any_flags_amount_to_dockers_request(recorder: Recorder, tmp_path: Path, words: list[str]) -> None:
    """Whatever is combined with whatever: the same document, or both refuse, in the same words."""
    command = [*words, "image", "word"]
    recorder.seen.clear()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    docker = ["docker", "-H", recorder.host, "create", *command]
    theirs = subprocess.run(docker, capture_output=True, cwd=tmp_path, env=environment, text=True)
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        flags, arguments = parse(CREATE, command)
        body = request(flags, arguments[0], arguments[1:])
    except MinidockError as error:
        assert not recorder.seen, f"docker takes it, and we say: {error}"
        assert theirs.stderr.partition("\n\n")[0].strip().removeprefix("docker: ") == str(error)
        return
    finally:
        os.chdir(before)
    assert recorder.seen, theirs.stderr
    assert comparable(body) == comparable(recorder.seen[0][2])


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
