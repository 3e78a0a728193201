"""Locking a tenant for a change, and reading in the same round trip what every change has to know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, func, select, true

from recsys.domain.errors import TenantNotFound
from recsys.domain.tenant import Tenant, is_uuid
from recsys.storage import rows
from recsys.storage.schema import DOCUMENTS, ledger, tenants

if TYPE_CHECKING:
    from sqlalchemy import CTE, Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from recsys.domain.history import LedgerEntry

LOCK_TIMEOUT_MS = 2_000

_HELD = "held_"


@dataclass(frozen=True)
class Locked:
    """A tenant under lock, and the newest entry of its ledger (without its labels); None before the first."""

    tenant: Tenant
    latest: LedgerEntry | None

    @property
    def at_one(self) -> bool:
        """Whether the two were read at the same moment, as far as they can tell."""
        return self.tenant.revision == (self.latest.revision if self.latest else 0)


async def lock_tenant(connection: AsyncConnection, reference: str) -> Locked:
    """Lock the tenant's row, then its pointers; the first statement of a transaction.

    This is the lock order of the whole service: it waits for the tenant's row only while it holds nothing, and for a
    pointer never, so an operator's statement (pointer first, tenant's row in its trigger) cannot end up in a deadlock
    with it. SQLite has locked the whole database at BEGIN IMMEDIATE.

    Raises:
        TenantNotFound: no such tenant.
        DBAPIError: a lock could not be had; the caller has to let go of everything.
    """
    found = await _lock(connection, reference)
    # Whoever waits for a row gets it as it is now, but everything else as it was when the statement began. Holding the
    # row, a second statement sees all that the one before us has done, pointers that it made among it.
    return found if found.at_one else await _lock(connection, reference)


async def _lock(connection: AsyncConnection, reference: str) -> Locked:
    by_id = is_uuid(reference)
    query = _statement(connection.dialect.name, by_id=by_id)
    row = (await connection.execute(query, {"reference": reference.lower() if by_id else reference})).one_or_none()
    if row is None:
        raise TenantNotFound
    return _read(row)


def _read(row: Row[Any]) -> Locked:
    tenant = Tenant(**dict(zip(tenants.c.keys(), row, strict=False)))
    return Locked(tenant, None if row.revision is None else rows.to_ledger_entry(row, []))


@cache
def _statement(dialect: str, *, by_id: bool) -> Select[Any]:
    """Made once: building a statement costs more than executing it."""
    wanted = (tenants.c.id if by_id else tenants.c.external_id) == bindparam("reference")
    if dialect != "postgresql":
        return _with_latest(select(tenants).where(wanted).cte("held"))
    patience = select(func.set_config("lock_timeout", str(LOCK_TIMEOUT_MS), true()).label("is")).cte("patience")
    waited = select(tenants).join(patience, true()).where(wanted)
    held = waited.with_for_update(key_share=True, of=tenants).cte("held")
    # Each part reads from the one before, so that the locks are taken in this order; what nobody reads is not executed.
    pointers = [
        select(tables.current.c.tenant_id)
        .join(held, held.c.id == tables.current.c.tenant_id)
        .with_for_update(key_share=True, nowait=True, of=tables.current)
        .cte(f"{name}_pointers")
        for name, tables in DOCUMENTS.items()
    ]
    counts = [select(func.count()).select_from(part).scalar_subquery() for part in pointers]
    return _with_latest(held).add_columns(*counts)


def _with_latest(held: CTE) -> Select[Any]:
    """The tenant's columns, then those of its newest ledger row."""
    newest = ledger.alias("newest")
    last = select(func.max(newest.c.revision)).where(newest.c.tenant_id == held.c.id).scalar_subquery()
    mine = and_(ledger.c.tenant_id == held.c.id, ledger.c.revision == last)
    columns = [column.label(_HELD + column.name) for column in held.c]
    return select(*columns, ledger).select_from(held.outerjoin(ledger, mine))
