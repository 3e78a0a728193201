"""A lean HTTP/1.1 keep-alive client, so that whoever measures costs less than what is measured.

It knows as much of HTTP as the service's answers need: a status line, headers with a content-length, a body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
import uvloop

HOST = "127.0.0.1"
NDJSON = {"content-type": "application/x-ndjson"}
_LENGTH = b"content-length: "
PATIENCE_S = 300.0

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop, as the service does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def http_request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a request; the body is JSON unless the headers say otherwise."""
    given = {"host": HOST, "content-type": "application/json", "content-length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str:
        """One header; empty when it is not there."""
        _, _, rest = self.head.lower().partition(f"\r\n{name}: ".encode())
        return rest.partition(b"\r\n")[0].decode()

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Connection(asyncio.Protocol):
    """One connection with at most one request under way; ``on_answer`` gets the raw answer and its head's length."""

    def __init__(self, on_answer: Callable[[bytes, int], None], on_loss: Callable[[], None]) -> None:
        self._on_answer = on_answer
        self._on_loss = on_loss
        self._pending = b""
        self._body_at = 0
        self._whole = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_loss()

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._pending = data = self._pending + data if self._pending else data
        if not self._whole:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            at = data.index(_LENGTH, 0, end) + len(_LENGTH)
            self._body_at = end + 4
            self._whole = self._body_at + int(data[at : data.index(b"\r", at)])
        if len(data) >= self._whole:
            self._pending, self._whole = b"", 0
            self._on_answer(data, self._body_at)


class Client:
    """Asks one thing after the other on one connection."""

    def __init__(self) -> None:
        self._waiting: asyncio.Future[Answer] | None = None
        self._connection = Connection(self._answered, self._lost)

    @classmethod
    async def connect(cls, port: int) -> Client:
        client = cls()
        await asyncio.get_running_loop().create_connection(lambda: client._connection, HOST, port)
        return client

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its answer."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._connection.send(request)
        return await asyncio.wait_for(self._waiting, PATIENCE_S)

    async def must(self, request: bytes) -> Answer:
        """Ask, and insist on success."""
        answer = await self.ask(request)
        if answer.status not in (200, 201):
            raise RuntimeError(f"{answer.status}: {answer.body[:500]!r}")
        return answer

    def close(self) -> None:
        self._connection.close()

    def _answered(self, data: bytes, body_at: int) -> None:
        if self._waiting is not None:
            self._waiting.set_result(Answer(int(data[9:12]), data[:body_at], data[body_at:]))

    def _lost(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("The server closed the connection."))
