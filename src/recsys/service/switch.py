"""The front door: hot paths go to raw handlers, everything else to Litestar, and both get ids, errors and metrics."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from recsys.domain.errors import Fault, InvalidRequest, MethodNotAllowed
from recsys.service.asgi import send_answer
from recsys.service.hot import AnswerHandler
from recsys.service.problem import problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from recsys.service.asgi import Application, Message, Receive, Scope, Send
    from recsys.service.hot import HotHandler
    from recsys.service.state import Service

UNMATCHED = "unmatched"


class Switch:
    """The ASGI application that a server runs."""

    def __init__(self, service: Service, hot: Mapping[str, HotHandler], rest: Application) -> None:
        self._service = service
        self._hot = hot
        self._rest = rest

    @property
    def immediate(self) -> dict[bytes, AnswerHandler]:
        """The handlers that need not wait for anything, by path, for a server that calls them itself."""
        return {path.encode(): hot for path, hot in self._hot.items() if isinstance(hot, AnswerHandler)}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Send a request where it belongs."""
        if scope["type"] != "http":
            return self._rest(scope, receive, send)
        hot = self._hot.get(scope["path"])
        if hot is not None and scope["method"] == "POST":
            return hot(scope, receive, send)
        return self._documented(scope, receive, send, is_hot=hot is not None)

    async def _documented(self, scope: Scope, receive: Receive, send: Send, *, is_hot: bool) -> None:
        started = perf_counter()
        request_id = self._service.request_ids.of(dict(scope["headers"]))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode("ascii"))]
            await send(message)

        try:
            _refuse_early(scope, is_hot=is_hot)
            await self._rest(scope, receive, send_with_id)
        except Exception as error:
            if status:
                raise
            problem_status, headers, body, _ = problem(error, request_id)
            await send_answer(send_with_id, problem_status, headers, body)
        template = scope.get("path_template")
        endpoint = f"{scope['method']} {template}" if template else UNMATCHED
        self._service.metrics.request(endpoint, status, perf_counter() - started)


def _refuse_early(scope: Scope, *, is_hot: bool) -> None:
    if is_hot:
        raise MethodNotAllowed(allow=["POST"])
    if b"%2f" in scope.get("raw_path", b"").lower():
        # The server has decoded it already: it would be taken for a separator, and no name here has one.
        raise InvalidRequest(faults=[Fault("", "The path has an encoded slash; no name in it may contain one.")])
