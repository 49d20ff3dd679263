"""``manifest``, beside Docker's own: the same files, the same words, the same digests; no daemon takes part."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import words_of_docker_28
from tests.registries import debian_registry, make_image, own_registry, push, tar_of
from tests.wire_client import WireClient

pytestmark = words_of_docker_28

DOCKER = ["docker", "manifest"]
MINIDOCK = [
    sys.executable,
    "-c",
    "from minidock.client.main import main; main()",
    "manifest",
]
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(scope="module", params=["ours", "Debian's"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a registry is that has an image for each of two platforms, in two repositories."""
    directory = tmp_path_factory.mktemp("registry")
    with (
        own_registry(directory / "r", quiet=True)
        if request.param == "ours"
        else debian_registry(directory / "r") as found
    ):
        address = found if isinstance(found, str) else found.address
        for architecture in ("amd64", "arm64"):
            image = make_image([tar_of({"arch": architecture.encode()})], architecture)
            push(image, f"{address}/for-{architecture}:1", directory)
        yield address


def ask(home: Path, command: list[str], *words: str) -> tuple[int, str, str]:
    """Exit code and words of a client whose files are at ``home``."""
    environment = os.environ | {"DOCKER_CONFIG": str(home), "DOCKER_HOST": "unix:///nowhere.sock"}
    done = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def both(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    """The same of both clients, each with files of its own; what they say, which is the same."""
    theirs, ours = (ask(tmp_path / str(len(command)), command, *words) for command in (DOCKER, MINIDOCK))
    assert ours == theirs
    return ours


def test_a_list_is_made_changed_looked_at_pushed_and_forgotten(registry: str, tmp_path: Path) -> None:
    """Word for word, and the digest too; the registry has the list and both images under the one name."""
    name, amd, arm = (f"{registry}/{path}" for path in ("app:1", "for-amd64:1", "for-arm64:1"))
    assert both(tmp_path, "create", "--insecure", name, amd)[0] == 0
    assert both(tmp_path, "create", "--insecure", name, arm)[0] == 1
    assert both(tmp_path, "create", "--insecure", "--amend", name, arm)[0] == 0
    features = ["--variant", "v8", "--os-features", "a,b", "--os-features", "b", "--os-version", "7"]
    assert both(tmp_path, "annotate", name, arm, *features)[0] == 0
    assert both(tmp_path, "annotate", name, arm, "--arch", "abacus")[0] == 1
    assert both(tmp_path, "annotate", name, f"{arm}0", "--arch", "arm")[0] == 1
    for words in ([name], ["-v", name], [name, arm], ["-v", name, arm]):
        assert both(tmp_path, "inspect", *words)[0] == 0
    code, said, _ = both(tmp_path, "push", "--insecure", "--purge", name)
    assert code == 0
    answer = WireClient(registry).ask("GET", "/v2/app/manifests/1", Accept=INDEX)
    assert answer.headers["Docker-Content-Digest"] == said.splitlines()[-1]
    variants = [entry["platform"].get("variant") for entry in answer.json()["manifests"]]
    assert variants == [None, "v8"]
    for words in ([name], ["-v", name]):  # it is forgotten here: this is the registry's
        assert both(tmp_path, "inspect", "--insecure", *words)[0] == 0
    assert both(tmp_path, "rm", name)[0] == 1
    assert both(tmp_path, "create", "--insecure", f"{registry}/other:1", name) == (1, "", f"{name} is a manifest list")


def test_each_reads_what_the_other_has_written(registry: str, tmp_path: Path) -> None:
    """One begins a list and the other goes on with it, in the same files."""
    name = f"{registry}/shared:1"
    for first, second in ((DOCKER, MINIDOCK), (MINIDOCK, DOCKER)):
        assert ask(tmp_path, first, "create", "--insecure", name, f"{registry}/for-amd64:1")[0] == 0
        assert ask(tmp_path, second, "create", "--insecure", "-a", name, f"{registry}/for-arm64:1")[0] == 0
        assert ask(tmp_path, first, "inspect", "-v", name) == ask(tmp_path, second, "inspect", "-v", name)
        assert ask(tmp_path, second, "push", "--insecure", name)[0] == 0
        assert ask(tmp_path, first, "rm", name) == (0, "", "")


def test_what_is_not_there(registry: str, tmp_path: Path) -> None:
    """No such name, no such list, and an image of another registry."""
    assert both(tmp_path, "inspect", "--insecure", f"{registry}/none:1")[0] == 1
    assert both(tmp_path, "create", "--insecure", f"{registry}/a:1", f"{registry}/none:1")[0] == 1
    assert both(tmp_path, "push", "--insecure", f"{registry}/a:1")[0] == 1
    assert both(tmp_path, "create", "--insecure", "elsewhere.invalid/a:1", f"{registry}/for-amd64:1")[0] == 0
    assert both(tmp_path, "push", "--insecure", "elsewhere.invalid/a:1")[0] == 1
    assert both(tmp_path, "rm", "elsewhere.invalid/a:1", f"{registry}/a:1")[0] == 1


def test_nothing_of_the_directory_that_one_is_in_is_loaded(registry: str, tmp_path: Path) -> None:
    """``python -m`` would look for modules there first: in a build context, or whatever somebody has unpacked."""
    (tmp_path / "asyncio.py").write_text("raise SystemExit('planted')")
    command = [sys.executable, "-I", *MINIDOCK[1:], "inspect", f"{registry}/for-amd64:1"]
    environment = os.environ | {"DOCKER_CONFIG": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "planted" not in done.stderr, done.stderr
