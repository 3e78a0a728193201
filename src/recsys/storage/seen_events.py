"""The ids of the events that were accepted, in an SQLite file that all workers of a host share."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recsys.domain.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date
    from pathlib import Path

NAME = "seen.db"
PATIENCE_S = 10.0
PRUNED_AT_ONCE = 5_000
_LOCKED_S = 0.01

# One statement for many ids: with one for each, a busy event loop could make this thread wait for the interpreter
# a thousand times.
_KNOWN = """
select json_group_array(value) from json_each(?2)
where exists (select 1 from seen where tenant_id = ?1 and event_id = value)
"""
_ADD = "insert or ignore into seen (tenant_id, event_id, day) select ?1, value, ?3 from json_each(?2)"
# Rows stand in the order in which they came, so the oldest are found at the beginning, without an index of days. Those
# of days to come are from when the clock was ahead, and must not stand in the way for as long as it was.
_PRUNE = """
delete from seen where day < ?1 and rowid in (select rowid from seen where day <= ?2 order by rowid limit ?3)
"""
_SCHEMA = "create table if not exists seen (tenant_id text, event_id text, day text, primary key (tenant_id, event_id))"


class SeenEvents:
    """Knows which events there are. For one thread; nothing is opened before its first use.

    ``durable``: what was committed survives a power failure, too.

    Raises:
        sqlite3.Error: from every method, when the file cannot be used.
        Overloaded: another process holds the file for too long.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._path = path
        self._synchronous = "FULL" if durable else "NORMAL"
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def changing(self) -> Iterator[None]:
        """A transaction that no other process shares; committed when the block ends well."""
        try:
            connection = self._open()
            connection.execute("begin immediate")
        except sqlite3.Error as error:
            self.close()
            if "locked" in str(error):
                raise Overloaded("Another worker is busy with the event log; try again.") from error
            raise
        try:
            yield
            connection.execute("commit")
        except BaseException:
            # Without its connection a transaction is rolled back, whatever state it is in.
            self.close()
            raise

    def known(self, tenant_id: str, event_ids: Collection[str]) -> set[str]:
        """Those of the ids that were added before."""
        (found,) = self._open().execute(_KNOWN, (tenant_id, _listed(event_ids))).fetchone()
        return set(json.loads(found))

    def add(self, tenant_id: str, event_ids: Collection[str], day: date) -> None:
        """Remember ids."""
        self._open().execute(_ADD, (tenant_id, _listed(event_ids), day.isoformat()))

    def prune(self, before: date, today: date) -> bool:
        """Forget some of what was added on the days before; whether there may be more."""
        with self.changing():
            days = (before.isoformat(), today.isoformat())
            return self._open().execute(_PRUNE, (*days, PRUNED_AT_ONCE)).rowcount > 0

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            give_up_at = time.monotonic() + PATIENCE_S
            while self._connection is None:
                try:
                    self._connection = self._connect()
                except sqlite3.OperationalError as error:
                    # Turning a new file to WAL does not wait for another process that does the same.
                    if "locked" not in str(error) or time.monotonic() > give_up_at:
                        raise
                    time.sleep(_LOCKED_S)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=PATIENCE_S, isolation_level=None)
        try:
            connection.execute("pragma journal_mode = wal")
            connection.execute(f"pragma synchronous = {self._synchronous}")
            connection.execute(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection


def _listed(event_ids: Collection[str]) -> str:
    return json.dumps(list(event_ids), ensure_ascii=False)
