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
from minidock.errors import InvalidInput, NotFound
from minidock.networks import Network


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


class PlugIn(Step, frozen=True):
    """What the daemon does between create and start; it is in the story, not in the plan."""

    networks: list[str]
    man = "veth(4), bridge(8), nft(8)"
    why = "a virtual cable: one end is the container's eth0, the other is plugged into the host's bridge"
    where: ClassVar[Where] = "daemon"

    @property
    def title(self) -> str:
        return f"Plug the network namespace into {' and '.join(self.networks)}"


_connecting: ContextVar[str] = ContextVar("_connecting", default="")
"""The id of the container for which this task, or the thread that it started, makes calls."""


@contextmanager
def of_the_network(container: Container, networks: list[Network]) -> Iterator[None]:
    """Inside, the calls of this task belong to the container's story; those of other tasks do not."""
    if not container.record.explain:
        yield
        return
    token = _connecting.set(container.id)
    try:
        with explain.record(container.state_dir / EXPLAIN, lambda: _connecting.get() == container.id) as told:
            told(PlugIn([_named(network) for network in networks]))
            yield
    finally:
        _connecting.reset(token)


def _named(network: Network) -> str:
    where = f"the bridge {network.bridge}" if network.bridge else f"a {network.driver}"
    return f"{where} (network {network.name})"


def tell(container: Container, form: str, colour: bool, mark: bool) -> str:
    """The story of the last start, ``compact``, ``full`` or as ``json`` lines, with a mark before each step or without.

    Raises InvalidInput, NotFound.
    """
    if form not in get_args(Form):
        raise InvalidInput(f"explain is one of {', '.join(get_args(Form))}, not {form!r}")
    path = container.bundle / EXPLAIN
    if not path.exists():
        raise NotFound(f"nothing was recorded of {container.name}: create it with --explain, and start it")
    return explain.tell(path, form, colour, mark)  # type: ignore[arg-type]  # it is one of Form's: see above
