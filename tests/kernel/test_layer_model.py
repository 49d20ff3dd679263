"""The law of layers: what a stack of them shows is what a dictionary says, by the kernel's judgement.

Random changes are made to a tree in layers, as a build makes them. Three things must agree: a dictionary to which the
same changes were made, the overlay that the kernel mounts of our unpacked layers, and our own reading of the stack.
And the way back: the upper directory that the kernel wrote, made into an archive and unpacked again, is the same layer.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.images.archive_writer import Writer
from minidock.images.diff import write_diff
from minidock.images.lookup import lookup
from minidock.kernel import syscalls
from tests.archives import Item, Node, archive, directory, file, symlink, tree, unpack_into

pytestmark = pytest.mark.root

NAMES = ["a", "b", "c"]
Model = dict[str, str]
"""A tree: for each path ``d`` for a directory, ``f`` and the content of a file, ``l`` and a link's target."""


@dataclass
class Change:
    """One change of a layer: ``write``, ``link``, ``mkdir``, ``remove`` or ``empty`` (an opaque directory)."""

    kind: str
    path: str
    text: str = ""


changes = st.builds(
    Change,
    st.sampled_from(["write", "write", "mkdir", "mkdir", "link", "remove", "empty"]),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join),
    st.sampled_from(["one", "two", "three"]),
)


def drop(model: Model, path: str) -> None:
    """Remove a path and all below it."""
    for name in [name for name in model if name == path or name.startswith(f"{path}/")]:
        del model[name]


def apply(model: Model, change: Change) -> bool:
    """Change the model; False if the change makes no sense there."""
    parents = ["/".join(change.path.split("/")[:depth]) for depth in range(1, change.path.count("/") + 1)]
    if any(model.get(parent, "d") != "d" for parent in parents):
        return False
    if change.kind == "remove":
        if change.path not in model:
            return False
        drop(model, change.path)
        return True
    for parent in parents:
        model[parent] = "d"
    if change.kind == "mkdir":
        if model.get(change.path) != "d":
            drop(model, change.path)
        model[change.path] = "d"
        return True
    drop(model, change.path)
    model[change.path] = {"write": f"f{change.text}", "link": f"l{change.text}", "empty": "d"}[change.kind]
    return True


def layer_of(below: Model, after: Model, emptied: set[str], whiteouts_last: bool) -> bytes:
    """The archive that says how ``below`` becomes ``after``, as the image-spec says that it is to be said.

    ``emptied`` are directories that hide what is below them by an opaque whiteout; all else by whiteouts of names.
    """
    opaque = {path for path in emptied if after.get(path) == "d"}
    visible = {path: what for path, what in below.items() if not any(path.startswith(f"{top}/") for top in opaque)}
    items = [item_of(path, what) for path, what in sorted(after.items()) if visible.get(path) != what or path in opaque]
    whiteouts = [file(f"{path}/.wh..wh..opq") for path in sorted(opaque)]
    for path in sorted(set(visible) - set(after)):
        head, _, last = path.rpartition("/")
        if not head or after.get(head) == "d":
            whiteouts.append(file(f"{head}/.wh.{last}"))
    return archive(items + whiteouts if whiteouts_last else whiteouts + items)


def item_of(path: str, what: str) -> Item:
    """A model's value as an archive's entry."""
    if what == "d":
        return directory(path)
    return symlink(path, what[1:]) if what.startswith("l") else file(path, what[1:].encode())


def seen(root: Path) -> Model:
    """A tree on the disk as a model."""
    found: Model = {}
    for path in root.rglob("*"):
        status, name = path.lstat(), str(path.relative_to(root))
        if stat.S_ISDIR(status.st_mode):
            found[name] = "d"
        elif stat.S_ISLNK(status.st_mode):
            found[name] = f"l{path.readlink()}"
        else:
            found[name] = f"f{path.read_text()}"
    return found


