"""Manifests, indexes and image configurations: what is read, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.errors import InvalidSpec, NotFound
from minidock.oci import image as documents
from minidock.oci import platform as platforms
from minidock.oci.image import Descriptor, ImageConfig, Index, Manifest
from tests.strategies import image_configs, manifests

DIGEST = "sha256:" + "a" * 64


def descriptor(media_type: str = documents.OCI_LAYER, **fields: Any) -> dict[str, Any]:
    """A descriptor as it stands in a document."""
    return {"mediaType": media_type, "digest": DIGEST, "size": 1, **fields}


def manifest(**fields: Any) -> bytes:
    """A manifest without layers, some of its fields replaced."""
    whole = {"schemaVersion": 2, "config": descriptor(documents.OCI_CONFIG), "layers": [], **fields}
    return json.dumps({key: value for key, value in whole.items() if value is not ...}).encode()


def index(*manifests: dict[str, Any]) -> Index:
    """An index, read from its bytes."""
    found = documents.parse_manifest(json.dumps({"schemaVersion": 2, "manifests": manifests}).encode())
    assert isinstance(found, Index)
    return found


def entry(platform: str, number: int, **fields: Any) -> dict[str, Any]:
    """A manifest in an index, for a platform; ``number`` tells them apart."""
    os_name, architecture, variant = (*platform.split("/"), "")[:3]
    about = {"os": os_name, "architecture": architecture, "variant": variant}
    return descriptor(documents.OCI_MANIFEST, platform=about, size=number, **fields)


@given(manifests())
def test_manifests_round_trip(value: Manifest | Index) -> None:
    """What is written is read again as the same manifest or index."""
    assert documents.parse_manifest(documents.encode(value)) == value


@given(image_configs())
def test_configs_round_trip(value: ImageConfig) -> None:
    """What is written is read again as the same configuration."""
    assert documents.parse_config(documents.encode(value)) == value


@given(image_configs())
def test_null_is_absent(value: ImageConfig) -> None:
    """Go writes null where nothing is: it reads as if the field were not there."""
    document = json.loads(documents.encode(value))
    nothing = {name: None for name in ("author", "history", "config", "container_config") if name not in document}
    assert documents.parse_config(json.dumps(document | nothing).encode()) == value


def test_dockers_own_config() -> None:
    """A configuration as Docker 20.10 writes it, with fields that mean nothing to us."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2023-01-01T00:00:00.123456789Z",
        "docker_version": "20.10.23",
        "container": "f" * 64,
        "container_config": {"Hostname": "x", "Cmd": ["/bin/sh", "-c", "#(nop) "], "Image": "sha256:00"},
        "config": {
            "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "Tty": False, "OpenStdin": False,
            "Env": ["PATH=/bin"], "Cmd": ["sh"], "Image": "sha256:00", "Volumes": {"/data": {}}, "WorkingDir": "",
            "Entrypoint": None, "OnBuild": None, "Labels": None, "ExposedPorts": {"80/tcp": {}}, "ArgsEscaped": True,
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000000, "Retries": 3},
        },
        "history": [{"created": "2023-01-01T00:00:00Z", "created_by": "ADD x", "empty_layer": True}],
        "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    }  # fmt: skip
    config = documents.parse_config(json.dumps(document).encode())
    assert config.config.cmd == ["sh"]
    assert config.config.entrypoint == []
    assert list(config.config.volumes) == ["/data"]
    assert config.config.healthcheck is not None and config.config.healthcheck.interval == 1_000_000_000
    assert config.history[0].empty_layer
    assert str(config.platform) == "linux/amd64"


@pytest.mark.parametrize(
    ("data", "content_type", "message"),
    [
        (manifest(manifests=[]), "", "ambiguous"),
        (manifest(manifests=[], layers=...), "", "ambiguous"),
        (manifest(mediaType=documents.OCI_MANIFEST), documents.OCI_INDEX, "but was sent as"),
        (manifest(mediaType=documents.OCI_INDEX), documents.OCI_MANIFEST, "but was sent as"),
        (manifest(mediaType=documents.OCI_INDEX), "", "image index"),
        (manifest(mediaType="text/html"), "", "not supported"),
        (manifest(), "application/vnd.docker.distribution.manifest.v1+prettyjws", "not supported"),
        (manifest(schemaVersion=1), "", "schema version 1"),
        (manifest(schemaVersion=...), "", "schema version 0"),
        (manifest(config=...), "", "config"),
        (manifest(layers="x"), "", "layers"),
        (manifest(layers=[descriptor(size=-1)]), "", "size"),
        (manifest(layers=[descriptor(digest="sha256:../x")]), "", "digest"),
        (manifest(layers=[descriptor(digest=DIGEST.upper())]), "", "digest"),
        (b"", "", "manifest"),
        (b"[]", "", "manifest"),
        (b"<html>", "", "manifest"),
        (b'{"schemaVersion": 2, "a": ' + b"[" * 50_000, "", "manifest"),
        (b" " * (documents.MAX_MANIFEST + 1), "", "at most"),
    ],
)
def test_manifests_that_are_refused(data: bytes, content_type: str, message: str) -> None:
    """A document that could mean two things, or says another type than it was sent as, is no manifest."""
    with pytest.raises(InvalidSpec, match=message):
        documents.parse_manifest(data, content_type)


