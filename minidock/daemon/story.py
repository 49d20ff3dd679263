"""The story of a start (``--explain``): kept, because the runtime's own copy goes when the container ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

from minidock.containers.explain import Form
from minidock.containers.explain import tell as tell_file
from minidock.containers.state import EXPLAIN
from minidock.daemon.container import Container
from minidock.errors import InvalidInput, NotFound


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


def tell(container: Container, form: str, colour: bool) -> str:
    """The story of the last start, ``compact``, ``full`` or as ``json`` lines. Raises InvalidInput, NotFound."""
    if form not in get_args(Form):
        raise InvalidInput(f"explain is one of {', '.join(get_args(Form))}, not {form!r}")
    path = container.bundle / EXPLAIN
    if not path.exists():
        raise NotFound(f"nothing was recorded of {container.name}: create it with --explain, and start it")
    return tell_file(path, form, colour)  # type: ignore[arg-type]  # it is one of Form's: see above
