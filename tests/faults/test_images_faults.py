"""Full disks, killed processes and tampered files: never half an image, and the next start cleans up."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minidock.errors import CorruptContent, MinidockError, NoSpace, NotFound
from minidock.images import Images
from minidock.kernel import syscalls
from minidock.oci import digest as digests
from minidock.oci import reference
from minidock.oci.image import OCI_LAYER_GZIP, Descriptor
from tests.archives import Machine, add_layer, archive, directory, file, unpack_all

pytestmark = pytest.mark.root

ROOT_FS = archive([directory("d"), *(file(f"d/f{number}", os.urandom(3000)) for number in range(1500))])


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine without images."""
    found = Machine(tmp_path)
    yield found
    found.close()


def is_empty(machine: Machine) -> bool:
    """No image, and nothing that would become one."""
    rest = machine.blobs() | machine.layer_names() | {path.name for path in machine.on_the_way()}
    return not rest and machine.images.all() == []


# ---------------------------------------------------------------------------------------------------- a full disk


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Machine]:
    """A machine whose data root is a file system of 6 MB."""
    syscalls.mount("tmpfs", tmp_path, "tmpfs", 0, "size=6m")
    found = Machine(tmp_path)
    try:
        yield found
    finally:
        found.close()
        syscalls.umount2(tmp_path, syscalls.MNT_DETACH)


@pytest.mark.parametrize("pack", [lambda data: data, lambda data: gzip.compress(data, 1)], ids=["plain", "gzip"])
def test_import_on_a_full_disk(small: Machine, pack: Callable[[bytes], bytes]) -> None:
    """Whether the blob or its files find no room: a clear error, and the room is there again."""
    with pytest.raises(NoSpace, match="no space left on device"):
        small.images.import_rootfs(io.BytesIO(pack(ROOT_FS)), reference.parse("big"))
    assert is_empty(small)
    assert small.images.import_rootfs(io.BytesIO(archive([file("small")])), reference.parse("small")).tags


def test_a_download_on_a_full_disk(small: Machine) -> None:
    """The write that finds no room says so; what came so far may be given up."""
    data = os.urandom(8_000_000)
    ingest = small.images.content.ingest(Descriptor(media_type="x", digest="sha256:" + "0" * 64, size=len(data)))
    with pytest.raises(NoSpace, match=f"under {small.root}"):
        ingest.write(data)
    ingest.abort()
    assert is_empty(small)


def test_many_small_files_on_a_disk_without_inodes(tmp_path: Path) -> None:
    """Inodes run out too: the same error, which names the entry."""
    syscalls.mount("tmpfs", tmp_path, "tmpfs", 0, "nr_inodes=300")
    machine = Machine(tmp_path)
    try:
        with pytest.raises(NoSpace, match="no space left on device for 'd/f"):
            machine.images.import_rootfs(io.BytesIO(ROOT_FS), reference.parse("many"))
        assert is_empty(machine)
    finally:
        machine.close()
        syscalls.umount2(tmp_path, syscalls.MNT_DETACH)


# ------------------------------------------------------------------------------------------------ killed in the middle

_WORKER = """
import sys
from pathlib import Path
from minidock.database import Database
from minidock.images import Images
from minidock.oci import reference
from minidock.oci.image import Descriptor

root, work = Path(sys.argv[1]), sys.argv[2]
images = Images(root, Database(root / "minidock.db"))
print("ready", flush=True)
while True:
    if work == "import":
        with (root / "archive").open("rb") as file:
            image = images.import_rootfs(file, reference.parse("new"))
        images.remove("new")
    elif work == "unpack":
        images.layers.unpack(Descriptor(media_type="x", digest=sys.argv[3], size=int(sys.argv[4])), sys.argv[5])
        images.layers.remove([sys.argv[5]])
    else:
        with images.content.ingest(Descriptor(media_type="x", digest=sys.argv[3], size=int(sys.argv[4]))) as ingest:
            ingest.restart()
            data = (root / "archive").read_bytes()
            for start in range(0, len(data), 4096):
                ingest.write(data[start : start + 4096])
            ingest.commit()
        images.content.remove([sys.argv[3]])
"""


