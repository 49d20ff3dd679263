"""Pull through the daemon: Docker's own client, and ours, against Debian's docker-registry."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.harness import Daemon
from tests.registries import (
    DebianRegistry,
    TestImage,
    debian_registry,
    htpasswd_auth,
    make_image,
    make_index,
    push,
    tar_of,
)

pytestmark = pytest.mark.root

USER, PASSWORD = "anna", "secret"


@pytest.fixture(scope="module")
def image() -> TestImage:
    """Three layers."""
    return make_image([tar_of({f"file-{number}": bytes(1000)}) for number in range(3)], config={"Cmd": ["/file-0"]})


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, shared_daemon: Daemon, image: TestImage
) -> Iterator[DebianRegistry]:
    """An open registry in the daemon's network namespace, with ``three`` and, for many platforms, ``many``."""
    directory, inside = tmp_path_factory.mktemp("registry"), shared_daemon.inside()
    with debian_registry(directory, inside=inside) as running:
        push(image, f"{running.address}/three", directory, inside=inside)
        push(make_index("amd64", "arm64", "s390x"), f"{running.address}/many", directory, inside=inside)
        yield running


@pytest.fixture(scope="module")
def closed_registry(
    tmp_path_factory: pytest.TempPathFactory, shared_daemon: Daemon, image: TestImage
) -> Iterator[DebianRegistry]:
    """A registry that wants name and password, with ``three``."""
    directory, inside = tmp_path_factory.mktemp("closed"), shared_daemon.inside()
    with debian_registry(directory, htpasswd_auth(directory, USER, PASSWORD), inside=inside) as running:
        push(image, f"{running.address}/three", directory, f"{USER}:{PASSWORD}", inside)
        yield running


def minidock(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run our own client."""
    command = [str(Path(sys.executable).with_name("minidock")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=daemon.environment)


def test_dockers_client_pulls(daemon: Daemon, registry: DebianRegistry, image: TestImage) -> None:
    """Docker's output, line by line: a new image, and then one that is up to date."""
    name = f"{registry.address}/three"
    lines = daemon.ok("pull", name).splitlines()
    assert lines[:2] == ["Using default tag: latest", "latest: Pulling from three"]
    assert lines[-3:] == [f"Digest: {image.top}", f"Status: Downloaded newer image for {name}:latest", f"{name}:latest"]
    assert sum(line.endswith(": Pull complete") for line in lines) == 3
    assert daemon.ok("pull", name).splitlines() == [
        "Using default tag: latest",
        "latest: Pulling from three",
        f"Digest: {image.top}",
        f"Status: Image is up to date for {name}:latest",
        f"{name}:latest",
    ]
    assert daemon.ok("images", "--digests", "--format", "{{.Digest}}", name) == image.top
    assert daemon.ok("inspect", "--format", "{{.Config.Cmd}} {{len .RootFS.Layers}}", name) == "[/file-0] 3"
    daemon.ok("rmi", name)


def test_a_pull_by_digest_has_no_tag(daemon: Daemon, registry: DebianRegistry, image: TestImage) -> None:
    """``pull NAME@DIGEST`` gives an image with a digest and without a tag."""
    name = f"{registry.address}/three@{image.top}"
    assert f"Digest: {image.top}" in daemon.ok("pull", name)
    assert daemon.ok("images", "--digests", "--format", "{{.Tag}} {{.Digest}}", f"{registry.address}/three") == (
        f"<none> {image.top}"
    )
    daemon.ok("rmi", name)


def test_another_platform_on_request(daemon: Daemon, registry: DebianRegistry) -> None:
    """``--platform`` chooses from the index, and an absent platform is said as Docker says it."""
    name = f"{registry.address}/many"
    daemon.ok("pull", "--platform", "linux/s390x", name)
    assert daemon.ok("inspect", "--format", "{{.Architecture}}", name) == "s390x"
    failed = daemon.docker("pull", "--platform", "linux/riscv64", name)
    assert failed.returncode == 1
    assert failed.stderr.strip().endswith("no matching manifest for linux/riscv64 in the manifest list entries")
    daemon.ok("rmi", name)


@pytest.mark.parametrize(
    "name, words",
    [
        ("{open}/three:nope", "manifest for {open}/three:nope not found: manifest unknown: manifest unknown"),
        ("{open}/nothing", "manifest for {open}/nothing:latest not found: manifest unknown: manifest unknown"),
        ("127.0.0.1:1/x", 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'),
        ("{closed}/three", "no basic auth credentials"),
    ],
)
def test_failures_are_one_line(
    daemon: Daemon, registry: DebianRegistry, closed_registry: DebianRegistry, name: str, words: str
) -> None:
    """Docker's words and exit code, by Docker's client and by ours, and no image afterwards."""
    places = {"open": registry.address, "closed": closed_registry.address}
    name, words = name.format(**places), words.format(**places)
    for failed in (daemon.docker("pull", name), minidock(daemon, "pull", name)):
        assert failed.returncode == 1
        assert len(failed.stderr.splitlines()) == 1
        assert failed.stderr.startswith("Error response from daemon: ")
        assert failed.stderr.rstrip().endswith(words)
    assert daemon.ok("images", "-q", name) == ""


def test_docker_login_opens_a_closed_registry(
    daemon: Daemon, closed_registry: DebianRegistry, image: TestImage
) -> None:
    """What ``docker login`` keeps in config.json goes to the daemon with the pull, from both clients."""
    name = f"{closed_registry.address}/three"
    directory = Path(daemon.environment["DOCKER_CONFIG"])
    directory.mkdir(exist_ok=True)
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (directory / "config.json").write_text(json.dumps({"auths": {closed_registry.address: {"auth": auth}}}))
    try:
        assert f"Digest: {image.top}" in daemon.ok("pull", name)
        daemon.ok("rmi", name)
        ours = minidock(daemon, "pull", name)
        assert ours.returncode == 0, ours.stderr
        assert f"Digest: {image.top}" in ours.stdout
        daemon.ok("rmi", name)
    finally:
        (directory / "config.json").unlink()
