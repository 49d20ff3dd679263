"""What a container mounts: ``-v``, ``--mount``, ``--tmpfs`` and ``--volumes-from``, read as Docker reads them.

A word of Docker's for ``-v /host:/inside`` is "bind". Its source is made when it is missing; that of ``--mount
type=bind`` has to exist. ``-v name:/inside`` is a volume, and without a name an anonymous one. Nothing is made here:
:mod:`minidock.daemon.volume_use` does.

Source: moby, ``volume/mounts/linux_parser.go``.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

import msgspec

from minidock import messages
from minidock.errors import InvalidInput, NotImplementedYet
from minidock.oci.runtime import Mount

PRIVATE = ("rprivate", "private")
PROPAGATIONS = (*PRIVATE, "rshared", "shared", "rslave", "slave")
MODES = (
    *(("ro", "rw"), ("z", "Z"), PROPAGATIONS, ("nocopy",)),
    # Docker Desktop's, without meaning here; z and Z are SELinux's.
    ("consistent", "cached", "delegated"),
)
"""The words of a mode; of each kind there may be one."""
TMPFS_DEFAULTS = ("nosuid", "nodev", "noexec")
_TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol")
_TMPFS_FLAG_NAMES = """
ro rw exec noexec suid nosuid dev nodev sync async atime noatime relatime norelatime strictatime diratime nodiratime
"""


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """One mount that the user asked for. ``kind`` is ``bind``, ``tmpfs`` or ``volume``.

    Of a volume, ``source`` is where its files are, and ``name``, ``labels`` and ``driver_options`` say which one;
    ``copy_up``: when it is empty it begins with what the image has at that place.
    """

    kind: str
    destination: str
    source: str = ""
    options: list[str] = []
    mode: str = ""
    make_source: bool = False
    recursive: bool = True
    name: str = ""
    anonymous: bool = False
    copy_up: bool = False
    subpath: str = ""
    labels: dict[str, str] = {}
    driver_options: dict[str, str] = {}

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
        how = ["rbind" if self.recursive else "bind", self.propagation or "rprivate", *self.options]
        if self.subpath:
            how.append(f"x-subpath={self.subpath}")
        return Mount(self.destination, "bind", self.source, how)

    def point(self) -> messages.MountPoint:
        """The same for ``inspect``."""
        is_volume = self.kind == "volume"
        return messages.MountPoint(
            type=self.kind,
            name=self.name if is_volume else msgspec.UNSET,
            source=self.source,
            destination=self.destination,
            driver="local" if is_volume else msgspec.UNSET,
            mode=self.mode,
            rw=not self.read_only,
            propagation=self.propagation,
        )


def attached(
    config: messages.ContainerConfig, host: messages.HostConfig, inherited: list[Attached] | None = None
) -> list[Attached]:
    """All mounts of a container, shallow destinations first. Raises InvalidInput with Docker's words.

    ``inherited`` are those of other containers (``--volumes-from``): what the user mounts at the same place wins.
    """
    _check_driver(host.volume_driver)
    found = [_bind(text) for text in host.binds or []]
    found += [_mount(mount) for mount in host.mounts or []]
    found += [tmpfs(destination, options) for destination, options in (host.tmpfs or {}).items()]
    by_place = {item.destination: item for item in inherited or []}
    taken: set[str] = set()
    for item in found:
        if item.destination in taken:
            raise InvalidInput(f"Duplicate mount point: {item.destination}")
        taken.add(item.destination)
        by_place[item.destination] = item
        if item.subpath and host.runtime not in ("", "minidock-runtime"):
            # Another runtime would take no notice of our option, and bind the whole volume.
            raise NotImplementedYet(
                f"volume-subpath with the runtime {host.runtime!r}: minidock does not have this yet"
            )
    for path in config.volumes or {}:
        place = _destination(path, f"invalid volume specification: '{path}'")
        by_place.setdefault(place, Attached(kind="volume", destination=place, anonymous=True, copy_up=True))
    # A mount over /a hides an earlier one on /a/b: fewer components first.
    return sorted(by_place.values(), key=lambda item: (item.destination.rstrip("/").count("/"), item.destination))


def inherit(mounts: list[Attached], mode: str) -> list[Attached]:
    """Another container's volumes and binds, as ``--volumes-from NAME:mode`` takes them over. Raises InvalidInput."""
    words = _words(mode) if mode else set()
    if words - {"ro", "rw", "z", "Z"}:
        raise InvalidInput(f"invalid mode: {mode}")
    more = ["ro"] if "ro" in words else []
    return [
        msgspec.structs.replace(
            item, options=[*item.options, *(word for word in more if word not in item.options)], copy_up=False
        )
        for item in mounts
        if item.kind != "tmpfs"
    ]


def _words(mode: str) -> set[str]:
    """The words of a mode. Raises InvalidInput when one is unknown, or two are of one kind."""
    words = mode.split(",")
    kinds = [next((kind for kind, known in enumerate(MODES) if word in known), None) for word in words]
    if None in kinds or len(set(kinds)) != len(kinds):
        raise InvalidInput(f"invalid mode: {mode}")
    return set(words)


