"""Images into archives and out of them: what must be kept, what is refused, and that nothing is left of a refusal."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.errors import CorruptContent, InvalidInput, MinidockError, NotFound
from minidock.images import Image, Limits
from minidock.images.archive import FILE, SYMLINK, Entry
from minidock.images.archive_writer import Writer
from minidock.images.loading import load
from minidock.images.saving import choose, save
from minidock.oci import digest as digests
from minidock.oci import reference
from minidock.oci.image import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from minidock.oci.platform import Platform, host
from tests.archives import Machine, archive, directory, file, tree

pytestmark = pytest.mark.root

ONE, TWO = archive([file("one", b"1" * 1000), directory("d")]), archive([file("two", b"22"), file(".wh.one")])


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine without images."""
    found = Machine(tmp_path / "here")
    yield found
    found.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Machine]:
    """Another one."""
    found = Machine(tmp_path / "there")
    yield found
    found.close()


def saved(machine: Machine, *names: str, platform: Platform | None = None) -> bytes:
    """The archive of images."""
    parts: list[bytes] = []
    save(machine.images.content, choose(machine.images, names, platform), parts.append)
    return b"".join(parts)


def loaded(machine: Machine, data: bytes, platform: Platform | None = None) -> list[Image]:
    """The images of an archive."""
    return [item.image for item in load(machine.images, io.BytesIO(data), platform=platform)]


def files(data: bytes) -> dict[str, bytes]:
    """What is in an archive, as another program sees it."""
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        return {item.name: opened.extractfile(item).read() for item in opened if item.isfile()}  # type: ignore[union-attr]


def packed(content: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """An archive of these files and symbolic links."""
    parts: list[bytes] = []
    writer = Writer(parts.append)
    for name, target in (links or {}).items():
        writer.add(Entry(name, SYMLINK, 0o777, link=target))
    for name, data in content.items():
        writer.add(Entry(name, FILE, 0o644, size=len(data)), [data])
    writer.close()
    return b"".join(parts)


def test_several_images_with_several_names(machine: Machine, other: Machine) -> None:
    """Ids, manifests, names and files are the same there; a layer that two share is in the archive once."""
    one, two = machine.add("a:1", ONE, cmd=["x"]), machine.add("b:1", ONE, TWO)
    for name in ("a:2", "localhost:5000/a/b:3"):
        machine.images.tag("a:1", reference.parse(name))
    data = saved(machine, "a", "localhost:5000/a/b:3", "b:1", one)
    assert len([name for name in files(data) if "/sha256/" in name]) == 2 + 2 + 2
    found = {image.id: image for image in loaded(other, data)}
    assert found[one].tags == ["a:1", "a:2", "localhost:5000/a/b:3"]
    assert found[two].tags == ["b:1"]
    for image_id in (one, two):
        assert found[image_id].descriptor == machine.images.get(image_id).descriptor
    layer = digests.of(TWO)
    assert tree(other.images.layers.path(layer), times=False) == tree(machine.images.layers.path(layer), times=False)
    assert other.blobs() == machine.blobs()
    assert saved(other, "a", "localhost:5000/a/b:3", "b:1") == data, "the same images are the same archive"


def test_by_id_there_is_no_name(machine: Machine, other: Machine) -> None:
    """As in Docker: who saves an id saves no name."""
    image_id = machine.add("a:1", ONE)
    (image,) = loaded(other, saved(machine, image_id[7:19]))
    assert (image.id, image.tags) == (image_id, [])
    with pytest.raises(MinidockError, match=r"No such image: nothing$"):
        saved(machine, "nothing")


def test_a_name_that_moves_is_told(machine: Machine, other: Machine) -> None:
    """What had the name before stays, without it; to load again changes nothing."""
    old, new = other.add("a:1", TWO), machine.add("a:1", ONE)
    (result,) = load(other.images, io.BytesIO(saved(machine, "a:1")))
    assert result.moved == [(reference.parse("a:1"), old)]
    assert other.images.get("a:1").id == new
    (again,) = load(other.images, io.BytesIO(saved(machine, "a:1")))
    assert again.moved == []


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, lambda data: zstandard.compress(data)],
    ids=["plain", "gzip", "bzip2", "xz", "zstd"],
)
def test_packed_archives(machine: Machine, other: Machine, pack: Callable[[bytes], bytes]) -> None:
    """Docker loads what anybody packed; so do we."""
    image_id = machine.add("a", ONE, TWO)
    assert [image.id for image in loaded(other, pack(saved(machine, "a")))] == [image_id]


