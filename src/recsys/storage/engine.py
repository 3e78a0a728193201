"""Opening a database and running transactions on it: what differs between SQLite and PostgreSQL is in this file."""

from __future__ import annotations

import asyncio
import hashlib
import weakref
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, exc, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from recsys.domain.errors import InvalidRequest, NotReady, Overloaded
from recsys.storage.file_watch import FileWatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from sqlalchemy import URL, Connection, Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from recsys.storage.file_watch import Mark

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
PARAMETERS = {"host", "port", "sslmode"}
BUSY_TIMEOUT_MS = 10_000
LOCK_NOT_AVAILABLE = "55P03"
UNAVAILABLE = ("08", "28", "3D", "53", "55000", "57P")
"""Beginnings of SQLSTATEs that mean: not now (connection, credentials, no such database or none that may be connected
to, resources, shutting down or starting up)."""
PATIENCE_S = 10.0
"""How long a writer waits for its turn, and for each lock."""
ANSWER_S = 5.0
"""How long the first statement of a transaction may take: a database that hangs is as good as gone."""
_NAME_DIGITS = 16
_ATTEMPTS = 2
_NOTHING = text("select 1")
POSTGRESQL_CONNECTIONS = 12
"""Of each worker, at most: four workers, and one more while they are replaced, fit into the 100 of a new server."""
POSTGRESQL_SETTINGS = {"plan_cache_mode": "force_generic_plan"}
"""Statements look rows up by their keys, whatever the parameters: planning one each time costs more than running it."""
POSTGRESQL_TIMEOUTS = {"timeout": 5, "command_timeout": 120}


