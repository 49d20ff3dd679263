"""Images as a whole: names, tags, removal, import, snapshots; and other programs that read the same store."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from minidock.errors import Conflict, InvalidInput, InvalidReference, InvalidSpec, MinidockError, NoSuchImage, NotFound
from minidock.images import Image, Use
from minidock.images.archive_writer import Writer
from minidock.images.image import chain_ids
from minidock.images.layers import MAX_LAYERS
from minidock.images.names import Names
from minidock.images.snapshots import MAX_OPTIONS
from minidock.images.tiny import find_busybox, main, write_tiny
from minidock.oci import digest as digests
from minidock.oci import reference
from minidock.oci.image import DOCKER_MANIFEST, OCI_MANIFEST, ContainerDefaults, Descriptor
from tests.archives import Machine, add_layer, archive, directory, file, hardlink, symlink, tree, unpack_all

pytestmark = pytest.mark.root

ONE, TWO = archive([file("one", b"1" * 1000), directory("d")]), archive([file("two", b"22"), file(".wh.one")])


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine without images."""
    found = Machine(tmp_path)
    yield found
    found.close()


def test_an_image_and_its_names(machine: Machine) -> None:
    """It is found by name, name and tag, id, and any beginning of the id that is nobody else's."""
    image_id = machine.add("debian:12", ONE, TWO, cmd=["sh"])
    machine.images.tag("debian:12", reference.parse("localhost:5000/mine"))
    encoded = digests.encoded(image_id)
    written = ["debian:12", "docker.io/library/debian:12", "localhost:5000/mine"]
    for name in [*written, image_id, encoded, encoded[:12], encoded[:3], f"sha256:{encoded[:7]}"]:
        assert machine.images.get(name).id == image_id
    image = machine.images.get("debian:12")
    assert (image.tags, image.digests, image.size) == (["debian:12", "localhost:5000/mine:latest"], [], 1002)
    assert image.config.config.cmd == ["sh"]
    assert image.last_tagged_ns > 0


def test_names_that_mean_nothing(machine: Machine) -> None:
    """Docker's words; an ambiguous beginning of an id is no image; and nothing is a pattern."""
    machine.add("a", ONE)
    for name, message in (
        ("debian", "No such image: debian:latest"),
        ("quay.io/x:1", "No such image: quay.io/x:1"),
        ("0" * 64, f"No such image: {'0' * 64}"),
        ("sha256:" + "0" * 64, f"No such image: sha256:{'0' * 64}"),
    ):
        with pytest.raises(NoSuchImage) as caught:
            machine.images.get(name)
        assert str(caught.value) == message
    with pytest.raises(InvalidReference, match="must be lowercase"):
        machine.images.get("Debian")
    assert machine.images.find("../../etc") is None
    assert machine.images.find("%") is None


def test_an_ambiguous_beginning_is_no_image(machine: Machine) -> None:
    """Two ids that begin alike are told apart by the first digit that differs, and by nothing less."""
    names = Names(machine.database)
    manifest = Descriptor(media_type=OCI_MANIFEST, digest="sha256:" + "0" * 64, size=1)
    ids = [f"sha256:abc{digit * 61}" for digit in "12"]
    for image_id in ids:
        names.put(image_id, manifest)
    assert [names.find("abc1"), names.find("sha256:abc2")] == ids
    with pytest.raises(NoSuchImage):
        names.find("abc")


def test_a_name_moves(machine: Machine) -> None:
    """A tag given to another image leaves the first one dangling, but there."""
    first = machine.add("a:1", ONE)
    second = machine.add("a:1", TWO)
    assert machine.images.get("a:1").id == second
    assert machine.images.get(first).tags == []
    assert {image.id for image in machine.images.all()} == {first, second}


def test_a_pulled_image_has_a_digest_too(machine: Machine) -> None:
    """The digest that the registry gave is a name; pulled by digest alone, it is the only one."""
    image = machine.images.get(machine.add("", ONE))
    digest = "sha256:" + "e" * 64
    machine.images.put(image.descriptor, reference.parse("debian"), digest)
    assert machine.images.get(f"debian@{digest}").tags == ["debian:latest"]
    assert machine.images.get(f"debian:other@{digest}").digests == [f"debian@{digest}"]
    machine.images.put(image.descriptor, reference.parse(f"other@{digest}"))
    assert machine.images.get(image.id).digests == [f"debian@{digest}", f"other@{digest}"]


