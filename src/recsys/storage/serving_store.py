"""The ``ServingStore`` port: what replicas read."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from sqlalchemy import select

from recsys.domain.catalogue import Item, SurfaceRows
from recsys.domain.ports import Overview
from recsys.storage.documents import DocumentsReader
from recsys.storage.overview import OverviewReader, valid_load_id
from recsys.storage.schema import covisits, items, popularity, surfaces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from recsys.domain.ports import TenantDocuments
    from recsys.storage.engine import Database
    from recsys.storage.file_watch import Mark

T = TypeVar("T")

_BLOCK: Final = 1_000
_TRUSTED_S: Final = 1.0


class SqlServingStore:
    """What replicas read, on SQLite or PostgreSQL; every method is one consistent view."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = OverviewReader(database)
        self._seen: tuple[Mark, float, Overview] | None = None
        self._documents = DocumentsReader(database)

    async def overview(self) -> Overview:
        """All tenants and their revisions, and all keys that are not revoked.

        One statement, or where a SQLite file has not changed since the last one, for a second at most, none.
        """
        began, now = monotonic(), datetime.now(UTC)
        mark = await self._database.mark()
        if mark is not None and self._seen is not None:
            seen, seen_at, overview = self._seen
            if seen == mark and began - seen_at < _TRUSTED_S:
                # Nobody has committed, so it is as good as read anew.
                return msgspec.structs.replace(overview, read_at=now)
        overview = await self._reader.read(now)
        # The mark is from before the read: what was committed in between makes the next one differ.
        self._seen = None if mark is None else (mark, began, overview)
        return overview

    async def documents(self, tenant_id: str) -> TenantDocuments:
        """The current documents. Raises TenantNotFound."""
        return await self._documents.read(tenant_id)

    async def surface_rows(self, tenant_id: str, surface: str, *, items_only: bool = False) -> SurfaceRows:
        """All rows of a surface, or those of its items, with the data revision that they belong to."""
        async with self._database.read() as connection:
            address = (surfaces.c.tenant_id == tenant_id, surfaces.c.namespace == surface)
            asked = select(surfaces.c.data_revision, surfaces.c.load_id).where(*address)
            revision, load_id = (await connection.execute(asked)).one_or_none() or (0, None)
            mine = (connection, tenant_id, surface)
            columns = ("item_id", "title", "tags", "price", "created_at", "attributes")
            found_items = await _rows(*mine, items, columns, _to_item)
            if items_only:
                return SurfaceRows(
                    surface=surface, data_revision=revision, load_id=valid_load_id(load_id), items=found_items
                )
            found_popularity = await _rows(*mine, popularity, ("item_id", "day", "score"), tuple)
            found_covisits = await _rows(*mine, covisits, ("item_id", "neighbor_id", "day", "score"), tuple)
        return SurfaceRows(
            surface=surface,
            data_revision=revision,
            load_id=valid_load_id(load_id),
            items=found_items,
            popularity=found_popularity,
            covisits=found_covisits,
        )


async def _rows(
    connection: AsyncConnection,
    tenant_id: str,
    surface: str,
    table: Table,
    names: Sequence[str],
    convert: Callable[[Any], T],
) -> list[T]:
    """The rows of a surface, converted; in blocks, between which the event loop answers requests."""
    wanted = select(*(table.c[name] for name in names)).where(
        table.c.tenant_id == tenant_id, table.c.namespace == surface
    )
    found: list[T] = []
    async with connection.stream(wanted, execution_options={"yield_per": _BLOCK}) as result:
        async for block in result.partitions():
            found.extend(map(convert, block))
            await asyncio.sleep(0)
    return found


def _to_item(row: tuple[Any, ...]) -> Item:
    item_id, title, tags, price, created_at, attributes = row
    return Item(
        item_id=item_id,
        title=title,
        tags=json.loads(tags),
        price=price,
        created_at=created_at,
        attributes=None if attributes is None else json.loads(attributes),
    )
