"""A service that is killed, as by kill -9, at a chosen point of the next change: ``python -m tests.support.mortal``.

The point is read from a file when a writing transaction begins: a number (before its so-manieth statement),
``before-commit``, ``after-commit`` or ``before-reply``. Without the file the service lives, and counts.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import Connection, Engine, event

from recsys.bootstrap.wiring import create_app
from recsys.storage.engine import Database


class Fate:
    """Where this process is to die; ``statements``: how many the last change took."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._point: str | None = None
        self._statement = 0

    def begin(self) -> None:
        """A change begins."""
        self._point = self._file.read_text() if self._file.exists() else None
        self._statement = 0

    def reach(self, point: str) -> None:
        """Die if it was to be here."""
        if self._point == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def count(self) -> None:
        """A statement of the change is about to be sent."""
        self._statement += 1
        self.reach(str(self._statement))

    def end(self) -> None:
        """Leave word of how many statements it took."""
        self._file.with_suffix(".count").write_text(str(self._statement))


def main() -> None:
    """Serve on the port given, with the file of fate given."""
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    fate = Fate(file)
    _watch_statements(fate)
    _watch_transactions(fate)
    uvicorn.run(_watched(create_app(), fate), port=port, interface="asgi3", log_level="warning", lifespan="on")


def _watch_statements(fate: Fate) -> None:
    def before(connection: Connection, *_: Any) -> None:
        if connection.get_execution_options().get("recsys_write"):
            fate.count()

    def commit(connection: Connection) -> None:
        if connection.get_execution_options().get("recsys_write"):
            fate.reach("before-commit")

    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "commit", commit)


def _watch_transactions(fate: Fate) -> None:
    write = Database.write

    @asynccontextmanager
    async def watched(self: Database, queue: str = "", *, makes_file: bool = False) -> AsyncIterator[Any]:
        fate.begin()
        async with write(self, queue, makes_file=makes_file) as connection:
            yield connection
        fate.reach("after-commit")
        fate.end()

    Database.write = watched  # type: ignore[method-assign]


def _watched(app: Callable[..., Awaitable[None]], fate: Fate) -> Callable[..., Awaitable[None]]:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        async def watched_send(message: Any) -> None:
            if message["type"] == "http.response.start" and scope["method"] in ("PUT", "POST"):
                fate.reach("before-reply")
            await send(message)

        await app(scope, receive, watched_send if scope["type"] == "http" else send)

    return answer


if __name__ == "__main__":
    main()
