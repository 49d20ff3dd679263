"""The Engine API as raw HTTP: what every client relies on without saying so."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from tests.engine.harness import Daemon, wait_for

pytestmark = pytest.mark.root

SLEEP = {"Image": "tiny", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}}


def at_once(count: int, work: Callable[[int], int]) -> list[int]:
    """The same thing done by many at the same moment; what each got, sorted."""
    barrier, results = threading.Barrier(count), [0] * count

    def one(index: int) -> None:
        barrier.wait()
        results[index] = work(index)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results)


def create(daemon: Daemon, name: str = "", **changes: Any) -> str:
    """A container's id."""
    suffix = f"?name={name}" if name else ""
    answer: dict[str, str] = daemon.json("POST", f"/v1.44/containers/create{suffix}", SLEEP | changes)
    return answer["Id"]


def message(answer: tuple[int, bytes]) -> str:
    """What an error says."""
    text: str = json.loads(answer[1])["message"]
    return text


def test_ping_names_the_version_to_speak(daemon: Daemon) -> None:
    """``HEAD /_ping`` has no body, and the headers from which Docker's clients choose their version."""
    with daemon.connection() as connection:
        connection.sendall(b"HEAD /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    assert "Api-Version: 1.44" in head and "Ostype: linux" in head and "Docker-Experimental: false" in head
    assert "Cache-Control: no-cache" in head and body == ""


def test_versions_that_are_too_new_or_too_old_are_told(daemon: Daemon) -> None:
    """Docker's own words, because clients match on them."""
    status, answer = daemon.request("GET", "/v1.99/version")
    assert (status, json.loads(answer)["message"]) == (
        400, "client version 1.99 is too new. Maximum supported API version is 1.44",
    )  # fmt: skip
    assert "client version 1.12 is too old" in message(daemon.request("GET", "/v1.12/version"))
    assert daemon.request("GET", "/v1.24/version")[0] == daemon.request("GET", "/version")[0] == 200


def test_unknown_paths_and_missing_parts_have_dockers_shape(daemon: Daemon) -> None:
    """404 for nonsense, 501 by name for what Docker has and minidock has not."""
    assert daemon.request("GET", "/v1.44/nonsense") == (404, b'{"message":"page not found"}\n')
    status, answer = daemon.request("POST", "/v1.44/session")
    assert status == 501 and "buildkit" in json.loads(answer)["message"]


def test_image_names_may_hold_slashes_and_colons(daemon: Daemon) -> None:
    """Routes are greedy: registries' ports, paths and tags come unescaped, or escaped."""
    daemon.ok("tag", "tiny", "localhost:5000/some/deep/name:v1.2")
    for name in ("localhost:5000/some/deep/name:v1.2", quote("localhost:5000/some/deep/name:v1.2", safe="")):
        assert "localhost:5000/some/deep/name:v1.2" in daemon.json("GET", f"/v1.44/images/{name}/json")["RepoTags"]
    daemon.ok("rmi", "localhost:5000/some/deep/name:v1.2")


def test_booleans_of_every_client_are_understood(daemon: Daemon) -> None:
    """docker-py writes True and False, Go 1 and 0."""
    create(daemon)
    for true in ("1", "true", "True", "yes"):
        assert len(daemon.json("GET", f"/containers/json?all={true}")) == 1
    for false in ("", "0", "False", "no", "None"):
        assert daemon.json("GET", f"/containers/json?all={false}") == []


def test_filters_come_in_two_forms(daemon: Daemon) -> None:
    """Go's clients send a map of maps, docker-py a map of lists."""
    wanted = create(daemon, "wanted", Labels={"colour": "red"})
    create(daemon, "other")
    for form in ({"label": {"colour=red": True}}, {"label": ["colour=red"]}, {"name": ["want"]}, {"status": ["created"],
                 "label": ["colour"]}):  # fmt: skip
        found = daemon.json("GET", f"/containers/json?all=1&filters={quote(json.dumps(form))}")
        assert [container["Id"] for container in found] == [wanted], form
    status, _ = daemon.request("GET", f"/containers/json?filters={quote(json.dumps({'nonsense': ['x']}))}")
    assert status == 400


BAD_REQUESTS = [
    ({"HostConfig": {"Memory": 4 * 1024 * 1024}}, "Minimum memory limit allowed is 6MB"),
    ({"HostConfig": {"NanoCpus": 10**15}}, "Range of CPUs is from 0.01 to"),
    ({"HostConfig": {"Binds": ["nonsense"]}}, "invalid volume specification: 'nonsense'"),
    ({"HostConfig": {"Binds": ["/x:relative"]}}, "mount path must be absolute"),
    ({"HostConfig": {"Binds": ["/x:/"]}}, "destination can't be '/'"),
    ({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/does/not/exist", "Target": "/x"}]}},
     'invalid mount config for type "bind": bind source path does not exist: /does/not/exist'),
    ({"HostConfig": {"Binds": ["/tmp:/a", "/tmp:/a"]}}, "Duplicate mount point: /a"),
    ({"HostConfig": {"CapAdd": ["NONSENSE"]}}, 'unknown capability: "CAP_NONSENSE"'),
    ({"HostConfig": {"SecurityOpt": ["nonsense"]}}, "invalid --security-opt"),
    ({"HostConfig": {"SecurityOpt": ["seccomp={"]}}, "Decoding seccomp profile failed"),
    ({"HostConfig": {"Ulimits": [{"Name": "nonsense", "Soft": 1, "Hard": 1}]}}, "invalid ulimit type: nonsense"),
    ({"HostConfig": {"Tmpfs": {"/x": "nonsense"}}}, 'invalid tmpfs option ["nonsense"]'),
    ({"HostConfig": {"IpcMode": "nonsense"}}, "invalid IPC mode: nonsense"),
    ({"HostConfig": {"CpusetCpus": "4096"}}, "Requested CPUs are not available"),
    ({"HostConfig": {"RestartPolicy": {"Name": "nonsense"}}}, "invalid restart policy: unknown policy 'nonsense'"),
    ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}}, 'invalid port specification: "x"'),
    ({"HostConfig": {"PortBindings": {"99999/tcp": [{"HostPort": "80"}]}}}, 'invalid port specification: "99999"'),
    ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "here"}]}}}, "invalid IP address: here"),
    ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "fe80::1%lo"}]}}}, "invalid IP address: fe80::1%lo"),
    ({"HostConfig": {"Links": ["nosuch:x"]}}, "could not get container for nosuch: No such container: nosuch"),
    ({"HostConfig": {"NetworkMode": "container:x", "Dns": ["1.1.1.1"]}}, "options: dns and the network mode"),
    ({"HostConfig": {"NetworkMode": "container:x"}, "Hostname": "y"}, "options: hostname and the network mode"),
    ({"HostConfig": {"NetworkMode": "container:"}}, "mode: invalid container format container:<name|id>"),
    ({"MacAddress": "nonsense"}, "invalid MAC address: 'nonsense'"),
    ({"Healthcheck": {"Test": ["CMD", "true"], "Interval": 1}}, "Interval in Healthcheck cannot be less than 1ms"),
    ({"Healthcheck": {"Test": ["CMD", "true"], "Retries": -1}}, "Retries in Healthcheck cannot be negative"),
    ({"WorkingDir": "relative"}, "needs to be an absolute path"),
    ({"Hostname": "two\nlines"}, "invalid hostname format"),
    ({"StopSignal": "SIGNONSENSE"}, "invalid signal: SIGNONSENSE"),
    ({"Env": ["=x"]}, "invalid environment variable"),
    ({"Cmd": 7}, "invalid JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "text"), BAD_REQUESTS, ids=[text for _, text in BAD_REQUESTS])
def test_a_request_that_cannot_be_meant_is_refused(daemon: Daemon, change: dict[str, Any], text: str) -> None:
    """One line that says what is wrong, never 404 (a client would pull), and nothing is left behind."""
    status, answer = daemon.request("POST", "/containers/create?name=bad", json.dumps(SLEEP | change).encode())
    assert status in (400, 501) and text in json.loads(answer)["message"]
    assert daemon.json("GET", "/containers/json?all=1") == []
    assert [*daemon.root.glob("data/containers/*")] == []


@pytest.mark.parametrize("name", ["../x", "a/b", "%2e%2e", "a%00b", "-x", "x", "a b"])
def test_names_that_are_none_are_refused(daemon: Daemon, name: str) -> None:
    """A name never becomes a path."""
    answer = daemon.request("POST", f"/containers/create?name={quote(name, safe='%')}", json.dumps(SLEEP).encode())
    assert answer[0] == 400 and "Invalid container name" in message(answer)


def test_an_image_that_is_not_here_is_404(daemon: Daemon) -> None:
    """And only that: it makes Docker's client pull."""
    status, answer = daemon.request("POST", "/containers/create", json.dumps({"Image": "nosuch:1"}).encode())
    assert (status, json.loads(answer)["message"]) == (404, "No such image: nosuch:1")


def test_one_of_twenty_gets_the_name(daemon: Daemon) -> None:
    """Twenty creates of one name at once: one 201, nineteen 409 in Docker's words."""
    body = json.dumps(SLEEP).encode()
    got = at_once(20, lambda _: daemon.request("POST", "/containers/create?name=wanted", body)[0])
    assert got == [201] + [409] * 19
    holder = daemon.inspect("wanted")["Id"]
    assert message(daemon.request("POST", "/containers/create?name=wanted", body)) == (
        f'Conflict. The container name "/wanted" is already in use by container "{holder}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


def test_one_of_eight_starts_it(daemon: Daemon) -> None:
    """Eight starts at once: one 204, seven 304."""
    container = create(daemon)
    got = at_once(8, lambda _: daemon.request("POST", f"/containers/{container}/start")[0])
    assert got == [204] + [304] * 7


def test_one_of_ten_removes_it(daemon: Daemon) -> None:
    """Ten ``rm -f`` of a running container at once: one 204, the others 404 or 409."""
    container = create(daemon)
    daemon.json("POST", f"/containers/{container}/start")
    got = at_once(10, lambda _: daemon.request("DELETE", f"/containers/{container}?force=1")[0])
    assert got[0] == 204 and set(got[1:]) <= {404, 409}


def test_wait_sends_its_headers_at_once(daemon: Daemon) -> None:
    """Docker's client starts the container only after it has them."""
    container = create(daemon, Cmd=["sh", "-c", "exit 7"])
    with daemon.connection() as connection:
        path = f"/containers/{container}/wait?condition=next-exit"
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        daemon.json("POST", f"/containers/{container}/start")
        rest = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b'"StatusCode":7' in rest


def test_wait_knows_three_conditions(daemon: Daemon) -> None:
    """Not running is true at once; removed is true after removal; anything else is refused."""
    container = create(daemon)
    assert daemon.json("POST", f"/containers/{container}/wait")["StatusCode"] == 0
    assert daemon.request("POST", f"/containers/{container}/wait?condition=nonsense")[0] == 400
    answers: list[Any] = []
    waiting = threading.Thread(
        target=lambda: answers.append(daemon.json("POST", f"/containers/{container}/wait?condition=removed"))
    )
    waiting.start()
    daemon.request("DELETE", f"/containers/{container}")
    waiting.join(10)
    assert answers == [{"StatusCode": 0}]


def test_wrong_states_are_told(daemon: Daemon) -> None:
    """Killing what stands is 409, stopping it 304; removing what runs is 409."""
    container = create(daemon)
    assert daemon.request("POST", f"/containers/{container}/kill")[0] == 409
    assert daemon.request("POST", f"/containers/{container}/stop")[0] == 304
    assert daemon.request("POST", f"/containers/{container}/resize?h=1&w=1")[0] == 409
    daemon.json("POST", f"/containers/{container}/start")
    status, answer = daemon.request("DELETE", f"/containers/{container}")
    assert status == 409 and "stop the container before removing or force remove" in json.loads(answer)["message"]
    assert daemon.request("POST", f"/containers/{container}/kill?signal=NONSENSE")[0] == 400


def test_the_size_of_an_exec_may_come_before_its_start(daemon: Daemon) -> None:
    """Older clients say it as soon as they have asked for the start; an exec that has ended has no size."""
    container = create(daemon)
    daemon.json("POST", f"/containers/{container}/start")
    script = "until stty size | grep '21 71'; do sleep 0.1; done"
    made = daemon.json("POST", f"/containers/{container}/exec", {"Cmd": ["sh", "-c", script], "Tty": True})["Id"]
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(daemon.request, "POST", f"/exec/{made}/resize?h=21&w=71")
        time.sleep(0.3)
        assert not answer.done()
        assert daemon.request("POST", f"/exec/{made}/start", b'{"Detach": true, "Tty": true}')[0] == 200
        assert answer.result()[0] == 200
    wait_for(lambda: daemon.json("GET", f"/exec/{made}/json")["ExitCode"] == 0, "the size to arrive")
    assert daemon.request("POST", f"/exec/{made}/resize?h=1&w=1")[0] == 409


def test_an_attach_without_upgrade_gets_the_same_stream(daemon: Daemon) -> None:
    """Old clients do not ask for an upgrade: 200, and the frames."""
    container = create(daemon, Cmd=["echo", "hello"])
    with daemon.connection() as connection:
        connection.sendall(
            f"POST /containers/{container}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.")
        daemon.json("POST", f"/containers/{container}/start")
        assert b"".join(iter(lambda: connection.recv(65536), b"")) == b"\x01\0\0\0\0\0\0\x06hello\n"


def test_input_is_passed_on_from_before_the_start(daemon: Daemon) -> None:
    """What a client sends while the container is still only created, the program reads when it runs."""
    container = create(daemon, Cmd=["cat"], OpenStdin=True, StdinOnce=True, AttachStdin=True)
    with daemon.connection() as connection:
        connection.sendall(
            f"POST /containers/{container}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode()
        )
        head = connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        connection.sendall(b"early")
        daemon.json("POST", f"/containers/{container}/start")
        connection.sendall(b" and late")
        connection.shutdown(socket.SHUT_WR)
        body = b"".join(iter(lambda: connection.recv(65536), b""))
    frames = head.partition(b"\r\n\r\n")[2] + body
    assert b"early" in frames and b"late" in frames


def test_events_tell_a_container_s_life(daemon: Daemon) -> None:
    """create, start, die, destroy: in order, with name, image and exit code."""
    container = create(daemon, "lively", Cmd=["sh", "-c", "exit 3"])
    daemon.json("POST", f"/containers/{container}/start")
    wait_for(lambda: daemon.inspect(container)["State"]["Status"] == "exited", "its end")
    daemon.request("DELETE", f"/containers/{container}")
    filters = quote(json.dumps({"container": ["lively"]}))
    status, answer = daemon.request("GET", f"/events?since=1&until={time.time():.9f}&filters={filters}")
    events = [json.loads(line) for line in answer.splitlines()]
    assert [event["Action"] for event in events] == ["create", "start", "die", "destroy"]
    assert int(events[2]["Actor"]["Attributes"].pop("execDuration")) < 60
    assert events[2]["Actor"]["Attributes"] == {"name": "lively", "image": "tiny", "exitCode": "3"}
    assert events[0]["status"] == "create" and events[0]["from"] == "tiny" and status == 200
