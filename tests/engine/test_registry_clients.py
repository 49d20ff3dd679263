"""Our registry serves the clients that people use: skopeo, podman, buildah, docker, and our own engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from minidock.content.store import Content
from minidock.oci import platform, reference
from minidock.registry.pull import Pulled, pull
from minidock.registry.server.collecting import collect
from minidock.registry.server.store import Store
from tests.peers import dockerd
from tests.registries import (
    LyingRegistry,
    TestImage,
    debian_registry,
    digest_of,
    htpasswd_auth,
    make_image,
    make_index,
    own_registry,
    push,
    tar_of,
)
from tests.wire_client import WireClient

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def image() -> TestImage:
    """Three layers of 1 MB, and a program that does nothing."""
    layers = [tar_of({f"file-{number}": bytes([number, 1, 2, 3]) * 250_000}) for number in range(3)]
    return make_image(layers, config={"Cmd": ["/file-0"]})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, image: TestImage) -> Iterator[str]:
    """Our registry, with ``seed:latest`` in it."""
    directory = tmp_path_factory.mktemp("registry")
    with own_registry(directory / "root") as address:
        push(image, f"{address}/seed", directory)
        yield address


def run(*command: str) -> str:
    """Run a client; what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def layers_of(registry: str, name: str) -> list[str]:
    """The diff-ids of an image in the registry, as skopeo reads them: nobody may change those."""
    config = run("skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{registry}/{name}")
    return list(json.loads(config)["rootfs"]["diff_ids"])


def test_skopeo_both_ways(registry: str, image: TestImage, tmp_path: Path) -> None:
    """What skopeo copies out is what was copied in, all platforms of an index included."""
    run("skopeo", "copy", "--src-tls-verify=false", f"docker://{registry}/seed", f"oci:{tmp_path}/copy:latest")
    for digest, data in image.blobs.items():
        assert (tmp_path / "copy/blobs/sha256" / digest[7:]).read_bytes() == data
    many = make_index("amd64", "arm64", "s390x")
    push(many, f"{registry}/many", tmp_path)
    raw = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry}/many")
    assert json.loads(raw) == many.document()


@pytest.mark.parametrize("tool", ["podman", "buildah"])
def test_podman_and_buildah_both_ways(registry: str, tmp_path: Path, tool: str) -> None:
    """Pulled from our registry, pushed back under another name: the same layers."""
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    flags = ["--tls-verify=false", f"--signature-policy={policy}"]
    with tempfile.TemporaryDirectory() as short:  # podman takes no longer path
        here = [tool, "--root", f"{short}/root", "--runroot", f"{short}/run", "--storage-driver", "vfs"]
        run(*here, "pull", *flags, f"{registry}/seed")
        run(*here, "push", *flags, f"{registry}/seed", f"docker://{registry}/by-{tool}")
    assert layers_of(registry, f"by-{tool}") == layers_of(registry, "seed")


def test_docker_both_ways(registry: str) -> None:
    """dockerd pulls, pushes under another name (its layers are here already: nothing is sent), and deletes nothing."""
    with dockerd(own_network=False) as docker:
        for command in (
            ["pull", f"{registry}/seed"],
            ["tag", f"{registry}/seed", f"{registry}/by-docker"],
            ["push", f"{registry}/by-docker"],
        ):
            done = docker.docker(*command)
            assert done.returncode == 0, done.stderr
        assert b"Mounted from seed" in done.stdout or b"Layer already exists" in done.stdout
    assert layers_of(registry, "by-docker") == layers_of(registry, "seed")


def test_containerd_both_ways(registry: str, image: TestImage) -> None:
    """containerd (dockerd's own) fetches every blob, pushes them under another name, and the manifest is the same."""
    with dockerd(own_network=False) as docker:
        ctr = ["ctr", "--address", f"{docker.root}/exec/containerd/containerd.sock", "--namespace", "test"]
        run(*ctr, "content", "fetch", "--plain-http", f"{registry}/seed:latest")
        run(*ctr, "images", "push", "--plain-http", f"{registry}/by-containerd:1", f"{registry}/seed:latest")
    answer = WireClient(registry).ask("GET", "/v2/by-containerd/manifests/1")
    assert answer.body == image.manifests[image.top][1]
    assert layers_of(registry, "by-containerd:1") == layers_of(registry, "seed")


async def pull_with_ours(name: str, directory: Path) -> Pulled:
    """Pull with the engine's own client, without the engine."""
    content = Content(directory / "images", directory / "ingest")
    return await pull(reference.parse(name).with_default_tag(), platform.host(), content)


async def test_our_own_client(registry: str, image: TestImage, tmp_path: Path) -> None:
    """The engine's client and the registry are one house, and still speak the published protocol."""
    pulled = await pull_with_ours(f"{registry}/seed", tmp_path)
    assert pulled.digest == image.top


async def test_a_cache_asks_once(image: TestImage, tmp_path: Path) -> None:
    """A mirror of another registry fetches each blob once, and serves on when that registry is gone."""
    async with LyingRegistry(image).running() as upstream:
        await _through_a_cache(upstream, image, tmp_path)


