"""Changing a tenant: everything a change writes, in one transaction under the tenant's lock."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, func, insert, select, update

from recsys.domain.document import Draft, Pointer, Version
from recsys.domain.errors import NotFound, VersionNotFound
from recsys.domain.history import LedgerEntry, Pointers, UsedKey
from recsys.storage import rows
from recsys.storage.reader import SqlReader, read_standing
from recsys.storage.schema import (
    api_keys,
    audit_log,
    idempotency_keys,
    invalidations,
    labels,
    ledger,
    quarantined,
    tables_of,
    tenants,
)
from recsys.storage.writing import added, changed, removed, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from recsys.domain.access import Actor
    from recsys.domain.api_key import ApiKey
    from recsys.domain.audit import AuditRecord
    from recsys.domain.document import DocumentRef
    from recsys.domain.ports import Move
    from recsys.domain.tenant import Tenant, TenantSettings
    from recsys.storage.locking import Locked
    from recsys.storage.writing import Write


class SqlTenantTransaction(SqlReader):
    """The ``TenantTransaction`` port; whoever makes one has locked the tenant's row and pointers."""

    def __init__(self, connection: AsyncConnection, locked: Locked, actor: Actor, now: datetime) -> None:
        super().__init__(connection)
        self.locked = locked.tenant
        self._latest = locked.latest
        self._pointers: dict[DocumentRef, Pointer | None] = {}
        self._actor = actor
        self.now = now

    async def pointer(self, tenant_id: str, ref: DocumentRef) -> Pointer | None:
        """The current version of a document; what was read or written under the lock is not read again."""
        if tenant_id != self.locked.id:
            return await super().pointer(tenant_id, ref)
        if ref not in self._pointers:
            self._pointers[ref] = await super().pointer(tenant_id, ref)
        return self._pointers[ref]

    async def standing(self, ref: DocumentRef, etag: str) -> tuple[Pointer | None, Version | None]:
        """Where the document's pointer stands, and the stored version ``etag``; see the port."""
        self._pointers[ref], stored = await read_standing(self._connection, self.locked.id, ref, etag)
        return self._pointers[ref], stored

    async def move(
        self,
        moves: Sequence[Move],
        *,
        action: str,
        records: Sequence[AuditRecord],
    ) -> LedgerEntry:
        """Raise the revision once for all moves; see the port.

        The ledger row is written before the pointers, by a statement of its own: a pointer that disagrees with the
        newest ledger row is how the triggers know a statement that an operator wrote by hand.
        """
        entry = self._next_entry(moves, action)
        versions = [self._version(move) for move in moves]
        drafts = [
            self._new_version(move.ref, version)
            for move, version in zip(moves, versions, strict=True)
            if version is not None and isinstance(move.after, Draft)
        ]
        await write(self._connection, *drafts, self._new_entry(entry))
        await write(
            self._connection,
            *(self._moved(move, version, entry) for move, version in zip(moves, versions, strict=True)),
            changed(tenants, {"id": self.locked.id}, {"revision": entry.revision}),
            *(new_audit_entry(self._actor, r, entry.occurred_at, self.locked.id, entry.revision) for r in records),
        )
        self.locked, self._latest = msgspec.structs.replace(self.locked, revision=entry.revision), entry
        return entry

    async def use_key(self, key: UsedKey) -> None:
        """Remember what an ``Idempotency-Key`` was used for."""
        values = msgspec.structs.asdict(key) | {"tenant_id": self.locked.id, "created_at": self.now}
        await self._connection.execute(insert(idempotency_keys).values(values))

    async def label(self, revision: int, label: str, record: AuditRecord) -> None:
        """Put a label on a revision; the same label twice is one label."""
        entry = await self.ledger_entry(self.locked.id, revision)
        if entry is None:
            raise VersionNotFound(f"This tenant has no revision {revision}.")
        if label in entry.labels:
            return
        await self._connection.execute(
            insert(labels).values(
                tenant_id=self.locked.id,
                revision=revision,
                label=label,
                created_at=self.now,
                created_by_sub=self._actor.sub,
            )
        )
        await self._audit(record)

    async def unlabel(self, revision: int, label: str, record: AuditRecord) -> None:
        """Take a label off a revision; taking it off twice is taking it off."""
        mine = (labels.c.tenant_id == self.locked.id, labels.c.revision == revision, labels.c.label == label)
        if (await self._connection.execute(delete(labels).where(*mine))).rowcount:
            await self._audit(record)

    async def quarantine(self, ref: DocumentRef, etag: str, reason: str, record: AuditRecord) -> None:
        """Put a stored version that is not under quarantine there, by the actor, now."""
        self._pointers.pop(ref, None)
        await self._connection.execute(
            insert(quarantined).values(
                tenant_id=self.locked.id,
                document=str(ref),
                version=etag,
                created_at=self.now,
                created_by_sub=self._actor.sub,
                reason=reason,
            )
        )
        await self._audit(record)

    async def lift_quarantine(self, ref: DocumentRef, etag: str, record: AuditRecord) -> None:
        """Take a version out of quarantine."""
        self._pointers.pop(ref, None)
        q = quarantined.c
        mine = (q.tenant_id == self.locked.id, q.document == str(ref), q.version == etag)
        await self._connection.execute(delete(quarantined).where(*mine))
        await self._audit(record)

    async def update(self, settings: TenantSettings, record: AuditRecord) -> Tenant:
        """Change tenant settings; a change of status raises the data revision."""
        values = {name: value for name, value in msgspec.structs.asdict(settings).items() if value is not None}
        if settings.status not in (None, self.locked.status):
            values["data_revision"] = self.locked.data_revision + 1
        await self._set_tenant(**values)
        await self._audit(record)
        return self.locked

    async def add_api_key(self, key: ApiKey, record: AuditRecord) -> None:
        """Store a key and raise the data revision."""
        await self._connection.execute(insert(api_keys).values(msgspec.structs.asdict(key)))
        await self._raise_data_revision()
        await self._audit(record)

    async def revoke_api_key(self, key_id: str, at: datetime, record: AuditRecord) -> None:
        """Mark a key revoked and raise the data revision; a second time changes nothing."""
        if await revoke_key(self._connection, self.locked.id, key_id, at):
            await self._raise_data_revision()
            await self._audit(record)

    async def invalidate(self, targets: Sequence[str], surface: str | None, record: AuditRecord) -> int:
        """Record a cache invalidation, raise the counter that replicas watch, and give the event's id."""
        event = await self._connection.execute(
            insert(invalidations)
            .values(
                tenant_id=self.locked.id,
                created_at=self.now,
                targets=json.dumps(list(targets)),
                surface=surface,
                status="requested",
                requested_by_sub=self._actor.sub,
                number=self.locked.invalidations + 1,
            )
            .returning(invalidations.c.id)
        )
        await self._set_tenant(invalidations=self.locked.invalidations + 1)
        await self._audit(record)
        return int(event.scalar_one())

    def _next_entry(self, moves: Sequence[Move], action: str) -> LedgerEntry:
        latest = self._latest
        return LedgerEntry(
            revision=self.locked.revision + 1,
            # Clocks of two writers may disagree; within a tenant the ledger's time never runs backwards.
            occurred_at=max(self.now, latest.occurred_at) if latest else self.now,
            actor_sub=self._actor.sub,
            actor_type=self._actor.actor_type,
            action=action,
            reason=self._actor.reason,
            request_id=self._actor.request_id,
            pointers=_after(latest.pointers if latest else Pointers(), moves),
        )

    def _new_entry(self, entry: LedgerEntry) -> Write:
        values = {
            "tenant_id": self.locked.id,
            "revision": entry.revision,
            "occurred_at": entry.occurred_at,
            "actor_sub": entry.actor_sub,
            "actor_type": entry.actor_type,
            "action": entry.action,
            "reason": entry.reason,
            "request_id": entry.request_id,
        }
        return added(ledger, values | rows.from_pointers(entry.pointers))

    def _version(self, move: Move) -> Version | None:
        """The version to point at; what was a draft until now gets its id."""
        if not isinstance(move.after, Draft):
            return move.after
        return Version(
            id=str(uuid.uuid4()),
            etag=move.after.etag,
            text=move.after.text,
            created_at=self.now,
            created_by_sub=self._actor.sub,
            comment=move.after.comment,
        )

    def _new_version(self, ref: DocumentRef, version: Version) -> Write:
        tables, values = tables_of(ref), msgspec.structs.asdict(version)
        values[tables.body.name] = values.pop("text")
        del values["quarantined"]
        return added(tables.versions, self._address(ref) | values)

    def _moved(self, move: Move, version: Version | None, entry: LedgerEntry) -> Write:
        """The pointer goes to ``version``, or goes."""
        tables, address = tables_of(move.ref), self._address(move.ref)
        self._pointers[move.ref] = None
        if version is None:
            return removed(tables.current, address)
        self._pointers[move.ref] = Pointer(
            version=version, revision=entry.revision, updated_at=entry.occurred_at, updated_by_sub=entry.actor_sub
        )
        values = {
            tables.version_id.name: version.id,
            "updated_by_sub": entry.actor_sub,
            "updated_at": entry.occurred_at,
            "revision": entry.revision,
        }
        return (
            added(tables.current, address | values) if move.before is None else changed(tables.current, address, values)
        )

    def _address(self, ref: DocumentRef) -> dict[str, object]:
        surface: dict[str, object] = {"surface": ref.surface} if ref.kind.per_surface else {}
        return {"tenant_id": self.locked.id} | surface

    async def _raise_data_revision(self) -> None:
        await self._set_tenant(data_revision=self.locked.data_revision + 1)

    async def _set_tenant(self, **values: object) -> None:
        if values:
            await self._connection.execute(update(tenants).where(tenants.c.id == self.locked.id).values(**values))
            self.locked = msgspec.structs.replace(self.locked, **values)

    async def _audit(self, record: AuditRecord) -> None:
        await write_audit(self._connection, self._actor, record, self.now, self.locked.id, None)


