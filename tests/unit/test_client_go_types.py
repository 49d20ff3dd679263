"""What a template sees of the API's documents with Go's types. The real client is asked in tests/engine."""

from __future__ import annotations

from typing import Any

import pytest

from minidock.client.go_types import typed
from minidock.client.template import Template

CONTAINER: dict[str, Any] = {
    "Id": "1f2e",
    "State": {"Status": "running", "Running": True, "Pid": 7, "StartedAt": "a", "FinishedAt": "b"},
    "Mounts": [{"Type": "bind", "Source": "/a", "Destination": "/b", "RW": True}],
    "Config": {
        "Env": ["A=b"],
        "Labels": {"a": "b"},
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 90_000_000_000},
        "Image": "tiny",
        "Unknown": 5,
    },
    "HostConfig": {"CpuShares": 3, "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]},
    "NetworkSettings": {"IPAddress": "1.2.3.4", "Ports": {"80/tcp": [{"HostIp": "::", "HostPort": "8080"}]}},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.State}}", "{running true false false false false 7 0  a b <nil>}"),
        ("{{print .State}}", "&{running true false false false false 7 0  a b <nil>}"),
        ("{{.Mounts}}", "[{bind  /a /b   true }]"),
        ('{{printf "%+v" .Mounts}}', "[{Type:bind Name: Source:/a Destination:/b Driver: Mode: RW:true Propagation:}]"),
        ('{{printf "%#v" .Config.Env}}', '[]string{"A=b"}'),
        (
            '{{printf "%T %T %T %T" . .State .Config.Env .State.Health}}',
            "container.InspectResponse *container.State []string *container.Health",
        ),
        ('{{printf "%T %T" .Config.Volumes .HostConfig.PortBindings}}', "map[string]struct {} nat.PortMap"),
        (
            "{{.ID}} {{.HostConfig.CPUShares}} {{.HostConfig.Resources.CPUShares}} {{.NetworkSettings.IPAddress}}",
            "1f2e 3 3 1.2.3.4",
        ),
        ("{{.NetworkSettings.Ports}} {{.Config.ExposedPorts}}", "map[80/tcp:[{:: 8080}]] map[80/tcp:{}]"),
        (
            "{{.Config.Healthcheck.Interval}} {{.Config.Healthcheck.Timeout}} {{.HostConfig.Ulimits}}",
            "1m30s 0s [nofile=1:2]",
        ),
        ('{{.Config.Labels.none}}|{{index .Config.Labels "none"}}|{{.Config.Labels.none.x}}', "<no value>||<no value>"),
        ("{{with .State.Health}}{{.Status}}{{else}}none{{end}} {{len .Config.OnBuild}}", "none 0"),
        (
            "{{json .State.Health}} {{json .HostConfig}}",
            'null {"CpuShares":3,"Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}]}',
        ),
    ],
)
def test_a_container_looks_as_in_go(template: str, text: str) -> None:
    """Fields in Go's order and under Go's names, nulls and what was left out as their types print them."""
    assert Template(template).render(typed(CONTAINER, "container.InspectResponse")) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (999, "999ns"),
        (1_500, "1.5µs"),
        (20_000_000, "20ms"),
        (1_500_000_000, "1.5s"),
        (60_000_000_000, "1m0s"),
        (5_400_000_000_000, "1h30m0s"),
        (-2_000_000_000, "-2s"),
    ],
)
def test_durations_read_as_in_go(nanoseconds: int, text: str) -> None:
    """As ``time.Duration`` prints itself."""
    assert Template("{{.}}").render(typed(nanoseconds, "time.Duration")) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2006-01-02T15:04:05.120000000Z", "2006-01-02 15:04:05.12 +0000 UTC"),
        ("2006-01-02T15:04:05Z", "2006-01-02 15:04:05 +0000 UTC"),
        (None, "0001-01-01 00:00:00 +0000 UTC"),
    ],
)
def test_moments_read_as_in_go(moment: str | None, text: str) -> None:
    """As ``time.Time`` prints itself."""
    assert Template("{{.}}").render(typed(moment, "time.Time")) == text
