"""The protocol that answers hot requests at once says the same, byte by byte, as uvicorn's, over a real socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from recsys.service.hot import AnswerHandler, Reply
from recsys.service.hot_protocol import HotProtocol
from tests.http.conftest import Api, build

BODY = b'{"surface":"home","user":{"user_id":"u1"},"k":3}'
DATED = b'{"surface":"home","user":{"user_id":"u1"},"context":{"now":"2025-01-01T00:00:00Z"}}'
LAST = b"GET /healthz HTTP/1.1\r\nhost: recsys\r\nconnection: close\r\nx-request-id: last\r\n\r\n"
QUIET_S = 0.2


def post(
    body: bytes = BODY,
    *more: str,
    line: str = "POST /v1/recommend HTTP/1.1",
    length: str | None = "",
    number: int = 1,
) -> bytes:
    """The bytes of a request; ``length``: what it says of its body's, None nothing."""
    head = [line, "host: recsys", "x-dev-user-id: dev", "X-Org-Id: demo", f"x-request-id: r{number}", *more]
    if length is not None:
        head.append(f"Content-Length: {length or len(body)}")
    return "\r\n".join((*head, "", "")).encode() + body


CHUNKED = "transfer-encoding: chunked"
CONVERSATIONS: dict[str, Sequence[bytes]] = {
    "plain": [post()],
    "validate": [post(DATED, line="POST /v1/recommend/validate HTTP/1.1")],
    "similar": [post(b'{"surface":"home","item_id":"i1"}', line="POST /v1/similar HTTP/1.1")],
    "events": [post(b'{"events":[]}', line="POST /v1/events HTTP/1.1")],
    "two, one after the other": [post(), post(number=2)],
    "three in one go": [post() + post(number=2) + post(number=3)],
    "after a slower one in one go": [LAST.replace(b"connection: close\r\n", b"") + post() + post(number=2)],
    "before a slower one in one go": [post() + LAST.replace(b"connection: close\r\n", b"") + post(number=2)],
    "in two parts": [post()[:40], post()[40:]],
    "body in three parts": [post()[:-20], post()[-20:-10], post()[-10:] + post(number=2)],
    "byte by byte": [bytes((byte,)) for byte in post()],
    "no body": [post(b"", length=None)],
    "empty body": [post(b"", length="0")],
    "not JSON": [post(b"surface=home")],
    "wrong in meaning": [post(b'{"surface":"home"}')],
    "said to be text": [post(BODY, "content-type: text/plain")],
    "key that nobody has": [post(BODY, "x-api-key: nobody's")],
    "header twice": [post(BODY, "X-Org-Id: nobody", "x-org-id: demo")],
    "header of bytes": [post(BODY, "x-org-id: d\u00e9mo")],
    "empty header": [post(BODY, "x-org-id:")],
    "no id": [post().replace(b"x-request-id: r1", b"x-request-id: not sane \x80")],
    "keep-alive said": [post(BODY, "Connection: keep-alive")],
    "to be closed": [post(BODY, "Connection: close")],
    "HTTP/1.0": [post(line="POST /v1/recommend HTTP/1.0")],
    "HTTP/1.0 kept": [post(BODY, "Connection: keep-alive", line="POST /v1/recommend HTTP/1.0")],
    "HTTP/2.0": [post(line="POST /v1/recommend HTTP/2.0")],
    "continue": [post(b"", "Expect: 100-continue", length=str(len(BODY))), BODY],
    "upgrade": [post(BODY, "Connection: upgrade", "Upgrade: h2c")],
    "forwarded": [post(BODY, "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")],
    "GET": [post(b"", line="GET /v1/recommend HTTP/1.1", length=None)],
    "HEAD": [post(b"", line="HEAD /v1/recommend HTTP/1.1", length=None)],
    "PUT": [post(line="PUT /v1/recommend HTTP/1.1")],
    "query": [post(line="POST /v1/recommend?k=3 HTTP/1.1")],
    "slash": [post(line="POST /v1/recommend/ HTTP/1.1")],
    "two slashes": [post(line="POST //v1/recommend HTTP/1.1")],
    "percent": [post(line="POST /v1/recommen%64 HTTP/1.1")],
    "whole address": [post(line="POST http://recsys/v1/recommend HTTP/1.1")],
    "chunked": [post(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), CHUNKED, length=None)],
    "too large": [post(b" " * 2_000)],
    "too large, chunked": [post(b"7d0\r\n%b\r\n0\r\n\r\n" % (b" " * 2_000), CHUNKED, length=None)],
    "too large to be": [post(b"", length="9" * 25)],
    "largest": [post(BODY + b" " * (1_024 - len(BODY)))],
    "one above the largest": [post(BODY + b" " * (1_025 - len(BODY)))],
    "length below zero": [post(BODY, length="-1")],
    "length with a plus": [post(BODY, length="+48")],
    "length in words": [post(BODY, length="many")],
    "no length there": [post(BODY, "content-length:", length=None)],
    "length twice": [post(BODY, f"content-length: {len(BODY)}")],
    "length and chunked": [post(BODY, CHUNKED)],
    "bad header": [post(BODY, "bad header: x")],
    "no colon": [post(BODY, "nothing")],
    "NUL in a header": [post(BODY, "x-org-id: a\0b")],
    "line feeds alone": [post().replace(b"\r\n", b"\n")],
    "folded header": [post(BODY, "x-org-id: demo\r\n more")],
    "not HTTP": [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"],
    "unknown method": [post(line="RECOMMEND /v1/recommend HTTP/1.1")],
}