def test_put_refuses_what_is_not_whole(machine: Machine) -> None:
    """No record without manifest, configuration and every layer; layers that the config does not know; an index."""
    image = machine.images.get(machine.add("", ONE))
    lone, _ = add_layer(machine.images.content, TWO)
    manifest = json.loads(machine.images.content.read(image.descriptor))
    for change, error in (
        ({"layers": []}, InvalidSpec),
        ({"config": {**manifest["config"], "digest": "sha256:" + "0" * 64}}, NotFound),
        ({"mediaType": DOCKER_MANIFEST}, InvalidSpec),
        ({"manifests": []}, InvalidSpec),
    ):
        descriptor = machine.images.content.add(json.dumps(manifest | change).encode(), OCI_MANIFEST)
        with pytest.raises(error):
            machine.images.put(descriptor, reference.parse("bad"))
    machine.images.layers.remove(image.diff_ids)
    with pytest.raises(NotFound, match="is not unpacked"):
        machine.images.put(image.descriptor, reference.parse("bad"))
    assert machine.images.find("bad") is None
    assert machine.images.content.has(lone)


def test_remove(machine: Machine) -> None:
    """Names first, then the image with what only it needed: its blobs, and the layers that no other image has."""
    machine.add("base", ONE)
    before = machine.blobs()
    image = machine.images.get(machine.add("a:1", ONE, TWO))
    machine.images.tag("a:1", reference.parse("b"))
    assert machine.images.remove("b") == [("Untagged", "b:latest", image.id)]
    assert machine.images.remove("a:1") == [
        ("Untagged", "a:1", image.id),
        ("Deleted", image.id, image.id),
        ("Deleted", chain_ids(image.diff_ids)[1], image.id),
    ]  # fmt: skip
    assert machine.blobs() == before
    assert machine.layer_names() == {digests.encoded(digests.of(ONE))}
    machine.images.remove("base")
    assert (machine.blobs(), machine.layer_names(), machine.images.all()) == (set(), set(), [])
    assert list((machine.root / "layers" / "l").iterdir()) == []
    with pytest.raises(NoSuchImage):
        machine.images.remove("base")


def test_an_image_in_use(machine: Machine) -> None:
    """A container protects its image; with force only the name goes while it runs, and its layers stay in any case."""
    image = machine.images.get(machine.add("a", ONE))
    bundle = machine.root / "containers" / "c1"
    bundle.mkdir(parents=True)
    machine.images.snapshots.prepare("c1", image, bundle)
    running, stopped = {image.id: [Use("c1", True)]}, {image.id: [Use("c1", False)]}
    with pytest.raises(Conflict, match="must force"):
        machine.images.remove("a", in_use=stopped)
    assert machine.images.remove("a", force=True, in_use=running) == [("Untagged", "a:latest", image.id)]
    assert machine.images.get(image.id).tags == []
    machine.images.remove(image.id, force=True, in_use=stopped)
    assert machine.images.all() == []
    with machine.images.snapshots.mounted(bundle) as root:
        assert (root / "one").is_file()


def test_nothing_is_collected_while_something_comes(machine: Machine) -> None:
    """A pull that shares a layer with an image that is removed meanwhile finds the layer there."""
    image = machine.images.get(machine.add("a", ONE))
    with machine.images.bringing():
        machine.images.remove("a")
        assert machine.images.layers.has(image.diff_ids[0])
        again = machine.images.put(image.descriptor, reference.parse("b"))
    assert machine.images.get("b").id == again.id == image.id
    assert machine.images.layers.has(image.diff_ids[0])
    machine.images.remove("b")
    assert machine.layer_names() == set()


PACKERS: list[Callable[[bytes], bytes]] = [
    lambda data: data,
    gzip.compress,
    zstandard.compress,
    bz2.compress,
    lzma.compress,
]


