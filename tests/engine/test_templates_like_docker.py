"""``--format``: what Docker's client makes of a template, ours does too, to the letter."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.client.template import Template, TemplateError
from tests.engine.harness import tiny_archive
from tests.engine.test_client_like_docker import assert_same
from tests.peers import Dockerd, dockerd, words_of_docker_28

pytestmark = [pytest.mark.root, words_of_docker_28]


def theirs(template: str) -> str:
    """What docker prints for a template that asks nothing of its data, or what it complains of."""
    done = subprocess.run(["docker", "context", "inspect", "-f", template, "default"], capture_output=True, text=True)
    return done.stdout[:-1] if done.returncode == 0 else done.stderr.strip().removeprefix("template parsing error: ")


def ours(template: str) -> str:
    """The same, of this client."""
    try:
        return Template(template).render(None)
    except TemplateError as error:
        return str(error)


@pytest.mark.parametrize(
    "template",
    [
        '{{define "x"}}[{{.}}]{{end}}{{template "x" 3}}{{template "x"}}{{block "y" 1}}<{{.}}>{{end}}',
        '{{define "x"}}{{index nil 1}}{{end}}\n{{template "x"}}',
        '{{template "nope"}}{{define "x"}}{{end}}',
        '{{block "x" 1}}b{{end}}{{define "x"}}a{{end}}',
        '{{define "a"}}{{define "b"}}{{end}}{{end}}',
        '{{$x := 1}}{{define "a"}}{{$x}}{{end}}',
        "{{define a}}{{end}}",
        '{{html "<a&\\"\'>"}} {{js "<a\'\\"\\\\=&\\n"}} {{urlquery "a b&/é~-_.!*"}} {{html 1 "a"}} {{js 1 2}}',
        "{{call 3}}",
        "{{call nil}}",
        "{{'a'}} {{0x1F}} {{1_000}} {{1e3}} {{.5}} {{0b11}} {{017}} {{1.0}} {{1e-7}} {{123456.0}} {{\"\\u00e9\\x41\"}}",
        '{{len "é"}} {{index "abc" 1}} {{slice "abcd" 1 3}} {{title "hello wORLD x-y don\'t"}} {{json "<a>"}}',
        '{{truncate "abc" 10}}{{pad "" 3 3}}|{{pad "x" 0 2}}|{{split "" ","}}{{join (split "a b" " ") "-"}}',
        '{{print 1 2 "x" 3 nil true}}{{println 1 "a"}}{{or 0 1 2}} {{and 1 0 (index nil 3)}} {{not ""}}',
        '{{eq "a" "b" "a"}} {{ne 1 2}} {{le 1 1}} {{ge "b" "a"}} {{gt 1.5 0.5}} {{eq 1 nil}} {{eq nil nil}}',
        "{{eq 1 1.0}}",
        "{{eq 1 true}}",
        "{{lt true false}}",
        "{{lt 1 2 3}}",
        "{{eq 1}}",
        "{{printf}}",
        '{{index (split "a,b,c" ",") 55555}}',
        '{{slice "abc" 2 1}}',
        '{{split "a" 3}}',
        '{{pad "a" 1 "x"}}',
        '{{pad "a" 2 -1}}',
        '{{join "a" ","}}',
        "{{lower nil}}",
        "{{3 | lower}}",
        '{{"a" "b"}}',
        "{{true}} {{nil}}",
        "{{1 | 2}}",
        "{{$y = 1}}",
        "{{if $x := 3}}{{$x}}{{end}}{{with $x := 4}}{{$x}}{{.}}{{end}}{{$x := 1}}{{range 2}}{{$x = .}}{{end}}{{$x}}",
        "{{if $x := 3}}{{end}}{{$x}}",
        "{{range $a,$b,$c := 3}}{{end}}",
        "{{range $i, $c := 2}}{{end}}",
        '{{range $i, $e := split "a,b" ","}}{{$i}}{{$e}}{{else}}n{{end}}{{range 0}}{{else}}none{{end}}',
        "{{range 2}}{{with 1}}{{break}}{{end}}{{end}}",
        "{{break}}",
        "{{break 3}}",
        "{{if true}}{{else}}{{else}}{{end}}",
        "{{/* x }}",
        "{{/* x */ 3}}",
        '{{"a".x}}',
        '{{"\\q"}}',
        "{{1 )}}",
    ],
)
def test_the_language(template: str) -> None:
    """What it prints, and what it complains of, in which words and where."""
    assert ours(template) == theirs(template)


FLAGS = st.lists(st.sampled_from("-+# 0"), max_size=2, unique=True).map("".join)
SIZES = st.sampled_from(["", "1", "7", ".0", ".2", "9.3"])
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"], exclude_characters="\x1f\ufffd"), max_size=6)
VALUES = st.one_of(
    st.integers(-(10**6), 10**6).map(lambda number: ("vdboxXTst", str(number))),
    st.floats(-1e12, 1e12).map(lambda number: ("vTefdt", f"{number:.6e}")),
    st.booleans().map(lambda value: ("vtsdT", json.dumps(value))),
    TEXTS.map(lambda text: ("vsqxXTd", json.dumps(text, ensure_ascii=False))),
    st.lists(st.sampled_from("abc"), max_size=3).map(lambda items: ("vsqT", f'(split "{",".join(items)}" ",")')),
)


@st.composite
def printed(draw: st.DrawFn) -> str:
    """A call of printf with a verb and a value, which it may or may not suit."""
    verbs, value = draw(VALUES)
    form = f"%{draw(FLAGS)}{draw(SIZES)}{draw(st.sampled_from(verbs))}"
    return f'{{{{printf "{form}" {value}}}}}'


@settings(max_examples=30)
@given(st.lists(printed(), min_size=10, max_size=30))
def test_printf(calls: list[str]) -> None:
    """Every verb, with flags and sizes, for every kind of value."""
    got, expected = (render("\x1f".join(calls)).split("\x1f") for render in (ours, theirs))
    for call, here, there in zip(calls, got, expected, strict=True):
        assert here == there, call


@pytest.fixture(scope="module")
def peer() -> Iterator[Dockerd]:
    """Debian's dockerd with a container that has a bit of everything, a network and a volume."""
    with dockerd() as daemon:
        options = ["--name", "web", "-l", "x=y", "-p", "127.0.0.1:8080:80", "-m", "64m", "--ulimit", "nofile=1000"]
        options += ["--restart", "on-failure:3", "--tmpfs", "/t:rw", "-v", "data:/v", "--device", "/dev/null:/dev/x"]
        for words in (
            ["import", "-c", "ENV PATH=/bin", "-c", "LABEL a=b", "-", "tiny"],
            ["run", "-d", *options, "tiny", "sleep", "1000"],
            ["network", "create", "--label", "k=v", "--subnet", "10.99.0.0/24", "net"],
        ):
            done = daemon.docker(*words, stdin=tiny_archive() if words[0] == "import" else None)
            assert done.returncode == 0, done.stderr
        yield daemon
        daemon.docker("rm", "-f", "web")


