"""Waiting for a container and talking to one over a web socket: our daemon and dockerd, beside each other."""

from __future__ import annotations

import json
import shlex
import threading
import time
from collections.abc import Iterator

import aiohttp
import pytest

from tests.engine.both import Both
from tests.engine.harness import PATIENCE, running_daemon, tiny_archive
from tests.peers import dockerd, words_of_docker_28

pytestmark = [pytest.mark.root, words_of_docker_28]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """Ours and theirs, each with the image ``tiny``."""
    with running_daemon() as ours, dockerd("--bridge=none", "--iptables=false") as theirs:
        assert theirs.docker("import", "-", "tiny", stdin=tiny_archive()).returncode == 0
        yield Both(ours, theirs)


@pytest.mark.parametrize(
    ("before", "condition", "then"),
    [
        ("run -d --name one tiny sleep 1000", "not-running", "kill one"),
        ("run --name one tiny sh -c 'exit 3'", "not-running", ""),
        ("run --name one tiny sh -c 'exit 3'", "", ""),
        ("create --name one tiny true", "not-running", ""),
        ("create --name one tiny sh -c 'exit 7'", "next-exit", "start one"),
        ("run -d --name one tiny sleep 1000", "next-exit", "stop -t 0 one"),
        ("run --name one tiny sh -c 'exit 3'", "removed", "rm one"),
        ("run -d --name one tiny sleep 1000", "removed", "rm -f one"),
        ("run -d --rm --name one tiny sleep 1000", "removed", "kill one"),
        ("create --rm --name one tiny nosuch", "removed", "start one"),
    ],
)
def test_wait(both: Both, before: str, condition: str, then: str) -> None:
    """Whether the answer is there before something happens, and what it says afterwards."""
    both.say(*shlex.split(before))
    answers: list[tuple[int, int]] = [(0, 0), (0, 0)]

    def wait(number: int) -> None:
        client = both.clients[number]
        done = client.request(
            "POST", f"{client.base_url}/v1.41/containers/one/wait?condition={condition}", timeout=PATIENCE
        )
        answers[number] = done.status_code, json.loads(done.text)["StatusCode"]

    threads = [threading.Thread(target=wait, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    if then:
        time.sleep(0.3)  # that no answer comes is what no event tells
        assert answers == [(0, 0), (0, 0)]
        both.say(*shlex.split(then))
    for thread in threads:
        thread.join(PATIENCE)
    both.say("rm", "-f", "one")
    assert answers[0] == answers[1] and answers[0][0] == 200


@pytest.mark.parametrize(
    ("program", "query"),
    [
        ("run -dit --name one tiny cat", "stream=1&stdin=1&stdout=1&stderr=1"),
        ("run -di --name one tiny sh -c 'echo early; read x; echo got $x'", "logs=1&stream=1&stdin=1&stdout=1"),
        ("run --name one tiny echo out", "logs=1&stdout=1"),
    ],
)
async def test_attach_over_a_web_socket(both: Both, program: str, query: str) -> None:
    """The same bytes, in messages of the same kind."""
    both.say(*shlex.split(program))
    ours, theirs = [await said(host, query) for host in (both.ours.host, both.theirs.host)]
    both.say("rm", "-f", "one")
    if "stream" not in query:  # of a container that has ended, dockerd closes the socket now and then before it writes
        assert ours == (b"out\n", {"BINARY"}) and theirs in (ours, (b"", set()))
    else:
        assert ours == theirs


async def said(host: str, query: str) -> tuple[bytes, set[str]]:
    """All that comes after ``hi`` was sent, until nothing has come for two seconds."""
    data, kinds = b"", set[str]()
    connector, path = aiohttp.UnixConnector(host.removeprefix("unix://")), "/v1.41/containers/one/attach/ws"
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect(f"http://x{path}?{query}") as socket,
    ):
        await socket.send_str("hi\n")
        try:
            while (message := await socket.receive(timeout=2)).type is aiohttp.WSMsgType.BINARY:
                data += message.data
                kinds.add(message.type.name)
        except TimeoutError:
            kinds.add("open")
    return data, kinds


@pytest.mark.parametrize("query", ["stream=0", "stream=0&one-shot=1"])
def test_stats_once(both: Both, query: str) -> None:
    """The same fields (dockerd 26 leaves out whose one shot it is); the sample before comes along, except then."""
    both.say("run", "-d", "--name", "one", "tiny", "sleep", "1000")
    found = []
    for client in both.clients:
        stats = client.request("GET", f"{client.base_url}/v1.41/containers/one/stats?{query}").json()
        fields = sorted({*stats} - {"id", "name"})
        found.append((fields, sorted(stats["precpu_stats"]), stats["preread"].startswith("0001")))
    both.say("rm", "-f", "one")
    assert found[0] == found[1] and found[0][2] is ("one-shot" in query)
