"""The story of a start (``--explain``): kept, because the runtime's own copy goes when the container ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar, get_args

from minidock.containers import explain
from minidock.containers.explain import Form
from minidock.containers.state import EXPLAIN
from minidock.containers.steps import Step
from minidock.containers.steps.step import Where
from minidock.daemon.container import Container
from minidock.errors import NotFound
from minidock.networks import Publication
from minidock.networks.stages import Addressing, Filtering, Naming, Plugging, Stage, Tell, nobody

FORMS = get_args(Form)
NO_FORM = f"explain is one of {', '.join(FORMS)}, not '{{}}'"
"""What is answered to who asks for another."""


@contextmanager
def kept(container: Container) -> Iterator[None]:
    """Inside, the program is started; afterwards the story is in the bundle.

    A short program may have ended, and its state directory be gone, before ``start`` returns: so the file is opened
    before, and read after.
    """
    if not container.record.explain:
        yield
        return
    with (container.state_dir / EXPLAIN).open("rb") as story:
        try:
            yield
        finally:
            (container.bundle / EXPLAIN).write_bytes(story.read())


class NetworkStep(Step, frozen=True):
    """What the daemon does between create and start; such a step is in the story, not in the plan."""

    where: ClassVar[Where] = "daemon"


class PlugIn(NetworkStep, frozen=True):
    """A place in a bridge network."""

    interface: str
    bridge: str
    network: str
    man = "veth(4), bridge(8)"
    why = "a virtual cable: what goes in at one end, inside the container, comes out at the other, in the host's bridge"

    @property
    def title(self) -> str:
        return f"Plug {self.interface} into the bridge {self.bridge} (network {self.network})"


class BecomeNeighbour(NetworkStep, frozen=True):
    """A place in a network of the driver macvlan or ipvlan."""

    interface: str
    driver: str
    network: str
    man = "ip-link(8)"
    why = "one link of the host has several addresses, one of them in the container; no bridge and no filter between"

    @property
    def title(self) -> str:
        return f"Make {self.interface} a {self.driver} (network {self.network})"


class HoldToItsAddress(NetworkStep, frozen=True):
    """The packet filter learns who is at the cable's end."""

    man = "nft(8)"
    why = "a packet that leaves the container under a neighbour's address is dropped as it enters the bridge"

    @property
    def title(self) -> str:
        return "Hold the cable to its own addresses"


class Publish(NetworkStep, frozen=True):
    """Ports that lead to the container; in the same transaction the cable is held to its addresses, if it is."""

    ports: list[str]
    address: str
    held: bool
    man = "nft(8)"
    why = "a packet for that port gets the container as its destination, before the host asks where it goes (dnat)"

    @property
    def title(self) -> str:
        also = ", and hold the cable to its addresses" if self.held else ""
        return f"Lead {' and '.join(self.ports)} of the host to {self.address}{also}"


class ConfigureInterfaces(NetworkStep, frozen=True):
    """Addresses and the way out, seen from inside."""

    places: list[str]
    gateway: str
    man = "ip-address(8), ip-route(8)"
    why = "an address says who is near; all others are reached by the gateway: the host, in whose name it goes on"

    @property
    def title(self) -> str:
        way_out = f", and {self.gateway} as the way out" if self.gateway else ""
        return f"Give {' and '.join(self.places)}{way_out}"


class AnswerForNames(NetworkStep, frozen=True):
    """The embedded name server."""

    man = "resolv.conf(5), nft(8)"
    why = "sockets made in the container's namespace, held by the daemon: it knows the neighbours' names"

    @property
    def title(self) -> str:
        return "Answer for names at 127.0.0.11"


def _step(stage: Stage) -> NetworkStep:
    match stage:
        case Plugging(network, endpoint) if network.bridge:
            return PlugIn(endpoint.interface, network.bridge, network.name)
        case Plugging(network, endpoint):
            return BecomeNeighbour(endpoint.interface, network.driver, network.name)
        case Filtering(held, target, published) if published and target is not None:
            addresses = [str(address.ip) for address in target.addresses]
            return Publish(list(dict.fromkeys(map(_port, published))), " and ".join(addresses), held)
        case Filtering():
            return HoldToItsAddress()
        case Addressing(endpoints, way_out):
            places = [f"{end.interface} the address {address}" for end in endpoints for address in end.addresses]
            return ConfigureInterfaces(places, (way_out.gateway4 or way_out.gateway6) if way_out else "")
        case Naming():
            return AnswerForNames()


def _port(published: Publication) -> str:
    place = "" if published.host_ip in ("0.0.0.0", "::") else f" at {published.host_ip}"
    return f"port {published.host_port}/{published.protocol}{place}"


_connecting: ContextVar[str] = ContextVar("_connecting", default="")
"""The id of the container for which this task, or the thread that it started, makes calls."""


@contextmanager
def of_the_network(container: Container) -> Iterator[Tell]:
    """Inside, the calls of this task belong to the container's story, and those of other tasks do not.

    Yields what is to be told of each stage.
    """
    if not container.record.explain:
        yield nobody
        return
    token = _connecting.set(container.id)
    try:
        with explain.record(container.state_dir / EXPLAIN, lambda: _connecting.get() == container.id) as told:
            yield lambda stage: told(_step(stage))
    finally:
        _connecting.reset(token)


def tell(container: Container, form: str, colour: bool, mark: bool) -> str:
    """The story of the last start, ``compact``, ``full`` or as ``json`` lines, with a mark before each step or without.

    ``form`` is one of FORMS. Raises NotFound.
    """
    path = container.bundle / EXPLAIN
    if not path.exists():
        raise NotFound(f"nothing was recorded of {container.name}: create it with --explain, and start it")
    return explain.tell(path, form, colour, mark)  # type: ignore[arg-type]  # it is one of Form's: see above
