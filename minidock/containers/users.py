"""Who is ``name:group``? Looked up in the container's own /etc/passwd and /etc/group, with Docker's rules and words.

The files are a stranger's: they may be missing, a FIFO that never answers, or two gigabytes long. So they are opened
without blocking, must be regular files, and are read up to a limit. The C library's own look-up (getpwnam) is never
used: it would load libraries from the container (CVE-2019-14271).

Source: passwd(5), group(5); https://docs.docker.com/reference/cli/docker/container/run/#user
"""

from __future__ import annotations

import os
import stat

import msgspec

from minidock import units
from minidock.errors import InvalidInput
from minidock.oci.runtime import MAX_ID

MAX_SIZE = 10 << 20


class Identity(msgspec.Struct, frozen=True):
    """A user, their group, supplementary groups and home directory ("" when /etc/passwd does not say)."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = ""


def read_bounded(path: str, limit: int = MAX_SIZE) -> str:
    """A regular file's text; "" when there is none. Raises :class:`InvalidInput` for anything else, or if too large."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(f"{path} is not a regular file")
        data = b""
        while len(data) <= limit and (piece := os.read(descriptor, 1 << 20)):
            data += piece
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise InvalidInput(f"{path} is larger than {limit >> 20} MiB")
    return data.decode("utf-8", "surrogateescape")


def resolve(who: str, passwd: str, group: str) -> Identity:
    """What ``user``, ``user:group`` or ``:group`` means. A number is taken as it is, even if it is also a name.

    Without a group, the user's own counts, with all groups that list them. Raises :class:`InvalidInput`.
    """
    user_part, has_group, group_part = who.partition(":")
    users = [fields for line in passwd.split("\n") if (fields := _fields(line, 7)) and units.is_number(fields[2])]
    groups = [fields for line in group.split("\n") if (fields := _fields(line, 4)) and units.is_number(fields[2])]
    number = _number(user_part or "0")
    entry = next((f for f in users if (int(f[2]) == number if number is not None else f[0] == user_part)), None)
    if number is None and entry is None:
        raise InvalidInput(f"unable to find user {user_part}: no matching entries in passwd file")
    uid = number if number is not None else _in_range(int(entry[2] if entry else 0))
    home = entry[5] if entry else ""
    if has_group and group_part:
        return Identity(uid, _group(group_part, groups), (), home)
    supplementary = [_in_range(int(f[2])) for f in groups if entry and entry[0] in f[3].split(",")]
    gid = _in_range(int(entry[3])) if entry and units.is_number(entry[3]) else 0
    return Identity(uid, gid, tuple(supplementary), home)


def groups_of(names: list[str], group: str) -> list[int]:
    """The numbers of groups named in /etc/group, whose text this is. Raises :class:`InvalidInput`."""
    entries = [fields for line in group.split("\n") if (fields := _fields(line, 4)) and units.is_number(fields[2])]
    try:
        return [_group(name, entries) for name in names]
    except InvalidInput as error:
        raise InvalidInput(str(error).replace("unable", "Unable", 1)) from None  # Docker's words here, and a capital


def _group(name: str, groups: list[list[str]]) -> int:
    number = _number(name)
    if number is not None:
        return number
    entry = next((fields for fields in groups if fields[0] == name), None)
    if entry is None:
        raise InvalidInput(f"unable to find group {name}: no matching entries in group file")
    return _in_range(int(entry[2]))


def _fields(line: str, count: int) -> list[str] | None:
    """The fields of an entry, missing ones empty; None for comments, blank lines and entries without a name."""
    if not line.strip() or line.startswith("#"):
        return None
    fields = line.strip().split(":")
    fields += [""] * (count - len(fields))
    return fields if fields[0] else None


def _number(text: str) -> int | None:
    """A decimal number in range; None when it is a name. Raises :class:`InvalidInput` for a number out of range."""
    digits = text.removeprefix("-").removeprefix("+")
    return _in_range(int(text[:20])) if digits.isascii() and digits.isdigit() else None


def _in_range(number: int) -> int:
    # As 32 bits, -1 and 4294967295 mean "do not change", and 4294967296 is root.
    if not 0 <= number <= MAX_ID:
        raise InvalidInput(f"uids and gids must be in range 0-{MAX_ID}")
    return number
