"""Trying again: what may go better a second time, and how long to wait before.

The waits grow exponentially, and each is a random part of what it could be ("full jitter"): many clients that lost
the same registry at the same moment do not come back at the same moment. A registry that names a time (Retry-After)
is obeyed, within reason.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from minidock.errors import RegistryError, RegistryUnreachable

T = TypeVar("T")

#: seconds; a registry that asks for more patience than this is taken at its word: the pull fails and says why
LONGEST_RETRY_AFTER = 60.0


class Unavailable(RegistryError):
    """This failed, but may work later: an overloaded server, a connection lost half-way.

    ``retry_after`` is what the server asked for, in seconds.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Retry:
    """How often to try and how long to wait in between. Tests put in a ``sleep`` of their own."""

    attempts: int = 6
    #: seconds that the first wait can be, at most; each further one twice as much …
    first: float = 1.0
    #: … up to this
    longest: float = 30.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random

    async def run(
        self,
        operation: Callable[[], Awaitable[T]],
        made_progress: Callable[[], bool] = lambda: False,
        waiting: Callable[[float], None] = lambda seconds: None,
    ) -> T:
        """The result of ``operation``, tried until it raises neither :class:`Unavailable` nor RegistryUnreachable.

        An attempt that ``made_progress`` before it failed starts the count anew: a large download over a bad line may
        break any number of times. ``waiting`` is told about each wait.
        """
        failures = 0
        while True:
            try:
                return await operation()
            except (Unavailable, RegistryUnreachable) as error:
                failures = 1 if made_progress() else failures + 1
                asked = error.retry_after if isinstance(error, Unavailable) else None
                if failures >= self.attempts or (asked or 0) > LONGEST_RETRY_AFTER:
                    raise
                seconds = self.delay(failures) if asked is None else asked
                waiting(seconds)
                await self.sleep(seconds)

    def delay(self, failures: int) -> float:
        """Seconds to wait after that many failures in a row."""
        return self.random() * min(self.longest, self.first * 2.0 ** (failures - 1))


def parse_retry_after(value: str, now: Callable[[], float] = time.time) -> float | None:
    """Seconds in a ``Retry-After`` header: a number, or a date (RFC 9110, section 10.2.3). None when it is neither."""
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now())
    except ValueError:
        return None
