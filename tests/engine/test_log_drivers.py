"""Log drivers and what ``docker logs`` shows of each."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.engine.harness import Daemon, running_daemon, wait_for

pytestmark = pytest.mark.root

COUNT = ("tiny", "sh", "-c", "i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo line $i; done")


def ended(daemon: Daemon, *options: str, command: tuple[str, ...] = COUNT) -> str:
    """A container whose program has ended."""
    container = daemon.ok("run", "-d", "--net", "none", *options, *command)
    daemon.ok("wait", container)
    return container


@pytest.mark.parametrize(
    ("options", "is_whole"),
    [
        (("--log-opt", "max-size=10k", "--log-opt", "max-file=3"), False),
        (("--log-opt", "max-size=10k", "--log-opt", "max-file=3", "--log-opt", "compress=true"), False),
        (("--log-driver", "local", "--log-opt", "max-size=10k", "--log-opt", "max-file=100"), True),
        (("--log-driver", "local"), True),
    ],
)
def test_a_bounded_log_keeps_the_newest(daemon: Daemon, options: tuple[str, ...], is_whole: bool) -> None:
    """On the disk no more than asked for; what is shown is the end, without a gap, and tail works across files."""
    container = ended(daemon, *options)
    lines = daemon.ok("logs", container).splitlines()
    assert lines == [f"line {number}" for number in range(501 - len(lines), 501)] and len(lines) > 100
    assert is_whole == (len(lines) == 500)
    assert daemon.ok("logs", "--tail", "130", container).splitlines() == lines[-130:]
    bundle = daemon.root / "data/containers" / container
    if not is_whole:
        sizes = [path.stat().st_size for path in bundle.glob("*-json.log*")]
        assert len(sizes) == 3 and max(sizes) <= 10_000
    else:
        assert [*bundle.glob("*-json.log*")] == [] and daemon.inspect(container)["LogPath"] == ""


def test_a_follower_sees_every_line_while_the_log_is_turned_over(daemon: Daemon) -> None:
    """A log much shorter than its output."""
    command = (
        "tiny",
        "sh",
        "-c",
        "echo ready; read x; i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; sleep 0.001; done",
    )
    small = ("--log-opt", "max-size=5k", "--log-opt", "max-file=3")
    container = daemon.ok("run", "-di", "--net", "none", *small, *command)
    follower = daemon.popen("logs", "-f", container, stdout=subprocess.PIPE)
    assert follower.stdout is not None and follower.stdout.readline() == b"ready\n"
    daemon.docker("attach", container, input=b"go\n")
    output = follower.stdout.read().decode()
    assert output.splitlines() == [f"line {number}" for number in range(1, 301)] and follower.wait(30) == 0


def test_none_keeps_nothing(daemon: Daemon) -> None:
    """Its output is seen by who is attached; logs says why there are none."""
    assert daemon.ok("run", "--rm", "--net", "none", "--log-driver", "none", "tiny", "echo", "seen") == "seen"
    refused = daemon.docker("logs", ended(daemon, "--log-driver", "none"))
    assert refused.returncode == 1
    assert refused.stderr == "Error response from daemon: configured logging driver does not support reading\n"


def test_details(daemon: Daemon) -> None:
    """Labels, variables and the tag, after the time."""
    options = ("--log-opt", "labels=colour", "--log-opt", "env-regex=^A", "--log-opt", "tag={{.Name}}/{{.ID}}")
    more = ("--name", "told", "--label", "colour=dark red", "--label", "other=x", "-e", "AB=1", "-e", "BC=2")
    container = ended(daemon, *options, *more, command=("tiny", "echo", "hello"))
    assert daemon.ok("logs", "--details", "told") == f"AB=1,colour=dark+red,tag=told%2F{container[:12]} hello"
    assert daemon.ok("logs", "told") == "hello"
    time, rest = daemon.ok("logs", "--details", "-t", "told").split(" ", 1)
    assert time.endswith("Z") and rest.startswith("AB=1,")


def test_until_and_since(daemon: Daemon) -> None:
    """Both ends of a time, with follow too: it ends at its time by itself."""
    container = daemon.ok("run", "-d", "--net", "none", "tiny", "sh", "-c", "echo one; sleep 1.2; echo two; sleep 999")
    wait_for(lambda: len(daemon.ok("logs", container).splitlines()) == 2, "two lines")
    times = [line.split()[0] for line in daemon.ok("logs", "-t", container).splitlines()]
    assert daemon.ok("logs", "--until", times[0], container) == "one"
    assert daemon.ok("logs", "--since", times[1], container) == "two"
    assert daemon.ok("logs", "-f", "--tail", "1", "--until", times[1], container) == "two"


@pytest.fixture(scope="module")
def local_by_default() -> Iterator[Daemon]:
    """A daemon with another driver."""
    with running_daemon("--log-driver", "local", "--log-opt", "max-size=1m") as daemon:
        yield daemon


def test_the_daemon_s_default(local_by_default: Daemon) -> None:
    """It holds unless the container has its own, and its options are added to those of the same driver."""
    daemon = local_by_default
    configs = {
        options: daemon.inspect(daemon.ok("create", *options, "tiny", "true"))["HostConfig"]["LogConfig"]
        for options in ((), ("--log-driver", "json-file"), ("--log-opt", "max-file=7"))
    }
    assert configs[()] == {"Type": "local", "Config": {"max-size": "1m"}}
    assert configs[("--log-driver", "json-file")] == {"Type": "json-file", "Config": {}}
    assert configs[("--log-opt", "max-file=7")] == {"Type": "local", "Config": {"max-size": "1m", "max-file": "7"}}
