"""Our registry, request by request, against the distribution-spec."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from minidock.oci.image import DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from minidock.registry.server.collecting import collect
from minidock.registry.server.store import Store
from tests.registries import TokenServer, digest_of, own_registry
from tests.wire_client import Answer, WireClient, path_of

CONFIG, LAYER = b'{"config": 1}', b"a layer" * 1000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireClient]:
    """A registry for everybody; each test uses repositories of its own."""
    with own_registry(tmp_path_factory.mktemp("registry")) as address:
        yield WireClient(address)


def manifest_of(*layers: bytes, **more: Any) -> bytes:
    """A manifest of CONFIG and these layers."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(CONFIG), "size": len(CONFIG)},
        "layers": [{"mediaType": OCI_LAYER, "digest": digest_of(layer), "size": len(layer)} for layer in layers],
    }
    return json.dumps(document | more).encode()


def push(client: WireClient, repository: str, tag: str = "latest", **more: Any) -> str:
    """Push an image of one layer; its digest."""
    for blob in (CONFIG, LAYER):
        assert client.push_blob(repository, blob, digest_of(blob)).status == 201
    manifest = manifest_of(LAYER, **more)
    reference = tag or digest_of(manifest)
    assert put(client, repository, reference, manifest).status == 201
    return digest_of(manifest)


def put(client: WireClient, repository: str, reference: str, data: bytes, content_type: str = OCI_MANIFEST) -> Answer:
    return client.ask("PUT", f"/v2/{repository}/manifests/{reference}", data, Content_Type=content_type)


def test_an_image_comes_back_byte_by_byte(client: WireClient) -> None:
    """What was pushed is what is pulled, by tag and by digest, and HEAD says the same as GET."""
    digest = push(client, "whole/image")
    for reference in ("latest", digest):
        answer = client.ask("GET", f"/v2/whole/image/manifests/{reference}")
        assert (answer.status, answer.body) == (200, manifest_of(LAYER))
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["Content-Type"] == OCI_MANIFEST
        head = client.ask("HEAD", f"/v2/whole/image/manifests/{reference}")
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(answer.body)))
    blob = client.ask("GET", f"/v2/whole/image/blobs/{digest_of(LAYER)}")
    assert (blob.status, blob.body, blob.headers["Docker-Content-Digest"]) == (200, LAYER, digest_of(LAYER))
    head = client.ask("HEAD", f"/v2/whole/image/blobs/{digest_of(LAYER)}")
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(LAYER)))
    assert client.ask("GET", "/v2/").headers["Docker-Distribution-API-Version"] == "registry/2.0"


def test_a_part_of_a_blob(client: WireClient) -> None:
    """Whoever lost the line goes on in the middle."""
    client.push_blob("ranges", LAYER, digest_of(LAYER))
    answer = client.ask("GET", f"/v2/ranges/blobs/{digest_of(LAYER)}", Range="bytes=100-")
    assert (answer.status, answer.body) == (206, LAYER[100:])
    assert answer.headers["Content-Range"] == f"bytes 100-{len(LAYER) - 1}/{len(LAYER)}"
    assert client.ask("GET", f"/v2/ranges/blobs/{digest_of(LAYER)}", Range="bytes=9999999-").status == 416


def test_chunks_in_order(client: WireClient) -> None:
    """Chunks follow each other; one out of order is refused with the place where to go on, and harms nothing."""
    location = client.begin("chunks")
    first = client.ask("PATCH", location, LAYER[:1000], Content_Range="0-999")
    assert (first.status, first.headers["Range"]) == (202, "0-999")
    wrong = client.ask("PATCH", location, LAYER[2000:], Content_Range=f"2000-{len(LAYER) - 1}")
    assert (wrong.status, wrong.headers["Range"]) == (416, "0-999")
    progress = client.ask("GET", location)
    assert (progress.status, progress.headers["Range"]) == (204, "0-999")
    assert client.ask("PATCH", path_of(progress), LAYER[1000:3000]).status == 202  # as docker sends them
    done = client.ask("PUT", f"{location}?digest={digest_of(LAYER)}", LAYER[3000:])
    assert (done.status, done.headers["Location"]) == (201, f"/v2/chunks/blobs/{digest_of(LAYER)}")
    assert client.ask("GET", f"/v2/chunks/blobs/{digest_of(LAYER)}").body == LAYER
    assert client.ask("GET", location).codes == ["BLOB_UPLOAD_UNKNOWN"]