def legacy(machine: Machine, name: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """What ``docker save`` wrote for ten years: a directory for each layer, and links for layers that appear twice."""
    image = machine.images.get(name)
    config = machine.images.content.read(image.manifest.config)
    content: dict[str, bytes] = {f"{digests.encoded(image.id)}.json": config}
    links: dict[str, str] = {}
    layers, seen = [], dict[str, str]()
    for number, layer in enumerate(image.manifest.layers):
        folder = f"{number:064x}"
        content |= {f"{folder}/VERSION": b"1.0", f"{folder}/json": b"{}"}
        if layer.digest in seen:
            links[f"{folder}/layer.tar"] = f"../{seen[layer.digest]}/layer.tar"
        else:
            content[f"{folder}/layer.tar"] = machine.images.content.path(layer.digest).read_bytes()
            seen[layer.digest] = folder
        layers.append(f"{folder}/layer.tar")
    entry = {"Config": f"{digests.encoded(image.id)}.json", "RepoTags": image.tags or None, "Layers": layers}
    return content | {"manifest.json": json.dumps([entry]).encode()}, links


def test_the_old_format_of_docker(machine: Machine, other: Machine) -> None:
    """manifest.json alone, layers by other names than their digests, a layer twice as a link."""
    image_id = machine.add("a:1", ONE, TWO, ONE)
    (image,) = loaded(other, packed(*legacy(machine, "a:1")))
    assert (image.id, image.tags, len(image.diff_ids)) == (image_id, ["a:1"], 3)


def test_links_lead_nowhere(machine: Machine, other: Machine, tmp_path: Path) -> None:
    """CVE-2014-9356: a layer.tar, a config or a manifest that is a link to a file of the host is a missing file."""
    secret = tmp_path / "secret"
    secret.write_bytes(ONE)
    machine.add("a:1", ONE)
    content, _ = legacy(machine, "a:1")
    layer = next(name for name in content if name.endswith("layer.tar"))
    for victim in (layer, next(name for name in content if name.endswith(".json")), "manifest.json"):
        for target in (str(secret), f"../../../../..{secret}", layer, victim):
            rest = {name: data for name, data in content.items() if name != victim}
            if victim == layer == target or victim != target:
                with pytest.raises(InvalidInput):
                    loaded(other, packed(rest, {victim: target}))
                nothing_is_left(other)


def nothing_is_left(machine: Machine) -> None:
    """No image, no blob, no layer, nothing on the way."""
    assert machine.images.all() == []
    assert (machine.blobs(), machine.layer_names(), list(machine.on_the_way())) == (set(), set(), [])


def change(document: bytes, **fields: Any) -> bytes:
    """A JSON document with other fields."""
    return json.dumps(json.loads(document) | fields).encode()


def test_tampered_archives(machine: Machine, other: Machine) -> None:
    """A changed byte anywhere, a missing file, names that lead out: refused, and nothing is left; then retry."""
    image = machine.images.get(machine.add("a:1", ONE, TWO))
    whole = files(saved(machine, "a:1"))
    layer = next(name for name in whole if name.endswith(digests.encoded(image.manifest.layers[0].digest)))
    config = next(name for name in whole if name.endswith(digests.encoded(image.id)))
    manifest = next(name for name in whole if name.endswith(digests.encoded(image.descriptor.digest)))
    index = json.loads(whole["index.json"])
    evil = {"mediaType": OCI_MANIFEST, "digest": "sha256:../../x", "size": 1}
    docker = json.loads(whole["manifest.json"])[0]
    for tampered in (
        {layer: whole[layer][:-1] + b"x"},
        {config: whole[config].replace(b"amd64", b"arm64")},
        {manifest: whole[manifest] + b" "},
        {layer: None},
        {config: None},
        {manifest: None},
        {"index.json": None, "manifest.json": None},
        {"index.json": b"{"},
        {"index.json": json.dumps(index | {"manifests": [evil]}).encode()},
        {"index.json": json.dumps(index | {"manifests": []}).encode()},
        {"index.json": whole[manifest]},
        {"index.json": None, "manifest.json": json.dumps([docker | {"Config": "../../../etc/passwd"}]).encode()},
        {"index.json": None, "manifest.json": json.dumps([docker | {"Layers": [config]}]).encode()},
        {"index.json": None, "manifest.json": json.dumps([docker | {"Layers": docker["Layers"][:1]}]).encode()},
        {"index.json": None, "manifest.json": json.dumps([docker | {"Layers": docker["Layers"][::-1]}]).encode()},
        {"index.json": None, "manifest.json": json.dumps([docker | {"RepoTags": ["UPPER"]}]).encode()},
        {"index.json": None, "manifest.json": json.dumps([docker | {"RepoTags": ["x@" + image.id]}]).encode()},
        {"index.json": None, "manifest.json": b"[3]"},
    ):
        content = {name: data for name, data in (whole | tampered).items() if data is not None}
        with pytest.raises((InvalidInput, CorruptContent)):
            loaded(other, packed(content))
        nothing_is_left(other)
    for broken in (b"", b"no archive" * 100, saved(machine, "a:1")[:3000], gzip.compress(saved(machine, "a:1"))[:-20]):
        with pytest.raises((InvalidInput, CorruptContent)):
            loaded(other, broken)
        nothing_is_left(other)
    assert loaded(other, packed(whole))[0].id == image.id


def test_a_bomb(machine: Machine, tmp_path: Path) -> None:
    """An archive that unpacks to far more than it is, is refused before it has filled the disk."""
    bomb = packed({"zeros": bytes(8_000_000)})
    careful = Machine(tmp_path / "careful", Limits(free=1_000_000, ratio=10))
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        with pytest.raises(InvalidInput, match=r"larger than [0-9]+ bytes when unpacked: refused"):
            loaded(careful, pack(bomb))
        nothing_is_left(careful)
        with pytest.raises(InvalidInput, match=r"larger than [0-9]+ bytes when unpacked: refused"):
            careful.images.import_rootfs(io.BytesIO(pack(bomb)))
        nothing_is_left(careful)
    careful.close()


def test_a_damaged_blob_is_not_saved(machine: Machine) -> None:
    """The archive may become the only copy: what is not what its digest says does not get into it."""
    image = machine.images.get(machine.add("a", ONE))
    path = machine.images.content.path(image.manifest.layers[0].digest)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptContent, match="damaged on the disk"):
        saved(machine, "a")