class Database:
    """An open database: reads in consistent snapshots, writes one at a time where that is faster.

    SQLite has one writer anyway; letting its writers queue in the process, rather than poll the file, is what makes
    many concurrent changes fast. On PostgreSQL the queue is per tenant, so that the waiters for one row do not take
    every connection of the pool.
    """

    def __init__(self, engine: AsyncEngine, file: Path | None = None) -> None:
        self.engine = engine
        self._file = file
        self._identity = _identity(file)
        self._watch = FileWatch(file) if file else None
        self.is_postgresql = engine.dialect.name == "postgresql"
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.is_postgresql else {}
        self._reader = engine.execution_options(**snapshot)
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writer = engine.execution_options(recsys_write=True)
        self._queues: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction in which everything belongs to one moment."""
        with _translated():
            await self._follow_file()
            self._require_file()
            connection = await self._begin_reading()
            try:
                yield connection
            finally:
                await connection.close()

    async def _begin_reading(self) -> AsyncConnection:
        """A connection in a transaction. An idle one may be gone; that shows when it begins, and another will do."""
        for _ in range(_ATTEMPTS):
            connection = await self._reader.connect()
            try:
                async with asyncio.timeout(ANSWER_S):
                    await connection.execute(_NOTHING)
            except BaseException as error:
                await connection.close()
                if not was_lost(error):
                    raise
            else:
                return connection
        raise NotReady

    async def look(self, query: Select[Any], given: Mapping[str, object]) -> Sequence[Row[Any]]:
        """The rows of a single query. A connection that turns out to be gone is no reason to fail: it is asked anew."""
        for _ in range(_ATTEMPTS):
            try:
                async with self.single() as connection:
                    found: Sequence[Row[Any]] = (await connection.execute(query, given)).all()
                    return found
            except NotReady as error:
                if not was_lost(error):
                    raise
        raise NotReady

    @asynccontextmanager
    async def single(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement is a transaction of its own, without the round trips of a longer one.

        On SQLite a statement that writes holds the lock only while it runs, not until the event loop is back.
        """
        with _translated():
            await self._follow_file()
            self._require_file()
            async with self._single.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self, queue: str = "", *, makes_file: bool = False) -> AsyncIterator[AsyncConnection]:
        """A writing transaction, committed when the block ends well.

        ``queue`` names whom it has to wait for; ``makes_file``: an SQLite file that is not there is made.
        """
        async with self._turn(queue):
            with _translated():
                await self._follow_file()
                if not makes_file:
                    self._require_file()
                async with self._writer.begin() as connection:
                    yield connection

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for other databases."""
        return self._file

    @property
    def name_hash(self) -> str | None:
        """What tells this database from others: a hash of where it is, not of who asks; None for one in memory."""
        url = self.engine.url
        if not self.is_postgresql:
            where = str(self._file.resolve()) if self._file else None
        else:
            where = repr((url.host, url.port, url.query.get("host"), url.query.get("port"), url.database))
        return hashlib.sha256(where.encode()).hexdigest()[:_NAME_DIGITS] if where else None

    async def mark(self) -> Mark | None:
        """What differs once anybody has committed; None where that is not known without a read."""
        return await asyncio.to_thread(self._watch.mark) if self._watch else None

    async def close(self) -> None:
        """Give all connections back."""
        if self._watch is not None:
            self._watch.close()
        await self.engine.dispose()

    @asynccontextmanager
    async def _turn(self, queue: str) -> AsyncIterator[None]:
        lock = self._queues.setdefault(queue if self.is_postgresql else "", asyncio.Lock())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await lock.acquire()
        except TimeoutError:
            raise Overloaded from None
        try:
            yield
        finally:
            lock.release()

    def _require_file(self) -> None:
        """Raises NotReady: there is no such file, and using it would make an empty one."""
        if self._file is not None and self._identity is None:
            raise NotReady(f"There is no database file {self._file.name}.")

    async def _follow_file(self) -> None:
        """Notice that the SQLite file was replaced, by a restore say: open connections still have the old one.

        Raises:
            NotReady: the file is gone; opening it would make an empty one.
        """
        if self._file is None:
            return
        found = _identity(self._file)
        if found == self._identity:
            return
        if found is None and self._identity is not None:
            raise NotReady(f"The database file {self._file.name} is gone.")
        if self._identity is not None:
            await self.engine.dispose()
        self._identity = found


def open_database(url: str) -> Database:
    """Open ``sqlite:///path`` or ``postgresql://…``; nothing is connected before the first use.

    Raises:
        InvalidRequest: the URL is of no kind that is known.
    """
    try:
        parsed = make_url(url)
        driver = DRIVERS[parsed.get_backend_name()]
    except (exc.ArgumentError, KeyError):
        # Not the URL itself: it may hold a password.
        detail = f"A database URL begins with sqlite:/// or postgresql://, not with {url.partition(':')[0][:20]!r}."
        raise InvalidRequest(detail) from None
    parsed = parsed.set(drivername=driver)
    if driver == DRIVERS["sqlite"]:
        engine = create_async_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        name = parsed.database or ":memory:"
        return Database(engine, None if name == ":memory:" or name.startswith("file:") else Path(name))
    engine = create_async_engine(
        _for_asyncpg(parsed),
        # All that are opened stay open: opening one costs a change or two. The last one used is the next one taken, so
        # that few of them do most of the work, and know its statements.
        pool_size=POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=PATIENCE_S,
        connect_args={**POSTGRESQL_TIMEOUTS, "server_settings": POSTGRESQL_SETTINGS},
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return Database(engine)


def _identity(file: Path | None) -> tuple[int, int] | None:
    """Which file this is, whatever it is called; None when there is none."""
    try:
        found = file.stat() if file else None
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def _for_asyncpg(url: URL) -> URL:
    """The URL with its parameters as the driver calls them; others would surface as a TypeError at first use."""
    if unknown := sorted(url.query.keys() - PARAMETERS):
        detail = f"A postgresql:// URL takes the parameters {', '.join(sorted(PARAMETERS))}, not {', '.join(unknown)}."
        raise InvalidRequest(detail)
    query = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    return url.set(query=query)


def is_lock_timeout(error: BaseException) -> bool:
    """Whether PostgreSQL gave up waiting for a lock."""
    return isinstance(error, exc.DBAPIError) and getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE


def was_lost(error: BaseException) -> bool:
    """Whether a connection that was thought to be open is not, so that another one may well do."""
    failure = error.__cause__ if isinstance(error, NotReady) else error
    return isinstance(failure, exc.DBAPIError) and failure.connection_invalidated


def _refuse_closed(connection: Any, *_: object) -> None:
    """Have the pool connect anew where the server hung up, as the driver knows without asking it over the network."""
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError("The server closed the connection.")


def _set_up_sqlite(connection: Any, _: object) -> None:
    # The driver must not begin transactions on its own: BEGIN IMMEDIATE is what makes compare-and-set safe.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    writes = options.get("recsys_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_unavailable(error: exc.DBAPIError) -> bool:
    if error.connection_invalidated or isinstance(error, (exc.OperationalError, exc.InterfaceError)):
        return True
    if (getattr(error.orig, "sqlstate", None) or "").startswith(UNAVAILABLE):
        return True
    return any(words in str(error.orig) for words in ("file is not a database", "disk image is malformed"))


@contextmanager
def _translated() -> Iterator[None]:
    """Turn a driver's complaint about the connection into NotReady, and a busy SQLite into Overloaded."""
    try:
        yield
    except exc.DBAPIError as error:
        if "database is locked" in str(error.orig) or is_lock_timeout(error):
            raise Overloaded("The database is busy with another writer; try again.") from error
        if _is_unavailable(error):
            raise NotReady from error
        raise
    except (OSError, exc.TimeoutError) as error:
        raise NotReady from error