@pytest.mark.parametrize("pack", PACKERS, ids=["plain", "gzip", "zstd", "bzip2", "xz"])
def test_import(machine: Machine, pack: Callable[[bytes], bytes]) -> None:
    """A root file system's archive, however it is packed, is an image of one layer with the same diff-id."""
    config = ContainerDefaults(cmd=["sh"])
    image = machine.images.import_rootfs(io.BytesIO(pack(ONE)), reference.parse("new:1"), config, "by hand")
    assert image.diff_ids == [digests.of(ONE)]
    assert (image.tags, image.config.config, image.config.comment) == (["new:1"], config, "by hand")
    assert image.config.created.endswith("Z")
    assert set(tree(machine.images.layers.path(image.diff_ids[0]))) == {"one", "d"}
    assert machine.on_the_way() == []


@pytest.mark.parametrize("data", [b"this is no archive" * 100, ONE[:700], gzip.compress(ONE)[:-9], b"BZh9garbage"])
def test_an_import_that_fails_leaves_nothing(machine: Machine, data: bytes) -> None:
    """No image, no layer, no blob."""
    with pytest.raises(MinidockError):
        machine.images.import_rootfs(io.BytesIO(data), reference.parse("bad"))
    assert (machine.images.all(), machine.blobs(), machine.layer_names(), machine.on_the_way()) == (
        [],
        set(),
        set(),
        [],
    )


def test_records_survive_a_restart(machine: Machine) -> None:
    """The next daemon knows the same images."""
    image = machine.images.get(machine.add("a:1", ONE, TWO))
    machine.close()
    again = Machine(machine.root)
    again.images.sweep()
    assert again.images.all() == [image]
    again.close()


# ---------------------------------------------------------------------------------------------------- snapshots


def snapshot(machine: Machine, image: Image, name: str) -> tuple[Path, list[str], str]:
    """A container's snapshot: its bundle, and the mount's options and source."""
    bundle = machine.root / "containers" / name
    bundle.mkdir(parents=True)
    mount = machine.images.snapshots.prepare(name, image, bundle)
    assert (mount.destination, mount.type) == ("/", "overlay")
    return bundle, mount.options, mount.source


def test_a_snapshot_is_mounted_for_a_moment(machine: Machine) -> None:
    """Topmost layer first; what is written goes to upper; several may look; afterwards nothing is mounted."""
    image = machine.images.get(machine.add("a", ONE, TWO))
    bundle, options, source = snapshot(machine, image, "c1")
    assert source == "overlay"
    assert all(value.startswith("/") for value in options[0].removeprefix("lowerdir=").split(":"))
    with machine.images.snapshots.mounted(bundle) as root, machine.images.snapshots.mounted(bundle) as same:
        assert sorted(path.name for path in root.iterdir()) == [".dockerenv", "d", "dev", "etc", "proc", "sys", "two"]
        (same / "new").write_bytes(b"x" * 5000)
        (same / "d" / "link").hardlink_to(same / "new")
    assert list((bundle / "rootfs").iterdir()) == []
    assert (bundle / "upper" / "new").is_file()
    assert machine.images.snapshots.size(bundle) == 5000
    machine.images.snapshots.remove("c1", bundle)
    machine.images.snapshots.remove("c1", bundle)
    assert list(bundle.iterdir()) == []
    with pytest.raises(NotFound):
        machine.images.snapshots.diff_ids("c1")


def test_as_many_layers_as_the_kernel_can_stack(machine: Machine) -> None:
    """500 layers: their names fit in a page because they are short, and count from the mount's source."""
    layers = [archive([file(f"f{number}"), file("last", str(number).encode())]) for number in range(MAX_LAYERS)]
    image = machine.images.get(machine.add("many", *layers))
    bundle, options, source = snapshot(machine, image, "c1")
    assert source == str(machine.root / "layers" / "l")
    assert len(",".join(options)) <= MAX_OPTIONS
    here = Path.cwd()
    with machine.images.snapshots.mounted(bundle) as root:
        assert len(list(root.iterdir())) == MAX_LAYERS + 1
        assert (root / "last").read_text() == str(MAX_LAYERS - 1)
    assert Path.cwd() == here
    more = machine.images.get(machine.add("more", *layers, ONE))
    with pytest.raises(InvalidInput, match="501 layers: overlayfs stacks at most 500"):
        snapshot(machine, more, "c2")


