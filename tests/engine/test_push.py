"""``docker push`` through our daemon: what dockerd and skopeo find in the registry then, and what the user reads."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.oci import platform as platforms
from tests.engine.harness import Daemon, running_daemon, tiny_archive
from tests.engine.test_pull import minidock
from tests.peers import Dockerd, dockerd
from tests.registries import DebianRegistry, debian_registry, digest_of, htpasswd_auth, make_index, own_registry

pytestmark = pytest.mark.root

PORT = 5009
HERE = f"127.0.0.1:{PORT}"


class Scene:
    """Our daemon and dockerd, each before a registry of the same address; behind both is one directory."""

    def __init__(self, ours: Daemon, theirs: Dockerd, inside: DebianRegistry) -> None:
        self.ours = ours
        self.theirs = theirs
        self.inside = inside

    def push_both(self, *words: str) -> tuple[list[str], list[str]]:
        """The lines that both print, in any order, without what is counted or measured."""
        ours, theirs = self.ours.docker("push", *words, timeout=60), self.theirs.docker("push", *words)
        assert ours.returncode == theirs.returncode, (ours.stderr, theirs.stderr)
        return lines(ours.stdout + ours.stderr), lines((theirs.stdout + theirs.stderr).decode())


def lines(text: str) -> list[str]:
    """Without ids, digests and sizes: those depend on how a layer was packed."""
    text = re.sub(r"sha256:[0-9a-f]{64} size: \d+", "DIGEST", text)
    return sorted(line for line in text.splitlines() if not line.endswith(": Waiting"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The image ``tiny`` and, from a commit, ``made`` with one layer more, on both."""
    directory = tmp_path_factory.mktemp("registry")
    with (
        running_daemon(image=False) as ours,
        dockerd(own_network=False) as theirs,
        debian_registry(directory / "inside", address=HERE, inside=ours.inside()) as inside,
    ):
        (directory / "outside").mkdir()
        (directory / "outside" / "storage").symlink_to(directory / "inside" / "storage")
        (directory / "inside" / "storage").mkdir(exist_ok=True)
        with debian_registry(directory / "outside", address=HERE):
            ours.ok("import", "-c", "CMD sh", "-", "tiny", input=tiny_archive())
            ours.ok("run", "--name", "made", "--network", "none", "tiny", "sh", "-c", "echo new > /new")
            ours.ok("commit", "made", "made")
            archive = subprocess.run(
                ["docker", "-H", ours.host, "save", "tiny", "made"], capture_output=True, check=True
            )
            assert theirs.docker("load", "-q", stdin=archive.stdout).returncode == 0
            yield Scene(ours, theirs, inside)


def test_dockerd_pulls_what_we_push(scene: Scene) -> None:
    """The same image, by id, layers and digest; and it runs what it should."""
    name = f"{HERE}/made:1"
    scene.ours.ok("tag", "made", name)
    told = scene.ours.ok("push", name)
    digest = re.search(r"^1: digest: (sha256:[0-9a-f]{64}) size: \d+$", told, re.MULTILINE)
    assert digest is not None, told
    pulled = scene.theirs.docker("pull", name)
    assert pulled.returncode == 0, pulled.stderr
    assert f"Digest: {digest[1]}" in pulled.stdout.decode()
    ours = scene.ours.json("GET", f"/images/{name}/json")
    theirs = json.loads(scene.theirs.docker("image", "inspect", name).stdout)[0]
    assert [ours[key] for key in ("Id", "RootFS")] == [theirs[key] for key in ("Id", "RootFS")]
    assert f"{HERE}/made@{digest[1]}" in ours["RepoDigests"]


def test_it_reads_as_dockers(scene: Scene) -> None:
    """The first push, the same again, a second tag, into another repository: line by line what dockerd says."""
    for number, name in enumerate((f"{HERE}/words:1", f"{HERE}/words:1", f"{HERE}/words:2")):
        for host in (scene.ours.host, scene.theirs.host):
            subprocess.run(["docker", "-H", host, "tag", "tiny", name], check=True)
        ours, theirs = scene.push_both(name)
        if number:  # at first ours comes to an empty repository, and theirs finds what ours has left
            assert ours == theirs
    assert any(line.endswith("Layer already exists") for line in ours)
    assert "The push refers to repository [127.0.0.1:5009/words]" in ours


