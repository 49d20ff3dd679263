"""From the words of ``run`` to the request. That it is Docker's own request is tested in tests/engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minidock.client.commands.run import RUN
from minidock.client.flags import parse
from minidock.client.options import request
from minidock.errors import InvalidInput


def body(*words: str) -> dict[str, Any]:
    """The request for ``minidock run WORDS``."""
    flags, arguments = parse(RUN, list(words))
    return request(flags, arguments[0], arguments[1:])


def test_what_was_not_said_is_not_sent() -> None:
    """The defaults are the daemon's."""
    assert body("tiny") == {
        "Image": "tiny",
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "StdinOnce": False,
        "HostConfig": {"NetworkMode": "default", "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}},
    }


def test_variables_come_from_files_flags_and_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name alone takes its value from the caller; without one there, a file's is dropped and a flag's unsets."""
    monkeypatch.setenv("HERE", "1")
    monkeypatch.delenv("NOT_HERE", raising=False)
    file = tmp_path / "env"
    file.write_bytes("\ufeff# a comment\n\nX=a b=c\n  HERE\r\nNOT_HERE\nZ=one\x0ctwo\u2028three\rfour\n".encode())
    assert body("--env-file", str(file), "-e", "Y=", "-e", "NOT_HERE", "tiny")["Env"] == [
        "X=a b=c",
        "HERE=1",
        "Z=one\x0ctwo\u2028three\rfour",
        "Y=",
        "NOT_HERE",
    ]


def test_relative_sources_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The daemon is somewhere else: ``./src`` is meant from here."""
    monkeypatch.chdir(tmp_path)
    sent = body("-v", "./src:/dst:ro", "-v", "name:/x", "-v", "/only", "--mount", "type=bind,src=./a,dst=/b,ro", "tiny")
    assert sent["HostConfig"]["Binds"] == [f"{tmp_path}/src:/dst:ro", "name:/x"]
    assert sent["Volumes"] == {"/only": {}}
    assert sent["HostConfig"]["Mounts"] == [
        {"Type": "bind", "Source": f"{tmp_path}/a", "Target": "/b", "ReadOnly": True}
    ]


def test_a_seccomp_profile_is_read_by_the_client(tmp_path: Path) -> None:
    """The daemon gets its contents; ``systempaths=unconfined`` turns into two empty lists."""
    profile = tmp_path / "profile.json"
    profile.write_text('{ "defaultAction": "SCMP_ACT_ALLOW" }')
    host = body("--security-opt", f"seccomp={profile}", "--security-opt", "systempaths=unconfined", "tiny")[
        "HostConfig"
    ]
    assert host["SecurityOpt"] == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']
    assert host["MaskedPaths"] == host["ReadonlyPaths"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--env-file", "/nowhere/x"], "open /nowhere/x: no such file or directory"),
        (["-e", "=x"], "invalid environment variable: =x"),
        (["--security-opt", "foo"], 'Invalid --security-opt: "foo"'),
        (["--security-opt", "seccomp=/nowhere/x"], r"opening seccomp profile \(/nowhere/x\) failed"),
        (["--rm", "--restart", "always"], "cannot specify both --restart and --rm"),
        (["--restart", "on-failure:x"], "maximum retry count must be an integer"),
        (["--device", "/dev/null:/dev/x:rwx"], "bad mode specified: rwx"),
        (["--device", "/dev/null:null"], "null is not an absolute path"),
        (["--device", ""], "bad format for path: "),
        (["--ulimit", "nofile"], "invalid ulimit argument: nofile"),
        (["--ulimit", "nofile=5:2"], "ulimit soft limit must be less than or equal to hard limit: 5 > 2"),
        (["--mount", "type=bind"], "target is required"),
        (["--mount", "type=bind,foo=x,dst=/x"], "unexpected key 'foo' in 'foo=x'"),
        (["--mount", "bind"], "invalid field 'bind' must be a key=value pair"),
        (["-a", "stdfoo"], "valid streams are STDIN, STDOUT and STDERR"),
        (["-p", "x"], "invalid containerPort: x"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_daemon_is_asked(words: list[str], message: str) -> None:
    """One line each."""
    with pytest.raises(InvalidInput, match=message):
        body(*words, "tiny")
