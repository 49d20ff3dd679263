"""Archives made to do harm, and canaries that they must not touch.

Each attack once broke some container engine. The canary is a directory beside the layer, on the same file system, as
another layer or the host's files would be; afterwards it must be byte for byte what it was, times and modes included.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidock.errors import CorruptContent, InvalidSpec, MinidockError
from minidock.images import Limits
from minidock.images import archive as archives
from minidock.images.archive import Entry
from minidock.oci.image import OCI_LAYER_GZIP
from tests.archives import (
    Item,
    Node,
    add_layer,
    archive,
    directory,
    file,
    hardlink,
    store,
    symlink,
    tree,
    unpack_all,
    unpack_into,
)

pytestmark = pytest.mark.root


class Canary:
    """A directory of the host: a file, a directory, a program, and all that can be seen of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "sub").mkdir(parents=True)
        (path / "victim").write_bytes(b"alive")
        (path / "sub" / "inner").write_bytes(b"alive too")
        for name in ("victim", "sub", "sub/inner"):
            os.utime(path / name, (1_000_000, 1_000_000))
        self._before = self._look()

    def _look(self) -> tuple[dict[str, Node], os.stat_result]:
        status = self.path.stat()
        return tree(self.path), os.stat_result((*status[:7], 0, *status[8:10]))

    def check(self) -> None:
        """It is what it was."""
        assert self._look() == self._before


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    """A canary that is looked at when the test ends."""
    bird = Canary(tmp_path / "canary")
    yield bird
    bird.check()


Attack = Callable[[str], list[Item]]