@given(st.binary(max_size=200) | st.from_regex(rb'\A\{"schemaVersion": ?2[^}]*\}?\Z'))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    """No bytes whatever make the parser fail otherwise."""
    try:
        documents.parse_manifest(data)
    except InvalidSpec:
        return


def test_unknown_fields_and_annotations_are_no_error() -> None:
    """What a later version of the specification adds is ignored."""
    found = documents.parse_manifest(manifest(future={"x": 1}, annotations={"a": "b"}), documents.OCI_MANIFEST)
    assert isinstance(found, Manifest)
    assert found.annotations == {"a": "b"}


@pytest.mark.parametrize(
    ("data", "media_type", "message"),
    [
        (b'{"rootfs": {"type": "layers+base", "diff_ids": []}}', documents.OCI_CONFIG, "layers"),
        (b'{"rootfs": {"type": "layers", "diff_ids": ["x"]}}', documents.OCI_CONFIG, "diff_ids"),
        (b"{}", documents.OCI_CONFIG, "rootfs"),
        (b"this is never parsed", "application/vnd.cncf.helm.config.v1+json", "not a container image"),
    ],
)
def test_configs_that_are_refused(data: bytes, media_type: str, message: str) -> None:
    """A root file system of an unknown kind, and a config of an unknown media type."""
    with pytest.raises(InvalidSpec, match=message):
        documents.parse_config(data, Descriptor(media_type=media_type, digest=DIGEST, size=len(data)))


def test_layers_and_diff_ids_must_agree() -> None:
    """As many diff-ids as layers, of kinds that are known."""
    found = documents.parse_manifest(manifest(layers=[descriptor()]))
    none = documents.parse_config(b'{"rootfs": {"type": "layers", "diff_ids": []}}')
    one = documents.parse_config(json.dumps({"rootfs": {"type": "layers", "diff_ids": [DIGEST]}}).encode())
    assert isinstance(found, Manifest)
    documents.check_layers(found, one)
    with pytest.raises(InvalidSpec, match="1 layers, but its config has 0"):
        documents.check_layers(found, none)
    strange = documents.parse_manifest(manifest(layers=[descriptor("text/plain")]))
    assert isinstance(strange, Manifest)
    with pytest.raises(InvalidSpec, match="text/plain"):
        documents.check_layers(strange, one)


def test_select_by_platform() -> None:
    """The manifest for the platform is chosen; attestations, which look like manifests, never are."""
    attestation = entry("linux/amd64", 9, annotations={documents.REFERENCE_TYPE: "attestation-manifest"})
    unknown = entry("unknown/unknown", 8)
    found = index(unknown, attestation, entry("linux/arm64/v8", 2), entry("linux/amd64", 1))
    assert documents.select(found, platforms.parse("linux/amd64")).size == 1
    assert documents.select(found, platforms.parse("linux/arm64")).size == 2


def test_select_says_what_is_missing() -> None:
    """No manifest for this machine: Docker's words."""
    for found in (index(), index(entry("unknown/unknown", 1)), index(entry("linux/s390x", 1))):
        with pytest.raises(NotFound) as caught:
            documents.select(found, platforms.parse("linux/amd64"))
        assert str(caught.value) == "no matching manifest for linux/amd64 in the manifest list entries"


def test_a_manifest_without_platform_is_for_everybody() -> None:
    """An index need not tell a platform; but one that fits is preferred."""
    anybody = descriptor(documents.OCI_MANIFEST, size=5)
    assert documents.select(index(anybody), platforms.parse("linux/amd64")).size == 5
    assert documents.select(index(anybody, entry("linux/amd64", 6)), platforms.parse("linux/amd64")).size == 6
