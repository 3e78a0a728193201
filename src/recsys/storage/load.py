"""Bulk loads: validated rows into the tables of signals and items."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from recsys.domain.catalogue import ROW_KEYS, Covisit, Item, Popularity
from recsys.domain.errors import Frozen, TenantNotFound
from recsys.storage.schema import DATASETS, surfaces, tenants

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from recsys.domain.catalogue import Dataset, LoadMode, Row

CHUNK_ROWS = 5_000
CHUNK_CHARACTERS = 4_194_304


async def write_rows(
    connection: AsyncConnection, tenant_id: str, surface: str, dataset: Dataset, rows: Iterable[Row], mode: LoadMode
) -> int:
    """Write rows of one surface, raise the tenant's data revision and give it back; the load gets a new name.

    Raises TenantNotFound, and Frozen also when that was done while the rows were written.
    """
    table = DATASETS[dataset]
    if mode == "replace":
        await connection.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.namespace == surface))
    statement = _upsert(connection, table, ("tenant_id", "namespace", *ROW_KEYS[dataset]))
    address = {"tenant_id": tenant_id, "namespace": surface}
    chunks = _chunks(rows, address)
    while chunk := await asyncio.to_thread(next, chunks, None):  # rows may be decoded only now, which takes its time
        await connection.execute(statement, chunk)
    return await _raise_data_revision(connection, tenant_id, surface)


def to_columns(row: Row) -> dict[str, Any]:
    """A row as the columns of its table, without the tenant and surface."""
    match row:
        case Item():
            return {
                "item_id": row.item_id,
                "tags": json.dumps(row.all_tags(), ensure_ascii=False),
                "price": row.price,
                "created_at": row.created_at,
                "title": row.title,
                "attributes": None if row.attributes is None else json.dumps(row.attributes, ensure_ascii=False),
            }
        case Popularity():
            return {"item_id": row.item_id, "day": row.day, "score": row.score}
        case Covisit():
            return {"item_id": row.item_id, "neighbor_id": row.neighbor_id, "day": row.day, "score": row.score}


def _upsert(connection: AsyncConnection, table: Table, keys: tuple[str, ...]) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    changed = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


async def _raise_data_revision(connection: AsyncConnection, tenant_id: str, surface: str) -> int:
    raised = await connection.execute(
        update(tenants)
        .where(tenants.c.id == tenant_id)
        .values(data_revision=tenants.c.data_revision + 1)
        .returning(tenants.c.data_revision, tenants.c.frozen)
    )
    tenant = raised.one_or_none()
    if tenant is None:
        raise TenantNotFound
    # The row is locked from here to the commit: no load is committed after its tenant was frozen.
    if tenant.frozen:
        raise Frozen
    known = select(surfaces.c.namespace).where(surfaces.c.tenant_id == tenant_id, surfaces.c.namespace == surface)
    address = {"tenant_id": tenant_id, "namespace": surface}
    facts = {"data_revision": tenant.data_revision, "load_id": str(uuid4())}
    if (await connection.execute(known)).first() is None:
        await connection.execute(surfaces.insert().values(address | facts))
    else:
        mine = (surfaces.c.tenant_id == tenant_id, surfaces.c.namespace == surface)
        await connection.execute(update(surfaces).where(*mine).values(facts))
    return int(tenant.data_revision)


def _chunks(rows: Iterable[Row], address: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
    """Rows as columns, so many at a time that they are neither many nor long in all."""
    chunk: list[dict[str, Any]] = []
    characters = 0
    for row in rows:
        columns = to_columns(row)
        characters += sum(len(value) for value in columns.values() if isinstance(value, str))
        chunk.append(address | columns)
        if len(chunk) >= CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