async def _through_a_cache(upstream: LyingRegistry, image: TestImage, tmp_path: Path) -> None:
    with own_registry(tmp_path / "cache", "--proxy", upstream.base) as address:
        pulls = (pull_with_ours(f"{address}/seed", tmp_path / str(number)) for number in range(4))
        for pulled in await asyncio.gather(*pulls):
            assert pulled.digest == image.top
        assert set(upstream.served) == set(image.blobs)
        for digest, served in upstream.served.items():
            assert served == len(image.blobs[digest])
        client = WireClient(address)
        assert (await asyncio.to_thread(client.ask, "POST", "/v2/seed/blobs/uploads/")).codes == ["UNSUPPORTED"]

        async def nobody(request: object) -> None:
            raise ConnectionError

        upstream.intercept = nobody
        assert (await pull_with_ours(f"{address}/seed", tmp_path / "late")).digest == image.top
        missing = await asyncio.to_thread(client.ask, "GET", "/v2/other/manifests/latest")
        assert missing.codes == ["UNAVAILABLE"]


def test_a_cache_shows_its_own_password(image: TestImage, tmp_path: Path) -> None:
    """What needs a password upstream needs none here: the cache has it."""
    with debian_registry(tmp_path / "up", htpasswd_auth(tmp_path / "up", "ann", "secret")) as upstream:
        push(image, f"{upstream.address}/private", tmp_path, "ann:secret")
        flags = ["--proxy", f"http://{upstream.address}", "--proxy-user", "ann"]
        with own_registry(tmp_path / "cache", *flags, password="secret") as address:
            pulled = asyncio.run(pull_with_ours(f"{address}/private", tmp_path / "images"))
            assert pulled.digest == image.top
        with own_registry(tmp_path / "other", *flags, password="wrong") as address:
            assert WireClient(address).ask("GET", "/v2/private/manifests/latest").codes == ["DENIED"]


def test_garbage_is_collected_while_others_push(image: TestImage, tmp_path: Path) -> None:
    """With no grace at all a push may fail, but no image is ever listed with a hole in it."""
    with own_registry(tmp_path / "root") as address:
        store, ended = Store(tmp_path / "root"), threading.Event()

        def collecting() -> None:
            while not ended.is_set():
                collect(store, grace=0, untagged=True)

        collector = threading.Thread(target=collecting)
        collector.start()
        pushed = 0
        try:
            for number in range(12):
                try:
                    push(image, f"{address}/image:{number}", tmp_path)
                    pushed += 1
                except subprocess.CalledProcessError as error:
                    assert b"blob unknown" in error.stderr
        finally:
            ended.set()
            collector.join()
            store.close()
        client = WireClient(address)
        tags = client.ask("GET", "/v2/image/tags/list").json().get("tags", [])
        assert len(tags) == pushed
        for digest in image.blobs if tags else ():
            assert client.ask("HEAD", f"/v2/image/blobs/{digest}").status == 200


@pytest.mark.parametrize("after", range(0, 12, 3))
def test_a_killed_registry_loses_nothing(image: TestImage, tmp_path: Path, after: int) -> None:
    """Killed at some request of a push: the next one has no half image, and the push works when tried again."""
    root = tmp_path / "root"
    with own_registry(root) as address:
        client = WireClient(address)
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        registry_pid = int(children[-1])

        def kill_when_reached() -> None:
            while True:
                try:
                    text = client.ask("GET", "/metrics").body.decode()
                except OSError:
                    return
                count = sum(int(line.split()[-1]) for line in text.splitlines() if "requests_total{" in line)
                posts = sum(int(line.split()[-1]) for line in text.splitlines() if 'method="P' in line)
                if posts >= after or count > 3000:
                    os.kill(registry_pid, signal.SIGKILL)
                    return

        killer = threading.Thread(target=kill_when_reached)
        killer.start()
        with suppress(subprocess.CalledProcessError):
            push(image, f"{address}/image", tmp_path)
        killer.join()
    with own_registry(root) as address:
        client = WireClient(address)
        if client.ask("GET", "/v2/image/manifests/latest").status == 200:
            for digest in image.blobs:
                assert client.ask("HEAD", f"/v2/image/blobs/{digest}").status == 200
        push(image, f"{address}/image", tmp_path)
        assert len(layers_of(address, "image")) == 3


@pytest.mark.parametrize("milliseconds", [0, 2, 10, 40])
def test_a_killed_collection_loses_nothing(image: TestImage, tmp_path: Path, milliseconds: int) -> None:
    """Killed while it removes: what is tagged is whole, and the next collection ends the work."""
    root = tmp_path / "root"
    with closing(Store(root)) as store:
        directory = store.content.path(image.top).parent
    collecting = [sys.executable, "-m", "minidock.registry.server", "gc", "--root", str(root), "--grace", "0s"]
    with own_registry(root) as address:
        client = WireClient(address)
        push(image, f"{address}/image", tmp_path)
        wanted = {path.name for path in directory.iterdir()}
        for number in range(150):
            blob = f"orphan {number}".encode()
            client.push_blob("image", blob, digest_of(blob))
        everything = len(list(directory.iterdir()))
        with subprocess.Popen(collecting, stdout=subprocess.DEVNULL) as collector:
            while collector.poll() is None and len(list(directory.iterdir())) == everything:
                pass
            time.sleep(milliseconds / 1000)
            collector.kill()
        for digest in image.blobs:
            kind = "manifests" if digest == image.top else "blobs"
            assert digest_of(client.ask("GET", f"/v2/image/{kind}/{digest}").body) == digest
        subprocess.run(collecting, check=True, stdout=subprocess.DEVNULL)
        assert {path.name for path in directory.iterdir()} == wanted
        for number in range(150):
            digest = digest_of(f"orphan {number}".encode())
            assert client.ask("HEAD", f"/v2/image/blobs/{digest}").status == 404
