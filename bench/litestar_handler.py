"""What the service would be if it did nothing: a typed Litestar handler, the request decoded, the answer encoded.

The types are the service's own. The answer is one of its answers, encoded anew for every request, so that its size is
the same. Run as a program: python -m bench.litestar_handler PORT FILE_WITH_THE_ANSWER
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import uvicorn
from litestar import Litestar, post

from recsys.domain.recommend import RecommendRequest, RecommendResponse


def application(answer: RecommendResponse) -> Litestar:
    """An application that gives this answer to every recommend request."""

    @post("/v1/recommend", status_code=200)
    async def recommend(data: RecommendRequest) -> RecommendResponse:  # noqa: ARG001 - decoded, not needed
        return answer

    return Litestar([recommend], openapi_config=None, logging_config=None)


def main(port: int, answer: Path) -> None:
    """Serve until told to stop, with the settings of the service and of the yardstick."""
    uvicorn.run(
        application(msgspec.json.decode(answer.read_bytes(), type=RecommendResponse)),
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
    main(int(sys.argv[1]), Path(sys.argv[2]))