def test_mounted_from_another_repository(scene: Scene) -> None:
    """Layers that our daemon has pushed to this registry before are not sent again."""
    for name in (f"{HERE}/origin:1", f"{HERE}/copy:1"):
        scene.ours.ok("tag", "made", name)
    scene.ours.ok("push", f"{HERE}/origin:1")
    told = scene.ours.ok("push", f"{HERE}/copy:1")
    assert len(re.findall("Mounted from ", told)) == 2


@pytest.mark.parametrize(
    "words", ["NAME@DIGEST", "NAME:1", "NAME:1@DIGEST", "NAME@DIGEST NAME:1", "NAME:1 NAME@DIGEST"]
)
def test_rmi_by_digest(scene: Scene, words: str) -> None:
    """A digest is a name like others, but goes with its repository's last tag; the same lines, and the same left."""
    name, answers = f"{HERE}/by-digest", []
    scene.ours.ok("tag", "made", f"{name}:1")
    digest = re.search("sha256:[0-9a-f]{64}", scene.ours.ok("push", f"{name}:1"))
    assert digest is not None
    for daemon in (scene.ours.docker, scene.theirs.docker):
        daemon("pull", f"{name}:1")
        done = daemon("rmi", *words.replace("NAME", name).replace("DIGEST", digest[0]).split())
        left = daemon("images", "--digests", "--format", "{{.Repository}}:{{.Tag}}@{{.Digest}}", name)
        told = [text if isinstance(text, str) else text.decode() for text in (done.stdout, done.stderr, left.stdout)]
        answers.append([done.returncode, *(text.splitlines() for text in told)])
        daemon("rmi", f"{name}@{digest[0]}")
        daemon("rmi", f"{name}:1")
    assert answers[0] == answers[1]


