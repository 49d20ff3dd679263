"""docker-py, the other client that everybody uses, against minidockd."""

from __future__ import annotations

import docker.errors
import pytest

from tests.engine.harness import Daemon

pytestmark = pytest.mark.root


def test_run_logs_exec_and_remove(daemon: Daemon) -> None:
    """The library's own round: run, look, execute, stop, remove."""
    client = daemon.client()
    assert client.ping() and client.version()["ApiVersion"] == "1.44"
    for _ in range(10):  # dockerd 20.10 at times says nothing: its logs are followed while the container ends
        assert client.containers.run("tiny", ["echo", "hello"], remove=True) == b"hello\n"
    container = client.containers.run("tiny", ["sleep", "1000"], detach=True, name="py", environment={"A": "1"})
    assert [item.name for item in client.containers.list(filters={"name": "py"})] == ["py"]
    code, output = container.exec_run(["sh", "-c", "echo $A; exit 2"])
    assert (code, output) == (2, b"1\n")
    container.stop(timeout=0)
    assert container.wait()["StatusCode"] == 137
    container.remove()
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("py")
    client.close()


def test_errors_have_their_classes(daemon: Daemon) -> None:
    """Missing images and failing programs are the exceptions that programs catch."""
    client = daemon.client()
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("nosuch")
    with pytest.raises(docker.errors.ContainerError) as caught:
        client.containers.run("tiny", ["sh", "-c", "echo wrong >&2; exit 5"], remove=True)
    assert caught.value.exit_status == 5 and b"wrong" in caught.value.stderr
    client.close()


def test_images_and_networks(daemon: Daemon) -> None:
    """Tagging, listing and removing images; looking at networks."""
    client = daemon.client()
    image = client.images.get("tiny")
    assert image.tag("py", "1") and "py:1" in client.images.get("py:1").tags
    client.images.remove("py:1")
    assert {network.name for network in client.networks.list()} == {"bridge", "host", "none"}
    client.close()
