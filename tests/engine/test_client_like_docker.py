"""``minidock`` and ``docker``, the same words to the same dockerd: the same output, messages and exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from minidock.client.connection import API_VERSION
from tests.engine.harness import tiny_archive
from tests.peers import DOCKERD_VERSION, Dockerd, dockerd, words_of_docker_28

pytestmark = [pytest.mark.root, words_of_docker_28]

MINIDOCK = [sys.executable, "-c", "from minidock.client.main import main; main()"]


@pytest.fixture(scope="module")
def peer() -> Iterator[Dockerd]:
    """Debian's dockerd with an image, a container that runs and one that has ended."""
    with dockerd() as daemon:
        imported = daemon.docker("import", "-c", "ENV PATH=/bin", "-c", "LABEL a=b", "-", "tiny", stdin=tiny_archive())
        assert imported.returncode == 0, imported.stderr
        running = ["run", "-d", "--name", "web", "-l", "x=y", "-l", "q=z", "-h", "host", "-v", "/etc:/e:ro"]
        for words in (
            [*running, "--network", "none", "tiny", "sleep", "1000"],
            ["run", "--name", "done", "tiny", "sh", "-c", "echo out; echo err >&2; exit 3"],
            ["run", "-d", "--name", "public", "-p", "8080:80", "-p", "127.0.0.1:53:53/udp", "tiny", "sleep", "1000"],
            ["network", "create", "--label", "k=v", "--subnet", "10.99.0.0/24", "net"],
            ["volume", "create", "--label", "k=v", "vol"],
        ):
            assert daemon.docker(*words).returncode in (0, 3)
        yield daemon
        daemon.docker("rm", "-f", "web", "done", "public")


#: A dockerd from 26 on speaks newer versions of the API than our client does, and then Docker's would.
OUR_VERSION = {"DOCKER_API_VERSION": API_VERSION} if DOCKERD_VERSION > 25 else {}