def test_an_image_without_layers(machine: Machine) -> None:
    """FROM scratch and nothing else: there are only the places that the runtime mounts on."""
    bundle, _, _ = snapshot(machine, machine.images.get(machine.add("empty")), "c1")
    with machine.images.snapshots.mounted(bundle) as root:
        files = [".dockerenv", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"]
        assert sorted(tree(root)) == sorted(["dev", "etc", "proc", "sys", *files])


def test_an_opaque_root_hides_all_below(machine: Machine) -> None:
    """overlayfs takes no notice of an opaque root: the stack itself ends there."""
    top = archive([file(".wh..wh..opq"), file("only")])
    bundle, options, _ = snapshot(machine, machine.images.get(machine.add("a", ONE, top)), "c1")
    assert ":" not in options[0]
    with machine.images.snapshots.mounted(bundle) as root:
        assert [path.name for path in root.iterdir()] == ["only"]


def test_short_names_never_collide(machine: Machine) -> None:
    """Two layers whose digests begin alike have different short names, and keep them."""
    layers = machine.images.layers
    for name in ("abcd" + "0" * 60, "abcd" + "1" * 60, "abcd0" + "2" * 59):
        (layers.root / name / "fs").mkdir(parents=True)
    ids = [f"sha256:abcd{'0' * 60}", f"sha256:abcd{'1' * 60}", f"sha256:abcd0{'2' * 59}"]
    names = layers.lowerdirs(ids)
    assert len(set(names)) == 4, "the fourth is the init layer"
    assert layers.lowerdirs(ids) == names
    assert all((layers.root / "l" / name).is_dir() for name in names)


def test_the_same_layer_unpacked_by_several_at_once(machine: Machine) -> None:
    """All succeed, and there is one layer."""
    descriptor, diff_id = add_layer(machine.images.content, ONE)
    together, failures = threading.Barrier(4), []

    def unpack() -> None:
        together.wait()
        try:
            machine.images.layers.unpack(descriptor, diff_id)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=unpack) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert machine.layer_names() == {digests.encoded(diff_id)}


# ------------------------------------------------------------------------------------------------ other programs


def rich_archive(pax: bool) -> list[bytes]:
    """Two layers with everything that other programs unpack too."""
    extra = {"mtime_ns": 1_600_000_000_500_000_000 if pax else 1_600_000_000_000_000_000}
    lower = [
        directory("d", **{**extra, "mode": 0o1777, "uid": 3}),
        file("d/f", b"content", **extra, uid=1000, gid=1001, mode=0o4755),
        file("gone", b"x", **extra), directory("o", **extra), file("o/hidden", b"x", **extra), symlink("abs", "/d/f"),
        hardlink("hard", "d/f"), file("n" * 150 + "/" + "m" * 150, b"long", **extra),
        file("cap", b"", xattrs={"user.note": b"a\0b"} if pax else {}),
    ]  # fmt: skip
    upper = [file(".wh.gone"), directory("o", **extra), file("o/.wh..wh..opq"), file("o/new", b"new", **extra)]
    return [archive(lower), archive(upper)]


def merged_tree(machine: Machine, image: Image) -> dict[str, object]:
    """What a container of this image sees (times of links, and of directories that no archive names, left out)."""
    bundle, _, _ = snapshot(machine, image, f"look-{len(list(machine.root.glob('containers/*')))}")
    with machine.images.snapshots.mounted(bundle) as root:
        left_out = {"n" * 150, *tree(machine.root / "layers" / "init" / "fs")}
        return {name: node for name, node in tree(root).items() if node.kind != "symlink" and name not in left_out}


