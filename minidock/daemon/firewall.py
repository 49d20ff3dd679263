"""The networks' rules are put back when a firewall that is loaded anew has taken them away, or when another one comes
whose rules do not know our networks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from minidock.daemon.engine import Engine
from minidock.errors import MinidockError
from minidock.networks import watch

log = logging.getLogger(__name__)

RETRY = 5.0
"""Seconds after which it is tried again: no change may come that says so."""


@contextlib.contextmanager
def mended(engine: Engine) -> Iterator[None]:
    """Inside, it is so. To be entered on the event loop."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    with watch.open_socket() as told:
        loop.add_reader(told, lambda: changed.set() if watch.concerns_us(told, engine.networks.filter.name) else None)
        task = loop.create_task(_mend(engine, changed))
        try:
            yield
        finally:
            loop.remove_reader(told)
            task.cancel()


async def _mend(engine: Engine, changed: asyncio.Event) -> None:
    while True:
        await changed.wait()
        changed.clear()
        try:
            if await asyncio.to_thread(engine.networks.mend_filter):
                log.warning("somebody changed the packet filter: our rules, which were missing there, are loaded again")
        except Exception as error:  # the watch goes on: nobody would notice that it had ended
            known = isinstance(error, MinidockError)
            log.error("the packet filter could not be mended: %s", error, exc_info=not known)
            asyncio.get_running_loop().call_later(RETRY, changed.set)