def outcome(command: list[str], host: str, words: list[str], stdin: bytes) -> tuple[str, str, int]:
    """Output, errors and exit code, in so far as they should be the same."""
    done = subprocess.run(
        [*command, "-H", host, *words], input=stdin, capture_output=True, timeout=60, env=os.environ | OUR_VERSION
    )
    errors = done.stderr.decode().split("\n\n")[0].strip()  # Docker goes on about usage and help
    errors = re.sub('time=".*\n', "", errors)  # what docker logs when it gives up on an archive of its own
    errors = errors.replace("\nexit status 1", "")  # what docker network rm says at the end
    errors = re.sub(r" \(see 'minidock .*--help'\)$", "", errors)
    errors = re.sub(r"container [0-9a-f]{12}", "container ID", errors)  # of several, dockerd names any
    return (
        re.sub(r"\b[0-9a-f]{64}\b", "ID", done.stdout.decode()),
        errors.replace("minidock", "docker"),
        done.returncode,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["ps"],
        ["ps", "-a"],
        ["ps", "-as"],
        ["ps", "-aq", "--no-trunc"],
        ["ps", "--format", "json"],
        ["ps", "-a", "--no-trunc"],
        ["ps", "-a", "--format", r"table {{.Names}}\t{{.Labels}}\t{{.State}}\t{{.Mounts}} {{.LocalVolumes}}"],
        ["ps", "-a", "--format", r'{{.Names}}\t{{.Label "x"}}: {{upper .Networks}} {{.Size}}'],
        ["ps", "-a", "--format", '{{range split .Labels ","}}[{{.}}]{{else}}none{{end}} {{json .Names}} {{len .ID}}'],
        ["ps", "--format", 'table {{join (split .Labels ",") "-"}}\\t{{title .Names}}'],
        ["ps", "--format", "{{.Foo}}"],
        ["ps", "--format", "{{.Names.Foo}}"],
        ["ps", "--format", "{{foo}}"],
        ["ps", "--format", "{{.ID"],
        ["ps", "-f", "name=nothing"],
        ["ps", "-f", "foo"],
        ["ps", "-f", "foo=bar"],
        ["ps", "x"],
        ["container", "ls", "-a", "-n", "1", "--format", "{{.Names}}"],
        ["images"],
        ["images", "--digests", "--no-trunc"],
        ["images", "-q"],
        ["images", "--format", "json"],
        ["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}} {{.VirtualSize}} {{.Digest}}"],
        ["images", "nothing"],
        ["image", "ls", "tiny"],
        ["inspect", "web"],
        ["inspect", "tiny"],
        ["inspect", "nothing"],
        ["inspect", "web", "nothing", "-f", "{{.Name}}"],
        ["inspect", "--type", "container", "tiny"],
        ["image", "inspect", "nothing"],
        ["container", "inspect", "nothing"],
        ["inspect", "-f", "{{.Config.Env}} {{.Config.Cmd}} {{.State.Running}} {{.State.Pid}}", "web"],
        ["inspect", "-f", "{{.Config.Volumes}} {{.Config.Entrypoint}} {{.HostConfig.PidsLimit}}", "web"],
        [
            "inspect",
            "-f",
            "{{.HostConfig.Init}} {{.HostConfig.Tmpfs}} {{.State.Health}} {{.Config.StopTimeout}}",
            "web",
        ],
        ["inspect", "-f", "{{if .State.Health}}{{.State.Health.Status}}{{else}}no check{{end}}", "web"],
        ["inspect", "-f", "{{range .Mounts}}{{.Type}} {{.Source}}:{{.Destination}} {{.RW}};{{end}}", "web"],
        ["inspect", "-f", "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "web"],
        ["inspect", "-f", '{{index .Config.Labels "x"}} {{json .Config.Labels}}', "web"],
        ["inspect", "-f", "{{.NetworkSettings.Networks.none.IPAddress}}|{{.HostConfig.NetworkMode}}", "web"],
        ["inspect", "-f", '{{printf "%s %q %d %v" .Name .Name .State.Pid .State.Paused}}', "web"],
        ["inspect", "-f", "{{println .Name}}{{with .Config}}{{.Hostname}}{{end}}{{/* c */}}", "web"],
        ["inspect", "-f", "{{.Config.Foo}}", "web"],
        ["inspect", "-f", "{{foo}}", "web"],
        ["inspect", "-f", "{{if .Name}}", "web"],
        ["inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "web"],
        ["logs", "done"],
        ["logs", "-t", "done"],
        ["logs", "-n", "1", "done"],
        ["logs", "--since", "1h", "--until", "2006-01-02", "done"],
        ["logs", "nothing"],
        ["run", "--rm", "tiny", "sh", "-c", "echo out; echo err >&2; exit 4"],
        ["run", "--rm", "-i", "tiny", "cat"],
        ["run", "--rm", "tiny", "nosuch"],
        ["run", "--rm", "tiny", "/etc"],
        ["run", "--name", "web", "tiny", "true"],
        ["run", "-m", "3x", "tiny"],
        ["run", "-m", "3m", "tiny", "true"],
        ["run", "--foo"],
        ["run", "-it", "tiny", "sh"],
        ["run", "-d", "-a", "stdout", "tiny", "sh"],
        ["run", "--rm", "--pull", "sometimes", "tiny"],
        ["run", "--rm", "--pull", "never", "nothing"],
        ["run"],
        ["exec", "web", "echo", "hi"],
        ["exec", "-i", "-e", "A=b", "-w", "/tmp", "web", "sh", "-c", "cat; echo $A; pwd; exit 5"],
        ["exec", "web", "nosuch"],
        ["exec", "done", "true"],
        ["exec", "web"],
        ["exec", "-d", "web", "true"],
        ["start", "nothing", "web"],
        ["start", "-a", "done"],
        ["stop", "done", "nothing"],
        ["kill", "done"],
        ["kill", "-s", "FOO", "web"],
        ["kill", "-s", "0", "nothing"],
        ["attach", "done"],
        ["attach", "nothing"],
        ["wait", "done", "nothing"],
        ["rm", "web"],
        ["rm", "-f", "nothing"],
        ["rm"],
        ["rename", "web", "done"],
        ["rmi", "tiny"],
        ["rmi", "nothing"],
        ["tag", "nothing", "x"],
        ["info", "--format", "{{.Driver}} {{.NCPU}}"],
        ["version", "--format", "{{.Server.Version}}"],
        ["version", "--format", "{{.Foo"],
        ["events", "--since", "1m", "--until", "1s", "-f", "event=nothing"],
        ["events", "--since", "10m", "--until", "0s", "-f", "container=web", "-f", "event=start", "--format", "json"],
        ["network", "ls"],
        ["network", "ls", "-q", "--no-trunc"],
        ["network", "ls", "--format", "json"],
        ["network", "ls", "-f", "driver=bridge", "--format", '{{.Name}} {{.CreatedAt}} {{.IPv6}} {{.Label "k"}}'],
        ["network", "ls", "--format", "{{.Foo}}"],
        ["network", "ls", "-f", "foo=bar"],
        ["network", "inspect", "net", "nothing"],
        ["network", "inspect", "-f", "{{.Name}} {{.Options}} {{.Containers}}", "net"],
        ["network", "rm", "-f", "nothing"],
        ["network", "create", "net"],
        ["network", "create", "--gateway", "10.1.1.1", "n3"],
        ["network", "create", "--subnet", "10.1.0.0/16", "--subnet", "10.1.2.0/24", "n3"],
        ["network", "create", "--subnet", "10.1.0.0/16", "--gateway", "10.2.0.1", "n3"],
        ["network", "create", "--subnet", "10.1.0.0/16", "--gateway", "10.1.0.1", "--gateway", "10.1.0.2", "n3"],
        ["network", "connect", "net", "nothing"],
        ["network", "connect", "--ip", "1.2.3.4", "net", "public"],
        ["network", "disconnect", "nothing", "web"],
        ["volume", "ls"],
        ["volume", "ls", "--format", "json"],
        ["volume", "ls", "-f", "name=v", "--format", '{{.Name}} {{.Mountpoint}} {{.Label "k"}} {{.Links}} {{.Size}}'],
        ["volume", "inspect", "vol", "nothing"],
        ["volume", "create", "vol"],
        ["volume", "create", "-d", "nothing", "v3"],
        ["volume", "create", "x y"],
        ["volume", "rm", "nothing"],
        ["volume", "rm", "-f", "nothing"],
        ["top", "web"],
        ["top", "web", "-o", "pid,cmd"],
        ["top", "done"],
        ["port", "public"],
        ["port", "public", "80"],
        ["port", "public", "53/udp"],
        ["port", "public", "53"],
        ["port", "public", "x"],
        ["port", "web"],
        ["diff", "web"],
        ["diff", "nothing"],
        ["history", "tiny"],
        ["history", "--human=false", "-q", "tiny"],
        ["history", "--format", "json", "tiny"],
        ["history", "--human=false", "--format", "table {{.CreatedSince}} {{.CreatedBy}}|{{.Comment}}", "tiny"],
        ["history", "--platform", "linux/amd64", "tiny"],
        ["system", "df"],
        ["system", "df", "-v"],
        ["system", "df", "--format", "json"],
        [
            "system",
            "df",
            "-v",
            "--format",
            "{{range .Images}}{{.Repository}}{{end}} {{range .Volumes}}{{.Name}}{{end}}",
        ],
        ["update", "--restart", "foo", "web"],
        ["update", "--cpus", "1.5", "--pids-limit", "50", "web", "nothing"],
        ["update", "--memory", "1", "web"],
        ["update", "web"],
        ["stats", "--no-stream", "nothing"],
        ["stats", "--no-stream", "done"],
        ["stats", "--no-stream", "--format", "{{.Name}} {{.Container}} {{.PIDs}}", "web"],
        ["stats", "--no-stream", "-a", "--no-trunc", "--format", "{{.Name}} {{.ID}} {{.PIDs}}"],
        ["unpause", "web"],
        ["export", "nothing"],
        ["export", "-o", "/nothing/x", "done"],
        ["save", "nothing"],
        ["save", "-o", "/nothing/x", "tiny"],
        ["load", "-i", "/nothing"],
        ["commit", "nothing"],
        ["import", "/nothing"],
        ["search", "--limit", "200", "x"],
        ["push", "nothing"],
        ["push", "-a", "tiny:x"],
        ["pull", "-a", "tiny:x"],
        ["logout"],
        ["logout", "registry:5000"],
        ["login", "--password-stdin"],
        ["login", "-p", "x", "--password-stdin"],
        ["cp", "done:/nothing", "/tmp/x"],
        ["cp", "nothing:/x", "/tmp/x"],
        ["cp", "done:/bin/sh", "/nothing/x/y"],
        ["cp", "done:/bin/sh", "done:/tmp"],
        ["cp", "a", "b"],
        ["cp", "", "done:/x"],
        ["cp", "/etc/hostname", "done:/nodir/x"],
        ["cp", "/etc/hostname", "done:/nodir/"],
        ["cp", "/etc/apt", "done:/bin/sh"],
        ["cp", "-", "done:/bin/sh"],
        *(["container", "prune"], ["image", "prune"], ["image", "prune", "-a"], ["network", "prune"]),
        *(["volume", "prune"], ["volume", "prune", "-a"], ["system", "prune"]),
        ["system", "prune", "-a", "--volumes", "--filter", "label=a=b"],
        ["system", "prune", "-f", "--volumes", "--filter", "until=1h"],
        ["network", "prune", "-f", "--filter", "foo=bar"],
        ["create", "--no-healthcheck", "--health-cmd", "x", "tiny"],
        ["create", "--name", "web", "tiny"],
        ["create", "-p", "x", "tiny"],
        ["run", "--mount", "type=bind", "tiny"],
        ["run", "--network", "nothing", "tiny", "true"],
        ["run", "--network", "net", "--network", "host", "tiny"],
        ["run", "--gpus", "all", "tiny", "true"],
        ["run", "--runtime", "foo", "tiny", "true"],
        ["run", "--volumes-from", "nothing", "tiny", "true"],
        ["run", "--security-opt", "seccomp=/nothing", "tiny"],
        ["container", "nothing"],
        ["nothing"],
        ["--nothing"],
    ],
    ids=" ".join,
)
def test_the_same_words_have_the_same_outcome(peer: Dockerd, words: list[str]) -> None:
    """Whoever knows the one knows the other."""
    assert_same(peer, words)


def assert_same(peer: Dockerd, words: list[str]) -> None:
    """Both clients, one after the other."""
    theirs = outcome(["docker"], peer.host, words, b"from stdin\n")
    ours = outcome(MINIDOCK, peer.host, words, b"from stdin\n")
    for _ in range(5):
        if ours == theirs or "ago" not in theirs[0]:
            break
        # A second has passed in between, "2 seconds ago"; each container has its own.
        theirs = outcome(["docker"], peer.host, words, b"")
        ours = outcome(MINIDOCK, peer.host, words, b"")
    assert ours == theirs


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ([["create", "-l", "p=q", "tiny", "true"]], ["container", "prune", "-f", "--filter", "label=p"]),
        ([["create", "--name", "gone", "tiny", "true"]], ["rm", "gone", "nothing"]),
        ([["network", "create", "gone"]], ["network", "prune", "-f", "--filter", "label!=k"]),
        ([["network", "create", "gone"]], ["network", "rm", "gone", "nothing"]),
        ([["network", "rm", "made"]], ["network", "create", "-d", "bridge", "--internal", "--label", "a=b", "made"]),
        ([["network", "disconnect", "net", "public"]], ["network", "connect", "--alias", "x", "net", "public"]),
        ([["network", "connect", "net", "public"]], ["network", "disconnect", "-f", "net", "public"]),
        ([["volume", "create", "gone"]], ["volume", "prune", "-f", "--filter", "label!=k"]),
        ([["volume", "create", "gone"]], ["volume", "rm", "gone", "nothing"]),
        (
            [["volume", "rm", "made"]],
            ["volume", "create", "-o", "type=tmpfs", "-o", "device=x", "--label", "a=b", "made"],
        ),
        ([["unpause", "web"]], ["pause", "web", "nothing"]),
        ([["pause", "web"]], ["unpause", "web"]),
        ([["update", "--memory-swap", "-1", "-m", "0", "web"]], ["update", "-m", "64m", "--memory-swap", "-1", "web"]),
        ([["rmi", "made:1"]], ["commit", "-m", "msg", "-a", "me", "-c", "ENV X=y", "done", "made:1"]),
        ([["tag", "tiny", "gone"]], ["rmi", "gone", "nothing"]),
        (
            [["create", "--name", "gone", "-l", "prune=1", "tiny", "true"]],
            ["system", "prune", "-f", "--filter", "label=prune"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else "",
)
def test_what_changes_something_is_told_alike(peer: Dockerd, before: list[list[str]], words: list[str]) -> None:
    """The same things are there before each of the two."""
    outcomes = []
    for command in (["docker"], MINIDOCK):
        for preparation in before:
            peer.docker(*preparation)
        outcomes.append(outcome(command, peer.host, words, b""))
    peer.docker("unpause", "web")
    assert outcomes[0] == outcomes[1]