@pytest.mark.parametrize(
    "template",
    [
        "{{.State}} {{.Mounts}} {{.Config}} {{.GraphDriver}} {{.NetworkSettings.Ports}} {{.HostConfig.PortBindings}}",
        '{{.Config.Labels}} {{.Config.Labels.nope}} {{index .Config.Labels "nope"}} {{.Config.Labels.x.y}}',
        "{{.ID}} {{.HostConfig.NanoCPUs}} {{.HostConfig.CPUShares}} {{.HostConfig.Resources.Memory}}",
        "{{.Id}} {{.HostConfig.NanoCpus}}",
        "{{.HostConfig.RestartPolicy}} {{.HostConfig.Ulimits}} {{.HostConfig.Devices}} {{.HostConfig.Mounts}}",
        "{{.HostConfig.LogConfig}} {{.HostConfig.Tmpfs}} {{.HostConfig.Sysctls}} {{.HostConfig.Binds}}",
        '{{printf "%T %T %T %T" . .State .Mounts .NetworkSettings.Ports}} {{printf "%+v" .Mounts}} {{print .State}}',
        '{{printf "%T %T %T %T" .Config.Volumes .Config.Cmd .HostConfig.Ulimits .State.Health}}',
        "{{json .State}} {{json .Config.Env}} {{json .HostConfig.RestartPolicy}} {{json .NetworkSettings.Ports}}",
        "{{range $p, $c := .NetworkSettings.Ports}}{{$p}} -> {{(index $c 0).HostPort}} {{end}}",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.NetworkID}}{{end}}",
        "{{range $n, $e := .NetworkSettings.Networks}}{{$n}}{{$e}}{{end}}",
        "{{with .State}}{{.Status}} {{.Pid}}{{end}} {{with .State.Health}}{{.Status}}{{else}}none{{end}}",
        "{{.State.Health.Status}}",
        "{{.Config.Foo.Bar}}",
        '{{join .Config.Env ","}} {{len .Config.Cmd}} {{len .Config.Entrypoint}} {{slice .ID 0 12}} {{pad .Name 1 2}}',
        '{{if eq .State.Status "running"}}up{{end}} {{if gt .State.Pid 0}}x{{end}} {{lt .RestartCount 1}}',
        '{{define "x"}}<{{.Status}}>{{end}}{{template "x" .State}}',
        "{{.NetworkSettings.NetworkSettingsBase}} {{.NetworkSettings.DefaultNetworkSettings}}",
        '{{index .NetworkSettings.Networks "nope"}} {{.NetworkSettings.Networks.nope.IPAddress}}',
        "{{range .State}}{{end}}",
        '{{index .State "Pid"}}',
    ],
)
def test_a_container(peer: Dockerd, template: str) -> None:
    """What users ask for, and whole objects."""
    assert_same(peer, ["inspect", "-f", template, "web"])


@pytest.mark.parametrize(
    "words",
    [
        ["image", "inspect", "-f", "{{.ID}} {{.RepoTags}} {{.RootFS}} {{.Metadata.LastTagTime}} {{.Config}}", "tiny"],
        ["image", "inspect", "-f", "{{.Config.ExposedPorts}}|{{.Config.Hostname}}", "tiny"],
        ["network", "inspect", "-f", "{{.}}", "net", "bridge"],
        ["network", "inspect", "-f", "{{.ID}} {{range $i, $c := .Containers}}{{$c.Name}} {{$c}}{{end}}", "bridge"],
        ["volume", "inspect", "-f", "{{.}} {{.Status}} {{.UsageData}}", "data"],
        ["version", "-f", "{{.Server.APIVersion}} {{.Client.APIVersion}} {{.Server.Os}}/{{.Server.Arch}}"],
        ["version", "-f", "{{range .Server.Components}}{{.Name}} {{.Version}};{{end}}"],
    ],
    ids=" ".join,
)
def test_other_things(peer: Dockerd, words: list[str]) -> None:
    """Images, networks, volumes, the daemon."""
    assert_same(peer, words)
