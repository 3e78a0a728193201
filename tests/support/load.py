"""Load on keep-alive connections by clients that forgive nothing: what is not a 200 is a failure, nothing is retried."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from tests.support.server import DEV

Requests = Iterator[tuple[str, str, object]]
"""Method, path and JSON body of one request after the other."""


@dataclass
class Tally:
    """What the clients have met so far."""

    answers: int = 0
    sent_away: int = 0
    """Answers with ``Connection: close``."""
    bodies: list[bytes] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Client:
    """One connection at a time; a new one only when the last answer said that this one is closed."""

    def __init__(self, port: int, tally: Tally, requests: Requests, *, pause_s: float) -> None:
        self._port = port
        self._tally = tally
        self._requests = requests
        self._pause_s = pause_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        for request in self._requests:
            if stop.is_set():
                break
            try:
                await asyncio.wait_for(self._exchange(_encode(*request)), 30)
            except (OSError, EOFError) as error:
                self._tally.failures.append(f"{request[:2]}: {error!r}")
                self._close()
            await asyncio.sleep(self._pause_s)
        self._close()

    async def _exchange(self, request: bytes) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers[b"content-length"]))
        if not head[0].startswith(b"http/1.1 200"):
            self._tally.failures.append(f"{head[0]!r} {body!r}")
        self._tally.answers += 1
        self._tally.bodies.append(body)
        if headers.get(b"connection") == b"close":
            self._tally.sent_away += 1
            self._close()

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@contextlib.asynccontextmanager
async def load(url: str, *requests: Callable[[], Requests], pauses_s: tuple[float, ...]) -> AsyncIterator[list[Tally]]:
    """Send for as long as the block lasts; a tally for each kind of request, each sent by a client per pause."""
    port = int(url.rsplit(":", 1)[1])
    stop = asyncio.Event()
    tallies = [Tally() for _ in requests]
    clients = [
        Client(port, tally, make(), pause_s=pause_s)
        for make, tally in zip(requests, tallies, strict=True)
        for pause_s in pauses_s
    ]
    running = [asyncio.create_task(client.run(stop)) for client in clients]
    try:
        yield tallies
    finally:
        stop.set()
        await asyncio.gather(*running)


def _encode(method: str, path: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    headers = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(content)), **DEV}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content
