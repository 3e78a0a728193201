"""Load in a closed loop: every connection sends its next request as soon as it has its answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, process_time

from bench.http_client import HOST, PATIENCE_S, Connection


@dataclass
class Load:
    """What came of a round of load. ``client_share``: how much of its core the generator itself was busy."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    client_share: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers 200 per second."""
        return self.statuses[200] / self.seconds


async def hammer(port: int, sources: Sequence[Iterator[bytes]], seconds: float) -> Load:
    """Send each source's requests on a connection of its own, one after the other, for so long."""
    loop = asyncio.get_running_loop()
    load = Load()
    done = [loop.create_future() for _ in sources]
    pairs = [_drive(load, source, seconds, end) for source, end in zip(sources, done, strict=True)]
    for connection, _ in pairs:
        await loop.create_connection(partial(_itself, connection), HOST, port)
    began, busy = perf_counter(), process_time()
    for _, start in pairs:
        start()
    try:
        await asyncio.wait_for(asyncio.gather(*done), seconds + PATIENCE_S)
    finally:
        load.seconds = perf_counter() - began
        load.client_share = (process_time() - busy) / load.seconds
        for connection, _ in pairs:
            connection.close()
    return load


def _itself(connection: Connection) -> Connection:
    return connection


def _drive(
    load: Load, source: Iterator[bytes], seconds: float, done: asyncio.Future[None]
) -> tuple[Connection, Callable[[], None]]:
    """A connection that sends the next request as soon as an answer is there, and the function that starts it."""
    sent_at = stop_at = 0.0
    latencies, statuses = load.latencies, load.statuses

    def start() -> None:
        nonlocal sent_at, stop_at
        sent_at = perf_counter()
        stop_at = sent_at + seconds
        connection.send(next(source))

    def on_answer(data: bytes, _body_at: int) -> None:
        nonlocal sent_at
        now = perf_counter()
        latencies.append(now - sent_at)
        statuses[int(data[9:12])] += 1
        if now >= stop_at:
            done.set_result(None)
            return
        request = next(source)
        sent_at = perf_counter()
        connection.send(request)

    def on_loss() -> None:
        if not done.done():
            done.set_exception(ConnectionError("The server closed the connection."))

    connection = Connection(on_answer, on_loss)
    return connection, start