@contextmanager
def overlay(base: Path, layers: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """The kernel's view of a stack (the topmost first), and the upper directory that it writes to."""
    for name in ("upper", "work", "merged"):
        (base / name).mkdir()
    options = f"lowerdir={':'.join(map(str, layers))},upperdir={base / 'upper'},workdir={base / 'work'}"
    syscalls.mount("overlay", base / "merged", "overlay", 0, options)
    try:
        yield base / "merged", base / "upper"
    finally:
        syscalls.umount2(base / "merged", 0)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all examples of a property: each empties it first."""
    return tmp_path_factory.mktemp("law")


def fresh(base: Path) -> Path:
    """The same directory, empty."""
    shutil.rmtree(base)
    base.mkdir()
    return base


def stack_of(base: Path, plan: list[list[Change]]) -> tuple[list[Path], Model]:
    """Unpack the layers that the changes make, topmost first; and the model that they make."""
    model: Model = {}
    layers: list[Path] = []
    for number, wanted in enumerate(plan):
        below = dict(model)
        made = [change for change in wanted if apply(model, change)]
        emptied = {change.path for change in made if change.kind == "empty"}
        packed = layer_of(below, model, emptied, whiteouts_last=number % 2 == 0)
        layers.insert(0, unpack_into(base / f"layer-{number}", packed))
    return layers, model


@given(plan=st.lists(st.lists(changes, max_size=6), min_size=1, max_size=4))
@settings(max_examples=150)
def test_the_kernel_shows_what_the_dictionary_says(base: Path, plan: list[list[Change]]) -> None:
    """Layers of writes, links, directories, whiteouts and opaque directories, mounted on each other."""
    layers, model = stack_of(fresh(base), plan)
    with overlay(base, layers) as (merged, _):
        assert seen(merged) == model


@given(plan=st.lists(st.lists(changes, max_size=6), min_size=1, max_size=4))
@settings(max_examples=100)
def test_our_reading_of_a_stack_is_the_kernels(base: Path, plan: list[list[Change]]) -> None:
    """lookup() finds each file where the kernel does, and nothing else."""
    layers, model = stack_of(fresh(base), plan)
    paths = {"/".join(parts) for one in NAMES for two in ["", *NAMES] for parts in [[one, two] if two else [one]]}
    for path in paths | set(model):
        found = lookup(layers, path)
        assert bool(found) == (path in model), path
        if found and model[path].startswith("f"):
            assert found[0].read_text() == model[path][1:]
        elif found:
            assert found[0].is_dir() == (model[path] == "d")


def change_on_disk(root: Path, change: Change) -> None:
    """Make a change in a mounted file system, as a program would."""
    path = root / change.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if change.kind != "mkdir" or (path.is_symlink() or path.is_file()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if change.kind == "write":
        path.write_text(change.text)
    elif change.kind == "link":
        path.symlink_to(change.text)
    elif change.kind in ("mkdir", "empty"):
        path.mkdir(exist_ok=True)


def whiteouts_alike(root: Path) -> dict[str, Node]:
    """A tree; of whiteouts only that they are one. (The kernel makes one device file, and links it to each place.)"""
    nodes = tree(root)
    gone = {name: replace(node, mtime_ns=0, names=1) for name, node in nodes.items() if node.content == (0, 0)}
    return nodes | gone


def diff_of(upper: Path) -> bytes:
    """The archive of an upper directory."""
    parts: list[bytes] = []
    writer = Writer(parts.append)
    write_diff(upper, writer)
    writer.close()
    return b"".join(parts)


@given(plan=st.lists(st.lists(changes, max_size=5), min_size=1, max_size=2), more=st.lists(changes, max_size=6))
@settings(max_examples=100)
def test_diff_and_apply_are_inverse(base: Path, plan: list[list[Change]], more: list[Change]) -> None:
    """What a container wrote becomes a layer, and that layer on top of the same stack shows the same tree.

    The kernel's upper directory and our unpacked layer are the same, times and all; and the archive of the one is byte
    for byte the archive of the other.
    """
    layers, model = stack_of(fresh(base), plan)
    with overlay(base, layers) as (merged, upper):
        for change in more:
            if apply(model, change):
                change_on_disk(merged, change)
        assert seen(merged) == model
    packed = diff_of(upper)
    again = unpack_into(base / "again", packed)
    assert whiteouts_alike(again) == whiteouts_alike(upper)
    assert diff_of(again) == packed
    (base / "view").mkdir()
    with overlay(base / "view", [again, *layers]) as (merged, _):
        assert seen(merged) == model


def test_a_diff_holds_everything_but_sockets(tmp_path: Path) -> None:
    """Hard links, devices, FIFOs, set-uid bits, file capabilities, owners, odd names; a socket is left out."""
    upper = tmp_path / "upper"
    upper.mkdir()
    (upper / "file").write_bytes(b"x" * 600_000)
    os.chown(upper / "file", 1000, 70_000)
    (upper / "file").chmod(0o4755)
    os.setxattr(upper / "file", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    (upper / "other").hardlink_to(upper / "file")
    os.mkfifo(upper / "fifo")
    os.mknod(upper / "device", stat.S_IFBLK | 0o640, os.makedev(8, 300))
    (upper / os.fsdecode(b"caf\xe9")).touch()
    (upper / ("n" * 250)).symlink_to("t" * 300)
    os.setxattr(upper / "file", "trusted.overlay.origin", b"this host's")
    expected = tree(upper)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(upper / "socket"))
        packed = diff_of(upper)
    assert tree(unpack_into(tmp_path / "again", packed), times=False) == {
        name: node for name, node in tree(upper, times=False).items() if name != "socket"
    }
    assert set(expected) == set(tree(upper)) - {"socket"}
    assert b"this host's" not in packed


def test_a_diff_follows_no_link(tmp_path: Path) -> None:
    """A running container may put a link to the host where a directory was: the archive holds the link."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "secret").write_text("secret")
    (tmp_path / "upper").mkdir()
    (tmp_path / "upper" / "d").symlink_to(tmp_path / "host")
    packed = diff_of(tmp_path / "upper")
    assert b"secret" not in packed
    assert tree(unpack_into(tmp_path / "again", packed))["d"].kind == "symlink"
