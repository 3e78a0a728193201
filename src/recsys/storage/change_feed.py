"""The ``ChangeFeed`` port on PostgreSQL: a connection of its own that listens."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.domain.ports import FeedObserver
    from recsys.storage.engine import Database

_log = logging.getLogger(__name__)
_CHANNEL = "recsys"
_HEARTBEAT_S = 1.0
_PATIENCE_S = 2.0
_CONNECT_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_NAME = "recsys change feed"


class PostgresChangeFeed:
    """Hears of every commit that moves a tenant or a key, until the connection is lost; then connects again.

    TCP may take minutes to notice that the other side is gone, so every second the connection has to prove itself.
    After each loss it listens first and then says that something may have changed: what was missed meanwhile is found
    by whoever looks now, and what comes later is heard.
    """

    def __init__(self, database: Database, observer: FeedObserver) -> None:
        _, self._address = database.engine.dialect.create_connect_args(database.engine.url)
        self._observer = observer
        self._task: asyncio.Task[None] | None = None
        self._healthy = False

    @property
    def healthy(self) -> bool:
        """Whether changes are heard of."""
        return self._healthy

    def start(self, heard: Callable[[str], None]) -> None:
        """Begin to listen; see the port."""
        self._task = asyncio.create_task(self._listen_forever(heard), name="change feed")

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _listen_forever(self, heard: Callable[[str], None]) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                await self._listen(heard)
            except Exception as error:  # noqa: BLE001 - whatever it was, polling goes on and the next attempt comes
                if self._healthy:
                    pause = _FIRST_PAUSE_S
                    _log.warning("the connection that hears of changes was lost; polling meanwhile: %s", error)
            finally:
                self._note(heard, healthy=False)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _listen(self, heard: Callable[[str], None]) -> None:
        """Listen until the connection is lost, which raises."""
        connection = await asyncpg.connect(
            **self._address, timeout=_CONNECT_S, server_settings={"application_name": _NAME}
        )
        try:
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(_CHANNEL, lambda *said: heard(str(said[-1])))
            self._note(heard, healthy=True)
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(closed.wait(), _HEARTBEAT_S)
                # On a connection that was closed this raises at once.
                await connection.fetchval("select 1", timeout=_PATIENCE_S)
        finally:
            connection.terminate()

    def _note(self, heard: Callable[[str], None], *, healthy: bool) -> None:
        """Remember and tell; either way whoever hears has to look: something may have been missed."""
        if healthy != self._healthy:
            self._healthy = healthy
            self._observer.listening(healthy=healthy)
            heard("")