@pytest.fixture(scope="module", params=["Debian's", "ours"])
def target(request: pytest.FixtureRequest, scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry beside our daemon, which has the index ``many`` whole: three platforms and an attestation."""
    directory = tmp_path_factory.mktemp("many")
    make_index(platforms.host().architecture, "s390x", "riscv64").write_layout(directory / "layout", "many:1")
    archive = subprocess.run(["tar", "-C", directory / "layout", "-c", "."], capture_output=True, check=True).stdout
    assert "many:1" in scene.ours.ok("load", input=archive)
    if request.param == "ours":
        with own_registry(directory / "own", address="127.0.0.1:5014", inside=scene.ours.inside()) as address:
            yield address
    else:
        yield HERE


@pytest.mark.parametrize("platform", ["", "linux/s390x", f"linux/{platforms.host().architecture}"])
def test_a_platform_or_all(scene: Scene, target: str, platform: str) -> None:
    """The whole index goes, or with --platform one manifest alone, also of a platform that is not ours."""
    name = f"{target}/many{platform.replace('/', '-')}:1"
    scene.ours.ok("tag", "many:1", name)
    told = minidock(scene.ours, "push", *(["--platform", platform] if platform else []), name)
    assert told.returncode == 0, told.stderr
    inspect = [*scene.ours.inside(), "skopeo", "inspect", "--tls-verify=false"]
    raw = subprocess.run([*inspect, "--raw", f"docker://{name}"], capture_output=True, check=True).stdout
    assert digest_of(raw) in told.stdout
    document = json.loads(raw)
    if not platform:
        there = [entry["platform"]["architecture"] for entry in document["manifests"]]
        assert there == ["unknown", platforms.host().architecture, "s390x", "riscv64"]
        return
    assert "manifests" not in document
    config = subprocess.run([*inspect, "--config", f"docker://{name}"], capture_output=True, check=True).stdout
    assert f"linux/{json.loads(config)['architecture']}" == platform


def test_a_platform_that_is_not_there(scene: Scene) -> None:
    """The error says which is missing, and nothing is pushed."""
    scene.ours.ok("tag", "tiny", f"{HERE}/single:1")
    done = minidock(scene.ours, "push", "--platform", "linux/mips", f"{HERE}/single:1")
    assert done.returncode == 1
    assert "linux/mips" in done.stderr
    assert scene.ours.docker("pull", f"{HERE}/single:1").returncode == 1


def test_all_tags(scene: Scene) -> None:
    """``push -a`` sends every tag of the repository, and nothing else."""
    for tag in ("a", "b"):
        scene.ours.ok("tag", "tiny", f"{HERE}/every:{tag}")
    told = scene.ours.ok("push", "-a", f"{HERE}/every")
    assert [tag for tag in ("a", "b") if f"{tag}: digest: sha256:" in told] == ["a", "b"]


def test_pull_all_tags(scene: Scene) -> None:
    """``pull -a`` brings every tag, and then finds nothing new; of a repository that is not there it says so."""
    name = f"{HERE}/pulled"
    for image, tag in (("tiny", "a"), ("made", "b"), ("made", "c")):
        scene.ours.ok("tag", image, f"{name}:{tag}")
    scene.ours.ok("push", "-a", name)
    scene.ours.ok("rmi", f"{name}:a", f"{name}:b", f"{name}:c")
    for repository in (name, name, f"{HERE}/nothing"):
        answers = []
        for daemon in (scene.ours.docker, scene.theirs.docker):
            done = daemon("pull", "-a", repository)
            told = [text if isinstance(text, str) else text.decode() for text in (done.stdout, done.stderr)]
            # Which layers were here before, each has its own story about.
            shown = [line for line in lines("".join(told)) if not re.match("[0-9a-f]{12}: ", line)]
            answers.append((done.returncode, shown))
        assert answers[0] == answers[1]
    assert sorted(scene.ours.ok("images", "--format", "{{.Tag}}", name).split()) == ["a", "b", "c"]


def test_what_push_refuses(scene: Scene) -> None:
    """In dockerd's words: no such image, no such tag."""
    for host in (scene.ours.host, scene.theirs.host):
        subprocess.run(["docker", "-H", host, "tag", "tiny", f"{HERE}/there:1"], check=True)
    for name in (f"{HERE}/nothing:1", f"{HERE}/there:2"):
        ours, theirs = scene.push_both(name)
        assert ours == theirs
    nobody = scene.ours.docker("push", "127.0.0.1:1/tiny")
    assert nobody.returncode == 1


def test_search_and_distribution(scene: Scene) -> None:
    """What the registry has, by its catalog; what a name stands for there, without pulling it."""
    scene.ours.ok("tag", "tiny", f"{HERE}/searched:1")
    scene.ours.ok("push", f"{HERE}/searched:1")
    assert scene.ours.ok("search", "--format", "{{.Name}}", f"{HERE}/earch") == f"{HERE}/searched"
    told = scene.ours.json("GET", f"/distribution/{HERE}/searched:1/json")
    image = scene.ours.json("GET", f"/images/{HERE}/searched:1/json")
    assert f"{HERE}/searched@{told['Descriptor']['digest']}" in image["RepoDigests"]
    assert told["Platforms"][0]["os"] == "linux"
    status, body = scene.ours.request("GET", f"/distribution/{HERE}/searched:2/json")
    assert (status, b"not found" in body) == (404, True)


def test_login_push_logout(scene: Scene, tmp_path: Path) -> None:
    """Docker's own login against our daemon, with the wrong and the right password; then push, with them."""
    daemon, private = scene.ours, "127.0.0.1:5010"
    auth = htpasswd_auth(tmp_path, "anna", "secret")
    with debian_registry(tmp_path, auth, address=private, inside=daemon.inside()):
        daemon.ok("tag", "tiny", f"{private}/tiny")
        refused = daemon.docker("push", f"{private}/tiny")
        assert (refused.returncode, "no basic auth credentials" in refused.stderr) == (1, True)
        wrong = daemon.docker("login", "-u", "anna", "--password-stdin", private, input=b"wrong")
        assert wrong.returncode == 1
        assert "unauthorized: authentication required" in wrong.stderr
        assert "Login Succeeded" in daemon.ok("login", "-u", "anna", "--password-stdin", private, input=b"secret")
        daemon.ok("push", f"{private}/tiny")
        daemon.ok("rmi", f"{private}/tiny")
        daemon.ok("pull", f"{private}/tiny")
        daemon.ok("logout", private)
        assert daemon.docker("push", f"{private}/tiny").returncode == 1
