"""Reading what every replica looks at again and again: tenants, revisions, surfaces and keys.

With a thousand tenants, turning rows into objects is most of the work, and most of the time none has changed. So the
database gives each table as one JSON text, in one statement, and only a text that differs from the last one is decoded.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Select, Text, cast, func, literal, literal_column, select

from recsys.domain.api_key import ApiKey
from recsys.domain.names import UUID_PATTERN
from recsys.domain.ports import Overview, TenantHead
from recsys.domain.tenant import Tenant
from recsys.storage.schema import UtcTime, api_keys, ledger, surfaces, tenants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Column, ColumnElement, ScalarSelect

    from recsys.storage.engine import Database

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Move(NamedTuple):
    """When the current revision of a tenant was made."""

    tenant_id: str
    moved_at: str | None


class _Surface(NamedTuple):
    """A row of ``tenant_surfaces``; the fields are its columns."""

    tenant_id: str
    namespace: str
    data_revision: int
    load_id: str | None


class OverviewReader:
    """Reads the overview; what is as it was the last time stays the same object."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tenants = _Decoded("tenant", Tenant)
        self._moves = _Decoded("tenant", _Move)
        self._surfaces = _Decoded("surface of tenant", _Surface)
        self._keys = _Decoded("API key", ApiKey)
        self._taken: tuple[object, ...] | None = None
        self._moved_at: dict[str, str | None] = {}
        self._data: dict[str, dict[str, int]] = {}
        self._loads: dict[str, dict[str, str]] = {}
        self._heads: list[TenantHead] = []
        self._query = _query(is_postgresql=database.is_postgresql)

    async def read(self, now: datetime) -> Overview:
        """Everything as of one moment; ``now``: a time before the call, for SQLite, which runs in this process."""
        async with self._database.single() as connection:
            found = (await connection.execute(self._query)).one()
        read_at: datetime | None
        read_at, tenants_text, moves_text, surfaces_text, keys_text = found
        self._surfaces.take(surfaces_text)
        self._tenants.take(tenants_text)
        self._moves.take(moves_text)
        self._keys.take(keys_text)
        self._take_over()
        return Overview(heads=self._heads, keys=self._keys.value, read_at=read_at or now)

    def _take_over(self) -> None:
        """Follow what was decoded. A tenant of which a row cannot be read stays as it was: it is not gone."""
        taken = (self._surfaces.value, self._tenants.value, self._moves.value)
        if self._taken is not None and all(one is other for one, other in zip(taken, self._taken, strict=True)):
            return
        self._data, self._loads = _by_tenant(self._surfaces.value)
        self._moved_at = {move.tenant_id: move.moved_at for move in self._moves.value}
        known = {head.tenant.id: head for head in self._heads}
        unreadable = self._tenants.unreadable | self._surfaces.unreadable
        read = (each for each in self._tenants.value if each.id not in unreadable)
        self._heads = [self._head(tenant, known.get(tenant.id)) for tenant in read]
        self._heads += [head for tenant_id, head in known.items() if tenant_id in unreadable]
        self._taken = taken

    def _head(self, tenant: Tenant, known: TenantHead | None) -> TenantHead:
        head = TenantHead(
            tenant=tenant,
            surfaces=self._data.get(tenant.id, {}),
            load_ids=self._loads.get(tenant.id, {}),
            moved_at=self._moved_at.get(tenant.id),
        )
        return known if known == head else head


