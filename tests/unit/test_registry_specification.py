"""What the distribution-spec says in passing, and registries forget: each sentence a request to ours."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from minidock.oci.image import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from minidock.registry.server.collecting import collect
from minidock.registry.server.store import Store
from tests.registries import digest_of, own_registry
from tests.unit.test_registry_server import CONFIG, LAYER, manifest_of, push, put
from tests.wire_client import WireClient, path_of


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireClient]:
    """A registry for everybody; each test uses repositories of its own."""
    with own_registry(tmp_path_factory.mktemp("registry")) as address:
        yield WireClient(address)


# --- blobs


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=10-19", 206, 10, 20),
        ("bytes=6990-99999", 206, 6990, 7000),
        ("bytes=-5", 206, 6995, 7000),
        ("bytes=7000-", 416, 0, 0),
    ],
)
def test_ranges(client: WireClient, wanted: str, status: int, start: int, end: int) -> None:
    """Both ends count; more than there is ends with it; what begins behind the end is refused (RFC 9110)."""
    client.push_blob("parts", LAYER, digest_of(LAYER))
    answer = client.ask("GET", f"/v2/parts/blobs/{digest_of(LAYER)}", Range=wanted)
    whole = f"{start}-{end - 1}" if status == 206 else "*"
    assert (answer.status, answer.headers["Content-Range"]) == (status, f"bytes {whole}/{len(LAYER)}")
    if status == 206:
        assert answer.body == LAYER[start:end]


def test_what_is_not_there(client: WireClient) -> None:
    """404 with the code of what is missing; HEAD says the same without a body."""
    nobody = digest_of(b"nobody")
    push(client, "there")
    for method, path, code in (
        ("GET", f"blobs/{nobody}", "BLOB_UNKNOWN"),
        ("DELETE", f"blobs/{nobody}", "BLOB_UNKNOWN"),
        ("GET", f"manifests/{nobody}", "MANIFEST_UNKNOWN"),
        ("GET", "manifests/none", "MANIFEST_UNKNOWN"),
        ("DELETE", f"manifests/{nobody}", "MANIFEST_UNKNOWN"),
        ("DELETE", "manifests/none", "MANIFEST_UNKNOWN"),
        ("GET", "blobs/uploads/none", "BLOB_UPLOAD_UNKNOWN"),
        ("DELETE", "blobs/uploads/none", "BLOB_UPLOAD_UNKNOWN"),
    ):
        answer = client.ask(method, f"/v2/there/{path}")
        assert (answer.status, answer.codes) == (404, [code]), path
        if method == "GET":
            head = client.ask("HEAD", f"/v2/there/{path}")
            assert (head.status, head.body) == (404, b""), path


def test_a_mount_that_cannot_be(client: WireClient) -> None:
    """Without a source, or from one that has no such blob, it is an upload like any other (202), which can be ended."""
    for query in (f"mount={digest_of(LAYER)}", f"mount={digest_of(LAYER)}&from=nowhere"):
        begun = client.ask("POST", f"/v2/mounts/blobs/uploads/?{query}")
        assert begun.status == 202
        done = client.ask("PUT", f"{path_of(begun)}?digest={digest_of(LAYER)}", LAYER)
        assert (done.status, done.headers["Docker-Content-Digest"]) == (201, digest_of(LAYER))
        assert client.ask("DELETE", f"/v2/mounts/blobs/{digest_of(LAYER)}").status == 202


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("wanted", ["0-99", "101-200", "50-149"])
def test_a_chunk_out_of_order(client: WireClient, method: str, wanted: str) -> None:
    """Sent again, with a gap, or overlapping: 416 with the place where to go on, and the upload stays as it was."""
    location = client.begin("disorder")
    assert client.ask("PATCH", location, LAYER[:100], Content_Range="0-99").status == 202
    answer = client.ask(method, f"{location}?digest={digest_of(LAYER)}", LAYER[:100], Content_Range=wanted)
    assert (answer.status, answer.codes) == (416, ["RANGE_INVALID"])
    assert (path_of(answer), answer.headers["Range"]) == (location, "0-99")
    status = client.ask("GET", location)
    assert (status.status, status.headers["Range"], path_of(status), status.body) == (204, "0-99", location, b"")
    done = client.ask(
        "PUT", f"{location}?digest={digest_of(LAYER)}", LAYER[100:], Content_Range=f"100-{len(LAYER) - 1}"
    )
    assert done.status == 201


@pytest.mark.parametrize("wanted", ["0-98", "0-100", "x", "5", "10-2"])
def test_a_range_that_is_not_the_body(client: WireClient, wanted: str) -> None:
    """Content-Range must tell of as many bytes as come."""
    answer = client.ask("PATCH", client.begin("liars"), LAYER[:100], Content_Range=wanted)
    assert answer.status in (400, 416)
    assert answer.codes[0] in ("BLOB_UPLOAD_INVALID", "RANGE_INVALID")


# --- manifests


def test_sha512(client: WireClient) -> None:
    """Another algorithm names blobs and manifests as well, and Docker-Content-Digest repeats what was asked for."""
    blob, manifest = f"sha512:{hashlib.sha512(LAYER).hexdigest()}", manifest_of(LAYER)
    assert client.push_blob("long", LAYER, blob).headers["Docker-Content-Digest"] == blob
    assert client.ask("GET", f"/v2/long/blobs/{blob}").body == LAYER
    for data in (CONFIG, LAYER):
        client.push_blob("long", data, digest_of(data))
    name = f"sha512:{hashlib.sha512(manifest).hexdigest()}"
    assert put(client, "long", name, manifest).headers["Docker-Content-Digest"] == name
    answer = client.ask("GET", f"/v2/long/manifests/{name}")
    assert (answer.body, answer.headers["Docker-Content-Digest"]) == (manifest, name)


def test_a_manifest_under_another_digest(client: WireClient) -> None:
    """Its bytes are its name: any other is refused, and nothing is there afterwards."""
    push(client, "named")
    for algorithm, other in (("sha256", digest_of(b"other")[7:]), ("sha512", "0" * 128)):
        answer = put(client, "named", f"{algorithm}:{other}", manifest_of(LAYER))
        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
        assert client.ask("GET", f"/v2/named/manifests/{algorithm}:{other}").status == 404


def test_a_tag_moves(client: WireClient) -> None:
    """The newest manifest has the tag; the older one is still there by its digest."""
    old = push(client, "moving", "v")
    new = push(client, "moving", "v", annotations={"is": "new"})
    assert client.ask("HEAD", "/v2/moving/manifests/v").headers["Docker-Content-Digest"] == new
    assert client.ask("GET", f"/v2/moving/manifests/{old}").body == manifest_of(LAYER)
    assert client.ask("DELETE", "/v2/moving/manifests/v").status == 202
    assert client.ask("HEAD", f"/v2/moving/manifests/{new}").status == 200


def test_every_page(client: WireClient) -> None:
    """Followed from Link to Link, tags come in order, once each; ``last`` need not be a tag, nor have an ``n``."""
    wanted = sorted(f"t{number}" for number in range(7))
    for tag in wanted:
        push(client, "book", tag)
    for size in (1, 2, 3, 7, 8):
        path, seen, pages = f"/v2/book/tags/list?n={size}", list[str](), 0
        while path:
            answer = client.ask("GET", path)
            seen += answer.json()["tags"]
            link = re.fullmatch(r'<(/v2/book/tags/list\?.+)>; rel="next"', answer.headers.get("Link", ""))
            path, pages = link[1] if link else "", pages + 1
        assert (seen, pages) == (wanted, -(-7 // size))
    assert client.ask("GET", "/v2/book/tags/list?last=t3x").json()["tags"] == ["t4", "t5", "t6"]
    assert client.ask("GET", "/v2/book/tags/list?last=z&n=2").json()["tags"] == []
    for bad in ("-1", "1.5", "", "9" * 30):
        answer = client.ask("GET", f"/v2/book/tags/list?n={bad}")
        assert (answer.status, answer.codes) == (400, ["PAGINATION_NUMBER_INVALID"]), bad


# --- referrers


def test_referrers_of_every_kind(client: WireClient) -> None:
    """Manifests and indexes; without an artifactType a manifest's is its config's; a filter that finds nothing."""
    subject = push(client, "about")
    about = {"mediaType": OCI_MANIFEST, "digest": subject, "size": len(manifest_of(LAYER))}
    plain = manifest_of(subject=about)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": about, "artifactType": "a/list"}
    assert put(client, "about", "plain", plain).headers["OCI-Subject"] == subject
    assert put(client, "about", "list", json.dumps(index).encode(), OCI_INDEX).headers["OCI-Subject"] == subject
    path = f"/v2/about/referrers/{subject}"
    every = client.ask("GET", path)
    assert "OCI-Filters-Applied" not in every.headers
    assert every.json()["schemaVersion"] == 2
    kinds = {entry["mediaType"]: (entry["artifactType"], entry["digest"]) for entry in every.json()["manifests"]}
    assert kinds[OCI_MANIFEST] == (OCI_CONFIG, digest_of(plain))
    assert kinds[OCI_INDEX] == ("a/list", digest_of(json.dumps(index).encode()))
    none = client.ask("GET", f"{path}?artifactType=x/y")
    assert (none.status, none.json()["manifests"], none.headers["OCI-Filters-Applied"]) == (200, [], "artifactType")
    only = client.ask("GET", f"{path}?artifactType=a%2Flist")
    assert [entry["mediaType"] for entry in only.json()["manifests"]] == [OCI_INDEX]
    assert client.ask("GET", "/v2/about/referrers/x").codes == ["DIGEST_INVALID"]
    assert "OCI-Subject" not in put(client, "about", "again", manifest_of(LAYER)).headers
    assert client.ask("DELETE", f"/v2/about/manifests/{digest_of(plain)}").status == 202
    assert [entry["mediaType"] for entry in client.ask("GET", path).json()["manifests"]] == [OCI_INDEX]


def test_unknown_things_are_kept(client: WireClient) -> None:
    """An artifact with media types and fields that nobody knows comes back byte by byte."""
    for blob in (CONFIG, LAYER):
        client.push_blob("artifact", blob, digest_of(blob))
    data = manifest_of(LAYER, artifactType="application/x.new", future={"a": [1, None]})
    data = data.replace(b"application/vnd.oci.image.layer.v1.tar", b"application/x.never.seen")
    data = data.replace(b'"schemaVersion": 2', b'"schemaVersion":   2')
    assert put(client, "artifact", "x", data).status == 201
    assert client.ask("GET", "/v2/artifact/manifests/x").body == data


# --- limits, numbers, a full disk


@pytest.mark.parametrize("way", ["PUT", "PATCH", "POST", "chunks"])
def test_a_blob_over_the_quota(tmp_path: Path, way: str) -> None:
    """In whatever way it comes: 413, and nothing of it stays, nor the upload; one of exactly the size is taken."""
    with own_registry(tmp_path, "--max-upload", "1k", quiet=True) as address:
        client = WireClient(address)
        data, large = bytes(1024), bytes(1025)
        if way == "POST":
            answer = client.ask("POST", f"/v2/q/blobs/uploads/?digest={digest_of(large)}", large)
        else:
            location = client.begin("q")
            if way == "chunks":
                assert client.ask("PATCH", location, large[:1000]).status == 202
            body = large[1000:] if way == "chunks" else large
            answer = client.ask("PUT" if way == "PUT" else "PATCH", f"{location}?digest={digest_of(large)}", body)
            assert client.ask("GET", location).status == 404
        assert (answer.status, answer.codes) == (413, ["SIZE_INVALID"])
        assert not list((tmp_path / "uploads").iterdir())
        assert client.push_blob("q", data, digest_of(data)).status == 201


def test_metrics(tmp_path: Path) -> None:
    """Prometheus' text form, to the letter; the numbers go up by what was done; a made-up method makes no new line."""
    with own_registry(tmp_path, quiet=True) as address:
        client = WireClient(address)
        assert client.ask("GET", "/metrics").headers["Content-Type"].startswith("text/plain; version=0.0.4")
        client.push_blob("m", LAYER, digest_of(LAYER))
        client.begin("m")
        client.ask("GET", f"/v2/m/blobs/{digest_of(LAYER)}")
        for method in ("BREW", "X-1", "X-2"):
            client.ask(method, "/v2/")
        numbers = samples(client.ask("GET", "/metrics").body.decode())
    assert numbers["minidock_registry_received_bytes_total"] == len(LAYER)
    assert len(LAYER) < numbers["minidock_registry_sent_bytes_total"] < len(LAYER) + 5000
    assert numbers["minidock_registry_uploads"] == 1
    assert numbers['minidock_registry_requests_total{method="GET",status="200"}'] == 2
    assert not [name for name in numbers if "BREW" in name or "X-" in name]


