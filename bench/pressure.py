"""Serving load in the background: requests at a rate, whether or not the ones before are answered, until told to stop.

It sleeps between two looks at the clock instead of spinning, because the cores belong to what is measured beside it. So
its latencies are a millisecond or two too long; its answers are all there is to see, and each is looked at.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter

from bench.http_client import HOST, Connection

_LOOK_EVERY_S = 0.002
_PATIENCE_S = 10.0

Check = Callable[[bytes, int, float], None]
"""What looks at an answer: the raw answer, where its body begins, when its request was sent."""


class Pressure:
    """Sends what is due on any connection that is free, and lets ``check`` look at every answer that is 200."""

    def __init__(self, requests: Iterator[bytes], per_second: float, check: Check) -> None:
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self._requests = requests
        self._per_second = per_second
        self._check = check
        self._draw = random.Random(1)
        self._sent: list[float] = []
        self._free: deque[int] = deque()
        self._connections: list[Connection] = []
        self._ended = asyncio.Event()
        self._answered_all = asyncio.Event()
        self._job: asyncio.Task[None] | None = None

    @property
    def errors(self) -> int:
        """Requests that were not answered 200."""
        return self.statuses.total() - self.statuses[200]

    async def start(self, port: int, connections: int) -> None:
        """Connect and begin."""
        loop = asyncio.get_running_loop()
        self._sent, self._free = [0.0] * connections, deque(range(connections))
        self._connections = [Connection(partial(self._answered, each), self._lost) for each in range(connections)]
        for connection in self._connections:
            await loop.create_connection(partial(_itself, connection), HOST, port)
        self._job = asyncio.create_task(self._send())

    async def stop(self) -> None:
        """Send no more, wait for what is under way, and disconnect."""
        self._ended.set()
        assert self._job is not None
        await self._job
        self._connections, closing = [], self._connections
        for connection in closing:
            connection.close()

    async def _send(self) -> None:
        due = perf_counter()
        while not self._ended.is_set():
            while self._free and due <= perf_counter():
                number = self._free.popleft()
                self._sent[number] = perf_counter()
                self._connections[number].send(next(self._requests))
                due += self._draw.expovariate(self._per_second)
            await asyncio.sleep(_LOOK_EVERY_S)
        if len(self._free) < len(self._sent):
            self._answered_all.clear()
            await asyncio.wait_for(self._answered_all.wait(), _PATIENCE_S)

    def _answered(self, number: int, data: bytes, body_at: int) -> None:
        status = int(data[9:12])
        self.statuses[status] += 1
        self.latencies.append(perf_counter() - self._sent[number])
        self._free.append(number)
        if len(self._free) == len(self._sent):
            self._answered_all.set()
        if status == 200:
            self._check(data, body_at, self._sent[number])

    def _lost(self) -> None:
        if self._connections:
            self.statuses[0] += 1


def _itself(connection: Connection) -> Connection:
    return connection
