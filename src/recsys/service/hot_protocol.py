"""HTTP as uvicorn speaks it, but hot requests are answered once all are read that came: no task, no scope, one write.

It builds on the inside of uvicorn's protocol, so ``bootstrap.serve`` takes it only with versions it is tested with.
Whatever is not a plain request of a hot path goes uvicorn's own way (docs/adr/0010-hot-protocol.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from recsys.service.switch import Switch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from recsys.service.hot import AnswerHandler, Headers, Reply

_WAITED_FOR: Final = frozenset((b"expect", b"transfer-encoding"))
_LONGEST_NUMBER: Final = 18
_CLOSE: Final = (b"connection", b"close")
_ANSWERED_TOGETHER: Final = 8


class Round:
    """The hot requests of all connections that were read in one round of an event loop.

    They are ranked one after the other and then written, eight at a time: code and data of ranking stay in the CPU's
    caches from one to the next, which HTTP and the kernel's network would take from it.
    """

    def __init__(self) -> None:
        self._owing: list[HotProtocol] = []

    def add(self, connection: HotProtocol) -> None:
        """Answer a connection when everything is read that came along with its request."""
        if not self._owing:
            connection.loop.call_soon(self.answer)
        self._owing.append(connection)

    def answer(self) -> None:
        """Answer those whose clients are still there."""
        owing, self._owing = self._owing, []
        for begin in range(0, len(owing), _ANSWERED_TOGETHER):
            together = owing[begin : begin + _ANSWERED_TOGETHER]
            for connection in together:
                connection.rank()
            for connection in together:
                connection.send()


_ROUNDS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Round]] = WeakKeyDictionary()


class HotProtocol(HttpToolsProtocol):
    """One connection.

    Between two events at most one request is answered at once: who sends a hundred in one go waits in uvicorn's queue
    for the others' turns. So does who does not read the answers, and who has a slower request under way.

    While an answer is owed, nothing that was sent after its request is looked at.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._handlers = _immediate(config)
        self._round = _ROUNDS.get(self.loop) or _ROUNDS.setdefault(self.loop, Round())
        self._owed = False
        self._reply: Reply | None = None
        self._here = False
        """Whether the request that is being read does not go uvicorn's way."""
        self._handler: AnswerHandler | None = None
        self._given: Headers = {}
        self._body: list[bytes] = []
        self._had_turn = False
        self._leaving = False
        self._quiet_since: float | None = None
        self._watch: asyncio.TimerHandle | None = None

    # --- what uvicorn's protocol does, with another way for hot requests

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a request that is not answered."""
        self._handler, self._owed = None, False
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._had_turn = False
        super().data_received(data)

    def eof_received(self) -> None:
        """Answer before the connection is closed."""
        self._settle()
        super().eof_received()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._settle()
        super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Remember nothing of the request before; uvicorn's scope is made only for requests that go its way."""
        self._settle()
        self.url = b""
        self.headers = []
        self._quiet_since = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Choose the way."""
        handler = self._handlers.get(self.url)
        self._here = True
        if self.transport.is_closing():  # after an answer that says so; what was sent along with that is not done
            self._handler = None
        elif handler is None or self._had_turn or not self._is_plain(given := dict(self.headers), handler.body_bytes):
            self._here = False
            self._go_uvicorns_way()
        else:
            self._handler, self._given, self._body = handler, given, []

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._here:
            self._body.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """See to it that the request is answered."""
        if not self._here:
            super().on_message_complete()
        elif self._handler is not None:
            self._had_turn = self._owed = True
            self._round.add(self)

    def shutdown(self) -> None:
        """End once what is under way is answered."""
        if self._handler is None:
            super().shutdown()
        else:
            self._leaving = True

    # --- the ways

    def _is_plain(self, given: Headers, most: int) -> bool:
        """Whether a request can be answered as soon as its body is there, on a connection that then stays."""
        length, parser = given.get(b"content-length", b"0"), self.parser
        under_way: RequestResponseCycle | None = self.cycle  # there is none before the first
        return (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and _WAITED_FOR.isdisjoint(given)
            and len(length) <= _LONGEST_NUMBER
            and length.isdigit()
            and int(length) <= most
            and (under_way is None or under_way.response_complete)
            and not self.flow.write_paused
        )

    def _go_uvicorns_way(self) -> None:
        """Tell uvicorn's protocol what has been read of a request."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def _settle(self) -> None:
        """Answer at once, if an answer is owed."""
        if self._owed:
            self._round.answer()

    def rank(self) -> None:
        """Work out the answer that is owed, unless the client is gone. What fails costs this connection, no other."""
        if self._handler is None or self.transport.is_closing():
            return
        try:
            self._reply = self._handler.reply(self._given, b"".join(self._body))
        except Exception as error:  # noqa: BLE001 - the handler answers whatever it knows of
            self.loop.call_exception_handler({"message": "A hot request failed.", "exception": error, "protocol": self})
            self.transport.close()

    def send(self) -> None:
        """Send the answer that is owed, if there is one."""
        reply, self._reply, self._handler, self._owed = self._reply, None, None, False
        if reply is None or self.transport.is_closing():
            return
        status, answered, body = reply
        headers = [*self.server_state.default_headers, *answered, (b"content-length", b"%d" % len(body))]
        if self._leaving and _CLOSE not in headers:
            headers.append(_CLOSE)
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
        self.server_state.total_requests += 1
        if _CLOSE in headers:
            self.transport.close()
        else:
            self._begin_quiet()

    # --- a quiet connection is closed

    def _begin_quiet(self) -> None:
        """Let the time run after which a quiet connection is closed; one timer sees to many requests."""
        self._quiet_since = self.loop.time()
        if self._watch is None:
            self._watch = self.loop.call_later(self.timeout_keep_alive, self._close_if_quiet)

    def _close_if_quiet(self) -> None:
        self._watch = None
        if self._quiet_since is None:  # not quiet: whoever answers what is under way lets the time run again
            return
        left = self._quiet_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._watch = self.loop.call_later(left, self._close_if_quiet)
        else:
            self.timeout_keep_alive_handler()


def _immediate(config: Config) -> Mapping[bytes, AnswerHandler]:
    """The handlers that answer at once, by path; none where uvicorn is told to do more with each request."""
    application: Any = config.loaded_app
    while not isinstance(application, Switch):
        application = getattr(application, "app", None)  # a middleware of uvicorn, about clients' addresses
        if application is None:
            return {}
    if config.access_log or config.root_path or config.limit_concurrency is not None:
        return {}
    return application.immediate