def for_all_platforms(machine: Machine, name: str) -> tuple[Descriptor, dict[str, bytes]]:
    """An index with our image, one for another platform, an attestation, and something that nobody knows."""
    content = machine.images.content
    ours = machine.images.get(name)
    layer = content.add(gzip.compress(b"foreign", mtime=0), OCI_LAYER_GZIP)
    config = content.add(b'{"os":"plan9","architecture":"mips","rootfs":{"type":"layers","diff_ids":[]}}', OCI_CONFIG)
    unknown = content.add(b"\x00\x01 unknown", "application/x.unknown+thing")

    def manifest(config: Descriptor, layers: list[Descriptor], **more: Any) -> Descriptor:
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers, **more}
        return content.add(json.dumps(to_json(document), indent=3).encode(), OCI_MANIFEST)

    empty = content.add(b"{}", "application/vnd.oci.empty.v1+json")
    other = manifest(config, [layer], annotations={"a": "b"})
    attestation = manifest(empty, [unknown], artifactType="application/x.proof", subject=ours.descriptor)
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {**to_json(other), "platform": {"os": "plan9", "architecture": "mips"}},
            {**to_json(ours.descriptor), "platform": to_json(host())},
            {**to_json(attestation), "annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
            to_json(unknown),
        ],
        "x-unknown-field": {"z": 1, "a": [2]},
    }
    top = content.add(json.dumps(index, indent=4).encode(), OCI_INDEX)
    blobs = [layer, config, unknown, empty, other, attestation, top]
    return top, {blob.digest: content.path(blob.digest).read_bytes() for blob in blobs}


