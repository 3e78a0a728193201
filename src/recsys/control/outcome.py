"""What a change of documents leads to, and the audit record that it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from recsys.domain.audit import AuditRecord
from recsys.domain.document import DocumentRef, Pointer
from recsys.domain.tenant import Tenant

if TYPE_CHECKING:
    from recsys.domain.ports import Move


class DocumentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Where a document stands after a request; ``changed`` False: it stood there before. No pointer: cleared."""

    tenant: Tenant
    ref: DocumentRef
    pointer: Pointer | None
    changed: bool


class MovedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One document that a tenant-wide rollback moved; a version is null where there was, or is, none."""

    document: str
    surface: str | None
    from_version: str | None
    to_version: str | None


class TenantOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tenant stands after a tenant-wide rollback."""

    tenant_id: str
    revision: int
    changed: bool
    moved: list[MovedDocument]


def audit_move(move: Move, verb: str) -> AuditRecord:
    """The audit record of one pointer move: the states are the documents themselves, ready to be PUT back."""
    return AuditRecord(
        action=f"{move.ref.kind_name}.{verb}",
        entity_type=move.ref.kind_name,
        entity_id=move.ref.surface or move.ref.kind_name,
        before_state=move.before.text if move.before else None,
        after_state=move.after.text if move.after else None,
        extra={
            "before_version": move.before.etag if move.before else None,
            "after_version": move.after.etag if move.after else None,
        },
    )
