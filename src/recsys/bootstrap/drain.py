"""A server that ends without failing a request, and listens only once it can answer."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from types import FrameType

READINESS = "/readyz"
_LOOK_EVERY_S = 0.05


class DrainingServer(uvicorn.Server):
    """Uvicorn's server, which by itself closes idle connections the moment it is told to end.

    A client that has just sent its next request on one would get a reset. So for ``drain_s`` seconds this one, while it
    accepts nobody new, goes on to answer on the connections it has, each time with ``Connection: close``; the client
    comes back on a new connection, to another process. Only who has been silent all that time is cut off.

    ``waits``: others serve meanwhile, so listen only when the application says that it is ready.

    The application and the HTTP protocol know nothing of this. A protocol has to register in
    ``server_state.connections``, send ``server_state.default_headers`` with every answer, close the connection after an
    answer with ``Connection: close``, and have uvicorn's ``shutdown()``.
    """

    def __init__(self, config: uvicorn.Config, *, drain_s: float, waits: bool) -> None:
        super().__init__(config)
        self.ticks = 0
        """Turns of the main loop; 0: does not listen yet."""
        self._drain_s = drain_s
        self._waits = waits
        self._sockets: Sequence[socket.socket] = ()
        self._listens = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on sockets until told to end."""
        self._sockets = sockets or ()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take note that it is to end; and if it does not listen yet, let go of the sockets."""
        super().handle_exit(sig, frame)
        if not self._listens:  # a start may take long, and clients would wait in their queues, for nobody
            for each in self._sockets:
                each.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen on the sockets, which are given."""
        await super().startup(sockets=[])
        if self._waits:
            await self._wait_until_ready()
        if not self.should_exit:
            await self._listen(sockets or [])

    async def _wait_until_ready(self) -> None:
        while not self.should_exit and not await _is_ready(self.config.loaded_app):  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _listen(self, sockets: Sequence[socket.socket]) -> None:
        def make_protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        self._listens = True
        loop = asyncio.get_running_loop()
        for each in sockets:
            self.servers.append(await loop.create_server(make_protocol, sock=each, backlog=self.config.backlog))

    async def on_tick(self, counter: int) -> bool:
        """Count, so that others see that the event loop turns."""
        self.ticks += 1
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drain, and end as uvicorn does."""
        for server in self.servers:
            server.close()
        # A new list may be made of it once a second, but not any more: the loop that does so has ended.
        self.server_state.default_headers.append((b"connection", b"close"))
        deadline = monotonic() + self._drain_s
        connected = True
        while connected and not self.force_exit and monotonic() < deadline:
            await asyncio.sleep(_LOOK_EVERY_S)  # first of all: whoever was accepted last is not yet among them
            connected = bool(self.server_state.connections)
        await asyncio.sleep(0)  # read what has come, so that it counts as a request under way
        await super().shutdown(sockets)


async def _is_ready(application: Any) -> bool:
    """Ask the application what a load balancer would ask it."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await application(_PROBE | {"state": {}}, receive, send)
    return statuses == [200]


_PROBE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": READINESS,
    "raw_path": READINESS.encode(),
    "root_path": "",
    "query_string": b"",
    "headers": [],
    "client": None,
    "server": None,
}
