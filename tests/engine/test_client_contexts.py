"""``context``: what Docker's client and ours say and write, side by side, each with a configuration of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.engine.test_client_remote import Certificates
from tests.peers import words_of_docker_28
from tests.registries import tar_of

pytestmark = words_of_docker_28

CLIENTS = {"docker": ["docker"], "minidock": [sys.executable, "-c", "from minidock.client.main import main; main()"]}
META = b'{"Name":"a","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///y"}}}'


def names_in(archive: bytes) -> list[str]:
    """The members of an archive, in order."""
    with tarfile.open(fileobj=io.BytesIO(archive + bytes(2048))) as opened:
        return opened.getnames()


def zipped(name: str, data: bytes) -> bytes:
    """A zip file of one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Path]:
    """A directory for each client, with the same files in it."""
    made = Certificates(tmp_path / "certificates")
    archives = {
        "good.tar": tar_of({"meta.json": META, "tls/docker/ca.pem": b"CA"}),
        "good.zip": zipped("meta.json", META),
        "other.tar": tar_of({"meta.json": META, "other": b"x"}),
        "empty.tar": tar_of({}),
        "there": b"",
    }
    found = {}
    for client in CLIENTS:
        found[client] = tmp_path / client
        found[client].mkdir()
        (found[client] / "ca.pem").write_bytes((made.directory / "ca.pem").read_bytes())
        for name, data in archives.items():
            (found[client] / name).write_bytes(data)
    return found


def say(client: str, directory: Path, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """A command's exit code, output and errors."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "DOCKER_CONFIG": f"{directory}/config"}
    command = [*CLIENTS[client], "context", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=directory, env=environment)
    errors = done.stderr.decode().replace("minidock: ", "").replace(str(directory), "")
    return done.returncode, done.stdout.decode().replace(str(directory), ""), errors


STORY = (
    "create one --description first --docker host=tcp://h:2376,ca=ca.pem",
    "create one",
    "create two --from one --docker host=unix:///x",
    "export one",
    "export one",
    "export one there",
    "export one nosuch/file",
    "export nosuch",
    "export default",
    "import again one.dockercontext",
    "import again one.dockercontext",
    "import default one.dockercontext",
    "import zip good.zip",
    "import tar good.tar",
    "inspect again",
    "inspect tar zip",
    "update again --description other",
    "update again --docker host=unix:///new",
    "update again --docker nonsense=1",
    "update nosuch",
    "update default",
    "inspect again",
    "ls --format {{.Name}}",
    "rm again tar zip",
    "import no nosuch.tar",
    "import no other.tar",
    "import none empty.tar",
)


def test_the_same_words_and_the_same_files(pair: dict[str, Path]) -> None:
    """A story that each tells for itself; an archive goes from one to the other."""
    for line in STORY:
        ours, theirs = (say(client, pair[client], *line.split()) for client in ("minidock", "docker"))
        assert ours == theirs, line
    exported = [(pair[client] / "one.dockercontext").read_bytes() for client in CLIENTS]
    assert names_in(exported[0]) == names_in(exported[1])
    assert say("minidock", pair["minidock"], "export", "one", "-")[1].startswith("meta.json")
    (pair["docker"] / "ours").write_bytes(exported[1])
    assert say("docker", pair["docker"], "import", "ours", "ours")[0] == 0
    (pair["minidock"] / "theirs").write_bytes(exported[0])
    assert say("minidock", pair["minidock"], "import", "theirs", "theirs")[0] == 0
    for client, name in (("docker", "ours"), ("minidock", "theirs")):
        found = json.loads(say(client, pair[client], "inspect", name)[1])[0]
        assert found["TLSMaterial"] == {"docker": ["ca.pem"]}
        assert found["Endpoints"]["docker"]["Host"] == "tcp://h:2376"


@pytest.mark.parametrize(
    "archive",
    [
        tar_of({"meta.json": META, "tls/docker/dir/file": b"x"}),
        tar_of({"meta.json": b'{"Name":"a"}'}),
        tar_of({"meta.json": b"{"}),
        zipped("meta.json", b" " * (11 << 20)),
        zipped("tls/docker/../../../escaped", b"x"),
        b"PK\x03\x04nonsense",
        os.urandom(2000),
        b"x" * (11 << 20),
    ],
    ids=["deep", "no endpoint", "no json", "bomb", "escape", "no zip", "no tar", "large"],
)
def test_what_is_no_context(pair: dict[str, Path], archive: bytes) -> None:
    """One line, and nothing is stored, here or elsewhere."""
    code, output, errors = say("minidock", pair["minidock"], "import", "new", "-", stdin=archive)
    assert (code, output, errors.count("\n")) == (1, "", 1) and "Traceback" not in errors
    assert not (pair["minidock"] / "config" / "contexts").exists()
    assert not list(pair["minidock"].parent.rglob("escaped"))