async def write_audit(
    connection: AsyncConnection,
    actor: Actor,
    record: AuditRecord,
    at: datetime,
    tenant_id: str | None,
    revision: int | None,
) -> None:
    """Append one audit entry."""
    await write(connection, new_audit_entry(actor, record, at, tenant_id, revision))


def new_audit_entry(
    actor: Actor, record: AuditRecord, at: datetime, tenant_id: str | None, revision: int | None
) -> Write:
    """The row of one audit entry."""
    extra = record.extra | ({"reason": actor.reason} if actor.reason else {})
    values = {
        "occurred_at": at,
        "tenant_id": tenant_id,
        "actor_sub": actor.sub,
        "actor_type": actor.actor_type,
        "action": record.action,
        "entity_type": record.entity_type,
        "entity_id": record.entity_id,
        "revision": revision,
        "request_id": actor.request_id,
        "ip": actor.ip,
        "user_agent": actor.user_agent,
        "before_state": record.before_state,
        "after_state": record.after_state,
        "extra": json.dumps(extra, ensure_ascii=False, sort_keys=True),
    }
    return added(audit_log, values)


async def revoke_key(connection: AsyncConnection, tenant_id: str | None, key_id: str, at: datetime) -> bool:
    """Mark a key revoked, and say whether it was in force until now.

    Raises:
        NotFound: this tenant (None: the platform) has no such key.
    """
    mine = (api_keys.c.id == key_id, api_keys.c.tenant_id == tenant_id)
    known = await connection.execute(select(func.count()).select_from(api_keys).where(*mine))
    if not known.scalar_one():
        raise NotFound(f"There is no API key {key_id}.")
    in_force = update(api_keys).where(*mine, api_keys.c.revoked_at.is_(None))
    return bool((await connection.execute(in_force.values(revoked_at=at))).rowcount)


def _after(pointers: Pointers, moves: Sequence[Move]) -> Pointers:
    for move in moves:
        pointers = pointers.moved(move.ref, move.after.etag if move.after else None)
    return pointers