def _bind(text: str) -> Attached:
    """``/host:/inside[:ro,rslave]``, ``name:/inside[:nocopy]``, or a destination alone."""
    where = f"invalid volume specification: '{text}'"
    parts = text.split(":")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise InvalidInput(where)
    if len(parts) == 1:
        return Attached(kind="volume", destination=_destination(text, where), anonymous=True, copy_up=True)
    if len(parts) == 2 and any(word in kind for kind in MODES for word in parts[1].split(",")):
        raise InvalidInput(where)
    source, target, mode = (*parts, "")[:3]
    words = _words(mode) if mode else set()
    is_bind = source.startswith("/")
    where = f'{where}: invalid mount config for type "{"bind" if is_bind else "volume"}"'
    destination = _destination(target, where)
    propagation = [word for word in words if word in PROPAGATIONS]
    options = (["ro"] if "ro" in words else []) + propagation
    if not is_bind:
        if propagation:
            raise InvalidInput(f"{where}: field BindOptions must not be specified")
        return Attached(
            kind="volume",
            name=source,
            destination=destination,
            options=options,
            mode=mode or "z",
            copy_up="nocopy" not in words,
        )
    if "nocopy" in words:
        raise InvalidInput(f"{where}: field VolumeOptions must not be specified")
    return Attached(
        kind="bind",
        source=posixpath.normpath(source),
        destination=destination,
        options=_deeply_read_only(options),
        mode=mode,
        make_source=True,
    )


def _deeply_read_only(options: list[str]) -> list[str]:
    """``ro`` of a bind is for the mounts below it too, as far as they cannot come from the host later."""
    is_private = all(option not in PROPAGATIONS or option in PRIVATE for option in options)
    return [*options, "rro"] if "ro" in options and is_private else options


def _mount(mount: messages.Mount) -> Attached:
    """One ``--mount``."""
    where = f'invalid mount config for type "{mount.type}"'
    if mount.type not in ("bind", "volume", "tmpfs"):
        raise InvalidInput(f"mount type unknown: {mount.type!r}" if mount.type else "mount type unknown")
    if not mount.target:
        raise InvalidInput(f"{where}: field Target must not be empty")
    destination = _destination(mount.target, where)
    for kind, name, value in (
        ("bind", "BindOptions", mount.bind_options),
        ("volume", "VolumeOptions", mount.volume_options),
        ("tmpfs", "TmpfsOptions", mount.tmpfs_options),
    ):
        if value is not None and kind != mount.type:
            raise InvalidInput(f"{where}: field {name} must not be specified")
    read_only = ["ro"] if mount.read_only else []
    if mount.type == "volume":
        return _volume_mount(mount, destination, read_only, where)
    if mount.type == "bind":
        return _bind_mount(mount, destination, read_only, where)
    if mount.source:
        raise InvalidInput(f"{where}: field Source must not be specified")
    options = mount.tmpfs_options or messages.TmpfsOptions()
    sized = [f"size={options.size_bytes}"] if options.size_bytes else []
    moded = [f"mode={options.mode:o}"] if options.mode else []
    return Attached(kind="tmpfs", destination=destination, options=[*TMPFS_DEFAULTS, *sized, *moded, *read_only])


def _volume_mount(mount: messages.Mount, destination: str, read_only: list[str], where: str) -> Attached:
    options = mount.volume_options or messages.VolumeOptions()
    driver = options.driver_config or messages.DriverConfig()
    _check_driver(driver.name)
    if not mount.source and read_only:
        raise InvalidInput(f"{where}: must not set ReadOnly mode when using anonymous volumes")
    if not mount.source and options.subpath:
        raise InvalidInput(f"{where}: must not set Subpath when using anonymous volumes")
    if options.subpath.startswith("/") or posixpath.normpath(options.subpath).split("/")[0] == "..":
        raise InvalidInput(f"{where}: subpath must be a relative path within the volume")
    return Attached(
        kind="volume",
        name=mount.source,
        destination=destination,
        options=read_only,
        mode="z",
        anonymous=not mount.source,
        copy_up=not options.no_copy and not options.subpath,
        subpath=options.subpath,
        labels=options.labels,
        driver_options=driver.options,
    )


def _check_driver(name: str) -> None:
    if name not in ("", "local"):
        raise InvalidInput(f'error looking up volume plugin {name}: plugin "{name}" not found')


def _bind_mount(mount: messages.Mount, destination: str, read_only: list[str], where: str) -> Attached:
    asked = mount.bind_options or messages.BindOptions()
    if not mount.source:
        raise InvalidInput(f"{where}: field Source must not be empty")
    if not mount.source.startswith("/"):
        raise InvalidInput(f"{where}: invalid mount path: '{mount.source}' mount path must be absolute")
    if asked.propagation and asked.propagation not in PROPAGATIONS:
        raise InvalidInput(f"{where}: invalid propagation mode: {asked.propagation}")
    if not Path(mount.source).exists() and not asked.create_mountpoint:
        raise InvalidInput(f"{where}: bind source path does not exist: {mount.source}")
    options = read_only + ([asked.propagation] if asked.propagation else [])
    deeply = _deeply_read_only(options)
    if asked.read_only_force_recursive and ("rro" not in deeply or asked.read_only_non_recursive):
        raise InvalidInput(f"{where}: ReadOnlyForceRecursive needs a read-only mount with a private propagation")
    return Attached(
        kind="bind",
        source=posixpath.normpath(mount.source),
        destination=destination,
        options=options if asked.read_only_non_recursive else deeply,
        make_source=asked.create_mountpoint,
        recursive=not asked.non_recursive,
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


def _destination(path: str, where: str) -> str:
    if not path.startswith("/"):
        raise InvalidInput(f"{where}: invalid mount path: '{path}' mount path must be absolute")
    clean = posixpath.normpath(path).replace("//", "/")
    if clean == "/":
        raise InvalidInput(f"{where}: invalid specification: destination can't be '/'")
    return clean
