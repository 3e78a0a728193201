"""Documents, versions and differences as they are answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from recsys.control.converge import Receipt
from recsys.domain.diff import Difference
from recsys.domain.document import DocumentKind, Lint, Pointer, Version, VersionInfo
from recsys.domain.quarantine import Quarantine
from recsys.domain.tenant import Tenant


class DocumentAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A document; on the wire, ``version`` and ``document`` are named after its kind."""

    tenant_id: str
    version: str | None
    revision: int
    updated_at: datetime | None
    updated_by: str | None
    quarantined: Quarantine | None
    document: Any
    changed: bool | msgspec.UnsetType = msgspec.UNSET
    warnings: list[Lint] | msgspec.UnsetType = msgspec.UNSET
    receipt: Receipt | msgspec.UnsetType = msgspec.UNSET


class VersionAnswer(msgspec.Struct, kw_only=True):
    """A stored version; on the wire, ``version`` and ``document`` are named after its kind."""

    tenant_id: str
    version: str
    created_at: datetime
    created_by: str
    comment: str | None
    quarantined: Quarantine | None
    document: Any


class VersionPage(msgspec.Struct, kw_only=True):
    """Stored versions, newest first; ``next_before`` asks for the next page."""

    versions: list[VersionInfo]
    next_before: datetime | None


class DiffAnswer(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """What differs between two versions: the first of ``total`` differences."""

    from_: str
    to: str
    differences: list[Difference]
    total: int


def answer_pointer(tenant: Tenant, pointer: Pointer | None) -> DocumentAnswer:
    """Where a document stands; no pointer: it was cleared, and is at revision 0, as ``If-Revision`` has it."""
    return DocumentAnswer(
        tenant_id=tenant.id,
        version=pointer.version.etag if pointer else None,
        revision=pointer.revision if pointer else 0,
        updated_at=pointer.updated_at if pointer else None,
        updated_by=pointer.updated_by_sub if pointer else None,
        quarantined=pointer.version.quarantined if pointer else None,
        document=msgspec.Raw(pointer.version.text.encode()) if pointer else None,
    )


def answer_version(tenant: Tenant, version: Version) -> VersionAnswer:
    """A stored version, its document verbatim."""
    return VersionAnswer(
        tenant_id=tenant.id,
        version=version.etag,
        created_at=version.created_at,
        created_by=version.created_by_sub,
        comment=version.comment,
        quarantined=version.quarantined,
        document=msgspec.Raw(version.text.encode()),
    )


def field_names(kind: DocumentKind) -> dict[str, str]:
    """How the fields of an answer are called for a kind of document."""
    return {"version": kind.version_field, "document": kind.name}


def named(kind: DocumentKind, answer: DocumentAnswer | VersionAnswer) -> dict[str, Any]:
    """An answer as a JSON object whose fields are called after the kind of document."""
    names = field_names(kind)
    found = ((name, getattr(answer, name)) for name in answer.__struct_fields__)
    return {names.get(name, name): value for name, value in found if value is not msgspec.UNSET}
