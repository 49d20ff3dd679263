"""Layers on a real file system: every kind of entry, and the rules for what replaces what."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from minidock.errors import InvalidSpec
from minidock.images import archive as archives
from minidock.images.archive import Entry
from minidock.images.unpack import OPAQUE
from tests.archives import Item, archive, directory, file, hardlink, symlink, tree, unpack_into

pytestmark = pytest.mark.root


def unpacked(tmp_path: Path, *items: Item) -> Path:
    """The directory that an archive becomes."""
    return unpack_into(tmp_path / "layer", archive(items))


def is_opaque(path: Path) -> bool:
    """Does the directory hide what lower layers have in theirs?"""
    return OPAQUE in os.listxattr(path) and os.getxattr(path, OPAQUE) == b"y"


def is_whiteout(path: Path) -> bool:
    """Is this a character device 0:0?"""
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def test_every_kind_of_entry(tmp_path: Path) -> None:
    """Files, directories, links, devices and FIFOs, with their owners, modes and times to the nanosecond."""
    when = 1_600_000_000_123_456_789
    common = {"uid": 1000, "gid": 2_000_000_000, "mtime_ns": when}
    root = unpacked(
        tmp_path,
        directory("d", **{**common, "mode": 0o1770}),
        file("d/file", b"content", **common, mode=0o4751),
        (Entry("d/link", archives.SYMLINK, 0o777, link="/absolute/target", **common), b""),  # type: ignore[arg-type]
        (Entry("d/char", archives.CHARACTER, 0o620, major=5, minor=300, **common), b""),  # type: ignore[arg-type]
        (Entry("d/block", archives.BLOCK_DEVICE, 0o660, major=8, minor=1, **common), b""),  # type: ignore[arg-type]
        (Entry("d/fifo", archives.FIFO, 0o666, **common), b""),  # type: ignore[arg-type]
        hardlink("again", "d/file"),
    )
    found = tree(root)
    assert {(node.uid, node.gid, node.mtime_ns) for node in found.values()} == {(1000, 2_000_000_000, when)}
    assert {name: (node.kind, node.mode, node.content) for name, node in found.items()} == {
        "d": ("directory", 0o1770, b""),
        "d/file": ("file", 0o4751, b"content"),
        "d/link": ("symlink", 0o777, "/absolute/target"),
        "d/char": (oct(stat.S_IFCHR), 0o620, (5, 300)),
        "d/block": (oct(stat.S_IFBLK), 0o660, (8, 1)),
        "d/fifo": (oct(stat.S_IFIFO), 0o666, b""),
        "again": ("file", 0o4751, b"content"),
    }
    assert (root / "again").stat().st_ino == (root / "d/file").stat().st_ino


def test_the_umask_has_no_say(tmp_path: Path) -> None:
    """Modes are the archive's, also those of directories that the archive left out (0755)."""
    former = os.umask(0o077)
    try:
        root = unpacked(tmp_path, file("a/b/c", mode=0o666), (Entry("fifo", archives.FIFO, 0o666), b""))
    finally:
        os.umask(former)
    modes = {name: oct(node.mode) for name, node in tree(root).items()}
    assert modes == {"a": "0o755", "a/b": "0o755", "a/b/c": "0o666", "fifo": "0o666"}


def test_extended_attributes(tmp_path: Path) -> None:
    """File capabilities survive the change of owner that comes before; what steers this host is not set."""
    capability = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep
    attributes = {
        "security.capability": capability,
        "user.comment": b"binary\0value",
        "trusted.overlay.opaque": b"y",
        "trusted.overlay.redirect": b"/../../etc",
    }
    root = unpacked(
        tmp_path, file("f", uid=7, xattrs=attributes), directory("d", xattrs=attributes), symlink("s", "nowhere")
    )
    assert os.getxattr(root / "f", "security.capability") == capability
    for name in ("f", "d"):
        assert not [key for key in os.listxattr(root / name) if key.startswith("trusted.overlay.")]


def test_user_attributes_of_a_link_are_left_out(tmp_path: Path) -> None:
    """The kernel allows user.* for files and directories only: on a link, such an attribute is no error."""
    root = unpacked(tmp_path, (Entry("s", archives.SYMLINK, 0o777, link="x", xattrs={"user.a": b"1"}), b""))
    assert os.listxattr(root / "s", follow_symlinks=False) == []


