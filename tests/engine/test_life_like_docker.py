"""A container's life, told by Docker's command line to our daemon and to dockerd: the same words, codes and shapes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.both import Both
from tests.engine.harness import running_daemon, tiny_archive, wait_for
from tests.peers import dockerd, words_of_docker_28

pytestmark = [pytest.mark.root, words_of_docker_28]

NAMES = ("web", "done", "frozen", "auto", "limited", "well")
HEALTH = "--health-cmd 'echo fine' --health-interval 200ms"
SETUP = (
    ("run", "-d", "--name", "web", "-l", "colour=red", "tiny", "sleep", "1000"),
    ("run", "--name", "done", "tiny", "sh", "-c", "exit 3"),
    ("run", "-d", "--name", "frozen", "tiny", "sleep", "1000"),
    ("run", "-d", "--rm", "--name", "auto", "tiny", "sleep", "1000"),
    (
        "run",
        "-d",
        "--name",
        "limited",
        "--cpu-period",
        "50000",
        "--cpu-quota",
        "20000",
        "-m",
        "64m",
        "tiny",
        "sleep",
        "999",
    ),
    ("run", "-d", "--name", "well", "--health-cmd", "echo fine", "--health-interval", "200ms", "tiny", "sleep", "1000"),
)


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """Ours and theirs, each with the same containers in every state."""
    with running_daemon(image=False) as ours, dockerd("--bridge=none", "--iptables=false") as theirs:
        found = Both(ours, theirs)
        ours.ok("import", "-", "tiny", input=tiny_archive())
        theirs.docker("import", "-", "tiny", stdin=tiny_archive())
        for words in SETUP:
            first, second = found.say(*words)
            assert first == second, words
        assert found.say("pause", "frozen") == [(0, "frozen", "")] * 2
        yield found
        theirs.docker("rm", "-f", *NAMES)


WORDS = """
run --rm --log-driver nonsense tiny true
run --rm --log-opt nonsense=1 tiny true
run --rm --log-opt max-size=x tiny true
run --rm --log-opt max-file=0 --log-opt max-size=1m tiny true
run --rm --log-opt compress=true tiny true
run --rm --log-driver local --log-opt labels=x tiny true
run --rm --ipc nonsense tiny true
run --rm --ipc container:web tiny true
run --rm --pid container:done tiny true
run --rm --pid nonsense tiny true
run --rm --uts nonsense tiny true
run --rm --userns nonsense tiny true
run --rm --security-opt nonsense tiny true
run --rm --security-opt no-new-privileges=x tiny true
run --rm --storage-opt size=1G tiny true
run --rm --device /nonsense tiny true
run --rm --device-read-bps /nonsense:1 tiny true
run --rm --oom-score-adj 2000 tiny true
run --rm --cpu-period 1 tiny true
run --rm --cpu-quota 1 tiny true
run --rm -m 1m tiny true
run --rm --memory-swap 64m tiny true
run --rm -m 64m --memory-swap 32m tiny true
run --rm -m 64m --memory-reservation 128m tiny true
run --rm --memory-swappiness 200 tiny true
run --rm --cpus 4096 tiny true
run --rm --cpus 1 --cpu-period 50000 tiny true
run --rm --cpuset-cpus 4096 tiny true
run --rm --cpuset-cpus x tiny true
run --rm --ulimit nofile=5:1 tiny true
run --rm --group-add nonsense tiny true
run --rm -u nonsense tiny true
run --rm --cap-add NONSENSE tiny true
run --rm --restart always tiny true
run --rm --stop-signal NONSENSE tiny true
run --rm -w relative tiny true
run --rm --health-interval 1ns --health-cmd x tiny true
run --rm --no-healthcheck --health-cmd x tiny true
update -m 1m web
update --cpus 4096 web
update --cpus 0.5 limited
update -m 1g limited
update --restart always auto
update --restart on-failure:2 limited
update nothing
update web
kill done
kill -s NONSENSE web
pause done
pause frozen
unpause web
exec done true
exec frozen true
attach done
attach frozen
start frozen
start web
stop done
rm nothing
rename web done
rename web web
rename nothing another
top done
top nothing
top web -o nonsense
top web -eo comm
stats --no-stream nothing
wait done
wait nothing
stop nothing
restart nothing
logs nothing
logs --tail x done
logs --since x done
port nothing
ps -a --format {{.Names}}
ps -a --format {{.Names}} -f status=exited
ps --format {{.Names}} -f status=paused
ps --format {{.Names}} -f label=colour
ps --format {{.Names}} -f label=colour=blue
ps -a --format {{.Names}} -f exited=3
ps --format {{.Names}} -f exited=3
ps --format {{.Names}} -f name=e
ps --format {{.Names}} -f name=^web$
ps --format {{.Names}} -f name=(
ps --format {{.Names}} -f ancestor=tiny
ps --format {{.Names}} -f ancestor=nothing
ps --format {{.Names}} -f before=limited
ps --format {{.Names}} -f since=frozen
ps --format {{.Names}} -f network=none
ps --format {{.Names}} -f network=bridge
ps --format {{.Names}} -f health=none
ps --format {{.Names}} -f health=starting
ps --format {{.Names}} -f is-task=false
ps --format {{.Names}} -f is-task=true
ps --format {{.Names}} -f publish=80
ps --format {{.Names}} -f expose=80/tcp
ps --format {{.Names}} -f publish=x
ps -a --format {{.Names}} -f status=exited -f label=colour
ps -f status=nonsense
ps -f health=nonsense
ps -f exited=x
ps -f is-task=x
ps -f nonsense=x
node ls
service ls
secret ls
config ls
swarm leave
plugin ls -q
"""


@pytest.mark.parametrize("words", [line for line in WORDS.splitlines() if line])
def test_the_same_words(both: Both, words: str) -> None:
    """Output, errors and exit code."""
    ours, theirs = both.say(*words.split())
    assert ours == theirs


# Of later versions than the dockerd that we compare with, or ours; and what is only there when it has a value.
OURS_MAY_ADD = {"percpu_usage", "failcnt", "execDuration"}


def shape(value: Any) -> Any:
    """Names and types of a JSON document."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name not in OURS_MAY_ADD}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_stats_have_docker_s_shape(both: Both) -> None:
    """Running and stopped, to the last field; kinds of memory are the kernel's own, and so are kinds of output."""
    for name in ("web", "done"):
        found = [client.stats(name, stream=False) for client in both.clients]
        for stats in found:
            stats.get("memory_stats", {}).pop("stats", None)
            stats["blkio_stats"] = {
                key: bool(value) for key, value in stats["blkio_stats"].items() if key[:5] == "io_se"
            }
        assert shape(found[0]) == shape(found[1])
    kinds = [set(client.stats("limited", stream=False)["memory_stats"]["stats"]) for client in both.clients]
    assert kinds[0] >= kinds[1] - {"hierarchical_memsw_limit"}


def test_health_has_docker_s_shape(both: Both) -> None:
    """State.Health and Config.Healthcheck of an inspect."""
    for client in both.clients:
        wait_for(lambda client=client: client.inspect_container("well")["State"]["Health"]["Status"] == "healthy", "it")
    found = [client.inspect_container("well") for client in both.clients]
    ours, theirs = ([item["State"], item["Config"]["Healthcheck"]] for item in found)
    assert shape(ours) == shape(theirs)
    assert ours[0]["Health"]["Log"][0]["Output"] == theirs[0]["Health"]["Log"][0]["Output"] == "fine\n"
    first, second = both.say("ps", "--format", "{{.Status}}", "-f", "name=well")
    assert first[1].endswith("(healthy)") and second[1].endswith("(healthy)")


def test_events_of_a_life_are_docker_s(both: Both) -> None:
    """Actions in their order, with the same names of attributes."""
    script = [["create", "--name", "lived", "tiny", "sh", "-c", "sleep 1000"], ["start", "lived"], ["pause", "lived"]]
    script += [["unpause", "lived"], ["rename", "lived", "lives"], ["exec", "lives", "true"], ["top", "lives"]]
    script += [["update", "--cpu-shares", "512", "lives"], ["restart", "-t", "0", "lives"], ["kill", "lives"]]
    for words in script:
        both.say(*words)
    both.say("wait", "lives")
    both.say("rm", "lives")
    told = []
    for client in both.clients:
        events = [*client.events(since=int(time.time()) - 100, until=time.time() + 0.1, decode=True)]
        ours = [event for event in events if event["Type"] == "container" and event["from"] == "tiny"]
        own = [event for event in ours if event["Actor"]["Attributes"]["name"] in ("lived", "lives")]
        own.sort(key=lambda event: event["Action"] == "stop")  # dockerd 26 tells of "die" before it, or after
        told.append([(event["Action"], sorted(shape(event["Actor"]["Attributes"])), sorted(event)) for event in own])
    assert told[0] == told[1]


def test_a_failing_start_and_a_policy(both: Both) -> None:
    """``on-failure:2``: the same state, count and log afterwards."""
    both.say("run", "-d", "--name", "again", "--restart", "on-failure:2", "tiny", "sh", "-c", "echo run; exit 9")
    for client in both.clients:
        wait_for(lambda client=client: client.inspect_container("again")["State"]["Status"] == "exited", "its end")
    form = "{{.RestartCount}} {{.State.ExitCode}} {{.State.Restarting}} {{json .HostConfig.RestartPolicy}}"
    for words in (("inspect", "-f", form, "again"), ("logs", "again"), ("rm", "again")):
        ours, theirs = both.say(*words)
        assert ours == theirs