#: For each attack: given the canary's path, the archive. Some are refused; some are harmless inside the layer.
ATTACKS: dict[str, Attack] = {
    "dot dot": lambda c: [file("../canary/victim", b"dead")],
    "dot dot, deep": lambda c: [directory("a"), file("a/../../canary/victim", b"dead")],
    "dot dot at the end": lambda c: [directory("a/.."), directory("..")],
    "absolute path": lambda c: [file(f"{c}/victim", b"dead")],
    "write through a link": lambda c: [symlink("x", c), file("x/victim", b"dead")],
    "write through a relative link": lambda c: [symlink("x", "../../canary"), file("x/victim", b"dead")],
    "write to where a link points": lambda c: [symlink("x", f"{c}/victim"), file("x", b"dead")],
    "link to a link": lambda c: [symlink("a", c), symlink("b", "a"), file("b/victim", b"dead")],
    "link in proc": lambda c: [symlink("x", "/proc/self/cwd"), file("x/canary-was-here", b"dead")],
    "magic link": lambda c: [symlink("x", "/proc/self/root"), file(f"x{c}/victim", b"dead")],
    "directory, then link": lambda c: [directory("x"), symlink("x", c), file("x/victim", b"dead")],
    "link, then directory": lambda c: [symlink("x", c), directory("x", mode=0o777), file("x/victim", b"dead")],
    "link, then its directory's mode": lambda c: [symlink("x", f"{c}/sub"), directory("x", mode=0o777, uid=7)],
    "directory's time through a link": lambda c: [directory("x", mtime_ns=5), symlink("x", f"{c}/sub")],
    "hard link to the host": lambda c: [hardlink("x", f"{c}/victim"), file("x", b"dead")],
    "hard link by dot dot": lambda c: [hardlink("x", "../canary/victim"), file("x", b"dead", mode=0o777)],
    "hard link through a link": lambda c: [symlink("l", c), hardlink("x", "l/victim"), file("x", b"dead")],
    "hard link relative to the cwd": lambda c: [hardlink("x", os.path.relpath(f"{c}/victim")), file("x", b"dead")],
    "hard link to a link, then write": lambda c: [symlink("l", f"{c}/victim"), hardlink("x", "l"), file("x", b"dead")],
    "whiteout of dot dot": lambda c: [file(".wh...", b""), file("d/.wh...", b"")],
    "whiteout of dot": lambda c: [file(".wh..", b"")],
    "whiteout of nothing": lambda c: [file(".wh.", b"")],
    "whiteout of a path": lambda c: [file(f".wh.{c}/victim", b"")],
    "whiteout through a link": lambda c: [symlink("x", c), file("x/.wh.victim", b"")],
    "opaque through a link": lambda c: [symlink("x", c), file("x/.wh..wh..opq", b"")],
    "late opaque": lambda c: [symlink("x", c), file("y"), file("x/.wh..wh..opq"), file(".wh..wh..opq")],
    "device through a link": lambda c: [symlink("x", c), (Entry("x/victim", archives.CHARACTER, major=1), b"")],
    "fifo over a link": lambda c: [symlink("x", f"{c}/victim"), (Entry("x", archives.FIFO, 0o777), b"")],
    "link through a link": lambda c: [symlink("x", c), symlink("x/victim", "/nowhere")],
    "PAX path": lambda c: [file("a" * 120 + f"/../../..{c}/victim", b"dead")],
    "empty directory over the canary": lambda c: [symlink("x", str(Path(c).parent)), file("x/canary", b"dead")],
    "attributes through a link": lambda c: [
        symlink("x", f"{c}/victim"), (Entry("x", archives.HARDLINK, 0o7777, link=f"{c}/victim"), b"")
    ],
    "redirect by overlay attribute": lambda c: [
        directory("d", xattrs={"trusted.overlay.redirect": c.encode(), "trusted.overlay.metacopy": b""})
    ],
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_stays_in_the_layer(tmp_path: Path, canary: Canary, attack: str) -> None:
    """Whether it is refused or comes to nothing: the canary is untouched, and nothing new is beside the layer."""
    with contextlib.suppress(InvalidSpec):
        unpack_into(tmp_path / "layer", archive(ATTACKS[attack](str(canary.path))))
    assert {path.name for path in tmp_path.iterdir()} == {"canary", "layer"}
    assert not Path("canary-was-here").exists()


REFUSED = [
    "dot dot", "dot dot, deep", "dot dot at the end", "hard link to the host", "hard link by dot dot",
    "hard link through a link", "whiteout of dot dot", "whiteout of dot", "whiteout of nothing", "whiteout of a path",
    "write through a link", "magic link", "PAX path",
]  # fmt: skip


@pytest.mark.parametrize("attack", REFUSED)
def test_an_attack_is_refused_by_name(tmp_path: Path, canary: Canary, attack: str) -> None:
    """What has no meaning inside a layer is an error that names the entry, and leaves no layer and no file."""
    content, layers = store(tmp_path)
    descriptor, diff_id = add_layer(content, archive([file("before"), *ATTACKS[attack](str(canary.path))]))
    with pytest.raises(InvalidSpec, match="archive entry"):
        layers.unpack(descriptor, diff_id)
    assert {path.name for path in (tmp_path / "layers").iterdir()} == {"l", "init"}


def test_gnu_long_names_lead_nowhere_else(tmp_path: Path, canary: Canary) -> None:
    """GNU's pseudo-entries for long names and links go the same way as any name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        link = tarfile.TarInfo("x")
        link.type, link.linkname = tarfile.SYMTYPE, "/" * 200 + str(canary.path)
        tar.addfile(link)
        member = tarfile.TarInfo("x" + "/." * 150 + "/victim")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"dead"))
    with pytest.raises(InvalidSpec):
        unpack_into(tmp_path / "layer", buffer.getvalue())


def test_a_link_of_one_layer_is_no_path_for_the_next(tmp_path: Path, canary: Canary) -> None:
    """Layers do not see each other: a link in a lower layer leads no entry of an upper one anywhere."""
    (tmp_path / "store").mkdir()
    content, layers = store(tmp_path / "store")
    lower = add_layer(content, archive([symlink("x", str(canary.path))]))
    upper = add_layer(content, archive([file("x/victim", b"dead")]))
    unpack_all(layers, [lower, upper])
    assert sorted(tree(layers.path(upper[1]))) == ["x", "x/victim"]
    assert tree(layers.path(upper[1]))["x"].kind == "directory"


def test_a_hard_link_cannot_reach_another_layer(tmp_path: Path) -> None:
    """Sharing a file with another layer would let a container that stands on one change the other."""
    (tmp_path / "store").mkdir()
    content, layers = store(tmp_path / "store")
    lower = add_layer(content, archive([file("secret", b"shared")]))
    layers.unpack(*lower)
    name = lower[1].removeprefix("sha256:")
    for target in (f"../../{name}/fs/secret", "secret", f"/{name}/fs/secret"):
        upper = add_layer(content, archive([hardlink("mine", target)]))
        with pytest.raises(InvalidSpec, match="archive entry 'mine'"):
            layers.unpack(*upper)


entry_names = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", ".wh.a", ".wh...", ".wh..wh..opq"]), min_size=1, max_size=4
)


@st.composite
def hostile_items(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """Entries of few names, so that they meet: kind, name, and where a link points (C is the canary)."""
    names = entry_names.map("/".join)
    links = st.sampled_from(
        ["C", "C/sub", "C/victim", "../canary", "../../canary", "/", "..", "a", "b", "a/b", "/proc/self/cwd"]
    )
    kinds = st.sampled_from(["file", "directory", "symlink", "hardlink", "fifo"])
    return draw(st.lists(st.tuples(kinds, names, links), min_size=1, max_size=8))


@given(items=hostile_items())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_combination_gets_out(tmp_path_factory: pytest.TempPathFactory, items: list[tuple[str, str, str]]) -> None:
    """Links, directories, files and whiteouts of a few names, in any order: the canary stays as it was."""
    base = tmp_path_factory.mktemp("any")
    bird = Canary(base / "canary")
    for number in range(len(items)):
        # Each entry alone behind all that succeeded before it, so that one refusal does not protect from the rest.
        made: list[Item] = []
        for kind, name, link in items[number:]:
            target = link.replace("C", str(bird.path))
            made.append(
                {
                    "file": file(name, b"dead", mode=0o777, uid=5),
                    "directory": directory(name, mode=0o777, uid=5),
                    "symlink": symlink(name, target),
                    "hardlink": hardlink(name, target),
                    "fifo": (Entry(name, archives.FIFO, 0o777), b""),
                }[kind]
            )
        with contextlib.suppress(MinidockError):
            unpack_into(base / f"layer-{number}", archive(made))
    bird.check()
    assert {path.name for path in base.iterdir()} == {"canary", *(f"layer-{number}" for number in range(len(items)))}


LIMITS = Limits(size=5_000_000, entries=100, ratio=10, free=1_000_000)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lambda data: data], ids=["gzip", "zstd", "plain"])
def test_a_bomb_is_refused_and_leaves_nothing(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """A layer of zeros that is small while it is packed."""
    content, layers = store(tmp_path, LIMITS)
    packed = pack(archive([file("zeros", bytes(6_000_000))]))
    descriptor = content.add_stream(iter([packed]), OCI_LAYER_GZIP)
    with pytest.raises(InvalidSpec, match="bytes when unpacked: refused"):
        layers.unpack(descriptor, "sha256:" + "0" * 64)
    assert {path.name for path in (tmp_path / "layers").iterdir()} == {"l", "init"}


def test_the_default_limits_stop_ten_gigabytes_of_zeros() -> None:
    """Packed with zstd they are less than a megabyte, with gzip ten: both far beyond the ratio."""
    assert Limits().size_of(1_000_000) < 10 * 1024**3
    assert Limits().size_of(10_000_000) < 10 * 1024**3


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    """Empty files cost no bytes, but inodes."""
    content, layers = store(tmp_path, LIMITS)
    descriptor, diff_id = add_layer(content, archive([file(f"f{number}") for number in range(101)]))
    with pytest.raises(InvalidSpec, match="more than 100 entries"):
        layers.unpack(descriptor, diff_id)
    assert {path.name for path in (tmp_path / "layers").iterdir()} == {"l", "init"}


def test_a_size_that_lies(tmp_path: Path) -> None:
    """An entry that announces eight exabytes ends where the archive ends."""
    data = archive([file("a", b"x" * 100)])
    lie = bytearray(data)
    lie[124:136] = b"\x80" + (2**62).to_bytes(11, "big")
    lie[148:156] = b"%06o\0 " % (sum(lie[:512]) - sum(lie[148:156]) + 256)
    with pytest.raises(InvalidSpec, match="truncated"):
        unpack_into(tmp_path / "layer", bytes(lie))


def test_a_huge_sparse_file_takes_no_space(tmp_path: Path) -> None:
    """It may say that it is a terabyte: only its pieces are written; more than the file system can hold is refused."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("s")
        member.size = 4
        member.pax_headers = {"GNU.sparse.map": "0,4", "GNU.sparse.size": str(10**12)}
        tar.addfile(member, io.BytesIO(b"data"))
    root = unpack_into(tmp_path / "layer", buffer.getvalue())
    assert (root / "s").stat().st_size == 10**12
    assert (root / "s").stat().st_blocks < 100


def test_a_deep_tree_is_removed_again(tmp_path: Path) -> None:
    """Thousands of directories in each other, deeper than any path may be long: refused, and nothing stays."""
    content, layers = store(tmp_path)
    deep = "/".join(["d"] * 1500)
    items = [
        directory(deep),
        symlink("s", deep),
        directory("s/" + deep),
        symlink("t", "s/" + deep),
        directory("t/" + deep),
    ]
    descriptor, _ = add_layer(content, archive(items))
    with pytest.raises(CorruptContent, match="unpacks to"):
        layers.unpack(descriptor, "sha256:" + "0" * 64)
    assert {path.name for path in (tmp_path / "layers").iterdir()} == {"l", "init"}


def test_devices_are_made_but_only_root_sees_them(tmp_path: Path) -> None:
    """A layer may hold a disk's device file (a container may not open it); the store is root's alone."""
    content, layers = store(tmp_path)
    descriptor, diff_id = add_layer(content, archive([(Entry("sda", archives.BLOCK_DEVICE, 0o666, major=8), b"")]))
    layers.unpack(descriptor, diff_id)
    assert stat.S_ISBLK((layers.path(diff_id) / "sda").lstat().st_mode)
    for private in (layers.root, layers.path(diff_id).parent):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
