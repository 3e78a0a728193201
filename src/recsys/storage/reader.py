"""Reading the control plane through one transaction."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, or_, select

from recsys.domain.audit import STATES_AT_ONCE
from recsys.domain.document import KINDS, Pointer, VersionInfo
from recsys.domain.errors import TenantNotFound
from recsys.domain.history import UsedKey
from recsys.domain.tenant import is_uuid
from recsys.storage import rows
from recsys.storage.schema import (
    DOCUMENTS,
    api_keys,
    audit_log,
    idempotency_keys,
    labels,
    ledger,
    quarantined,
    tables_of,
    tenants,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import BindParameter, ColumnElement, Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from recsys.domain.api_key import ApiKey
    from recsys.domain.audit import AuditCursor, AuditEntry
    from recsys.domain.document import DocumentRef, Version
    from recsys.domain.history import LedgerEntry
    from recsys.domain.quarantine import QuarantinedVersion
    from recsys.domain.tenant import Tenant

MOVES_PAGE = 200
_AUDIT_STATES = (audit_log.c.before_state, audit_log.c.after_state)
_AUDIT_FACTS = tuple(column for column in audit_log.c if column not in set(_AUDIT_STATES))


class SqlReader:
    """The ``Reader`` port over one connection in a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def tenant(self, reference: str) -> Tenant:
        """A tenant by UUID or external id. Raises TenantNotFound."""
        row = (await self._connection.execute(*tenant_query(reference))).one_or_none()
        if row is None:
            raise TenantNotFound
        return rows.to_tenant(row)

    async def tenants(self, limit: int, after: str | None) -> list[Tenant]:
        """Tenants in order of external id, from after ``after``."""
        found = (await self._connection.execute(select(tenants))).all()
        # By code point: a database's collation is its own, so the order is made here.
        ordered = sorted((rows.to_tenant(row) for row in found), key=lambda tenant: tenant.external_id)
        return [tenant for tenant in ordered if after is None or tenant.external_id > after][:limit]

    async def pointer(self, tenant_id: str, ref: DocumentRef) -> Pointer | None:
        """The current version of a document; None when it has none."""
        tables = tables_of(ref)
        versions, current = tables.versions, tables.current
        query = (
            select(versions, current.c.revision, current.c.updated_at, current.c.updated_by_sub)
            .join(current, and_(current.c.tenant_id == versions.c.tenant_id, tables.version_id == versions.c.id))
            .where(*of_document(current, tenant_id, ref))
        )
        query = _with_quarantine(query, versions, str(ref))
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            return None
        version = rows.to_version(row, tables)
        return Pointer(
            version=version, revision=row.revision, updated_at=row.updated_at, updated_by_sub=row.updated_by_sub
        )

    async def version(self, tenant_id: str, ref: DocumentRef, etag: str) -> Version | None:
        """A stored version; None when there is no such one for this document."""
        tables = tables_of(ref)
        query = select(tables.versions).where(
            *of_document(tables.versions, tenant_id, ref), tables.versions.c.etag == etag
        )
        query = _with_quarantine(query, tables.versions, str(ref))
        row = (await self._connection.execute(query)).one_or_none()
        return None if row is None else rows.to_version(row, tables)

    async def versions(
        self, tenant_id: str, ref: DocumentRef, limit: int, before: datetime | None
    ) -> list[VersionInfo]:
        """Stored versions, newest first."""
        tables = tables_of(ref)
        versions = tables.versions.c
        now = select(tables.version_id).where(*of_document(tables.current, tenant_id, ref)).scalar_subquery()
        query = select(
            versions.etag,
            versions.created_at,
            versions.created_by_sub,
            versions.comment,
            (versions.id == now).label("current"),
        ).where(*of_document(tables.versions, tenant_id, ref))
        query = _with_quarantine(query, tables.versions, str(ref))
        if before is not None:
            query = query.where(versions.created_at < before)
        query = query.order_by(versions.created_at.desc(), versions.etag).limit(limit)
        return [
            VersionInfo(
                version=row.etag,
                created_at=row.created_at,
                created_by=row.created_by_sub,
                comment=row.comment,
                current=bool(row.current),
                quarantined=rows.to_quarantine(row),
            )
            for row in await self._connection.execute(query)
        ]

    async def ledger(self, tenant_id: str, limit: int, before_revision: int | None) -> list[LedgerEntry]:
        """Ledger entries, newest first."""
        older = [] if before_revision is None else [ledger.c.revision < before_revision]
        return await self._entries(_newest(ledger.c.tenant_id == tenant_id, *older).limit(limit))

    async def ledger_entry(self, tenant_id: str, revision: int) -> LedgerEntry | None:
        """The ledger entry of a revision; None when there is none."""
        return await self._entry(ledger.c.tenant_id == tenant_id, ledger.c.revision == revision)

    async def ledger_at(self, tenant_id: str, at: datetime) -> LedgerEntry | None:
        """The ledger entry in force at a time; None before the first."""
        return await self._entry(ledger.c.tenant_id == tenant_id, ledger.c.occurred_at <= at)

    async def ledger_labelled(
        self, tenant_id: str, label: str, before_revision: int | None = None
    ) -> LedgerEntry | None:
        """The latest entry with a label, of those older than ``before_revision``."""
        older = [] if before_revision is None else [ledger.c.revision < before_revision]
        labelled = select(labels.c.revision).where(labels.c.tenant_id == tenant_id, labels.c.label == label)
        return await self._entry(ledger.c.tenant_id == tenant_id, ledger.c.revision.in_(labelled), *older)

    async def quarantined(self, tenant_id: str) -> list[QuarantinedVersion]:
        """Every version of a tenant that is under quarantine, latest first."""
        query = select(quarantined).where(quarantined.c.tenant_id == tenant_id)
        order = (quarantined.c.created_at.desc(), quarantined.c.document, quarantined.c.version)
        return [rows.to_quarantined_version(row) for row in await self._connection.execute(query.order_by(*order))]

    async def used_key(self, tenant_id: str, key: str) -> UsedKey | None:
        """What an ``Idempotency-Key`` was used for."""
        keys = idempotency_keys.c
        query = select(keys.key, keys.fingerprint, keys.revision).where(keys.tenant_id == tenant_id, keys.key == key)
        row = (await self._connection.execute(query)).one_or_none()
        return None if row is None else UsedKey(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

    async def moves_of(
        self, tenant_id: str, ref: DocumentRef, limit: int, before_revision: int | None = None
    ) -> list[LedgerEntry]:
        """The entries that moved this document's pointer, newest first, of those older than ``before_revision``."""
        moves: list[LedgerEntry] = []
        newer: LedgerEntry | None = None
        before = before_revision
        while len(moves) < limit:
            page = await self.ledger(tenant_id, MOVES_PAGE, before)
            for entry in page:
                if newer is not None and newer.pointers.of(ref) != entry.pointers.of(ref):
                    moves.append(newer)
                newer = entry
            if len(page) < MOVES_PAGE:
                if newer is not None and newer.pointers.of(ref) is not None:
                    moves.append(newer)
                break
            before = page[-1].revision
        return moves[:limit]

    async def audit(
        self, tenant_id: str | None, limit: int, cursor: AuditCursor | None, *, states: bool = True
    ) -> list[AuditEntry]:
        """Audit entries, newest first; see the port. States are large, so they are read only to be shown."""
        log = audit_log.c
        mine = [log.tenant_id == tenant_id]
        if cursor is not None:
            same_time = and_(log.occurred_at == cursor.before, log.id < cursor.before_id)
            mine.append(or_(log.occurred_at < cursor.before, same_time))
        newest = select(*_AUDIT_FACTS).where(*mine).order_by(log.occurred_at.desc(), log.id.desc())
        if not states:
            return [rows.to_audit_entry(row) for row in await self._connection.execute(newest.limit(limit))]
        entries: list[AuditEntry] = []
        async with self._connection.stream(newest.add_columns(*_AUDIT_STATES).limit(limit)) as found:
            async for row in found:
                entries.append(rows.to_audit_entry(row))
                if sum(each.states_bytes for each in entries) >= STATES_AT_ONCE:
                    break
        return entries

    async def audit_entry(self, tenant_id: str, audit_id: int) -> AuditEntry | None:
        """One audit entry of a tenant."""
        query = select(audit_log).where(audit_log.c.tenant_id == tenant_id, audit_log.c.id == audit_id)
        row = (await self._connection.execute(query)).one_or_none()
        return None if row is None else rows.to_audit_entry(row)

    async def api_keys(self, tenant_id: str | None) -> list[ApiKey]:
        """A tenant's keys (None: platform keys), oldest first, revoked ones too."""
        query = select(api_keys).where(api_keys.c.tenant_id == tenant_id)
        found = await self._connection.execute(query.order_by(api_keys.c.created_at, api_keys.c.id))
        return [rows.to_api_key(row) for row in found]

    async def _entry(self, *where: ColumnElement[bool]) -> LedgerEntry | None:
        found = await self._entries(_newest(*where).limit(1))
        return found[0] if found else None

    async def _entries(self, query: Select[Any]) -> list[LedgerEntry]:
        found = (await self._connection.execute(query)).all()
        if not found:
            return []
        revisions = [row.revision for row in found]
        tagged = select(labels.c.revision, labels.c.label).where(
            labels.c.tenant_id == found[0].tenant_id,
            labels.c.revision.between(min(revisions), max(revisions)),
        )
        of_revision: dict[int, list[str]] = {}
        for revision, label in await self._connection.execute(tagged.order_by(labels.c.label)):
            of_revision.setdefault(revision, []).append(label)
        return [rows.to_ledger_entry(row, of_revision.get(row.revision, [])) for row in found]


async def read_standing(
    connection: AsyncConnection, tenant_id: str, ref: DocumentRef, etag: str
) -> tuple[Pointer | None, Version | None]:
    """Where a document's pointer stands, and its stored version ``etag``: both in one round trip."""
    tables = tables_of(ref)
    given = {"tenant": tenant_id, "etag": etag, "document": str(ref)}
    if ref.kind.per_surface:
        given["surface"] = ref.surface
    pointer, stored = None, None
    for row in await connection.execute(_standing(ref.kind_name), given):
        version = rows.to_version(row, tables)
        if row.revision is not None:
            pointer = Pointer(
                version=version, revision=row.revision, updated_at=row.updated_at, updated_by_sub=row.updated_by_sub
            )
        if version.etag == etag:
            stored = version
    return pointer, stored


@cache
def _standing(kind_name: str) -> Select[Any]:
    """Made once: building a statement costs more than executing it."""
    tables = DOCUMENTS[kind_name]
    versions, current = tables.versions, tables.current
    mine, here = [versions.c.tenant_id == bindparam("tenant")], [current.c.tenant_id == bindparam("tenant")]
    if KINDS[kind_name].per_surface:
        mine.append(versions.c.surface == bindparam("surface"))
        here.append(current.c.surface == bindparam("surface"))
    now = select(tables.version_id).where(*here).scalar_subquery()
    query = (
        select(versions, current.c.revision, current.c.updated_at, current.c.updated_by_sub)
        .outerjoin(current, and_(tables.version_id == versions.c.id, *here))
        .where(*mine, or_(versions.c.etag == bindparam("etag"), versions.c.id == now))
    )
    return _with_quarantine(query, versions, bindparam("document"))


def tenant_query(reference: str) -> tuple[Select[Any], dict[str, str]]:
    """What finds a tenant by UUID or external id, and its parameters."""
    by_id = is_uuid(reference)
    return _tenant(by_id=by_id), {"reference": reference.lower() if by_id else reference}


@cache
def _tenant(*, by_id: bool) -> Select[Any]:
    return select(tenants).where((tenants.c.id if by_id else tenants.c.external_id) == bindparam("reference"))


def of_document(table: Any, tenant_id: str, ref: DocumentRef) -> list[ColumnElement[bool]]:
    """The conditions that a row of a versions or current table belongs to a document."""
    conditions = [table.c.tenant_id == tenant_id]
    if ref.kind.per_surface:
        conditions.append(table.c.surface == ref.surface)
    return conditions


def _with_quarantine(query: Select[Any], versions: Table, document: str | BindParameter[str]) -> Select[Any]:
    """A query of versions that also reads which of them are under quarantine."""
    found, here = quarantined.c, versions.c
    said = (
        found.created_at.label("quarantined_at"),
        found.created_by_sub.label("quarantined_by"),
        found.reason.label("quarantine_reason"),
    )
    same = (found.tenant_id == here.tenant_id, found.document == document, found.version == here.etag)
    return query.add_columns(*said).outerjoin(quarantined, and_(*same))


def _newest(*where: ColumnElement[bool]) -> Select[Any]:
    return select(ledger).where(*where).order_by(ledger.c.revision.desc())