def test_times_of_directories_are_set_last(tmp_path: Path) -> None:
    """What is made in a directory later, a whiteout too, does not change its time; nor does its parent's entry."""
    root = unpacked(
        tmp_path,
        directory("./", mtime_ns=1_000_000_000),
        directory("a", mtime_ns=2_000_000_000),
        directory("a/b", mtime_ns=3_000_000_000),
        file("a/b/c"),
        file("a/.wh.gone"),
        file("later"),
    )
    assert [path.stat().st_mtime for path in (root, root / "a", root / "a/b")] == [1, 2, 3]


def test_the_root_has_attributes(tmp_path: Path) -> None:
    """The entry ./ is about the layer's root itself, and must be a directory."""
    root = unpacked(tmp_path, directory("./", mode=0o711, uid=3))
    assert (stat.S_IMODE(root.stat().st_mode), root.stat().st_uid) == (0o711, 3)
    for name in ("./", "/", "."):
        with pytest.raises(InvalidSpec, match="root of a layer must be a directory"):
            unpack_into(tmp_path / name.replace("/", "x"), archive([symlink(name, "/etc")]))


def test_absolute_names_count_from_the_layer(tmp_path: Path) -> None:
    """An absolute name, also that of a hard link's target, means the layer's root."""
    root = unpacked(tmp_path, file("/abs/f", b"1"), hardlink("/abs/g", "/abs/f"), file("//x//./y", b"2"))
    assert sorted(tree(root)) == ["abs", "abs/f", "abs/g", "x", "x/y"]


def test_links_in_the_middle_stay_in_the_layer(tmp_path: Path) -> None:
    """A directory may be a link of the same layer, absolute ones counting from the layer's root, as after chroot."""
    root = unpacked(
        tmp_path, directory("usr/lib"), symlink("lib", "/usr/lib"), file("lib/libc.so", b"x"),
        symlink("up", "../../usr"), file("up/y", b"y"), hardlink("hard", "lib/libc.so"),
    )  # fmt: skip
    assert (root / "usr/lib/libc.so").read_bytes() == b"x"
    assert (root / "usr/y").read_bytes() == b"y"
    assert (root / "hard").read_bytes() == b"x"


def test_a_hard_link_to_a_symbolic_link(tmp_path: Path) -> None:
    """The link itself gets another name; it is not followed."""
    root = unpacked(tmp_path, symlink("s", "/etc/passwd"), hardlink("h", "s"))
    assert str((root / "h").readlink()) == "/etc/passwd"


@pytest.mark.parametrize("target", ["absent", "absent/deeper", "d", "", "/", "../f"])
def test_hard_links_to_nothing(tmp_path: Path, target: str) -> None:
    """A target that this layer does not have, or a directory: the error names the entry."""
    with pytest.raises(InvalidSpec, match="archive entry 'h'"):
        unpacked(tmp_path, directory("d"), hardlink("h", target))


def test_the_last_of_several_wins(tmp_path: Path) -> None:
    """A name that comes again replaces what was there, whatever the two are; other names of the old stay."""
    things = {
        "file": file("x", b"new"),
        "link": symlink("x", "/etc"),
        "fifo": (Entry("x", archives.FIFO, 0o600), b""),
        "directory": directory("x"),
    }
    for first, before in things.items():
        for second, after in things.items():
            items = [before] + ([file("x/inner")] if first == "directory" else []) + [after]
            root = unpack_into(tmp_path / f"{first}-{second}", archive(items))
            expected = {"x", "x/inner"} if first == second == "directory" else {"x"}
            assert set(tree(root)) == expected, (first, second)
            kind = tree(root)["x"].kind
            assert (
                kind == {"file": "file", "link": "symlink", "fifo": oct(stat.S_IFIFO), "directory": "directory"}[second]
            )
    assert not list(tmp_path.glob("*/.rm-*"))


def test_replacing_does_not_write_through(tmp_path: Path) -> None:
    """A file that replaces a hard link is a new file: the other name keeps the old content."""
    root = unpacked(tmp_path, file("a", b"old"), hardlink("b", "a"), file("b", b"new"))
    assert ((root / "a").read_bytes(), (root / "b").read_bytes()) == (b"old", b"new")


