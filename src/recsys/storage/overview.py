"""Reading what every replica looks at again and again: tenants, revisions, surfaces and keys.

With a thousand tenants, turning rows into objects is most of the work, and most of the time none has changed. So the
database gives each table as one JSON text, in one statement, and only a text that differs from the last one is decoded.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import Select, Text, cast, func, literal, literal_column, select

from recsys.domain.api_key import ApiKey
from recsys.domain.names import UUID_PATTERN
from recsys.domain.ports import Overview, TenantHead
from recsys.domain.tenant import Tenant
from recsys.storage.schema import UtcTime, api_keys, surfaces, tenants

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Column, ColumnElement, ScalarSelect

    from recsys.storage.engine import Database

T = TypeVar("T")

_log = logging.getLogger(__name__)
_SURFACE: Final = ("tenant_id", "namespace", "data_revision", "load_id")
_NO_SURFACES: Final[Mapping[str, Any]] = {}


class OverviewReader:
    """Reads the overview; what is as it was the last time stays the same object."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tenants = _Decoded(list[Tenant])
        self._surfaces = _Decoded(list[tuple[str, str, int, str | None]])
        self._keys = _DecodedKeys(list[ApiKey])
        self._taken: tuple[object, object] | None = None
        self._data: dict[str, dict[str, int]] = {}
        self._loads: dict[str, dict[str, str]] = {}
        self._heads: list[TenantHead] = []
        self._query = _query(is_postgresql=database.is_postgresql)

    async def read(self, now: datetime) -> Overview:
        """Everything as of one moment; ``now``: a time before the call, for SQLite, which runs in this process."""
        async with self._database.single() as connection:
            found = (await connection.execute(self._query)).one()
        read_at: datetime | None
        read_at, tenants_text, surfaces_text, keys_text = found
        self._surfaces.take(surfaces_text)
        self._tenants.take(tenants_text)
        self._keys.take(keys_text)
        self._take_over()
        return Overview(heads=self._heads, keys=self._keys.value, read_at=read_at or now)

    def _take_over(self) -> None:
        """Follow what was decoded, be it by this read or by an earlier one that then failed at something else."""
        taken = (self._surfaces.value, self._tenants.value)
        if self._taken is not None and taken[0] is self._taken[0] and taken[1] is self._taken[1]:
            return
        self._data, self._loads = _by_tenant(self._surfaces.value)
        known = {head.tenant.id: head for head in self._heads}
        self._heads = [self._head(tenant, known.get(tenant.id)) for tenant in self._tenants.value]
        self._taken = taken

    def _head(self, tenant: Tenant, known: TenantHead | None) -> TenantHead:
        data, loads = self._data.get(tenant.id, {}), self._loads.get(tenant.id, {})
        if known and known.tenant == tenant and known.surfaces == data and known.load_ids == loads:
            return known
        return TenantHead(tenant=tenant, surfaces=data, load_ids=loads)


class _Decoded(Generic[T]):
    """A JSON text and what it says, decoded when it changes."""

    def __init__(self, type_: type[list[T]]) -> None:
        self.value: list[T] = []
        self._text: str | None = None
        # SQLite has 0 and 1 for what is false and true.
        self._decoder = msgspec.json.Decoder(type_, strict=False)

    def take(self, text: str) -> None:
        """Decode a text, unless it is the one before."""
        if text != self._text:
            self.value, self._text = self._decode(text), text

    def _decode(self, text: str) -> list[T]:
        return self._decoder.decode(text)


class _DecodedKeys(_Decoded[ApiKey]):
    """Keys, without those that nobody can read: written by hand, say, or with a role that only a later release knows.

    Such a key opens nothing. Refusing all of them for its sake would keep every replica from following anything.
    """

    def _decode(self, text: str) -> list[ApiKey]:
        try:
            return super()._decode(text)
        except msgspec.ValidationError:
            found = []
            for row in msgspec.json.decode(text, type=list[dict[str, Any]]):
                try:
                    found.append(msgspec.convert(row, ApiKey, strict=False))
                except msgspec.ValidationError as error:
                    _log.error("API key %s opens nothing, since it cannot be read: %s", row.get("id"), error)
            return found


def _by_tenant(
    rows: Sequence[tuple[str, str, int, str | None]],
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


def _query(*, is_postgresql: bool) -> Select[Any, str, str, str]:
    """One statement, and so one moment: the time before it, and three tables, each as one JSON text."""
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

    return select(
        read_at,
        text(object_(*fields(tenants, Tenant))),
        text(array(*(surfaces.c[name] for name in _SURFACE))),
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
