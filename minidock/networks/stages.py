"""What is done for a container that joins its networks, in order, so that a listener can tell it as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minidock.networks.store import Endpoint, Network, Publication


@dataclass(frozen=True)
class Plugging:
    """The interface is made, and led to its network."""

    network: Network
    endpoint: Endpoint


@dataclass(frozen=True)
class Filtering:
    """The packet filter learns of cables, if any are ``held`` to their addresses, and of ``published`` ports.

    Those lead to the addresses of ``target``.
    """

    held: bool
    target: Endpoint | None
    published: tuple[Publication, ...]


@dataclass(frozen=True)
class Addressing:
    """Inside the container's namespace, interfaces get their addresses, and the way out is set: that of ``way_out``."""

    endpoints: tuple[Endpoint, ...]
    way_out: Endpoint | None


@dataclass(frozen=True)
class Naming:
    """A name server for the container is made ready, inside its namespace."""


Stage = Plugging | Filtering | Addressing | Naming
Tell = Callable[[Stage], None]


def nobody(stage: Stage) -> None:
    """Listens to no stage."""