def to_json(value: Any) -> Any:
    """Structs as plain objects."""
    import msgspec

    return msgspec.to_builtins(value)


def test_other_platforms_and_unknown_things_are_carried_along(machine: Machine, other: Machine) -> None:
    """An image with its whole index is saved, loaded and saved again: every byte is kept, and goes with the image."""
    image = machine.images.get(machine.add("a:1", ONE))
    top, rest = for_all_platforms(machine, "a:1")
    machine.images.put(image.descriptor, reference.parse("a:1"), top=top)
    data = saved(machine, "a:1")
    (there,) = loaded(other, data)
    assert there.id == image.id
    assert there.top == top
    other.images.sweep()
    for digest, content in rest.items():
        assert other.images.content.path(digest).read_bytes() == content
    assert saved(other, "a:1") == data
    other.images.remove("a:1")
    nothing_is_left(other)


def test_an_index_of_which_a_part_came(machine: Machine, other: Machine) -> None:
    """``docker save`` of an image with several platforms keeps the index, and only what was pulled: that is enough."""
    image = machine.images.get(machine.add("a:1", ONE))
    top, rest = for_all_platforms(machine, "a:1")
    machine.images.put(image.descriptor, reference.parse("a:1"), top=top)
    gone = {f"blobs/sha256/{digest[7:]}" for digest in rest if digest != top.digest}
    content = {name: data for name, data in files(saved(machine, "a:1")).items() if name not in gone}
    (there,) = loaded(other, packed(content))
    assert (there.id, there.top) == (image.id, image.descriptor)


def test_one_platform_of_several(machine: Machine, other: Machine) -> None:
    """``save --platform`` hands on that manifest alone, whichever it is; ``load --platform`` keeps that one alone."""
    image = machine.images.get(machine.add("a:1", ONE))
    top, _ = for_all_platforms(machine, "a:1")
    machine.images.put(image.descriptor, reference.parse("a:1"), top=top)
    data, plan9 = saved(machine, "a:1"), Platform(os="plan9", architecture="mips")

    (there,) = loaded(other, data, host())
    assert (there.id, there.top) == (image.id, image.descriptor)
    assert not other.images.content.path(top.digest).exists()
    other.images.remove("a:1")
    nothing_is_left(other)
    with pytest.raises(NotFound, match="no image for plan9/m68k"):
        loaded(other, data, Platform(os="plan9", architecture="m68k"))
    nothing_is_left(other)

    content = files(saved(machine, "a:1", platform=plan9))
    (line,) = json.loads(content["manifest.json"])
    assert json.loads(content[line["Config"]])["os"] == "plan9"
    assert line["RepoTags"] == ["a:1"]
    assert f"blobs/sha256/{top.digest[7:]}" not in content
    assert f"blobs/sha256/{image.id[7:]}" not in content
    with pytest.raises(NotFound, match="no matching manifest"):
        saved(machine, "a:1", platform=Platform(os="plan9", architecture="m68k"))


