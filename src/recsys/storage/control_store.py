"""The ``ControlStore`` port: reading, and changing one tenant at a time."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import exc, insert, select, text

from recsys.domain.errors import Fault, NotReady, Overloaded, TenantNotFound, Unprocessable
from recsys.storage import rows
from recsys.storage.engine import ANSWER_S, PATIENCE_S, is_lock_timeout, was_lost
from recsys.storage.load import write_rows
from recsys.storage.locking import lock_tenant
from recsys.storage.reader import SqlReader, tenant_query
from recsys.storage.schema import api_keys, tenants
from recsys.storage.transaction import SqlTenantTransaction, revoke_key, write_audit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from recsys.domain.access import Actor
    from recsys.domain.api_key import ApiKey
    from recsys.domain.audit import AuditRecord
    from recsys.domain.catalogue import Dataset, LoadMode, Row
    from recsys.domain.ports import Clock
    from recsys.domain.tenant import Tenant
    from recsys.storage.engine import Database
    from recsys.storage.locking import Locked


class SqlControlStore:
    """The control plane's database, on SQLite or PostgreSQL."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqlReader]:
        """A consistent read-only view."""
        async with self._database.read() as connection:
            yield SqlReader(connection)

    async def tenant(self, reference: str) -> Tenant:
        """A tenant as it is now, in one round trip. Raises TenantNotFound."""
        try:
            async with asyncio.timeout(ANSWER_S):
                found = await self._database.look(*tenant_query(reference))
        except TimeoutError:
            raise NotReady from None
        if not found:
            raise TenantNotFound
        return rows.to_tenant(found[0])

    @asynccontextmanager
    async def changing(self, reference: str, actor: Actor) -> AsyncIterator[SqlTenantTransaction]:
        """Lock a tenant for a change; commit at the end, roll back on an error. See the port."""
        patience = time.monotonic() + PATIENCE_S
        while True:
            async with self._database.write(reference) as connection:
                locked = await _lock(connection, reference)
                if locked is not None:
                    yield SqlTenantTransaction(connection, locked, actor, self._clock.now())
                    return
                await connection.rollback()
            if time.monotonic() > patience:
                raise Overloaded
            # Somebody else holds a lock: let go of everything, wait a little, ask again.
            await asyncio.sleep(random.uniform(0.002, 0.02))  # noqa: S311 - jitter, not a secret

    async def create_tenant(self, tenant: Tenant, actor: Actor, record: AuditRecord) -> None:
        """Create a tenant. Raises Unprocessable when the external id is taken."""
        async with self._writing() as connection:
            taken = select(tenants.c.id).where(tenants.c.external_id == tenant.external_id)
            if (await connection.execute(taken)).first() is not None:
                raise _taken(tenant)
            try:
                await connection.execute(insert(tenants).values(msgspec.structs.asdict(tenant)))
            except exc.IntegrityError as error:
                raise _taken(tenant) from error
            await write_audit(connection, actor, record, tenant.created_at, tenant.id, None)

    async def add_platform_key(self, key: ApiKey, actor: Actor, record: AuditRecord) -> None:
        """Store a key that belongs to no tenant."""
        async with self._writing() as connection:
            await connection.execute(insert(api_keys).values(msgspec.structs.asdict(key)))
            await write_audit(connection, actor, record, key.created_at, None, None)

    async def revoke_platform_key(self, key_id: str, at: datetime, actor: Actor, record: AuditRecord) -> None:
        """Mark a platform key revoked; a second time changes nothing. Raises NotFound when there is no such key."""
        async with self._writing() as connection:
            if await revoke_key(connection, None, key_id, at):
                await write_audit(connection, actor, record, at, None, None)

    async def load(
        self,
        tenant_id: str,
        surface: str,
        dataset: Dataset,
        rows: Iterable[Row],
        mode: LoadMode,
        actor: Actor,
        record: AuditRecord,
    ) -> int:
        """Write validated rows, all or nothing, and raise the data revision, which is returned."""
        # On PostgreSQL loads of a tenant queue among themselves and take its row last, so that a change does not wait
        # for a whole load. SQLite has one writer: there everything that writes waits.
        async with self._writing(f"load {tenant_id}") as connection:
            if self._database.is_postgresql:
                await connection.execute(text(f"set local lock_timeout = '{PATIENCE_S}s'"))
                await connection.execute(text("select pg_advisory_xact_lock(hashtext(:key))"), {"key": tenant_id})
            data_revision = await write_rows(connection, tenant_id, surface, dataset, rows, mode)
            await write_audit(connection, actor, record, self._clock.now(), tenant_id, None)
            return data_revision

    @asynccontextmanager
    async def _writing(self, queue: str = "") -> AsyncIterator[AsyncConnection]:
        """A writing transaction that begins without the lock of a tenant. Raises NotReady: the database hangs."""
        async with self._database.write(queue) as connection:
            async with asyncio.timeout(ANSWER_S):
                await connection.execute(text("select 1"))
            yield connection


async def _lock(connection: AsyncConnection, reference: str) -> Locked | None:
    """The locked tenant; None when a lock cannot be had now, or the connection is gone: nothing was done yet."""
    try:
        async with asyncio.timeout(ANSWER_S):  # more than it waits for any lock
            return await lock_tenant(connection, reference)
    except exc.DBAPIError as error:
        if is_lock_timeout(error) or was_lost(error):
            return None
        raise


def _taken(tenant: Tenant) -> Unprocessable:
    return Unprocessable(faults=[Fault("/external_id", f"There is already a tenant {tenant.external_id!r}.")])
