"""An upper directory becomes a layer, and layers become an image: what commit and build stand on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.images import Layer
from minidock.oci import reference
from minidock.oci.image import DOCKER_LAYER_GZIP, OCI_LAYER_GZIP, ContainerDefaults, Descriptor, History, as_oci
from tests.archives import Machine, archive, file, tree
from tests.kernel.test_layer_model import Change, apply, change_on_disk, changes, fresh, overlay, seen

pytestmark = pytest.mark.root

STEP = History(created="2024-01-02T03:04:05Z", created_by="RUN something")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine without images."""
    found = Machine(tmp_path)
    yield found
    found.close()


def make_upper(path: Path) -> Path:
    """An upper directory with something of everything, the same at every call."""
    (path / "d" / "empty").mkdir(parents=True)
    (path / "d" / "file").write_bytes(b"x" * 700_000)
    (path / "d" / "other").hardlink_to(path / "d" / "file")
    (path / "link").symlink_to("/d/file")
    os.mknod(path / "gone", 0o020000, os.makedev(0, 0))
    os.setxattr(path / "d" / "empty", "trusted.overlay.opaque", b"y")
    os.setxattr(path / "d" / "file", "user.mine", b"1")
    for name in ("d/empty", "d/file", "link", "gone", "d"):
        os.utime(path / name, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path / "socket"))
    return path


def packed(machine: Machine, upper: Path, **options: bool | int) -> Layer:
    """The layer that a directory makes."""
    layer = machine.images.layer_from(upper, **options)  # type: ignore[arg-type]
    assert layer is not None
    return layer


def test_taken_or_unpacked_it_is_the_same_layer(machine: Machine, tmp_path: Path) -> None:
    """A layer that took the directory itself is what the blob unpacks to, times and all; the digests are the same."""
    first, second = make_upper(tmp_path / "first"), make_upper(tmp_path / "second")
    with machine.images.bringing():
        taken = packed(machine, first, take=True)
        as_taken = tree(machine.images.layers.path(taken.diff_id))
        size = machine.images.layers.size(taken.diff_id)
        machine.images.layers.remove([taken.diff_id])
        unpacked = packed(machine, second)
    assert unpacked == taken
    assert not first.exists()
    assert second.exists()
    assert size == 700_000
    with machine.images.bringing():
        packed(machine, second)
    assert "socket" not in as_taken


def test_nothing_was_changed(machine: Machine, tmp_path: Path) -> None:
    """An empty upper directory makes no layer, and leaves nothing."""
    (tmp_path / "upper").mkdir()
    assert machine.images.layer_from(tmp_path / "upper") is None
    assert machine.on_the_way() == []
    assert machine.blobs() == set()


def test_no_file_is_younger_than_asked(machine: Machine, tmp_path: Path) -> None:
    """SOURCE_DATE_EPOCH sets later times back, and leaves earlier ones; so two builds at two times are alike."""
    one, two = make_upper(tmp_path / "one"), make_upper(tmp_path / "two")
    (one / "new").write_text("new")
    (two / "new").write_text("new")
    os.utime(two / "new", (2_000_000_000, 2_000_000_000))
    with machine.images.bringing():
        layers = [packed(machine, upper, take=True, newest=1_700_000_001) for upper in (one, two)]
        found = tree(machine.images.layers.path(layers[0].diff_id))
    assert layers[0] == layers[1]
    assert found["new"].mtime_ns == 1_700_000_001 * 10**9
    assert found["d"].mtime_ns == 1_700_000_000 * 10**9


def test_what_no_image_takes_goes_again(machine: Machine, tmp_path: Path) -> None:
    """A layer of a build that failed is gone at the end of the block; one that is held stays, also after a sweep."""
    with machine.images.bringing():
        layer = packed(machine, make_upper(tmp_path / "one"))
    assert not machine.images.layers.has(layer.diff_id)
    assert machine.blobs() == set()
    with machine.images.bringing():
        layer = packed(machine, tmp_path / "one")
        machine.images.holds.hold("cache/1", [layer])
    machine.images.sweep()
    assert machine.images.holds.of("cache/1") == [layer]
    assert machine.images.layers.has(layer.diff_id)
    assert machine.images.content.has(layer.descriptor)


def test_an_image_upon_an_image(machine: Machine, tmp_path: Path) -> None:
    """All names, the layers of both, the history of both; what the parent is for, the child is for."""
    parent = machine.images.get(machine.add("base", archive([file("low", b"1")]), cmd=["sh"]))
    names = [reference.parse("mine:1"), reference.parse("localhost:5000/mine")]
    with machine.images.bringing():
        layer = packed(machine, make_upper(tmp_path / "upper"), take=True)
        empty = History(created="2024-01-02T03:04:06Z", created_by="CMD x", empty_layer=True)
        image = machine.images.derive(parent, [layer], ContainerDefaults(cmd=["x"]), [STEP, empty], names, author="me")
    assert image.tags == ["mine:1", "localhost:5000/mine:latest"]
    assert image.diff_ids == [*parent.diff_ids, layer.diff_id]
    assert image.layers == [*parent.layers, layer]
    assert (image.config.created, image.config.author, image.config.architecture) == (empty.created, "me", "amd64")
    assert image.config.history == [STEP, empty]
    with machine.images.bringing():
        again = machine.images.derive(parent, [layer], ContainerDefaults(cmd=["x"]), [STEP, empty], author="me")
    assert again.id == image.id


def test_dockers_name_of_a_layer_in_the_ocis_words() -> None:
    """A manifest of ours lists no media type that only Docker knows."""
    layer = Descriptor(media_type=DOCKER_LAYER_GZIP, digest="sha256:" + "0" * 64, size=1)
    assert as_oci(layer).media_type == OCI_LAYER_GZIP
    assert as_oci(as_oci(layer)) == as_oci(layer)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all examples of the property: each empties it first."""
    return tmp_path_factory.mktemp("packing")


@given(plan=st.lists(st.lists(changes, max_size=5), min_size=1, max_size=3))
@settings(max_examples=60)
def test_a_stack_of_taken_layers_shows_what_was_written(base: Path, plan: list[list[Change]]) -> None:
    """A build in small: each step writes through an overlay of the steps before, whose upper becomes the next layer."""
    machine = Machine(fresh(base))
    model: dict[str, str] = {}
    layers: list[Path] = []
    with machine.images.bringing():
        for number, wanted in enumerate(plan):
            step = base / f"step-{number}"
            step.mkdir()
            with overlay(step, layers or [machine.root / "layers" / "init" / "fs" / "dev"]) as (merged, upper):
                for change in wanted:
                    if apply(model, change):
                        change_on_disk(merged, change)
            if layer := machine.images.layer_from(upper, take=True):
                layers.insert(0, machine.images.layers.path(layer.diff_id))
        (base / "view").mkdir()
        with overlay(base / "view", layers or [machine.root / "layers" / "init" / "fs" / "dev"]) as (merged, _):
            assert seen(merged) == model
    machine.close()