def test_an_image_for_one_platform_is_for_no_other(machine: Machine, other: Machine) -> None:
    """What has no index is saved and loaded if it fits; also by Docker's own way in."""
    image = machine.images.get(machine.add("a:1", ONE))
    data, plan9 = saved(machine, "a:1", platform=host()), Platform(os="plan9", architecture="mips")
    assert data == saved(machine, "a:1")
    with pytest.raises(NotFound, match="there is none for plan9/mips here"):
        saved(machine, "a:1", platform=plan9)
    docker = packed({name: content for name, content in files(data).items() if name != "index.json"})
    for form in (data, docker):
        with pytest.raises(NotFound, match="no image for plan9/mips"):
            loaded(other, form, plan9)
        nothing_is_left(other)
        (there,) = loaded(other, form, host())
        assert there.id == image.id
        other.images.remove("a:1")


def test_other_programs_read_it(machine: Machine, tmp_path: Path) -> None:
    """skopeo reads both sides of the archive, umoci unpacks the layout."""
    image = machine.images.get(machine.add("a:1", ONE, TWO))
    path = tmp_path / "saved.tar"
    path.write_bytes(saved(machine, "a:1"))
    for source in (f"docker-archive:{path}:a:1", f"oci-archive:{path}:docker.io/library/a:1"):
        told = subprocess.run(
            ["skopeo", "inspect", "--config", "--raw", source], check=True, capture_output=True
        ).stdout
        assert digests.of(told) == image.id, source
    (tmp_path / "layout").mkdir()
    subprocess.run(["tar", "-xf", str(path), "-C", str(tmp_path / "layout")], check=True)
    layout = f"{tmp_path}/layout:docker.io/library/a:1"
    subprocess.run(
        ["umoci", "raw", "unpack", "--image", layout, str(tmp_path / "root")], check=True, capture_output=True
    )
    assert sorted(item.name for item in (tmp_path / "root").iterdir()) == ["d", "two"]


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_we_read_what_skopeo_writes(machine: Machine, other: Machine, tmp_path: Path, kind: str) -> None:
    """Its docker-archive (which podman and buildah write too) and its oci-archive, with name."""
    image = machine.images.get(machine.add("a:1", ONE, TWO, ONE))
    source, path = f"oci:{machine.root}/images:docker.io/library/a:1", tmp_path / "theirs.tar"
    subprocess.run(["skopeo", "copy", source, f"{kind}:{path}:b:2"], check=True, capture_output=True)
    (found,) = loaded(other, path.read_bytes())
    assert found.tags == ["b:2"]
    assert found.diff_ids == image.diff_ids


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Machine]]:
    """Two machines for all examples of the property."""
    first, second = (Machine(tmp_path_factory.mktemp(name)) for name in ("from", "to"))
    yield first, second
    first.close()
    second.close()


@given(
    images=st.lists(
        st.tuples(st.lists(st.sampled_from([ONE, TWO]), max_size=3), st.sets(st.sampled_from(["a:1", "b:1", "b:2"]))),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=40)
def test_save_and_load_are_inverse(pair: tuple[Machine, Machine], images: list[tuple[list[bytes], set[str]]]) -> None:
    """Any images under any names: what is loaded has the same ids, names and content, and nothing else."""
    here, there = pair
    ids = [here.add("", *layers, labels={"number": str(number)}) for number, (layers, _) in enumerate(images)]
    for image_id, (_, names) in zip(ids, images, strict=True):
        for name in names:
            here.images.tag(image_id, reference.parse(name))
    known = {image.id: image.tags for image in here.images.all()}
    asked = [name for image_id, tags in known.items() for name in tags or [image_id]]
    loaded(there, saved(here, *asked))
    assert {image.id: image.tags for image in there.images.all()} == known
    assert there.blobs() == here.blobs()
    for machine in pair:
        for image in machine.images.all():
            machine.images.remove(image.id, force=True)
        assert machine.blobs() == set()
