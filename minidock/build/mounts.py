"""``RUN --mount=…``: files that a command sees while it runs, and that are in no layer.

================  ==========================================================================================
``type=bind``     files of the context, of a stage or of an image; what is written there (``rw``) is lost
``type=cache``    a directory that lasts from build to build, named by ``id``
``type=tmpfs``    memory
``type=secret``   a file that whoever builds handed over; its content is in no key, log or layer
================  ==========================================================================================

Source: https://docs.docker.com/reference/dockerfile/#run---mount.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minidock import units
from minidock.build.lines import fields
from minidock.build.settings import absolute
from minidock.errors import InvalidInput, NotImplementedYet
from minidock.images.lookup import lookup
from minidock.oci.image import ContainerDefaults

_NAMES = {
    "bind": {"target", "source", "from", "ro", "rw"},
    "cache": {"target", "source", "from", "ro", "rw", "id", "sharing", "mode", "uid", "gid"},
    "tmpfs": {"target", "size"},
    "secret": {"target", "source", "id", "required", "mode", "uid", "gid", "env"},
}
_SWITCHES = ("ro", "rw", "required")
"""They need no value."""
_SAME = {"dst": "target", "destination": "target", "src": "source", "readonly": "ro", "readwrite": "rw"}


@dataclass(frozen=True)
class RunMount:
    """One ``--mount``, read. ``target`` is absolute; ``options`` are all others by their main names."""

    kind: str
    target: str
    options: dict[str, str]

    def flag(self, name: str) -> bool:
        """Is an option given, and not as ``false``?"""
        return self.options.get(name, "false").lower() not in ("false", "0")

    def number(self, name: str, default: int, base: int = 10) -> int:
        """An option that is a number. Raises InvalidInput."""
        text = self.options.get(name, "")
        try:
            return int(text, base) if text else default
        except ValueError:
            raise InvalidInput(f"--mount: invalid value {text!r} for {name}") from None

    @property
    def identity(self) -> str:
        """A cache's or a secret's name."""
        if self.kind == "secret":
            return self.options.get("id") or self.options.get("source") or posixpath.basename(self.target)
        return self.options.get("id") or self.target.rstrip("/")


@dataclass(frozen=True)
class Bound:
    """A mount as the container gets it: a tmpfs of ``size`` bytes (0: as it comes), or ``source`` of this host."""

    target: str
    source: Path | None
    read_only: bool = False
    size: int = 0


def parse(text: str, config: ContainerDefaults, expand: Callable[[str], str]) -> RunMount:
    """Read ``type=…,target=…``. Raises InvalidInput, NotImplementedYet."""
    options: dict[str, str] = {}
    for field in fields(text):
        name, equals, value = field.strip().partition("=")
        name = _SAME.get(name.lower(), name.lower())
        if not equals and name not in _SWITCHES:
            raise InvalidInput(f"invalid field '{field}' must be a key=value pair")
        if name == "from" and "$" in value:
            # The stages that are needed are chosen before any variable has a value.
            raise InvalidInput("'from' doesn't support variable expansion, define alias stage instead")
        options[name] = expand(value) if equals else "true"
    kind = options.pop("type", "bind")
    if kind == "ssh":
        raise NotImplementedYet("RUN --mount=type=ssh: minidock does not forward an ssh agent")
    if kind not in _NAMES:
        raise InvalidInput(f"unsupported mount type {kind!r}")
    for name in options:
        if name not in _NAMES[kind]:
            raise InvalidInput(f"unexpected key '{name}' for mount type '{kind}'")
    target = options.pop("target", "")
    if kind == "secret" and not target:
        secret = options.get("id") or options.get("source")
        if not secret:
            raise InvalidInput("--mount=type=secret needs an id or a target")
        target = "" if options.get("env") else f"/run/secrets/{secret}"
    elif not target:
        raise InvalidInput(f"--mount=type={kind} needs a target")
    if options.get("sharing", "shared") not in ("shared", "private", "locked"):
        raise InvalidInput(f"unsupported sharing value {options['sharing']!r}")
    return RunMount(kind, absolute(target, config) if target else "", options)


def size_of(mount: RunMount) -> int:
    """A tmpfs' size in bytes, 0 for any. Raises InvalidInput."""
    return units.parse_size(mount.options["size"]) if mount.options.get("size") else 0


def remove_stubs(upper: Path, targets: Sequence[str], lower: Sequence[Path]) -> None:
    """Take away the empty files and directories on which mounts stood, and which only the runtime made for them.

    ``lower``: the layers below ``upper``, the topmost first.
    """
    for target in targets:
        parts = target.strip("/").split("/")
        for depth in range(len(parts), 0, -1):
            path = "/".join(parts[:depth])
            stub = upper / path
            if any((upper / "/".join(parts[:above])).is_symlink() for above in range(1, depth)) or lookup(lower, path):
                break
            with contextlib.suppress(OSError):  # not there, or not empty: then it is no stub
                if stub.is_dir() and not stub.is_symlink():
                    stub.rmdir()
                elif stub.is_file() and not stub.is_symlink() and stub.stat().st_size == 0:
                    stub.unlink()
