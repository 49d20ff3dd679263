"""The engine: everything that one daemon holds, and where to find a container in it.

The verbs are elsewhere, each in its module: :mod:`lifecycle <minidock.daemon.lifecycle>` (create … remove),
:mod:`execs <minidock.daemon.execs>`, :mod:`pulling <minidock.daemon.pulling>`, :mod:`recovery
<minidock.daemon.recovery>`. All of it runs on one event loop; what blocks runs in threads.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from minidock.build.cache import Cache
from minidock.build.workshop import Workshop
from minidock.containers.control import Launcher
from minidock.daemon import log_drivers
from minidock.daemon.build_cache import Collector
from minidock.daemon.config import Config
from minidock.daemon.container import Container
from minidock.daemon.events import Events
from minidock.daemon.host_mounts import HostMounts
from minidock.daemon.records import Records
from minidock.daemon.volumes import Holders, Volumes
from minidock.database import Database
from minidock.errors import Conflict, InvalidInput, NoSuchContainer
from minidock.images.images import Images
from minidock.messages import LogConfig
from minidock.networks import Networks

if TYPE_CHECKING:
    from minidock.daemon.services import Service


class Engine:
    """One daemon's engine."""

    def __init__(self, config: Config, launcher: Launcher) -> None:
        self.config = config
        self.launcher = launcher
        self.database = Database(config.data_root / "minidock.db")
        self.records = Records(self.database)
        self.images = Images(config.data_root, self.database)
        default_bridge = None if config.bridge == "none" else config.bridge
        self.networks = Networks(
            self.database,
            str(config.data_root),
            default_bridge,
            config.bip,
            config.default_address_pools,
            (config.fixed_cidr_v6 or "auto") if config.ipv6 else "",
        )
        self.workshop = Workshop(self.images, Cache(self.database, self.images), config.data_root, config.exec_root)
        self.collector = Collector(self)
        self.events = Events()
        self.volumes = Volumes(config.data_root / "volumes", self.database)
        self.holders = Holders()
        self.host_mounts = HostMounts(launcher.pid)
        self.pruning: set[str] = set()
        self.default_log = LogConfig(type=config.log_driver, config=config.log_opts)
        log_drivers.check(self.default_log)
        self.containers: dict[str, Container] = {}
        self.names: dict[str, str] = {}
        self.services: dict[str, Service] = {}
        self.is_ending = False
        """The daemon stops its containers: that is nobody's wish that they stay stopped."""

    def bundle(self, container_id: str) -> Path:
        """The container's directory that lasts."""
        return self.config.data_root / "containers" / container_id

    def state_dir(self, container_id: str) -> Path:
        """The container's directory while it runs."""
        return self.config.exec_root / "containers" / container_id

    def container(self, name: str) -> Container:
        """By full id, by name, or by the beginning of an id. Raises NoSuchContainer, InvalidInput when several fit."""
        exact = self.containers.get(name) or self.containers.get(self.names.get(name.removeprefix("/"), ""))
        if exact is not None:
            return exact
        if not re.fullmatch("[0-9a-f]{1,63}", name):
            raise NoSuchContainer(name)
        found = [container for key, container in self.containers.items() if key.startswith(name)]
        if len(found) > 1:
            raise InvalidInput(f"multiple IDs found with provided prefix: {name}")
        if not found:
            raise NoSuchContainer(name)
        return found[0]

    def reserve_name(self, name: str, container_id: str) -> None:
        """Take a name before anything is awaited: of twenty who want it at once, one gets it. Raises Conflict."""
        holder = self.names.get(name)
        if holder is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        self.names[name] = container_id

    def add(self, container: Container) -> None:
        """From now on the container can be found."""
        self.containers[container.id] = container
        self.names[container.name] = container.id

    def forget(self, container: Container) -> None:
        """The opposite of :meth:`add`."""
        self.containers.pop(container.id, None)
        if self.names.get(container.name) == container.id:
            del self.names[container.name]

    def images_in_use(self) -> dict[str, list[Container]]:
        """Which containers stand on which image (by the image's id)."""
        used: dict[str, list[Container]] = {}
        for container in self.containers.values():
            used.setdefault(container.record.image_id, []).append(container)
        return used

    def tell(self, container: Container, action: str, **attributes: str) -> None:
        """An event about a container, with its labels, as Docker's clients expect it."""
        record = container.record
        labels = record.config.labels or {}
        self.events.publish(
            "container", action, record.id, **(labels | {"image": record.image, "name": record.name} | attributes)
        )

    def tell_image(self, action: str, subject: str, name: str = "") -> None:
        """An event about an image: ``subject`` is its id, for pull and push its name."""
        image = self.images.find(subject)
        labels = image.config.config.labels if image else {}
        self.events.publish("image", action, subject, **(labels | {"name": name or subject}))

    def namespace_of(self, name: str, kind: str) -> str:
        """The path of a running container's namespace. Raises NoSuchContainer, Conflict."""
        container = self.container(name)
        if kind == "net" and not container.record.running:
            raise Conflict(f"cannot join network of a non running container: {container.id}")
        container.living_shim()
        if kind == "ipc" and container.record.host.ipc_mode in ("private", "none"):
            hint = "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
            raise Conflict(f"can't join IPC of container {container.id}: {hint}")
        return f"/proc/{container.record.state.pid}/ns/{kind}"
