"""A thread of its own for work that may wait for long: for a client that sends or reads slowly.

The threads that all requests share are few. If such clients had them, everybody else would have to wait for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(work: Callable[[], T]) -> T:
    """Do ``work`` in a thread that ends with it. Raises what it raises."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="own")
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
    finally:
        pool.shutdown(wait=False)
