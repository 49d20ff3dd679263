"""``minidock`` and ``docker``, the same words to the same dockerd: the same output, messages and exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.engine.harness import tiny_archive
from tests.peers import Dockerd, dockerd, words_of_docker_28

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
        ):
            daemon.docker(*words)
        yield daemon
        daemon.docker("rm", "-f", "web", "done")


def outcome(command: list[str], host: str, words: list[str], stdin: bytes) -> tuple[str, str, int]:
    """Output, errors and exit code, in so far as they should be the same."""
    done = subprocess.run([*command, "-H", host, *words], input=stdin, capture_output=True, timeout=60)
    errors = done.stderr.decode().split("\n\n")[0].strip()  # Docker goes on about usage and help
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
        ["container", "nothing"],
        ["nothing"],
        ["--nothing"],
    ],
    ids=" ".join,
)
def test_the_same_words_have_the_same_outcome(peer: Dockerd, words: list[str]) -> None:
    """Whoever knows the one knows the other."""
    theirs = outcome(["docker"], peer.host, words, b"from stdin\n")
    ours = outcome(MINIDOCK, peer.host, words, b"from stdin\n")
    if ours != theirs and "ago" in theirs[0]:  # a second has passed in between: "2 seconds ago"
        theirs = outcome(["docker"], peer.host, words, b"")
    assert ours == theirs
