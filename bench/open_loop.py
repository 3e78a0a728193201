"""Load in an open loop: requests come when they come, whether or not the ones before are answered.

Arrivals are drawn ahead (a Poisson process, the same on every run), and latency counts from the time of arrival, not of
sending: a server that stalls pays for everybody who came meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterator
from functools import partial
from time import perf_counter, process_time

from bench.http_client import HOST, PATIENCE_S, Connection
from bench.load_generator import Load


class OpenLoop:
    """Sends what is due on any connection that is free; what finds none waits, and the waiting counts.

    It spins instead of sleeping, because timers of the event loop are no finer than a millisecond, so it needs a core
    of its own. ``late``: how long after its arrival each request was sent, in seconds.
    """

    def __init__(self, requests: Iterator[bytes], per_second: float, seconds: float) -> None:
        self.load = Load()
        self.late: list[float] = []
        self._requests = requests
        self._arrivals = deque(_arrivals(random.Random(1), per_second, seconds))
        self._asked = len(self._arrivals)
        self._connections: list[Connection] = []
        self._arrived: list[float] = []
        self._free: deque[int] = deque()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, port: int, connections: int) -> Load:
        """Send everything and wait for the last answer."""
        loop = asyncio.get_running_loop()
        self._arrived, self._free = [0.0] * connections, deque(range(connections))
        self._connections = [Connection(partial(self._answered, each), self._lost) for each in range(connections)]
        for connection in self._connections:
            await loop.create_connection(partial(_itself, connection), HOST, port)
        began, busy = perf_counter(), process_time()
        self._arrivals = deque(began + at for at in self._arrivals)
        loop.call_soon(self._spin, loop)
        try:
            await asyncio.wait_for(self._done, PATIENCE_S)
        finally:
            self.load.seconds = perf_counter() - began
            self.load.client_share = (process_time() - busy) / self.load.seconds
            for connection in self._connections:
                connection.close()
        return self.load

    def _spin(self, loop: asyncio.AbstractEventLoop) -> None:
        arrivals, free = self._arrivals, self._free
        while arrivals and free and arrivals[0] <= (now := perf_counter()):
            number = free.popleft()
            self._arrived[number] = arrivals.popleft()
            self.late.append(now - self._arrived[number])
            self._connections[number].send(next(self._requests))
        if arrivals and not self._done.done():
            loop.call_soon(self._spin, loop)

    def _answered(self, number: int, data: bytes, _body_at: int) -> None:
        self.load.latencies.append(perf_counter() - self._arrived[number])
        self.load.statuses[int(data[9:12])] += 1
        self._free.append(number)
        if len(self.load.latencies) == self._asked and not self._done.done():
            self._done.set_result(None)

    def _lost(self) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError("The server closed the connection."))


def _arrivals(draw: random.Random, per_second: float, seconds: float) -> Iterator[float]:
    at = draw.expovariate(per_second)
    while at < seconds:
        yield at
        at += draw.expovariate(per_second)


def _itself(connection: Connection) -> Connection:
    return connection
