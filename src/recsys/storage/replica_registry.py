"""The ``ReplicaRegistry`` port: one row per replica, and the invalidations that wait for all of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import ColumnElement, Interval, Text, bindparam, delete, func, literal, or_, select, text, true, update
from sqlalchemy.dialects import postgresql, sqlite

from recsys.domain.ports import OpenInvalidation
from recsys.domain.replica import LEASE_S, ReplicaRow, Roster, SyncedTenant
from recsys.storage.engine import ANSWER_S
from recsys.storage.schema import UtcTime, invalidations, replicas

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Row, Select
    from sqlalchemy.sql.dml import Insert

    from recsys.domain.replica import ReplicaIdentity, ReplicaReport
    from recsys.storage.engine import Database

_LEASE = timedelta(seconds=LEASE_S)
_NOW = "now"
_MOVING = ("heartbeat_at", "synced_through", "tenants")


class SqlReplicaRegistry:
    """The table of replicas, on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._heartbeat = self._make_heartbeat()
        # Made once, too; SQLite's time goes into the statement.
        self._roster = self._make_roster() if database.is_postgresql else None

    async def roster(self) -> Roster:
        """The live replicas, now. Raises NotReady."""
        async with self._database.single() as connection, asyncio.timeout(ANSWER_S):
            rows = (await connection.execute(self._make_roster() if self._roster is None else self._roster)).all()
            read_at: datetime = (
                rows[0].read_at if rows else (await connection.execute(select(self._now()))).scalar_one()
            )
        live = [row for row in rows if row.heartbeat_at > read_at - _LEASE]
        return Roster(read_at=read_at, replicas=[_to_replica(row) for row in live])

    async def write(self, replica: ReplicaIdentity, report: ReplicaReport) -> None:
        """Say how far a replica is, and that it lives."""
        values: dict[str, object] = {
            **msgspec.structs.asdict(replica),
            "synced_through": report.synced_through,
            "tenants": msgspec.json.encode(report.tenants).decode(),
        }
        if not self._database.is_postgresql:
            values[_NOW] = datetime.now(UTC)
        async with self._database.single() as connection:
            await connection.execute(self._heartbeat, values)

    async def remove(self, replica_ids: Collection[str]) -> None:
        """Delete the rows of replicas that are known to be gone, and of those whose lease has run out."""
        gone = or_(replicas.c.id.in_(replica_ids), replicas.c.heartbeat_at < self._now(_LEASE))
        async with self._database.single() as connection:
            # Looked at first: a statement that writes takes SQLite's only lock even where it finds nothing.
            if (await connection.scalars(select(replicas.c.id).where(gone))).first():
                await connection.execute(delete(replicas).where(gone))

    async def nudge(self, tenant_id: str) -> None:
        """Have replicas look at a tenant, as if it had changed; on SQLite they look all the time."""
        if self._database.is_postgresql:
            async with self._database.single() as connection:
                await connection.execute(text("select pg_notify('recsys', :tenant)"), {"tenant": tenant_id})

    async def open_invalidations(self) -> list[OpenInvalidation]:
        """What was requested and is not known to be applied everywhere."""
        events = invalidations.c
        query = select(events.id.label("event_id"), events.tenant_id, events.number).where(events.status == "requested")
        async with self._database.single() as connection:
            found = (await connection.execute(query)).all()
        return [OpenInvalidation(**row._mapping) for row in found]  # noqa: SLF001 - SQLAlchemy's public name for it

    async def close_invalidation(self, event_id: int) -> None:
        """Record that every live replica has read again; a second time changes nothing."""
        mine = (invalidations.c.id == event_id, invalidations.c.status == "requested")
        async with self._database.write("replicas") as connection:
            await connection.execute(
                update(invalidations).where(*mine).values(status="applied", applied_at=self._now())
            )

    def _make_roster(self) -> Select[Any]:
        return select(self._now().label("read_at"), replicas).order_by(replicas.c.host, replicas.c.pid)

    def _make_heartbeat(self) -> Insert:
        """Made once: building a statement costs more than executing it."""
        is_postgresql = self._database.is_postgresql
        now: ColumnElement[datetime] = (
            func.clock_timestamp(type_=UtcTime()) if is_postgresql else bindparam(_NOW, type_=UtcTime())
        )
        values: dict[str, ColumnElement[Any]] = {
            name: bindparam(name, type_=replicas.c[name].type)
            for name in ("id", "host", "pid", "code_version", "synced_through", "tenants")
        }
        values |= {"started_at": now, "heartbeat_at": now}
        # PostgreSQL does not wait for the disk: a heartbeat that a power failure takes back is no loss.
        off = func.set_config("synchronous_commit", "off", True, type_=Text()) == "off" if is_postgresql else true()
        insert = postgresql.insert if is_postgresql else sqlite.insert
        statement = insert(replicas).from_select(list(values), select(*values.values()).where(off))
        # A row that was taken for dead and deleted is there again with the next heartbeat.
        moving = {name: statement.excluded[name] for name in _MOVING}
        return statement.on_conflict_do_update(index_elements=["id"], set_=moving)

    def _now(self, ago: timedelta = timedelta()) -> ColumnElement[datetime]:
        """The database's time. SQLite runs in this process, and its own clock knows but milliseconds."""
        if self._database.is_postgresql:
            return func.clock_timestamp(type_=UtcTime()) - literal(ago, Interval())
        return literal(datetime.now(UTC) - ago, UtcTime())


def _to_replica(row: Row[Any]) -> ReplicaRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    del values["read_at"]
    return ReplicaRow(**{**values, "tenants": msgspec.json.decode(row.tenants, type=dict[str, SyncedTenant])})
