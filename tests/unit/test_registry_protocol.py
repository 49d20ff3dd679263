"""The upload protocol and all that follows from it: our registry and Debian's docker-registry give the same answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule, run_state_machine_as_test

from minidock.oci.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from tests.registries import debian_registry, digest_of, own_registry
from tests.wire_client import Answer, WireClient, path_of

BLOBS = [b"{}", b"one", b"two" * 400]
REPOSITORIES = ["first", "second/part"]
TAGS = ["a", "b", "latest"]
METHODS = ["GET", "HEAD"]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WireClient, WireClient]]:
    """Our registry and Debian's, both empty."""
    directory = tmp_path_factory.mktemp("peers")
    with own_registry(directory / "ours") as ours, debian_registry(directory / "debian") as debian:
        yield WireClient(ours), WireClient(debian.address)


class Protocol(RuleBasedStateMachine):
    """Every request goes to both, and what they answer is compared."""

    uploads = Bundle("uploads")
    run = 0
    ours: WireClient
    debians: WireClient

    @initialize()
    def names(self) -> None:
        """Repositories of this run's own: the registries go on from run to run."""
        Protocol.run += 1
        self.prefix = f"run{Protocol.run}/"

    def both(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[Answer, Answer]:
        """One request to each; their answers, which agree."""
        ours, debians = (peer.ask(method, path, body, **headers) for peer in (self.ours, self.debians))
        self.agree(ours, debians)
        return ours, debians

    @staticmethod
    def agree(ours: Answer, debians: Answer) -> None:
        """The same status, the same headers that mean something, the same codes."""
        assert (ours.status, ours.codes) == (debians.status, debians.codes)
        for header in ("Docker-Content-Digest", "Range", "Content-Range"):
            assert ours.headers[header] == debians.headers[header], header

    def on_upload(self, upload: tuple[str, str], method: str, query: str, body: bytes, **headers: str) -> None:
        """A request for an upload, whose address each registry chose itself."""
        answers = []
        for peer, location in zip((self.ours, self.debians), upload, strict=True):
            joined = location + ("&" if "?" in location and query else "?" if query else "") + query
            answers.append(peer.ask(method, joined, body, **headers))
        self.agree(*answers)

    @rule(target=uploads, repository=st.sampled_from(REPOSITORIES))
    def begin(self, repository: str) -> tuple[str, str]:
        """A new upload."""
        ours, debians = self.both("POST", f"/v2/{self.prefix}{repository}/blobs/uploads/")
        return path_of(ours), path_of(debians)

    @rule(upload=consumes(uploads), blob=st.sampled_from(BLOBS), lie=st.booleans())
    def finish(self, upload: tuple[str, str], blob: bytes, lie: bool) -> None:
        """The whole blob at once; sometimes not the one that was announced."""
        body = blob[:-1] if lie else blob
        self.on_upload(upload, "PUT", f"digest={digest_of(blob)}", body, Content_Type="application/octet-stream")

    @rule(upload=consumes(uploads))
    def cancel(self, upload: tuple[str, str]) -> None:
        """Given up; and then it is not there."""
        self.on_upload(upload, "DELETE", "", b"")
        self.on_upload(upload, "GET", "", b"")

    @rule(repository=st.sampled_from(REPOSITORIES), blob=st.sampled_from(BLOBS[1:]), cut=st.integers(1, 1200))
    def chunks(self, repository: str, blob: bytes, cut: int) -> None:
        """Two chunks. (One out of order Debian's takes, against the specification.)"""
        cut = min(cut, len(blob) - 1)
        answers = []
        for peer in (self.ours, self.debians):
            headers = {"Content_Type": "application/octet-stream"}
            location = peer.begin(self.prefix + repository)
            first = peer.ask("PATCH", location, blob[:cut], Content_Range=f"0-{cut - 1}", **headers)
            second = peer.ask("PATCH", path_of(first), blob[cut:], Content_Range=f"{cut}-{len(blob) - 1}", **headers)
            last = path_of(second)
            done = peer.ask("PUT", f"{last}{'&' if '?' in last else '?'}digest={digest_of(blob)}")
            answers.append((first, second, done))
        for ours, debians in zip(*answers, strict=True):
            self.agree(ours, debians)

    @rule(
        repository=st.sampled_from(REPOSITORIES), blob=st.sampled_from(BLOBS), method=st.sampled_from(["GET", "HEAD"])
    )
    def blob(self, repository: str, blob: bytes, method: str) -> None:
        """Is it there?"""
        ours, debians = self.both(method, f"/v2/{self.prefix}{repository}/blobs/{digest_of(blob)}")
        if ours.status == 200:
            assert (ours.body, ours.headers["Content-Length"]) == (debians.body, debians.headers["Content-Length"])

    @rule(
        repository=st.sampled_from(REPOSITORIES),
        blob=st.sampled_from(BLOBS[1:]),
        first=st.integers(0, 1300),
        length=st.none() | st.integers(1, 1300),
    )
    def part(self, repository: str, blob: bytes, first: int, length: int | None) -> None:
        """A part of it, or more than that. (From behind its end Debian's announces bytes that it does not send.)"""
        first %= len(blob)
        wanted = f"bytes={first}-{'' if length is None else first + length - 1}"
        ours, debians = self.both("GET", f"/v2/{self.prefix}{repository}/blobs/{digest_of(blob)}", Range=wanted)
        if ours.status == 206:
            assert ours.body == debians.body == blob[first:][:length]

    @rule(blob=st.sampled_from(BLOBS))
    def mount(self, blob: bytes) -> None:
        """From one repository to the other."""
        source, target = (self.prefix + name for name in REPOSITORIES)
        self.both("POST", f"/v2/{target}/blobs/uploads/?mount={digest_of(blob)}&from={source}")

    @rule(repository=st.sampled_from(REPOSITORIES), blob=st.sampled_from(BLOBS))
    def delete_blob(self, repository: str, blob: bytes) -> None:
        """The repository has it no more."""
        self.both("DELETE", f"/v2/{self.prefix}{repository}/blobs/{digest_of(blob)}")

    @rule(
        repository=st.sampled_from(REPOSITORIES),
        layers=st.lists(st.sampled_from(BLOBS[1:]), unique=True, max_size=2),
        tag=st.sampled_from(TAGS),
    )
    def manifest(self, repository: str, layers: list[bytes], tag: str) -> None:
        """Pushed under a tag, and read back; refused while a blob is missing."""
        data = json.dumps(manifest_of(layers)).encode()
        path = f"/v2/{self.prefix}{repository}/manifests/{tag}"
        answers = [peer.ask("PUT", path, data, Content_Type=OCI_MANIFEST) for peer in (self.ours, self.debians)]
        # Debian's tells of every missing blob, ours of the first.
        assert answers[0].status == answers[1].status
        assert set(answers[0].codes) == set(answers[1].codes)
        if answers[0].status == 201:
            ours, debians = self.both("GET", path, Accept=OCI_MANIFEST)
            assert ours.body == debians.body == data

    @rule(
        repository=st.sampled_from(REPOSITORIES),
        layers=st.lists(st.sampled_from(BLOBS[1:]), unique=True, max_size=2),
        method=st.sampled_from(["GET", "HEAD", "DELETE"]),
    )
    def by_digest(self, repository: str, layers: list[bytes], method: str) -> None:
        """A manifest by its digest: looked for, or removed with all its tags."""
        digest = digest_of(json.dumps(manifest_of(layers)).encode())
        self.both(method, f"/v2/{self.prefix}{repository}/manifests/{digest}", Accept=OCI_MANIFEST)

    @rule(repository=st.sampled_from(REPOSITORIES), tag=st.sampled_from(TAGS))
    def tag(self, repository: str, tag: str) -> None:
        """What a tag stands for now."""
        self.both("GET", f"/v2/{self.prefix}{repository}/manifests/{tag}", Accept=OCI_MANIFEST)


def manifest_of(layers: list[bytes]) -> dict[str, Any]:
    """The config is ``{}``."""
    config, *entries = (
        {"mediaType": kind, "digest": digest_of(data), "size": len(data)}
        for kind, data in [(OCI_CONFIG, BLOBS[0]), *((OCI_LAYER, layer) for layer in layers)]
    )
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": entries}


def test_the_same_answers(peers: tuple[WireClient, WireClient]) -> None:
    """A random session with both registries: neither can be told from the other."""
    Protocol.ours, Protocol.debians = peers
    run_state_machine_as_test(
        Protocol,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