def samples(text: str) -> dict[str, float]:
    """Each sample by name and labels. A line that is none, one before its type, or one said twice is an error.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    kinds: dict[str, str] = {}
    found: dict[str, float] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if kind := re.fullmatch(r"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)", line):
            assert kind[1] not in kinds
            kinds[kind[1]] = kind[2]
            continue
        label = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
        sample = re.fullmatch(rf"(([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{{label}(?:,{label})*\}})?) (\S+)", line)
        assert sample, line
        assert sample[2] == list(kinds)[-1], "the samples of one name stand together, after its type"
        assert sample[2].endswith("_total") == (kinds[sample[2]] == "counter")
        assert sample[1] not in found
        found[sample[1]] = float(sample[3])
    return found


@pytest.mark.root
def test_a_full_disk(tmp_path: Path) -> None:
    """503 in one document, and nothing half taken; with room again the same upload goes on to its end."""
    small = f'mount -t tmpfs -o size=3m none {tmp_path} && exec "$@"'
    with own_registry(tmp_path, inside=["unshare", "--mount", "sh", "-c", small, "sh"], quiet=True) as address:
        client = WireClient(address)
        data, filler = bytes(2_000_000), b"1" * 1_900_000
        assert client.push_blob("full", filler, digest_of(filler)).status == 201
        location = client.begin("full")
        answer = client.ask("PATCH", location, data)
        assert (answer.status, answer.codes) == (503, ["UNAVAILABLE"])
        there = int(client.ask("GET", location).headers["Range"].partition("-")[2]) + 1
        assert there < len(data)
        assert client.ask("DELETE", location).status == 204
        assert client.ask("HEAD", f"/v2/full/blobs/{digest_of(data)}").status == 404
        assert client.ask("GET", f"/v2/full/blobs/{digest_of(filler)}").body == filler
        assert client.push_blob("full", LAYER, digest_of(LAYER)).status == 201


def test_a_slow_push_that_lost_a_blob(tmp_path: Path) -> None:
    """A blob that was collected before its manifest came: the manifest is refused, and a second try makes it whole."""
    with own_registry(tmp_path) as address:
        client = WireClient(address)
        for blob in (CONFIG, LAYER):
            client.push_blob("slow", blob, digest_of(blob))
        with closing(Store(tmp_path)) as store:
            assert set(collect(store, grace=-5).blobs) == {digest_of(CONFIG), digest_of(LAYER)}
        answer = put(client, "slow", "v", manifest_of(LAYER))
        assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])
        push(client, "slow", "v")
        assert client.ask("GET", f"/v2/slow/blobs/{digest_of(LAYER)}").body == LAYER


def test_a_blob_that_the_disk_lost(tmp_path: Path) -> None:
    """A record without its file counts as nothing: the blob is asked for again, and then it is there."""
    with own_registry(tmp_path) as address:
        client = WireClient(address)
        push(client, "lost")
        shutil.rmtree(tmp_path / "content" / "blobs" / "sha256")
        (tmp_path / "content" / "blobs" / "sha256").mkdir()
        assert client.ask("HEAD", f"/v2/lost/blobs/{digest_of(LAYER)}").status == 404
        assert client.ask("GET", "/v2/lost/manifests/latest").codes == ["MANIFEST_UNKNOWN"]
        push(client, "lost")
        assert client.ask("GET", "/v2/lost/manifests/latest").body == manifest_of(LAYER)
