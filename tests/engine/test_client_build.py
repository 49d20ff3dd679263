"""``minidock build`` and its flags, against our own daemon: what is shown, and what is built."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.harness import Daemon, Terminal, running_daemon
from tests.registries import debian_registry, make_index, push

pytestmark = pytest.mark.root

MINIDOCK = [sys.executable, "-c", "from minidock.client.main import main; main()"]
Build = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One of this module's own."""
    with running_daemon() as running:
        yield running


@pytest.fixture
def build(daemon: Daemon, tmp_path: Path) -> Iterator[Build]:
    """Build the Dockerfile that is given, in a directory of the test's own; it has to succeed."""
    daemon.json("POST", "/build/prune?all=1")
    here = tmp_path / "context"
    here.mkdir()

    def run(dockerfile: str, *words: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        (here / "Dockerfile").write_text(dockerfile)
        command = [*MINIDOCK, "-H", daemon.host, "build", *words, "."]
        done = subprocess.run(command, capture_output=True, text=True, cwd=here, env=os.environ | env, timeout=60)
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done

    yield run
    for image in daemon.json("GET", "/images/json"):
        if "tiny:latest" not in (image["RepoTags"] or []):
            daemon.request("DELETE", f"/images/{image['Id']}?force=1")


def inspected(daemon: Daemon, name: str) -> Any:
    """What there is to know of an image."""
    return daemon.json("GET", f"/images/{name}/json")


def seen(daemon: Daemon, name: str, *words: str) -> str:
    """What a command prints in a container of an image."""
    return daemon.ok("run", "--rm", "--network=none", name, *words)


TEXT = "FROM tiny AS base\nRUN echo out; echo err >&2\nFROM base\nCMD x\n"


def test_plain(build: Build) -> None:
    """Numbered steps, which stage each belongs to, what it writes and when, how long it took, what came from before."""
    done = build(TEXT, "--progress", "plain", "-t", "shown:1")
    lines = [re.sub(r"\d+\.\d+", "T", line) for line in done.stderr.splitlines()]
    image = lines[-2].split()[1]
    assert [*sorted(lines[:-2], key=lambda line: line.split()[0]), *lines[-2:]] == [
        "#1 [base 1/4] FROM tiny AS base",
        "#1 DONE Ts",
        "#2 [base 2/4] RUN echo out; echo err >&2",
        *sorted(["#2 T out", "#2 T err"], key=lines.index),
        "#2 DONE Ts",
        "#3 [stage-1 3/4] FROM base",
        "#3 DONE Ts",
        "#4 [stage-1 4/4] CMD x",
        "#4 DONE Ts",
        f"built {image} in Ts",
        "named shown:1",
    ]
    assert done.stdout == "" and re.fullmatch("sha256:[0-9a-f]{64}", image)
    again = build(TEXT, "--progress", "auto").stderr
    assert "#2 CACHED\n" in again and "#4 CACHED\n" in again and "#2 0" not in again


def test_quiet(build: Build, tmp_path: Path) -> None:
    """The id alone, on standard output; the file has it without a line end, and what was there before is gone."""
    (tmp_path / "id").write_text("old")
    first = build(TEXT, "--progress=quiet", "--iidfile", str(tmp_path / "id"))
    assert first.stderr == "" and first.stdout == (tmp_path / "id").read_text() + "\n"
    assert build(TEXT, "-q").stdout == first.stdout
    failed = build(f"{TEXT}RUN exit 5", "-q", "--iidfile", str(tmp_path / "id"), code=5)
    told = (
        r"Step 1/5 : FROM tiny AS base\n.*RUN exit 5\n.*\nThe command '/bin/sh -c exit 5' returned a non-zero code: 5\n"
    )
    assert re.fullmatch(told, failed.stderr, re.DOTALL) and failed.stdout == ""
    assert not (tmp_path / "id").exists()


def test_on_a_terminal(daemon: Daemon, tmp_path: Path) -> None:
    """``--progress`` decides, not the terminal: plain lines there, a picture that is drawn again elsewhere."""
    (tmp_path / "Dockerfile").write_text(TEXT)
    words = [*MINIDOCK, "-H", daemon.host, "build", str(tmp_path)]
    terminal = Terminal([*words, "--progress=plain"], dict(os.environ))
    terminal.expect(r"#2 \[base 2/4\] RUN")
    assert terminal.wait() == 0 and "\x1b[" not in terminal.seen
    terminal.close()
    drawn = subprocess.run([*words, "--progress=tty", "--no-cache"], capture_output=True, check=True).stderr
    assert b"\x1b[" in drawn and b"[base 2/4] RUN echo out; echo err >&2  DONE" in drawn


def test_secrets(build: Build, daemon: Daemon, tmp_path: Path) -> None:
    """From a file and from a variable; read by the step, and nowhere else."""
    (tmp_path / "key").write_text("of a file")
    read = "RUN --mount=type=secret,id={0},required cat /run/secrets/{0} | wc -c > /{0}\n"
    text = f"FROM tiny\n{read.format('key')}{read.format('token')}"
    build(text, f"--secret=id=key,src={tmp_path}/key", "--secret=id=token,env=TOKEN", "-t", "read", TOKEN="variable")
    assert seen(daemon, "read", "cat", "/key", "/token") == "9\n8"
    assert "secret key not found" in build(text, "--no-cache", code=1).stderr
    assert "no NOTHING" in build(text, "--secret=id=token,env=NOTHING", code=1).stderr


def test_what_is_built(build: Build, daemon: Daemon) -> None:
    """--target, --build-arg (from here, if it has no value), --label, several --tag; --no-cache runs all again."""
    text = f"FROM tiny AS first\nARG A\nARG B\nRUN echo $A $B > /f\n{TEXT.replace('tiny', 'first')}RUN exit 1"
    words = ["--target=first", "--build-arg", "A=1", "--build-arg", "B", "--label", "x=y z", "-t", "one", "-t", "two:3"]
    first = build(text, *words, "-q", B="2").stdout
    for name in ("one:latest", "two:3"):
        image = inspected(daemon, name)
        assert (image["Id"], image["Config"]["Labels"]) == (first.strip(), {"x": "y z"})
    assert seen(daemon, "one", "cat", "/f") == "1 2"
    assert build(text, *words, "-q", B="2").stdout == first
    assert build(text, *words, "-q", B="3").stdout != first
    assert "CACHED" not in build(text, *words, "--no-cache", B="2").stderr


def test_the_same_digest_twice(build: Build, daemon: Daemon, tmp_path: Path) -> None:
    """With SOURCE_DATE_EPOCH, from nothing: image and layers; --cache-from takes the steps of an image as they are."""
    (tmp_path / "context" / "f").write_text("content")
    text = "FROM tiny\nCOPY f /f\nRUN date > /dev/null; echo made > /made\nENV A=1\n"
    ids = []
    for _ in range(2):
        words = ["--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1000000000", "-t", "kept"]
        ids.append((build(text, "-q", *words).stdout, inspected(daemon, "kept")["RootFS"]["Layers"]))
        daemon.json("POST", "/build/prune?all=1")
        (tmp_path / "context" / "f").touch()
    assert ids[0] == ids[1]
    build(text, "-t", "kept", SOURCE_DATE_EPOCH="1000000000")
    assert inspected(daemon, "kept")["Id"] == ids[0][0].strip()
    build(text, "-t", "kept", "--build-arg=SOURCE_DATE_EPOCH=7", SOURCE_DATE_EPOCH="1000000000")
    assert inspected(daemon, "kept")["Created"].startswith("1970-01-01T00:00:07")
    build(text, "-t", "without")
    daemon.json("POST", "/build/prune?all=1")
    assert build(text, "--cache-from=without", "--progress=plain").stderr.count("CACHED") == 3
    daemon.json("POST", "/build/prune?all=1")
    assert build(text, "--progress=plain").stderr.count("CACHED") == 0


def test_base_images_of_a_registry(build: Build, daemon: Daemon, tmp_path: Path) -> None:
    """--pull asks again for what is here; --platform and FROM --platform choose, and say so in the image."""
    with debian_registry(tmp_path, inside=daemon.inside()) as registry:
        name = f"{registry.address}/base"
        push(make_index("amd64", "arm64"), name, tmp_path, inside=daemon.inside())
        for text, words, architecture in (
            (f"FROM {name}\nENV A=1", [], "amd64"),
            (f"FROM {name}\nENV A=1", ["--platform=linux/arm64"], "arm64"),
            (f"FROM --platform=linux/arm64 {name}\nENV A=1", [], "arm64"),
            (f"FROM --platform=$BUILDPLATFORM {name}\nENV A=1", ["--platform=linux/arm64"], "amd64"),
            ("FROM scratch\nENV A=1", ["--platform=linux/arm64"], "arm64"),
        ):
            build(text, *words, "-t", "made")
            assert inspected(daemon, "made")["Architecture"] == architecture, (text, words)
        before = len(registry.requests("/v2/base/manifests/latest"))
        build(f"FROM --platform=$BUILDPLATFORM {name}", "-q")
        assert len(registry.requests("/v2/base/manifests/latest")) == before
        build(f"FROM --platform=$BUILDPLATFORM {name}", "-q", "--pull")
        assert len(registry.requests("/v2/base/manifests/latest")) > before
        assert "404" in (failed := build(f"FROM {name}:none", "-q", code=1).stderr) or "not found" in failed
