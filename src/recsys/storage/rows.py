"""Rows as domain objects, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from recsys.domain.access import Role
from recsys.domain.api_key import ApiKey
from recsys.domain.audit import AuditEntry
from recsys.domain.canonical import canonicalise
from recsys.domain.document import Version
from recsys.domain.history import LedgerEntry, Pointers
from recsys.domain.quarantine import Quarantine, QuarantinedVersion
from recsys.domain.tenant import Tenant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Row

    from recsys.storage.schema import DocumentTables


def to_tenant(row: Row[Any]) -> Tenant:
    """A row of ``tenants``."""
    return Tenant(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def to_version(row: Row[Any], tables: DocumentTables) -> Version:
    """A row of a versions table."""
    return Version(
        id=row.id,
        etag=row.etag,
        text=getattr(row, tables.body.name),
        created_at=row.created_at,
        created_by_sub=row.created_by_sub,
        comment=row.comment,
        quarantined=to_quarantine(row),
    )


def to_quarantine(row: Row[Any]) -> Quarantine | None:
    """The quarantine that was read together with a version; None: it is not under quarantine."""
    if row.quarantined_at is None:
        return None
    return Quarantine(at=row.quarantined_at, by=row.quarantined_by, reason=row.quarantine_reason)


def to_quarantined_version(row: Row[Any]) -> QuarantinedVersion:
    """A row of ``tenant_quarantined_versions``."""
    document, _, surface = row.document.partition("/")
    return QuarantinedVersion(
        document=document,
        surface=surface or None,
        version=row.version,
        at=row.created_at,
        by=row.created_by_sub,
        reason=row.reason,
    )


def to_pointers(row: Row[Any]) -> Pointers:
    """The pointers in a row of the ledger."""
    return Pointers(config=row.config_version, rules=row.rules_version, manifests=json.loads(row.manifest_versions))


def from_pointers(pointers: Pointers) -> dict[str, str | None]:
    """Pointers as columns of the ledger."""
    return {
        "config_version": pointers.config,
        "rules_version": pointers.rules,
        "manifest_versions": canonicalise(dict(pointers.manifests)),
    }


def to_ledger_entry(row: Row[Any], labels: Sequence[str]) -> LedgerEntry:
    """A row of the ledger, with the labels of its revision."""
    return LedgerEntry(
        revision=row.revision,
        occurred_at=row.occurred_at,
        actor_sub=row.actor_sub,
        actor_type=row.actor_type,
        action=row.action,
        reason=row.reason,
        request_id=row.request_id,
        pointers=to_pointers(row),
        labels=list(labels),
    )


def to_audit_entry(row: Row[Any]) -> AuditEntry:
    """A row of the audit log; states stay the texts they are, and one that is no JSON becomes a text in JSON."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    for name in ("before_state", "after_state", "extra"):
        if values.get(name) is not None:
            values[name] = _raw(values[name])
    return AuditEntry(**values)


def _raw(text: str) -> msgspec.Raw:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:  # written by hand: the log is never mended, and the other entries must stay readable
        return msgspec.Raw(msgspec.json.encode(text))
    return msgspec.Raw(text.encode())


def to_api_key(row: Row[Any]) -> ApiKey:
    """A row of ``tenant_api_keys``. A role that nobody knows stays a text: such a key opens nothing, but is listed."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    if values["role"] in set(Role):
        values["role"] = Role(values["role"])
    return ApiKey(**values)
