"""What a container sees of the host's files: ``-v``, ``--mount`` and ``--tmpfs``, read as Docker reads them.

A word of Docker's for ``-v /host:/inside`` is "bind". Its source is made when it is missing; that of ``--mount
type=bind`` has to exist. A path without a source is an anonymous volume: here a directory of the container's own,
which starts with what the image has at that place and goes when the container goes.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

import msgspec

from minidock import messages
from minidock.errors import InvalidInput, NotImplementedYet
from minidock.oci.runtime import PROPAGATIONS, Mount

TMPFS_DEFAULTS = ("nosuid", "nodev", "noexec")
_TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol")
_TMPFS_FLAG_NAMES = """
ro rw exec noexec suid nosuid dev nodev sync async atime noatime relatime norelatime strictatime diratime nodiratime
"""


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """One mount that the user asked for. ``kind`` is ``bind``, ``tmpfs`` or ``volume`` (an anonymous one)."""

    kind: str
    destination: str
    source: str = ""
    options: list[str] = []
    mode: str = ""
    make_source: bool = False

    @property
    def read_only(self) -> bool:
        """May the container only read it?"""
        return "ro" in self.options

    @property
    def propagation(self) -> str:
        """How mounts made later travel between the host and the container (mount_namespaces(7))."""
        return next((option for option in self.options if option in PROPAGATIONS), "rprivate" * (self.kind == "bind"))

    def mount(self) -> Mount:
        """The same for the runtime."""
        if self.kind == "tmpfs":
            return Mount(self.destination, "tmpfs", "tmpfs", self.options)
        return Mount(self.destination, "bind", self.source, ["rbind", self.propagation or "rprivate", *self.options])

    def point(self) -> messages.MountPoint:
        """The same for ``inspect``."""
        return messages.MountPoint(
            type=self.kind,
            source=self.source if self.kind != "tmpfs" else "",
            destination=self.destination,
            mode=self.mode,
            rw=not self.read_only,
            propagation=self.propagation,
            name=Path(self.source).name if self.kind == "volume" else "",
            driver="local" if self.kind == "volume" else "",
        )


def attached(config: messages.ContainerConfig, host: messages.HostConfig, volumes: Path) -> list[Attached]:
    """All mounts of a container, shallow destinations first. Raises InvalidInput with Docker's words.

    ``volumes`` is the directory in which anonymous volumes are made.
    """
    found = [_bind(text) for text in host.binds or []]
    found += [_mount(mount, volumes) for mount in host.mounts or []]
    found += [tmpfs(destination, options) for destination, options in (host.tmpfs or {}).items()]
    taken: set[str] = set()
    for item in found:
        if item.destination in taken:
            raise InvalidInput(f"Duplicate mount point: {item.destination}")
        taken.add(item.destination)
    wanted = {_destination(path, f"invalid volume specification: '{path}'") for path in config.volumes or {}}
    found += [_volume(path, volumes) for path in sorted(wanted - taken)]
    # A mount over /a hides an earlier one on /a/b: fewer components first.
    return sorted(found, key=lambda item: item.destination.rstrip("/").count("/"))


def _bind(text: str) -> Attached:
    """``/host:/inside[:ro,rslave]``."""
    where = f"invalid volume specification: '{text}'"
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise InvalidInput(where)
    source, destination, mode = parts[0], parts[1], parts[2] if len(parts) == 3 else ""
    if not source.startswith("/"):
        raise NotImplementedYet(f"named volumes are not there yet: {source!r} must be a path of the host")
    options = []
    for word in mode.split(",") if mode else []:
        if word in ("ro", *PROPAGATIONS):
            options.append(word)
        # z and Z are SELinux's, the others Docker Desktop's: without meaning here, and harmless.
        elif word not in ("rw", "z", "Z", "cached", "delegated", "consistent"):
            raise InvalidInput(f"invalid mode: {mode}")
    inside = _destination(destination, f'{where}: invalid mount config for type "bind"')
    return Attached(
        kind="bind",
        source=posixpath.normpath(source),
        destination=inside,
        options=options,
        mode=mode,
        make_source=True,
    )


def _mount(mount: messages.Mount, volumes: Path) -> Attached:
    """One ``--mount``."""
    where = f'invalid mount config for type "{mount.type}"'
    if not mount.target:
        raise InvalidInput(f"{where}: field Target must not be empty")
    destination = _destination(mount.target, where)
    read_only = ["ro"] if mount.read_only else []
    if mount.type == "tmpfs":
        if mount.source:
            raise InvalidInput(f"{where}: field Source must not be specified")
        options = mount.tmpfs_options or messages.TmpfsOptions()
        sized = [f"size={options.size_bytes}"] if options.size_bytes else []
        moded = [f"mode={options.mode:o}"] if options.mode else []
        return Attached(kind="tmpfs", destination=destination, options=[*TMPFS_DEFAULTS, *sized, *moded, *read_only])
    if mount.type == "volume" and not mount.source:
        return msgspec.structs.replace(_volume(destination, volumes), options=read_only)
    if mount.type == "volume":
        raise NotImplementedYet(f"named volumes are not there yet: {mount.source!r}")
    if mount.type != "bind":
        raise InvalidInput(f"mount type unknown: {mount.type!r}" if mount.type else "mount type unknown")
    return _bind_mount(mount, destination, read_only, where)


def _bind_mount(mount: messages.Mount, destination: str, read_only: list[str], where: str) -> Attached:
    options = mount.bind_options or messages.BindOptions()
    if not mount.source:
        raise InvalidInput(f"{where}: field Source must not be empty")
    if not mount.source.startswith("/"):
        raise InvalidInput(f"{where}: invalid mount path: '{mount.source}' mount path must be absolute")
    if options.propagation and options.propagation not in PROPAGATIONS:
        raise InvalidInput(f"{where}: invalid propagation mode: {options.propagation}")
    if not Path(mount.source).exists() and not options.create_mountpoint:
        raise InvalidInput(f"{where}: bind source path does not exist: {mount.source}")
    return Attached(
        kind="bind",
        source=posixpath.normpath(mount.source),
        destination=destination,
        options=read_only + ([options.propagation] if options.propagation else []),
        make_source=options.create_mountpoint,
    )


def tmpfs(destination: str, options: str) -> Attached:
    """One ``--tmpfs``: what the user says replaces its opposite among the defaults."""
    chosen = list(TMPFS_DEFAULTS)
    for option in options.split(",") if options else []:
        name, equals, value = option.partition("=")
        if not (name in _TMPFS_VALUES and value if equals else option in _TMPFS_FLAG_NAMES.split()):
            raise InvalidInput(f'invalid tmpfs option ["{option}"]')
        opposite = option.removeprefix("no") if option.startswith("no") else f"no{option}"
        chosen = [earlier for earlier in chosen if earlier not in (option, opposite)]
        chosen.append(option)
    return Attached(kind="tmpfs", destination=_destination(destination, "invalid tmpfs mount"), options=chosen)


def _volume(destination: str, volumes: Path) -> Attached:
    name = destination.strip("/").replace("%", "%25").replace("/", "%2F")
    return Attached(kind="volume", source=str(volumes / name), destination=destination)


def _destination(path: str, where: str) -> str:
    if not path.startswith("/"):
        raise InvalidInput(f"{where}: invalid mount path: '{path}' mount path must be absolute")
    clean = posixpath.normpath(path).replace("//", "/")
    if clean == "/":
        raise InvalidInput(f"{where}: invalid specification: destination can't be '/'")
    return clean