class _Decoded(Generic[T]):
    """A JSON text and what it says, decoded when it changes, without the rows that nobody can read.

    Such a row was written by hand, say, or by a later release. Refusing all of them for its sake would keep every
    replica from following anything. ``unreadable``: the ids in them, of tenants or, of a key, its own.
    """

    def __init__(self, what: str, type_: type[T]) -> None:
        self.value: list[T] = []
        self.unreadable: frozenset[str] = frozenset()
        self._what, self._type = what, type_
        self._text: str | None = None
        # SQLite has 0 and 1 for what is false and true.
        self._decoder = msgspec.json.Decoder(list[type_], strict=False)  # type: ignore[valid-type]

    def take(self, text: str) -> None:
        """Decode a text, unless it is the one before."""
        if text == self._text:
            return
        try:
            self.value, self.unreadable = self._decoder.decode(text), frozenset()
        except msgspec.ValidationError:
            self._take_readable(msgspec.json.decode(text))
        self._text = text

    def _take_readable(self, rows: list[Any]) -> None:
        value, unreadable = [], set()
        for row in rows:
            try:
                value.append(msgspec.convert(row, self._type, strict=False))
            except msgspec.ValidationError as error:
                found = str(row["id"] if isinstance(row, dict) else row[0])
                unreadable.add(found)
                _log.error("a row of %s %s cannot be read and counts for nothing: %s", self._what, found, error)
        self.value, self.unreadable = value, frozenset(unreadable)


def _by_tenant(
    rows: Sequence[_Surface],
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, str]]]:
    """Data revisions and names of loads, by tenant and surface."""
    data: dict[str, dict[str, int]] = {}
    loads: dict[str, dict[str, str]] = {}
    for tenant_id, surface, data_revision, load_id in rows:
        data.setdefault(tenant_id, {})[surface] = data_revision
        if name := valid_load_id(load_id):
            loads.setdefault(tenant_id, {})[surface] = name
    return data, loads


def valid_load_id(found: str | None) -> str | None:
    """The name of a load, which becomes part of a file's; a hand-written one that is no UUID is none."""
    return found if found is not None and re.match(UUID_PATTERN, found) else None


def _query(*, is_postgresql: bool) -> Select[Any, str, str, str, str]:
    """One statement, and so one moment: the time before it, and four lists, each as one JSON text."""
    # PostgreSQL's now() is the time at which the transaction began, which is before it took its snapshot.
    read_at = func.now(type_=UtcTime()) if is_postgresql else literal(None, UtcTime())
    object_ = func.json_build_object if is_postgresql else func.json_object
    array = func.json_build_array if is_postgresql else func.json_array

    def fields(table: Any, struct: type[msgspec.Struct]) -> list[ColumnElement[Any]]:
        named: list[ColumnElement[Any]] = []
        for name in _names(struct):
            named += [literal_column(f"'{name}'"), _column(table.c[name], is_postgresql)]
        return named

    def text(row: ColumnElement[Any], *where: ColumnElement[bool]) -> ScalarSelect[str]:
        rows = func.json_agg(row) if is_postgresql else func.json_group_array(row)
        return select(func.coalesce(cast(rows, Text), literal_column("'[]'"))).where(*where).scalar_subquery()

    # Tenant by tenant by the key of the ledger, which is long: joined, the whole of it may be read.
    here = (ledger.c.tenant_id == tenants.c.id, ledger.c.revision == tenants.c.revision)
    moved_at = select(_column(ledger.c.occurred_at, is_postgresql)).where(*here).correlate(tenants).scalar_subquery()
    return select(
        read_at,
        text(object_(*fields(tenants, Tenant))),
        text(array(tenants.c.id, moved_at)),
        text(array(*(surfaces.c[name] for name in _Surface._fields))),
        text(object_(*fields(api_keys, ApiKey)), api_keys.c.revoked_at.is_(None)),
    )


def _names(struct: type[msgspec.Struct]) -> list[str]:
    """The columns of a struct; what is revoked is not asked for, so when it was is not either."""
    return [name for name in struct.__struct_fields__ if name != "revoked_at"]


def _column(column: Column[Any], is_postgresql: bool) -> ColumnElement[Any]:  # noqa: FBT001 - a detail of the query
    """A column as it goes into JSON: times in UTC, and saying so."""
    if not isinstance(column.type, UtcTime):
        return column
    moment = func.timezone(literal_column("'UTC'"), column) if is_postgresql else column
    return cast(moment, Text).op("||")(literal_column("'Z'"))