def test_directory_over_directory_replaces_the_attributes(tmp_path: Path) -> None:
    """What is in it stays."""
    root = unpacked(tmp_path, directory("d", mode=0o700), file("d/f"), directory("d", mode=0o750, uid=5))
    assert (tree(root)["d"].mode, tree(root)["d"].uid, "d/f" in tree(root)) == (0o750, 5, True)
    assert not is_opaque(root / "d")


def test_a_whiteout(tmp_path: Path) -> None:
    """.wh.name becomes a character device 0:0; the entry itself never appears."""
    root = unpacked(tmp_path, directory("d"), file("d/.wh.gone"), file(".wh.too"))
    assert sorted(tree(root)) == ["d", "d/gone", "too"]
    assert is_whiteout(root / "d/gone")


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_a_whiteout_beside_its_own_name(tmp_path: Path, whiteout_first: bool) -> None:
    """Whiteouts hide lower layers only: what the same layer has under that name stays, in whatever order they stand."""
    whiteouts = [file(".wh.f"), file(".wh.d")]
    things = [file("f", b"mine"), directory("d"), file("d/inner")]
    root = unpacked(tmp_path, *(whiteouts + things if whiteout_first else things + whiteouts))
    assert (root / "f").read_bytes() == b"mine"
    assert (root / "d/inner").is_file()
    assert is_opaque(root / "d")


def test_an_opaque_directory(tmp_path: Path) -> None:
    """.wh..wh..opq marks its directory, wherever it stands, and removes nothing of the same layer."""
    root = unpacked(tmp_path, directory("d"), file("d/f"), file("d/.wh..wh..opq"), file("e/.wh..wh..opq"), file("e/g"))
    assert is_opaque(root / "d")
    assert is_opaque(root / "e")
    assert sorted(tree(root)) == ["d", "d/f", "e", "e/g"]


def test_a_directory_that_replaces_a_file_hides_lower_ones(tmp_path: Path) -> None:
    """The file had replaced whatever was below; so the directory must not show a lower one's content again."""
    root = unpacked(tmp_path, file("x"), directory("x"))
    assert is_opaque(root / "x")


def test_what_aufs_left_behind_is_ignored(tmp_path: Path) -> None:
    """Names that begin with .wh..wh. were aufs's own."""
    root = unpacked(
        tmp_path, directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", b"x"), file(".wh..wh.aufs"), file("a")
    )
    assert sorted(tree(root)) == ["a"]


def test_sparse_files_stay_sparse(tmp_path: Path) -> None:
    """A file of 100 MB with two pieces of data, as GNU tar packs it, takes little space."""
    source = tmp_path / "source"
    source.mkdir()
    with (source / "s").open("wb") as out:
        out.seek(50_000_000)
        out.write(b"middle")
        out.truncate(100_000_000)
    for form in ("gnu", "pax"):
        packed = subprocess.run(
            ["tar", "-cS", f"--format={form}", "-C", str(source), "s"], check=True, stdout=subprocess.PIPE
        ).stdout
        found = unpack_into(tmp_path / form, packed) / "s"
        assert found.stat().st_size == 100_000_000
        assert found.stat().st_blocks * 512 < 1_000_000
        with found.open("rb") as content:
            content.seek(50_000_000)
            assert content.read(7) == b"middle\0"


def test_names_of_any_bytes(tmp_path: Path) -> None:
    """A name is bytes: Latin-1, newlines, 255 of them."""
    names = [os.fsdecode(b"caf\xe9"), "new\nline", "n" * 255, "ünïcode"]
    assert sorted(tree(unpacked(tmp_path, *(file(name) for name in names)))) == sorted(names)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (file("n" * 256), "File name too long"),
        (file("/".join(["deep"] * 1000)), "File name too long"),
        (file("f/below"), "Not a directory"),
        (symlink("empty", ""), "No such file"),
        (file("owner", uid=2**32 - 1), "out of range"),
        (file("owner", gid=2**40), "out of range"),
        (file("time", mtime_ns=95 * 10**17 * 10**9), "out of range"),
        ((Entry("dev", archives.CHARACTER, major=2**20), b""), "out of range|Invalid argument"),
    ],
)
def test_errors_name_the_entry(tmp_path: Path, item: Item, reason: str) -> None:
    """What the kernel refuses is the archive's fault, and the message says which entry's."""
    with pytest.raises(InvalidSpec, match=f"(?s)archive entry .{item[0].name[:10]}.*({reason})"):
        unpacked(tmp_path, file("f"), item)