@dataclass
class Served:
    """A server of the application, and what it was asked."""

    port: int
    state: ServerState
    config: Config
    connections: list[Any] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def talk(self, parts: Sequence[bytes]) -> bytes:
        """Send the parts, then a request after which the server closes, and return all that it said."""
        reader, writer = await self.connect()
        try:
            for part in (*parts, LAST):
                writer.write(part)
                await asyncio.sleep(0 if len(part) == 1 else 0.01)
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


@asynccontextmanager
async def serving(api: Api, kind: type[HttpToolsProtocol], **more: Any) -> AsyncIterator[Served]:
    config = Config(api.app, http=kind, ws="none", interface="asgi3", access_log=False, log_config=None, **more)
    config.load()
    served = Served(0, ServerState(), config)

    def connected() -> HttpToolsProtocol:
        served.connections.append(kind(config=config, server_state=served.state, app_state={}))
        made: HttpToolsProtocol = served.connections[-1]
        return made

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for connection in [*served.state.connections]:
            connection.transport.close()
        await asyncio.gather(*served.state.tasks, return_exceptions=True)


@pytest.fixture
async def api(database_file: Path) -> AsyncIterator[Api]:
    """The service, which takes small bodies only."""
    api = build(database_file, max_body_bytes=1_024)
    async with api.service.running():
        yield api


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that are answered where they are read."""
    bodies: list[bytes] = []
    reply = AnswerHandler.reply

    def noting(self: AnswerHandler, headers: Any, body: bytes) -> Reply:
        bodies.append(body)
        return reply(self, headers, body)

    monkeypatch.setattr(AnswerHandler, "reply", noting)
    return bodies


def without_chance(said: bytes) -> bytes:
    """What a server said without times, and the ids that it made up."""
    said = re.sub(rb'"total":[0-9.e-]+', b'"total":0', said)
    said = re.sub(rb"[0-9a-f]{16}-\d+", b"made-up", said)
    return re.sub(rb"content-length: \d{3,}", b"content-length: many", said)


async def test_both_protocols_say_the_same(loaded: httpx.AsyncClient, api: Api) -> None:
    async with serving(api, HotProtocol) as hot, serving(api, HttpToolsProtocol) as ordinary:
        for name, parts in CONVERSATIONS.items():
            said, expected = await asyncio.gather(hot.talk(parts), ordinary.talk(parts))
            assert without_chance(said) == without_chance(expected), name
            assert expected.startswith(b"HTTP/1.1 "), name
            assert hot.state.total_requests == ordinary.state.total_requests, name


AT_ONCE = {
    "plain": 1, "validate": 1, "two, one after the other": 2, "body in three parts": 1, "byte by byte": 1,
    "three in one go": 1, "before a slower one in one go": 1, "after a slower one in one go": 0, "not JSON": 1,
    "largest": 1, "keep-alive said": 1, "to be closed": 0, "continue": 0, "chunked": 0, "too large": 0, "events": 0,
    "query": 0, "GET": 0, "HTTP/1.0 kept": 0, "upgrade": 0,
}  # fmt: skip


async def test_plain_requests_are_answered_at_once_and_others_are_not(
    loaded: httpx.AsyncClient, api: Api, at_once: list[bytes]
) -> None:
    async with serving(api, HotProtocol) as served:
        for name, count in AT_ONCE.items():
            at_once.clear()
            await served.talk(CONVERSATIONS[name])
            assert len(at_once) == count, name


async def test_who_does_not_read_gets_no_further_answers(api: Api, at_once: list[bytes]) -> None:
    async with serving(api, HotProtocol) as served:
        reader, writer = await served.connect()
        await asyncio.sleep(0.01)
        served.connections[0].pause_writing()
        writer.write(post())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        assert not at_once
        served.connections[0].resume_writing()
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 ")
        writer.close()


async def test_a_client_that_leaves_within_its_body_is_forgotten(api: Api, at_once: list[bytes]) -> None:
    async with serving(api, HotProtocol) as served:
        _, writer = await served.connect()
        writer.write(post()[:-5])
        await asyncio.sleep(0.02)
        writer.transport.abort()
        await asyncio.sleep(0.02)
        assert not served.state.connections
        assert (await served.talk([post()])).startswith(b"HTTP/1.1 ")
    assert at_once == [BODY]


async def test_a_server_that_ends_answers_what_is_half_there_and_closes(loaded: httpx.AsyncClient, api: Api) -> None:
    async with serving(api, HotProtocol) as served:
        (reader, writer), (idle, other) = await served.connect(), await served.connect()
        writer.write(post()[:-5])
        await asyncio.sleep(0.02)
        for connection in [*served.state.connections]:
            connection.shutdown()
        assert await asyncio.wait_for(idle.read(), 5) == b"", "who asks nothing is let go at once"
        writer.write(post()[-5:])
        said = await asyncio.wait_for(reader.read(), 5)
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n\r\n" in said
        writer.close()
        other.close()


async def test_all_that_is_read_in_one_round_is_ranked_and_then_sent(
    loaded: httpx.AsyncClient, api: Api, at_once: list[bytes]
) -> None:
    async with serving(api, HotProtocol) as served:
        clients = [await served.connect() for _ in range(20)]
        await asyncio.sleep(0.02)
        bodies = [BODY.replace(b"3", b"%d" % (number + 1)) for number in range(20)]
        for body, connection in zip(bodies, served.connections, strict=True):
            connection.data_received(post(body))
        assert not at_once, "nothing is ranked while there is something to read"
        await asyncio.sleep(0)
        assert at_once == bodies
        for reader, writer in clients:
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200 OK\r\n")
            writer.close()


async def test_who_leaves_before_the_answer_is_not_ranked_for_and_the_others_are(
    loaded: httpx.AsyncClient, api: Api, at_once: list[bytes]
) -> None:
    async with serving(api, HotProtocol) as served:
        (_, left), (reader, writer) = await served.connect(), await served.connect()
        await asyncio.sleep(0.02)
        for number, connection in enumerate(served.connections):
            connection.data_received(post(number=number))
        served.connections[0].transport.abort()
        assert b"x-request-id: r1\r\n" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert at_once == [BODY]
        writer.close()
        left.close()


async def test_a_request_that_fails_costs_its_connection_and_no_other(
    loaded: httpx.AsyncClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply, said_of = AnswerHandler.reply, []

    def failing(self: AnswerHandler, headers: Any, body: bytes) -> Reply:
        if headers[b"x-request-id"] == b"r1":
            raise OSError("the disk is full")
        return reply(self, headers, body)

    monkeypatch.setattr(AnswerHandler, "reply", failing)
    asyncio.get_running_loop().set_exception_handler(lambda _, said: said_of.append(str(said["exception"])))
    async with serving(api, HotProtocol) as served:
        clients = [await served.connect() for _ in range(3)]
        await asyncio.sleep(0.02)
        for number, connection in enumerate(served.connections):
            connection.data_received(post(number=number))
        for number, (reader, writer) in enumerate(clients):
            if number == 1:
                assert await asyncio.wait_for(reader.read(), 5) == b""
            else:
                assert b" 200 OK\r\n" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            writer.close()
    assert said_of == ["the disk is full"]


async def test_who_sends_all_and_closes_that_side_is_answered(
    loaded: httpx.AsyncClient, api: Api, at_once: list[bytes]
) -> None:
    """Also when the end is read along with the request."""
    async with serving(api, HotProtocol) as served:
        reader, writer = await served.connect()
        await asyncio.sleep(0.02)
        served.connections[0].data_received(post())
        served.connections[0].eof_received()
        assert at_once == [BODY]
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.write(post(number=2))
        writer.write_eof()
        said = await asyncio.wait_for(reader.read(), 5)
        assert b"x-request-id: r2\r\n" in said
        assert said.endswith(b"}")
        writer.close()


async def test_an_answer_comes_before_what_is_said_of_the_bytes_behind_its_request(
    loaded: httpx.AsyncClient, api: Api
) -> None:
    async with serving(api, HotProtocol) as served:
        reader, writer = await served.connect()
        writer.write(post() + b"\x16\x03\x01\r\n\r\n")
        said = await asyncio.wait_for(reader.read(), 5)
        assert re.findall(rb"HTTP/1.1 \d+", said) == [b"HTTP/1.1 200", b"HTTP/1.1 400"]
        writer.close()


async def test_a_server_that_ends_sends_what_it_owes_and_closes(loaded: httpx.AsyncClient, api: Api) -> None:
    async with serving(api, HotProtocol) as served:
        reader, writer = await served.connect()
        await asyncio.sleep(0.02)
        served.connections[0].data_received(post())
        served.connections[0].shutdown()
        said = await asyncio.wait_for(reader.read(), 5)
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n\r\n" in said
        writer.close()


@pytest.mark.parametrize("kind", [HotProtocol, HttpToolsProtocol])
async def test_a_server_that_drains_closes_after_an_answer(
    loaded: httpx.AsyncClient, api: Api, at_once: list[bytes], kind: type[HttpToolsProtocol]
) -> None:
    """What was sent along with the last request that is answered is not done: the client hears nothing of it."""
    async with serving(api, kind) as served:
        reader, writer = await served.connect()
        writer.write(post()[:-5])
        await asyncio.sleep(0.02)
        served.state.default_headers.append((b"connection", b"close"))
        writer.write(post()[-5:] + post(number=2) + LAST)
        said = await asyncio.wait_for(reader.read(), 5)
        assert (said.count(b"HTTP/1.1 200 OK"), said.count(b"\r\nconnection: close\r\n")) == (1, 1)
        writer.close()
        await asyncio.sleep(0.02)
        assert not served.state.connections
    assert len(at_once) == (kind is HotProtocol)


async def test_a_quiet_connection_is_closed_and_a_busy_one_is_not(loaded: httpx.AsyncClient, api: Api) -> None:
    loop = asyncio.get_running_loop()
    async with serving(api, HotProtocol, timeout_keep_alive=QUIET_S) as served:
        reader, writer = await served.connect()
        began = loop.time()
        while loop.time() < began + 2 * QUIET_S:
            writer.write(post())
            await asyncio.sleep(QUIET_S / 5)
            assert b" 200 OK" in await asyncio.wait_for(reader.read(65_536), 5)
        last = loop.time()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert QUIET_S / 2 < loop.time() - last < 10 * QUIET_S
        writer.close()


async def test_who_sends_slowly_is_not_quiet(loaded: httpx.AsyncClient, api: Api) -> None:
    async with serving(api, HotProtocol, timeout_keep_alive=QUIET_S) as served:
        reader, writer = await served.connect()
        writer.write(post() + post(number=2)[:-5])
        await asyncio.sleep(1.5 * QUIET_S)
        writer.write(post(number=2)[-5:])
        said = b""
        while said.count(b"x-request-id: r") < 2:
            more = await asyncio.wait_for(reader.read(65_536), 5)
            assert more, "closed"
            said += more
        writer.close()


@pytest.mark.parametrize(
    "more", [{"root_path": "/below"}, {"limit_concurrency": 1_000}, {"headers": [("x-server", "one")]}]
)
async def test_what_uvicorn_is_told_to_do_with_each_request_is_done(
    loaded: httpx.AsyncClient, api: Api, more: dict[str, Any]
) -> None:
    async with serving(api, HotProtocol, **more) as hot, serving(api, HttpToolsProtocol, **more) as ordinary:
        for served in (hot, ordinary):
            served.state.default_headers = served.config.encoded_headers
        said, expected = await hot.talk([post()]), await ordinary.talk([post()])
    assert without_chance(said) == without_chance(expected)