def test_one_request_is_enough(client: WireClient) -> None:
    """POST with a digest and the body."""
    answer = client.ask("POST", f"/v2/single/blobs/uploads/?digest={digest_of(LAYER).replace(':', '%3A')}", LAYER)
    assert answer.status == 201
    assert client.ask("HEAD", f"/v2/single/blobs/{digest_of(LAYER)}").status == 200


@pytest.mark.parametrize("data", [LAYER[:-1], LAYER + b"x", b""])
def test_a_wrong_digest_leaves_nothing(client: WireClient, data: bytes) -> None:
    """A blob that is not what its digest says is refused, and the upload is over."""
    location = client.begin("wrong")
    answer = client.ask("PUT", f"{location}?digest={digest_of(LAYER)}", data)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert client.ask("GET", location).status == 404
    assert client.ask("HEAD", f"/v2/wrong/blobs/{digest_of(LAYER)}").status == 404


def test_an_upload_can_be_given_up(client: WireClient) -> None:
    """DELETE forgets it."""
    location = client.begin("given/up")
    assert client.ask("DELETE", location).status == 204
    assert client.ask("PATCH", location, b"x").codes == ["BLOB_UPLOAD_UNKNOWN"]


def test_an_upload_belongs_to_its_repository(client: WireClient) -> None:
    """The same id under another name is nothing."""
    name = client.begin("one").rpartition("/")[2]
    assert client.ask("PATCH", f"/v2/other/blobs/uploads/{name}", b"x").codes == ["BLOB_UPLOAD_UNKNOWN"]


def test_mounting_sends_nothing(client: WireClient) -> None:
    """A blob of another repository is there at once; one that is not there becomes an ordinary upload."""
    client.push_blob("mount/from", LAYER, digest_of(LAYER))
    path = f"/v2/mount/to/blobs/uploads/?mount={digest_of(LAYER)}&from="
    assert client.ask("HEAD", f"/v2/mount/to/blobs/{digest_of(LAYER)}").status == 404
    assert client.ask("POST", path + "mount/nowhere").status == 202
    assert client.ask("POST", path + "mount/from").status == 201
    assert client.ask("HEAD", f"/v2/mount/to/blobs/{digest_of(LAYER)}").status == 200


def test_a_manifest_needs_its_blobs(client: WireClient) -> None:
    """A manifest comes last: with a blob missing, or of another size, it is not taken."""
    client.push_blob("needs", CONFIG, digest_of(CONFIG))
    assert put(client, "needs", "latest", manifest_of(LAYER)).codes == ["MANIFEST_BLOB_UNKNOWN"]
    assert client.ask("GET", "/v2/needs/manifests/latest").codes == ["MANIFEST_UNKNOWN"]
    client.push_blob("needs", LAYER, digest_of(LAYER))
    lying = manifest_of(LAYER).replace(str(len(LAYER)).encode(), b"5")
    assert put(client, "needs", "latest", lying).codes == ["MANIFEST_INVALID"]


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"{", OCI_MANIFEST),
        (b"[]", OCI_MANIFEST),
        (manifest_of(), DOCKER_MANIFEST),
        (manifest_of(), "application/json"),
        (manifest_of(manifests=[]), OCI_MANIFEST),
        (manifest_of(schemaVersion=1), OCI_MANIFEST),
    ],
)
def test_no_manifest(client: WireClient, data: bytes, content_type: str) -> None:
    """What is no manifest, or could be read as two kinds of document, is refused (CVE-2021-41190)."""
    client.push_blob("none", CONFIG, digest_of(CONFIG))
    assert put(client, "none", "latest", data, content_type).codes == ["MANIFEST_INVALID"]


