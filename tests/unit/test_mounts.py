"""Mountinfo and mount options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.errors import InvalidSpec
from minidock.kernel import mounts, syscalls

_numbers = st.integers(min_value=0, max_value=2**20)
# What a file may be called: anything but NUL and, as bytes that are no UTF-8, surrogates.
_paths = st.text(st.characters(codec="utf-8", exclude_characters="\0") | st.just("\udcff"), max_size=30)
_words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
_mount = st.builds(
    mounts.Mount,
    mount_id=_numbers,
    parent_id=_numbers,
    major=_numbers,
    minor=_numbers,
    root=_paths.map(lambda path: "/" + path),
    mount_point=_paths.map(lambda path: "/" + path),
    options=st.lists(_words, min_size=1, max_size=4).map(tuple),
    optional=st.lists(st.sampled_from(["shared:1", "master:22", "propagate_from:3", "unbindable"]), max_size=3).map(
        tuple
    ),
    filesystem=_words,
    source=_paths,
    super_options=_words,
)


@given(_mount)
def test_a_mount_survives_its_line(mount: mounts.Mount) -> None:
    """Printing and parsing give the same mount back, whatever its paths contain."""
    line = str(mount)
    assert mounts.parse_line(line) == mount
    assert "\n" not in line and "\t" not in line


@given(_paths)
def test_escapes(path: str) -> None:
    """An escaped path has no separator in it and comes back."""
    escaped = mounts.escape(path)
    assert not set(escaped) & set(" \t\n")
    assert mounts.unescape(escaped) == path


def test_the_kernels_own_example() -> None:
    """The line from proc(5)."""
    line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
    mount = mounts.parse_line(line)
    assert (mount.mount_id, mount.root, mount.mount_point, mount.optional) == (36, "/mnt1", "/mnt2", ("master:1",))
    assert (mount.filesystem, mount.source, mount.super_options) == ("ext3", "/dev/root", "rw,errors=continue")
    assert str(mount) == line
    assert not mount.shared


@given(st.lists(st.sampled_from(sorted(mounts.FLAG_OPTIONS))))
def test_the_last_option_wins(names: list[str]) -> None:
    """Options are applied one after another to a set, and what was switched off is known."""
    on: set[int] = set()
    off: set[int] = set()
    for name in names:
        flag, enable = mounts.FLAG_OPTIONS[name]
        bits = {bit for bit in (1 << n for n in range(32)) if flag & bit}
        on, off = (on | bits, off - bits) if enable else (on - bits, off | bits)
    options = mounts.parse_options(names)
    assert (options.flags, options.cleared) == (sum(on), sum(off))


def test_each_option_goes_where_it_belongs() -> None:
    """Flags, propagation, recursive attributes, the file system's own data, and our own tmpcopyup."""
    options = mounts.parse_options(
        ["rbind", "ro", "rslave", "rro", "rnoatime", "size=64k", "defaults", "mode=755", "tmpcopyup"]
    )
    assert options == mounts.MountOptions(
        flags=syscalls.MS_BIND | syscalls.MS_REC | syscalls.MS_RDONLY,
        propagation=(syscalls.MS_SLAVE | syscalls.MS_REC,),
        recursive_set=syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOATIME,
        recursive_clear=syscalls.MOUNT_ATTR__ATIME,
        data="size=64k,mode=755",
        copy_up=True,
    )


@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_what_we_do_not_do_is_said(option: str) -> None:
    """Id-mapped mounts are refused by name, not handed to the file system."""
    with pytest.raises(InvalidSpec, match=option):
        mounts.parse_options([option])


# The table "Linux mount options" of runtime-spec 1.2, config.md.
_SPECIFIED = """async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime
noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime
relatime remount rexec rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate
rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid
symfollow sync tmpcopyup unbindable"""


@pytest.mark.parametrize("option", _SPECIFIED.split())
def test_every_option_of_the_specification_is_known(option: str) -> None:
    """None of them ends up as data for the file system, which would refuse it."""
    assert mounts.parse_options([option]).data == ""