@pytest.mark.parametrize("pax", [False, True], ids=["whole-seconds", "nanoseconds"])
def test_umoci_unpacks_the_same_tree(machine: Machine, pax: bool) -> None:
    """Names, kinds, modes, owners, times, attributes and content of a stack of layers."""
    image = machine.images.get(machine.add("rich", *rich_archive(pax)))
    bundle = machine.root / "umoci"
    name = f"{machine.root}/images:docker.io/library/rich:latest"
    subprocess.run(["umoci", "raw", "unpack", "--image", name, str(bundle)], check=True, capture_output=True)
    theirs = {
        name: node for name, node in tree(bundle).items() if node.kind != "symlink" and name != "n" * 150
    }  # fmt: skip
    assert merged_tree(machine, image) == theirs
    assert str((bundle / "abs").readlink()) == "/d/f"


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_skopeo_copies_out_and_in(machine: Machine, form: str) -> None:
    """skopeo packs our image anew, as OCI or Docker's schema 2 with gzip: what comes back is the same image."""
    image = machine.images.get(machine.add("rich", *rich_archive(True), cmd=["sh"]))
    ours = merged_tree(machine, image)
    target = machine.root / "copy"
    source = f"oci:{machine.root}/images:docker.io/library/rich:latest"
    kind = {"oci": "oci", "docker": "v2s2"}[form]
    command = ["skopeo", "copy", "--dest-compress", "--format", kind, source, f"dir:{target}"]
    subprocess.run(command, check=True, capture_output=True)
    (machine.root / "other").mkdir()
    other = Machine(machine.root / "other")
    manifest = json.loads((target / "manifest.json").read_text())
    blobs = [manifest["config"], *manifest["layers"]]
    stored = [
        other.images.content.add_stream(
            iter([(target / digests.encoded(blob["digest"])).read_bytes()]), blob["mediaType"]
        )
        for blob in blobs
    ]
    unpack_all(other.images.layers, list(zip(stored[1:], image.diff_ids, strict=True)))
    media_type = manifest.get("mediaType", OCI_MANIFEST)
    descriptor = other.images.content.add((target / "manifest.json").read_bytes(), media_type)
    copied = other.images.put(descriptor, reference.parse("rich"))
    assert copied.diff_ids == image.diff_ids
    assert copied.manifest.layers[0].media_type.endswith("gzip")
    assert merged_tree(other, copied) == ours
    other.close()


# --------------------------------------------------------------------------------------------------------- tiny


def tiny_archive(busybox: Path | None) -> bytes:
    """The archive that minidock-tiny writes."""
    parts: list[bytes] = []
    writer = Writer(parts.append)
    write_tiny(writer, busybox)
    writer.close()
    return b"".join(parts)


@pytest.mark.parametrize("static", [True, False], ids=["busybox", "own-programs"])
def test_tiny_is_a_system_that_one_can_work_in(machine: Machine, static: bool) -> None:
    """The shell and its commands run with this root and nothing else; and it is made the same each time."""
    data = tiny_archive(find_busybox() if static else None)
    assert data == tiny_archive(find_busybox() if static else None)
    image = machine.images.import_rootfs(io.BytesIO(data), reference.parse("tiny"))
    root = machine.images.layers.path(image.diff_ids[0])
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    script = "ls / >/dev/null && id -u && echo $(expr 6 \\* 7) | sed s/4/four/ && cat /etc/passwd | head -1 && sleep 0"
    ran = subprocess.run(
        ["chroot", str(root), "sh", "-c", script],
        capture_output=True,
        text=True,
        env={"PATH": "/bin:/usr/sbin:/usr/bin"},
    )
    assert (ran.stdout.split("\n")[:3], ran.stderr) == (["0", "four2", "root:x:0:0:root:/root:/bin/sh"], "")


def test_the_tiny_command(tmp_path: Path) -> None:
    """minidock-tiny writes to a file or to standard output, and says how it is used."""
    assert main([str(tmp_path / "a.tar")]) == 0
    found = shutil.which("minidock-tiny") or str(Path(sys.executable).parent / "minidock-tiny")
    piped = subprocess.run([found], check=True, stdout=subprocess.PIPE).stdout
    assert piped == (tmp_path / "a.tar").read_bytes()
    assert main(["--help"]) == 0
    assert main(["a", "b"]) == 2
