"""What a change of documents leads to."""

from __future__ import annotations

import msgspec

from recsys.domain.document import DocumentRef, Lint, Pointer
from recsys.domain.tenant import Tenant


class DocumentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Where a document stands after a request; ``changed`` False: it stood there before. No pointer: cleared.

    ``live`` False: it stood there after an earlier request that this one repeats, and has moved on since.
    """

    tenant: Tenant
    ref: DocumentRef
    pointer: Pointer | None
    changed: bool
    live: bool = True
    warnings: list[Lint] = []


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
    warnings: list[Lint] = []
