"""Mounts on the real kernel, in mount namespaces of their own."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from minidock.kernel import mounts, syscalls
from tests.kernel.inside import inside

pytestmark = pytest.mark.root

_MOUNTS = syscalls.CLONE_NEWNS


def test_the_kernels_lines_come_back_as_they_were() -> None:
    """Printing what was parsed gives this machine's whole mountinfo, byte for byte."""
    text = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    assert "".join(f"{mount}\n" for mount in mounts.mounts()) == text


def test_strange_paths_and_sources(tmp_path: Path) -> None:
    """Blanks, newlines, backslashes, hashes, bytes that are no text: the mount is found under its real name."""
    target = os.fsencode(tmp_path) + b"/a b\tc\nd\\e#\xff"
    os.mkdir(target)  # noqa: PTH102

    def work() -> list[mounts.Mount]:
        syscalls.mount("so urce#\\", target, "tmpfs")
        syscalls.mount("", target, "tmpfs")
        text = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        found = [mount for mount in mounts.mounts() if mount.mount_point == os.fsdecode(target)]
        assert {str(mount) for mount in found if mount.source == ""} <= set(text.splitlines())
        return found

    assert [mount.source for mount in inside(work, namespaces=_MOUNTS)] == ["so urce#\\", ""]


@pytest.mark.parametrize(
    "options", [["ro"], ["nosuid", "nodev"], ["noexec", "noatime"], ["ro", "nodiratime", "relatime"]]
)
def test_options_arrive(options: list[str], tmp_path: Path) -> None:
    """What the options say is what mountinfo says, and nothing that was not asked for."""

    def work() -> tuple[str, ...]:
        syscalls.mount("x", tmp_path, "tmpfs", mounts.parse_options(options).flags)
        return mounts.mounts()[-1].options

    shown = inside(work, namespaces=_MOUNTS)
    assert set(shown) - {"rw", "relatime"} == set(options) - {"relatime"}


@pytest.mark.parametrize(
    ("option", "tags"),
    [("private", ()), ("shared", ("shared",)), ("slave", ("master",)), ("unbindable", ("unbindable",))],
)
def test_propagation_arrives(option: str, tags: tuple[str, ...], tmp_path: Path) -> None:
    """Each kind of propagation shows as its tag; a slave needs a master first."""

    def work() -> mounts.Mount:
        syscalls.mount("x", tmp_path, "tmpfs")
        (tmp_path / "below").mkdir()
        syscalls.mount(None, tmp_path, None, syscalls.MS_SHARED)
        syscalls.mount(tmp_path, tmp_path / "below", None, syscalls.MS_BIND)
        for flag in mounts.parse_options([option]).propagation:
            syscalls.mount(None, tmp_path / "below", None, flag)
        return mounts.mounts()[-1]

    mount = inside(work, namespaces=_MOUNTS)
    assert tuple(tag.split(":")[0] for tag in mount.optional) == tags
    assert mount.shared == (option == "shared")


def test_only_recursive_attributes_reach_the_mounts_below(tmp_path: Path) -> None:
    """A read-only bind mount leaves a writable hole below it; mount_setattr with AT_RECURSIVE closes it."""

    def work() -> list[str]:
        outcome = []
        source, target = tmp_path / "source", tmp_path / "target"
        source.mkdir()
        target.mkdir()
        syscalls.mount("x", source, "tmpfs")
        (source / "below").mkdir()
        syscalls.mount("y", source / "below", "tmpfs")
        syscalls.mount(source, target, None, syscalls.MS_BIND | syscalls.MS_REC)
        syscalls.mount(
            None, target, None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_REC | syscalls.MS_RDONLY
        )
        options = mounts.parse_options(["rro", "rnoatime"])
        for _ in range(2):
            for place in (target, target / "below"):
                try:
                    (place / "file").touch()
                    outcome.append("written")
                except OSError as error:
                    outcome.append(errno.errorcode[error.errno or 0])
            syscalls.mount_setattr(
                syscalls.AT_FDCWD, target, options.recursive_set, options.recursive_clear, recursive=True
            )
        outcome += [str("noatime" in mount.options) for mount in mounts.mounts()[-2:]]
        return outcome

    assert inside(work, namespaces=_MOUNTS) == ["EROFS", "written", "EROFS", "EROFS", "True", "True"]


@pytest.mark.parametrize("option", sorted(mounts.RECURSIVE_OPTIONS))
def test_the_kernel_accepts_every_recursive_option(option: str, tmp_path: Path) -> None:
    """Sets and clears of bits that mount_setattr would refuse are in no row of the table."""
    options = mounts.parse_options([option])

    def work() -> None:
        syscalls.mount("x", tmp_path, "tmpfs")
        syscalls.mount_setattr(
            syscalls.AT_FDCWD, tmp_path, options.recursive_set, options.recursive_clear, recursive=True
        )

    inside(work, namespaces=_MOUNTS)


def test_a_mount_by_descriptor_goes_where_the_descriptor_says(tmp_path: Path) -> None:
    """A detached tree is moved onto an open directory: the path was exchanged meanwhile, and nothing was followed."""

    def work() -> str:
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "file").touch()
        (tmp_path / "target").mkdir()
        target = syscalls.openat(syscalls.AT_FDCWD, tmp_path / "target", os.O_PATH | os.O_DIRECTORY)
        tree = syscalls.open_tree(syscalls.AT_FDCWD, tmp_path / "source", clone=True)
        (tmp_path / "target").rename(tmp_path / "moved")
        (tmp_path / "target").symlink_to("/etc")
        syscalls.move_mount(tree, target, "")
        return mounts.mounts()[-1].mount_point

    assert inside(work, namespaces=_MOUNTS) == str(tmp_path / "moved")
