"""Work of seconds beside an event loop that has milliseconds."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SMALL = 10_000
"""Characters of JSON that are read and checked in about two milliseconds."""
_THREADS = 4
_FAREWELL_S = 2.0
_NICE = 10
"""A tenth of the share of whoever answers requests, when both want the same core."""


async def aside(size: int, work: Callable[..., T], *args: object, **options: object) -> T:
    """What ``work`` returns or raises. What is large must not hold others up, so another thread does it.

    ``size``: of what is worked on, in characters of JSON, or what takes as long. Under load handing over costs five
    milliseconds and more, since the thread has to wait until the loop lets go of the interpreter.
    """
    return work(*args, **options) if size < _SMALL else await asyncio.to_thread(work, *args, **options)


class Background:
    """A few threads that give way to all others of the process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "background", initializer=_give_way)

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """What ``work`` returns or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def start(self, work: Callable[..., None], *args: object) -> None:
        """Have something done that nobody waits for and that does not fail."""
        self._threads.submit(work, *args)

    def close(self) -> None:
        """Take no more work; what runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def end(loop: asyncio.Task[None]) -> None:
    """Return when a loop that was told to end has ended. One that hangs is cut off, which may cost it a connection."""
    done, _ = await asyncio.wait([loop], timeout=_FAREWELL_S)
    if not done:
        loop.cancel()
        await asyncio.wait([loop])


def _give_way() -> None:
    if sys.platform == "linux":  # elsewhere it would concern the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