def test_a_manifest_that_is_too_large(client: WireClient) -> None:
    """Four megabytes are the limit."""
    answer = put(client, "large", "latest", manifest_of(annotations={"x": "y" * (4 << 20)}))
    assert (answer.status, answer.codes) == (413, ["SIZE_INVALID"])


def test_an_index_needs_its_manifests(client: WireClient) -> None:
    """Several platforms under one name."""
    digest = push(client, "index", "")
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(manifest_of(LAYER))}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    assert put(client, "index", "multi", json.dumps(index).encode(), OCI_INDEX).status == 201
    entry["digest"] = digest_of(b"nobody")
    assert put(client, "index", "x", json.dumps(index).encode(), OCI_INDEX).codes == ["MANIFEST_BLOB_UNKNOWN"]


def test_lists_come_in_pages(client: WireClient) -> None:
    """Tags are sorted; n limits, last goes on, Link leads to the rest, n=0 is an empty page."""
    for tag in ("b", "a", "C", "10"):
        push(client, "pages", tag)
    assert client.ask("GET", "/v2/pages/tags/list").json() == {"name": "pages", "tags": ["10", "C", "a", "b"]}
    first = client.ask("GET", "/v2/pages/tags/list?n=3")
    assert first.json()["tags"] == ["10", "C", "a"]
    assert first.headers["Link"] == '</v2/pages/tags/list?n=3&last=a>; rel="next"'
    rest = client.ask("GET", "/v2/pages/tags/list?n=3&last=a")
    assert rest.json()["tags"] == ["b"]
    assert "Link" not in rest.headers
    assert client.ask("GET", "/v2/pages/tags/list?n=0").json()["tags"] == []
    assert client.ask("GET", "/v2/pages/tags/list?n=x").status == 400
    assert client.ask("GET", "/v2/nowhere/tags/list").codes == ["NAME_UNKNOWN"]
    assert client.ask("GET", "/v2/_catalog?n=1&last=page").json()["repositories"] == ["pages"]


def test_referrers(client: WireClient) -> None:
    """What is about an image is listed beside it, whether or not the image is there (yet)."""
    nobody = digest_of(b"not pushed yet")
    empty = client.ask("GET", f"/v2/subject/referrers/{nobody}")
    assert (empty.status, empty.headers["Content-Type"], empty.json()["manifests"]) == (200, OCI_INDEX, [])
    subject = {"mediaType": OCI_MANIFEST, "digest": nobody, "size": 1}
    for blob in (CONFIG, LAYER):
        client.push_blob("subject", blob, digest_of(blob))
    for kind in ("signature", "sbom"):
        signature = manifest_of(LAYER, subject=subject, artifactType=kind, annotations={"by": kind})
        answer = put(client, "subject", digest_of(signature), signature)
        assert (answer.status, answer.headers["OCI-Subject"]) == (201, nobody)
    listed = client.ask("GET", f"/v2/subject/referrers/{nobody}").json()["manifests"]
    assert {entry["artifactType"]: entry["annotations"] for entry in listed} == {
        "signature": {"by": "signature"},
        "sbom": {"by": "sbom"},
    }
    only = client.ask("GET", f"/v2/subject/referrers/{nobody}?artifactType=sbom")
    assert only.headers["OCI-Filters-Applied"] == "artifactType"
    assert [entry["artifactType"] for entry in only.json()["manifests"]] == ["sbom"]