def kill_in_the_middle(machine: Machine, delay: float, *arguments: str) -> None:
    """Start a worker, and kill it a moment after it began."""
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, str(machine.root), *arguments], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"ready\n"
    try:
        worker.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        worker.send_signal(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    worker.stdout.close()


DELAYS = [0.001, 0.02, 0.05, 0.09, 0.15]


@pytest.mark.parametrize("delay", DELAYS)
def test_an_import_is_killed(machine: Machine, delay: float) -> None:
    """Either the whole image is listed or nothing of it; and the next start removes what was left half made."""
    (machine.root / "archive").write_bytes(ROOT_FS)
    kill_in_the_middle(machine, delay, "import")
    for image in machine.images.all():
        assert len(list((machine.images.layers.path(image.diff_ids[0]) / "d").iterdir())) == 1500
    forget_age(machine)
    Images(machine.root, machine.database).sweep()
    images = machine.images.all()
    assert len(machine.layer_names()) == len(images)
    assert len(machine.blobs()) == 3 * len(images)
    assert machine.on_the_way() == []


@pytest.mark.parametrize("delay", DELAYS)
def test_an_unpacking_is_killed(machine: Machine, delay: float) -> None:
    """A layer that is there is whole; what is not is swept, and unpacking again succeeds."""
    descriptor, _ = add_layer(machine.images.content, gzip.compress(ROOT_FS, 1), OCI_LAYER_GZIP)
    diff_id = digests.of(ROOT_FS)
    kill_in_the_middle(machine, delay, "unpack", descriptor.digest, str(descriptor.size), diff_id)
    if machine.images.layers.has(diff_id):
        assert len(list((machine.images.layers.path(diff_id) / "d").iterdir())) == 1500
    machine.images.layers.sweep()
    assert machine.layer_names() <= {digests.encoded(diff_id)}
    machine.images.layers.unpack(descriptor, diff_id)
    assert len(list((machine.images.layers.path(diff_id) / "d").iterdir())) == 1500


@pytest.mark.parametrize("delay", DELAYS[:3])
def test_a_download_is_killed(machine: Machine, delay: float) -> None:
    """A blob that is there is whole; a part is gone on with from where it is."""
    (machine.root / "archive").write_bytes(ROOT_FS)
    descriptor = Descriptor(media_type="x", digest=digests.of(ROOT_FS), size=len(ROOT_FS))
    kill_in_the_middle(machine, delay, "ingest", descriptor.digest, str(descriptor.size))
    if machine.images.content.has(descriptor):
        assert digests.of(machine.images.content.path(descriptor.digest).read_bytes()) == descriptor.digest
    machine.images.sweep()
    with machine.images.content.ingest(descriptor) as ingest:
        ingest.write(ROOT_FS[ingest.offset :])
        ingest.commit()
    assert machine.images.content.has(descriptor)


def forget_age(machine: Machine) -> None:
    """Make everything look a week old: what is young is kept at a start, for the pull that goes on."""
    old = time.time() - 7 * 24 * 3600
    for directory_ in (machine.root / "images" / "blobs" / "sha256", machine.root / "ingest", machine.root / "layers"):
        for path in directory_.iterdir():
            os.utime(path, (old, old))


# --------------------------------------------------------------------------------------------------------- tampering


def flip(path: Path) -> None:
    """Change the last byte."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "longer", "gone"])
@pytest.mark.parametrize("what", ["layer", "config", "manifest"])
def test_tampered_content_makes_no_image(machine: Machine, what: str, damage: str) -> None:
    """The disk changed a blob since it came: it is noticed before anything uses it; nothing is left; a retry works."""
    image = machine.images.import_rootfs(io.BytesIO(gzip.compress(ROOT_FS, 1)))
    layer = image.manifest.layers[0]
    blob = {"layer": layer, "config": image.manifest.config, "manifest": image.descriptor}[what]
    path = machine.images.content.path(blob.digest)
    whole = path.read_bytes()
    machine.images.layers.remove(image.diff_ids)
    if damage == "flipped":
        flip(path)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[:-1] if damage == "truncated" else whole + b"x")
    with pytest.raises((CorruptContent, NotFound)):
        machine.images.layers.unpack(layer, image.diff_ids[0])
        machine.images.put(image.descriptor, reference.parse("bad"))
    assert machine.images.find("bad") is None
    assert not [name for name in machine.layer_names() if name.startswith(".")]
    path.write_bytes(whole)
    machine.images.layers.unpack(layer, image.diff_ids[0])
    assert machine.images.put(image.descriptor, reference.parse("good")).id == image.id


def test_one_damaged_image_does_not_hide_the_others(machine: Machine) -> None:
    """It is left out of the list, and says what to do when it is asked for; a daemon starts all the same."""
    good = machine.add("good", ROOT_FS)
    bad = machine.images.get(machine.add("bad", archive([file("x")])))
    flip(machine.images.content.path(bad.id))
    machine.images.sweep()
    assert [image.id for image in machine.images.all()] == [good]
    with pytest.raises(CorruptContent, match="is wanted"):
        machine.images.get("bad")


def test_a_diff_id_that_lies(machine: Machine) -> None:
    """The blob is what its digest says, but its content is not what the image says."""
    descriptor, _ = add_layer(machine.images.content, ROOT_FS)
    with pytest.raises(
        CorruptContent, match=f"layer {descriptor.digest} unpacks to .*, but its image says sha256:0000"
    ):
        machine.images.layers.unpack(descriptor, "sha256:" + "0" * 64)
    assert machine.layer_names() == set()


def test_one_bad_layer_among_good_ones(machine: Machine) -> None:
    """Layers that are unpacked at the same time: one fails, the whole fails, and no half layer is left."""
    good = [add_layer(machine.images.content, archive([file(f"f{number}")])) for number in range(5)]
    bad = add_layer(machine.images.content, archive([file("../x")]))
    with pytest.raises(MinidockError, match=r"archive entry '\.\./x'"):
        unpack_all(machine.images.layers, [*good[:2], bad, *good[2:]])
    assert not [name for name in machine.layer_names() if name.startswith(".")]
    unpack_all(machine.images.layers, good)
    assert all(machine.images.layers.has(diff_id) for _, diff_id in good)
