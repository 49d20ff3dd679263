"""Who a container's user is: Docker's rules, on files that a stranger wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.containers.users import Identity, read_bounded, resolve
from minidock.errors import InvalidInput
from tests.bundles import GROUP, PASSWD


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("guest", Identity(1000, 1000, (1, 29), "/home/guest")),
        ("root", Identity(0, 0, (), "/root")),
        ("1000", Identity(1000, 1000, (1, 29), "/home/guest")),
        ("guest:audio", Identity(1000, 29, (), "/home/guest")),
        ("guest:7", Identity(1000, 7, (), "/home/guest")),
        ("4242", Identity(4242, 0)),
        ("4242:audio", Identity(4242, 29)),
        (":bin", Identity(0, 1, (), "/root")),
        ("bin:", Identity(1, 1, (), "/bin")),
        ("", Identity(0, 0, (), "/root")),
        ("2147483647", Identity(2**31 - 1, 0)),
    ],
)
def test_docker_s_rules(who: str, expected: Identity) -> None:
    """A name, a number, with and without a group."""
    assert resolve(who, PASSWD, GROUP) == expected


@pytest.mark.parametrize(
    ("who", "message"),
    [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("root:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("4294967296", "uids and gids must be in range 0-2147483647"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("0:-1", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_errors_in_docker_s_words(who: str, message: str) -> None:
    """What is not there, and numbers that would wrap round to root (CVE-2024-40635)."""
    with pytest.raises(InvalidInput, match=f"^{message}$"):
        resolve(who, PASSWD, GROUP)


def test_a_number_is_never_a_name() -> None:
    """A user who is *called* 1000 does not become uid 0 (CVE-2026-46680)."""
    assert resolve("1000", "1000:x:0:0::/evil:/bin/sh\n", "").uid == 1000


def test_only_a_newline_ends_a_line() -> None:
    """Users write their own full names (chfn(1)): to Python a form feed, or U+2028, would begin another line there."""
    passwd = "kim:x:1000:1000:Kim\x0cevil:x:0:0::/:\u2028bad:x:0:0::/:,,:/home/kim:/bin/sh\n"
    assert resolve("kim", passwd, "").uid == 1000
    for name in ("evil", "bad"):
        with pytest.raises(InvalidInput, match="unable to find user"):
            resolve(name, passwd, "")


@pytest.mark.parametrize("entry", ["evil:x:99999999999:0:::", "evil:x:4294967296:0:::"])
def test_ids_of_the_files_are_checked_too(entry: str) -> None:
    """An id in /etc/passwd that does not fit into a uid is an error."""
    with pytest.raises(InvalidInput, match="range"):
        resolve("evil", entry, "")


@given(st.text(), st.text(), st.text())
def test_no_file_can_make_it_fail_otherwise(who: str, passwd: str, group: str) -> None:
    """Whatever is in the files, the answer is an identity in range or an error for the user."""
    try:
        found = resolve(who, passwd, group)
    except InvalidInput:
        return
    assert all(0 <= number < 2**31 for number in (found.uid, found.gid, *found.groups))


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    """An image without /etc/passwd has no users, and that is no error."""
    assert read_bounded(str(tmp_path / "passwd")) == ""


def test_hostile_files(tmp_path: Path) -> None:
    """A FIFO does not block, a directory and a device are refused, and an endless file is not read to its end."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2 << 30)
    for name in ("fifo", ".", "link"):
        with pytest.raises(InvalidInput, match="not a regular file"):
            read_bounded(str(tmp_path / name))
    with pytest.raises(InvalidInput, match="larger than 10 MiB"):
        read_bounded(str(tmp_path / "huge"))