def test_deleting(client: WireClient) -> None:
    """A tag alone; a manifest with its tags; a blob."""
    digest = push(client, "gone", "one")
    push(client, "gone", "two")
    assert client.ask("DELETE", "/v2/gone/manifests/one").status == 202
    assert client.ask("GET", "/v2/gone/manifests/two").status == 200
    assert client.ask("DELETE", f"/v2/gone/manifests/{digest}").status == 202
    assert client.ask("GET", "/v2/gone/manifests/two").codes == ["MANIFEST_UNKNOWN"]
    assert client.ask("DELETE", "/v2/gone/manifests/two").status == 404
    assert client.ask("DELETE", f"/v2/gone/blobs/{digest_of(LAYER)}").status == 202
    assert client.ask("GET", f"/v2/gone/blobs/{digest_of(LAYER)}").codes == ["BLOB_UNKNOWN"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/Upper/manifests/x", 400, "NAME_INVALID"),
        ("GET", "/v2/a/../../etc/manifests/x", 400, "NAME_INVALID"),
        ("GET", f"/v2/{'a' * 256}/manifests/x", 400, "NAME_INVALID"),
        ("GET", "/v2/a/manifests/.x", 400, "TAG_INVALID"),
        ("GET", f"/v2/a/manifests/{'t' * 129}", 400, "TAG_INVALID"),
        ("GET", "/v2/a/manifests/sha256:../x", 404, ""),
        ("GET", "/v2/a/blobs/sha256:%2e%2e%2fx", 400, "DIGEST_INVALID"),
        ("GET", f"/v2/a/blobs/sha256:{'A' * 64}", 400, "DIGEST_INVALID"),
        ("PUT", "/v2/a/blobs/uploads/../../x?digest=sha256:x", 404, ""),
        ("POST", "/v2/", 405, "UNSUPPORTED"),
        ("GET", "/elsewhere", 404, ""),
    ],
)
def test_what_cannot_be_meant(client: WireClient, method: str, path: str, status: int, code: str) -> None:
    """Bad names get a 4xx with the specification's code where it has one, and never reach the disk."""
    answer = client.ask(method, path)
    assert (answer.status, answer.codes) == (status, [code] if code else [])


