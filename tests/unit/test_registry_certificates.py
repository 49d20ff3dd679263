"""``certs.d``: a registry whose certificate only we trust, and which wants to see ours; Debian's and our own."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from yarl import URL

from minidock.content.store import Content
from minidock.errors import InvalidInput, MinidockError
from minidock.oci import reference
from minidock.oci.platform import host
from minidock.registry.certificates import context_of, directory_of
from minidock.registry.endpoints import addresses, is_insecure
from minidock.registry.pull import pull
from minidock.registry.push import push
from minidock.registry.retry import Retry
from minidock.registry.settings import Settings
from tests.certificates import Authority
from tests.registries import debian_registry, make_image, own_registry, tar_of
from tests.unit.test_registry_push import stored

#: A server's refusal comes after the handshake (TLS 1.3): its reason, or the end of the line, whichever is seen first.
REFUSED = (
    "certificate required|bad certificate|unknown.ca|closed the connection|closing transport|reset by peer|broken pipe"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``server/``, ``client/`` and, from an authority that nobody knows, ``stranger/``."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = Authority()
    authority.issue(directory / "server", server=True)
    authority.issue(directory / "client", server=False)
    Authority("somebody else").issue(directory / "stranger", server=False)
    return directory


@pytest.fixture(scope="module", params=["debian", "ours"])
def address(request: pytest.FixtureRequest, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that speaks to those alone who show a certificate."""
    root, server = tmp_path_factory.mktemp("registry"), made / "server"
    if request.param == "ours":
        flags = ["--tls-cert", server / "cert.pem", "--tls-key", server / "key.pem"]
        with own_registry(root, *map(str, flags), "--tls-client-ca", str(server / "ca.pem")) as address:
            yield address
    else:
        lines = {"certificate": "cert.pem", "key": "key.pem"}
        tls = "".join(f"    {key}: {server}/{file}\n" for key, file in lines.items())
        with debian_registry(root, f"  tls:\n{tls}    clientcas:\n      - {server}/ca.pem\n") as registry:
            yield registry.address


def settings(tmp_path: Path, address: str, **files: Path) -> Settings:
    """``certs.d`` for one registry: ``ca_crt=FILE`` becomes its ``ca.crt``."""
    for name, source in files.items():
        target = tmp_path / "certs.d" / address / name.replace("_", ".")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return Settings(certificates=tmp_path / "certs.d")


async def test_there_and_back(address: str, made: Path, tmp_path: Path) -> None:
    """With all three files an image is pushed, and pulled again; skopeo reads the same directory and the same image."""
    client = made / "client"
    ours = settings(
        tmp_path,
        address,
        ca_crt=client / "ca.pem",
        client_cert=client / "cert.pem",
        client_key=client / "key.pem",
    )
    image = make_image([tar_of({"file": b"content"})])
    there = Content(tmp_path / "there", tmp_path / "ingest")
    back = Content(tmp_path / "back", tmp_path / "ingest-back")
    name = reference.parse(f"{address}/closed/image:1")
    await push(name, stored(there, image), there, settings=ours)
    assert (await pull(name, host(), back, settings=ours)).digest == image.top
    directory = ours.certificates / address
    words = ["skopeo", "inspect", "--format", "{{.Digest}}", "--cert-dir", str(directory), f"docker://{name}"]
    assert (await asyncio.to_thread(subprocess.check_output, words, text=True)).strip() == image.top


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ca_crt": "client/ca.pem"}, REFUSED),
        ({"ca_crt": "stranger/ca.pem"}, "failed to verify certificate"),
        (
            {"ca_crt": "client/ca.pem", "client_cert": "stranger/cert.pem", "client_key": "stranger/key.pem"},
            REFUSED,
        ),
    ],
)
async def test_anything_less_is_not_enough(
    address: str, made: Path, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    """Without our certificate, or with a stranger's, or with the wrong authority there is no image, and a reason."""
    poor = settings(tmp_path, address, **{name: made / file for name, file in files.items()})
    name, sink = reference.parse(f"{address}/closed/image:1"), Content(tmp_path / "images", tmp_path / "ingest")
    with pytest.raises(MinidockError, match=f"(?i){message}"):
        await pull(name, host(), sink, settings=poor, retry=Retry(attempts=1))


def test_loopback_with_certificates_is_no_exception(tmp_path: Path) -> None:
    """Where the user has put certificates nothing else will do, not even here; other ports are as ever."""
    (tmp_path / "127.0.0.1:5000").mkdir()
    with_certificates = Settings(certificates=tmp_path)
    assert [str(url) for url in addresses("127.0.0.1:5000", with_certificates)] == ["https://127.0.0.1:5000"]
    assert not is_insecure(URL("http://127.0.0.1:5000"), with_certificates)
    assert is_insecure(URL("https://127.0.0.1:5001"), with_certificates)


@pytest.mark.parametrize("url", ["https://user:x@../", "https://.", "https://other.example:5000", "https://..:5000"])
def test_no_other_directory_is_looked_into(tmp_path: Path, url: str) -> None:
    """A server that sends us elsewhere does not choose the directory."""
    (tmp_path / "certs.d" / "r.example:5000").mkdir(parents=True)
    (tmp_path / "..:5000").mkdir()
    assert directory_of(URL(url), tmp_path / "certs.d") is None
    assert (
        directory_of(URL("https://u@r.example:5000/v2/"), tmp_path / "certs.d") == tmp_path / "certs.d/r.example:5000"
    )


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ({"client.cert": "client/cert.pem"}, r"client\.cert: client\.cert and client\.key go together"),
        ({"client.key": "client/key.pem"}, r"client\.key: client\.cert and client\.key go together"),
        ({"ca.crt": "client/key.pem"}, r"ca\.crt: "),
        ({"x.cert": "client/cert.pem", "x.key": "stranger/key.pem"}, r"x\.cert: KEY_VALUES_MISMATCH"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, made: Path, present: dict[str, str], message: str) -> None:
    """The error names the file."""
    for name, source in present.items():
        shutil.copy(made / source, tmp_path / name)
    with pytest.raises(InvalidInput, match=message):
        context_of(tmp_path)
