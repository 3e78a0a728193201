"""A server that drains: who is connected when it is told to end gets answers; and it listens only when it can answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import uvicorn

from recsys.bootstrap.drain import DrainingServer

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Application:
    """Answers 200 to everything, ``/readyz`` by ``status``, and ``/slow`` when it is let go."""

    def __init__(self) -> None:
        self.status = 200
        self.let_go = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for happened in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{happened}.complete"})
            return
        if scope["path"] == "/slow":
            await self.let_go.wait()
        status = self.status if scope["path"] == "/readyz" else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


@asynccontextmanager
async def running(application: Application, drain_s: float, *, waits: bool = False) -> AsyncIterator[DrainingServer]:
    config = uvicorn.Config(application, http="httptools", lifespan="on", ws="none", log_config=None, backlog=16)
    server = DrainingServer(config, drain_s=drain_s, waits=waits)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.config.port = listening.getsockname()[1]
        # Not serve(), which would take the signals over.
        running = asyncio.create_task(server._serve([listening]))
        try:
            yield server
        finally:
            server.should_exit = True
            application.let_go.set()
            await asyncio.wait_for(running, 10)


async def connect(server: DrainingServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while not server.ticks:
        await asyncio.sleep(0.01)
    return await asyncio.open_connection("127.0.0.1", server.config.port)


async def ask(stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes = REQUEST) -> bytes:
    stream[1].write(request)
    return await asyncio.wait_for(stream[0].readuntil(b"\r\n\r\n"), 5)


async def told_to_end(server: DrainingServer) -> None:
    server.should_exit = True
    while server.servers[0].is_serving():
        await asyncio.sleep(0.01)


async def test_who_was_connected_is_answered_and_sent_away() -> None:
    async with running(Application(), drain_s=5) as server:
        stream, silent = await connect(server), await connect(server)
        assert b"connection: close" not in await ask(stream)
        await told_to_end(server)
        assert b"connection: close" in await ask(stream)
        assert b"connection: close" in await ask(silent), "its first request came after the end was told"
        for reader, writer in (stream, silent):
            assert await reader.read() == b""
            writer.close()
        began = monotonic()
    assert monotonic() - began < 2, "with nobody connected there is nothing to wait for"


async def test_without_a_drain_whoever_is_connected_is_cut_off() -> None:
    async with running(Application(), drain_s=0) as server:
        reader, writer = await connect(server)
        await ask((reader, writer))
        await told_to_end(server)
        assert await reader.read() == b""
        writer.close()


async def test_who_stays_silent_is_cut_off_when_the_drain_is_over() -> None:
    async with running(Application(), drain_s=0.5) as server:
        reader, writer = await connect(server)
        await ask((reader, writer))
        server.should_exit = True
        began = monotonic()
        assert await reader.read() == b""
        assert monotonic() - began > 0.4
        writer.close()


async def test_a_request_under_way_is_answered_after_the_drain() -> None:
    application = Application()
    async with running(application, drain_s=0.2) as server:
        reader, writer = await connect(server)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        server.should_exit = True
        await asyncio.sleep(0.6)
        application.let_go.set()
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_it_listens_once_the_application_is_ready() -> None:
    application = Application()
    application.status = 503
    async with running(application, drain_s=0, waits=True) as server:
        await asyncio.sleep(0.3)
        assert (server.servers, server.ticks) == ([], 0)
        application.status = 200
        _, writer = await connect(server)
        writer.close()


async def test_one_that_is_not_ready_can_be_told_to_end() -> None:
    application = Application()
    application.status = 503
    async with running(application, drain_s=5, waits=True) as server:
        await asyncio.sleep(0.1)
        assert not server.servers