def test_an_upload_outlives_the_registry(tmp_path: Path) -> None:
    """Killed in the middle of an upload, the next registry goes on with it."""
    entry = [sys.executable, "-m", "minidock.registry.server", "serve"]
    with subprocess.Popen(
        [*entry, "--root", tmp_path, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        client = WireClient(process.stdout.readline().rpartition("//")[2].strip())
        location = client.begin("killed")
        assert client.ask("PATCH", location, LAYER[:5000]).status == 202
        os.kill(process.pid, signal.SIGKILL)
    with own_registry(tmp_path) as address:
        client = WireClient(address)
        assert client.ask("GET", location).headers["Range"] == "0-4999"
        assert client.ask("PUT", f"{location}?digest={digest_of(LAYER)}", LAYER[5000:]).status == 201
        assert client.ask("GET", f"/v2/killed/blobs/{digest_of(LAYER)}").body == LAYER


def test_limits(tmp_path: Path) -> None:
    """A blob over the limit is refused, and nothing of it stays; a read-only registry takes nothing at all."""
    with own_registry(tmp_path, "--max-upload", "1k") as address:
        client = WireClient(address)
        location = client.begin("limited")
        answer = client.ask("PUT", f"{location}?digest={digest_of(LAYER)}", LAYER)
        assert (answer.status, answer.codes) == (413, ["SIZE_INVALID"])
        assert not list((tmp_path / "uploads").iterdir())
        assert client.push_blob("limited", CONFIG, digest_of(CONFIG)).status == 201
    with own_registry(tmp_path, "--read-only") as address:
        client = WireClient(address)
        assert client.ask("GET", f"/v2/limited/blobs/{digest_of(CONFIG)}").status == 200
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/x"), ("DELETE", "manifests/x")):
            answer = client.ask(method, f"/v2/limited/{path}")
            assert (answer.status, answer.codes) == (405, ["UNSUPPORTED"])


def test_passwords(tmp_path: Path) -> None:
    """Without the right password nothing opens, and the answer says which kind of proof is wanted."""
    (tmp_path / "users").write_text(f"ann:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n# nobody\n")
    with own_registry(tmp_path / "registry", "--htpasswd", str(tmp_path / "users")) as address:
        for user in ("", "ann:wrong", "bob:secret", "ann:"):
            answer = WireClient(address, user).ask("GET", "/v2/")
            assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="minidock registry"'
            assert WireClient(address, user).ask("GET", "/metrics").status == 401
        client = WireClient(address, "ann:secret")
        push(client, "known")
        assert client.ask("GET", "/v2/known/tags/list").json()["tags"] == ["latest"]
        assert 'status="401"} 8' in client.ask("GET", "/metrics").body.decode()


def test_passwords_follow_their_file(tmp_path: Path) -> None:
    """Who is taken out of the file is out at once, who is added is in; a broken file changes nothing."""
    file = tmp_path / "htpasswd"

    def lines(*names: str) -> str:
        return "".join(f"{name}:{bcrypt.hashpw(b'secret', bcrypt.gensalt(5)).decode()}\n" for name in names)

    file.write_text(lines("anna"))
    with own_registry(tmp_path / "registry", "--htpasswd", str(file)) as address:
        anna, bert = (WireClient(address, user=f"{name}:secret") for name in ("anna", "bert"))
        assert [who.ask("GET", "/v2/").status for who in (anna, bert, anna)] == [200, 401, 200]
        for broken in ("anna: this is no hash\n", lines("bert", "anna")[:-20], ""):
            file.write_text(broken)
            assert [who.ask("GET", "/v2/").status for who in (anna, bert)] == [200, 401]
        file.write_text(lines("bert"))
        assert [who.ask("GET", "/v2/").status for who in (anna, bert)] == [401, 200]


async def test_tokens(tmp_path: Path) -> None:
    """A token opens what its server says, for as long as it says; anybody else's is worth nothing."""
    async with TokenServer({"ann": "secret"}).running() as server:
        server.auth(tmp_path)
        flags = ["--token-realm", server.realm, "--token-service", server.SERVICE, "--token-issuer", server.ISSUER]
        with own_registry(tmp_path / "registry", *flags, "--token-cert", str(tmp_path / "root.pem")) as address:
            answer = WireClient(address).ask("POST", "/v2/a/b/blobs/uploads/?mount=sha256:0&from=c/d")
            assert answer.status == 401
            scope = 'scope="repository:a/b:pull,push repository:c/d:pull"'
            expected = f'Bearer realm="{server.realm}",service="{server.SERVICE}",{scope}'
            assert answer.headers["WWW-Authenticate"] == expected
            token = server._answer("ann", ["repository:a/b:pull,push"])["token"]
            client = WireClient(address, token=token)
            push(client, "a/b")
            narrow = client.ask("GET", "/v2/c/d/manifests/x")
            assert (narrow.status, narrow.codes) == (401, ["DENIED"])
            assert 'error="insufficient_scope"' in narrow.headers["WWW-Authenticate"]
            head, claims, signature = token.split(".")
            for bad in (f"{head}.{claims}.{signature[::-1]}", f"eyJhbGciOiJub25lIn0.{claims}.", "x", ""):
                assert WireClient(address, token=bad).ask("GET", "/v2/a/b/tags/list").status == 401
            stranger = TokenServer({"ann": "secret"})
            stranger.realm = server.realm
            foreign = stranger._answer("ann", ["repository:a/b:pull"])["token"]
            assert WireClient(address, token=foreign).ask("GET", "/v2/a/b/tags/list").status == 401


def test_garbage(tmp_path: Path) -> None:
    """What no manifest needs goes; what is needed, or young, stays; and a dry run only tells."""
    with own_registry(tmp_path) as address:
        client = WireClient(address)
        kept = push(client, "kept")
        for blob in (CONFIG, b"orphan"):
            client.push_blob("mixed", blob, digest_of(blob))
        untagged = manifest_of(annotations={"x": "untagged"})
        assert put(client, "mixed", digest_of(untagged), untagged).status == 201
        store = Store(tmp_path)
        assert collect(store).blobs == ()
        garbage = collect(store, grace=-5, dry_run=True)
        assert (garbage.blobs, garbage.size) == ((digest_of(b"orphan"),), len(b"orphan"))
        assert client.ask("HEAD", f"/v2/mixed/blobs/{digest_of(b'orphan')}").status == 200
        assert collect(store, grace=-5).blobs == (digest_of(b"orphan"),)
        assert client.ask("HEAD", f"/v2/mixed/blobs/{digest_of(b'orphan')}").status == 404
        assert client.ask("GET", f"/v2/mixed/manifests/{digest_of(untagged)}").status == 200
        removed = collect(store, grace=-5, untagged=True)
        assert (removed.manifests, removed.blobs) == ((digest_of(untagged),), (digest_of(untagged),))
        for blob in (CONFIG, LAYER):
            assert client.ask("GET", f"/v2/kept/blobs/{digest_of(blob)}").body == blob
        assert client.ask("GET", "/v2/kept/manifests/latest").headers["Docker-Content-Digest"] == kept
        store.close()


def test_garbage_stays_together(tmp_path: Path) -> None:
    """A tag keeps its index, the index its image, the image its signature; without the tag all of them go at once."""
    with own_registry(tmp_path) as address:
        client = WireClient(address)
        image = push(client, "tree", tag="")
        about = {"mediaType": OCI_MANIFEST, "digest": image, "size": 1}
        signature = push(client, "tree", tag="", subject=about)
        entries = [{"mediaType": OCI_MANIFEST, "digest": image, "size": len(manifest_of(LAYER))}]
        index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
        assert put(client, "tree", "v1", index, OCI_INDEX).status == 201
        with closing(Store(tmp_path)) as store:
            assert collect(store, grace=-5, untagged=True).manifests == ()
            assert client.ask("DELETE", "/v2/tree/manifests/v1").status == 202
            assert collect(store, untagged=True).manifests == (), "what is young stays"
            gone = collect(store, grace=-5, untagged=True)
        assert gone.manifests == tuple(sorted([image, signature, digest_of(index)]))
        assert set(gone.blobs) == {*gone.manifests, digest_of(CONFIG), digest_of(LAYER)}


def test_who_asked_for_a_blob_may_rely_on_it(tmp_path: Path) -> None:
    """A blob that somebody has just found there is kept for the manifest that will follow."""
    with own_registry(tmp_path) as address:
        client = WireClient(address)
        client.push_blob("push", LAYER, digest_of(LAYER))
        old = time.time() - 7200
        store = Store(tmp_path)
        os.utime(store.content.path(digest_of(LAYER)), (old, old))
        with store.database.transaction() as rows:
            rows.execute("update blobs set touched = ?", (old,))
        assert client.ask("HEAD", f"/v2/push/blobs/{digest_of(LAYER)}").status == 200
        assert collect(store).blobs == ()
        store.close()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--listen", "here"], "'here' is not ADDRESS:PORT"),
        (["--tls-cert", "x"], "go together"),
        (["--tls-client-ca", "x"], "needs them"),
        (["--htpasswd", "/nowhere"], "No such file"),
        (["--token-realm", "https://x"], "needs --token-issuer"),
        (["--proxy", "ftp://x"], "--proxy ftp://x"),
    ],
)
def test_wrong_options(tmp_path: Path, flags: list[str], message: str) -> None:
    """One line says what is wrong; nothing is made."""
    entry = [sys.executable, "-m", "minidock.registry.server", "serve"]
    done = subprocess.run(
        [*entry, "--root", tmp_path / "new", *flags], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_a_subcommand_of_the_client() -> None:
    """``minidock registry`` is the same program."""
    code = "from minidock.client.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "registry", "serve", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--htpasswd" in done.stdout
