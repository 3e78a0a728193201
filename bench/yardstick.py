"""The frozen yardstick: a raw ASGI application that reads the body and answers a constant, on the service's settings.

It is what a request costs before anybody thinks about it. It is never to be changed, least of all slowed: figures are
only comparable over the years because this is not.

Run as a program: python -m bench.yardstick PORT ANSWER_BYTES
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import uvicorn

Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Application: TypeAlias = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def constant(answer_bytes: int) -> Application:
    """An application that answers so many bytes to whatever it is asked."""
    body = b'"' + b"x" * (answer_bytes - 2) + b'"'
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", b"application/json"),
            (b"x-request-id", b"00000000-00000000"),
            (b"content-length", b"%d" % len(body)),
        ],
    }
    end = {"type": "http.response.body", "body": body, "more_body": False}

    async def application(_scope: dict[str, Any], receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        await send(start)
        await send(end)

    return application


def main(port: int, answer_bytes: int) -> None:
    """Serve until told to stop."""
    uvicorn.run(
        constant(answer_bytes),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        date_header=False,
        log_level="warning",
        backlog=2_048,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
