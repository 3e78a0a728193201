"""The tables, once for both databases. The migrations replayed give exactly this; a test says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from recsys.domain.document import DocumentRef


class UtcTime(TypeDecorator[datetime]):
    """A point in time, always UTC.

    ``timestamptz`` on PostgreSQL; on SQLite text in the form of CURRENT_TIMESTAMP with microseconds, so that what an
    operator writes by hand sorts among what the service writes.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, and without a zone where the database knows none."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """With the zone that the database does not store."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


UUID = String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
"""Dashed text in code and on SQLite, so that what the API shows can be pasted into SQL."""

SERIAL = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _tenant(*, primary: bool = False) -> Column[Any]:
    return Column("tenant_id", UUID, ForeignKey("tenants.id"), primary_key=primary, nullable=False)


tenants = Table(
    "tenants",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("external_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("status", Text, CheckConstraint("status in ('active', 'suspended')", name="status"), nullable=False),
    Column("frozen", Boolean, nullable=False),
    Column("require_if_match", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("data_revision", BigInteger, nullable=False),
    Column("invalidations", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)


@dataclass(frozen=True)
class DocumentTables:
    """The pair of tables of one kind of document, and the columns whose names differ between kinds."""

    versions: Table
    current: Table
    body: Column[Any]
    version_id: Column[Any]


def _document_tables(*, body: str, versions: str, current: str, version_id: str, per_surface: bool) -> DocumentTables:
    def surface(*, primary: bool) -> list[Column[Any]]:
        return [Column("surface", Text, primary_key=primary, nullable=False)] if per_surface else []

    version_table = Table(
        versions,
        metadata,
        Column("id", UUID, primary_key=True),
        _tenant(),
        *surface(primary=False),
        Column(body, Text, nullable=False),
        Column("etag", String(64), nullable=False),
        Column("created_at", UtcTime, nullable=False),
        Column("created_by_sub", Text, nullable=False),
        Column("comment", Text),
        UniqueConstraint("tenant_id", "etag"),
        # What the pointer's foreign key needs, so that no pointer can name another tenant's version.
        UniqueConstraint("tenant_id", "id"),
    )
    current_table = Table(
        current,
        metadata,
        _tenant(primary=True),
        *surface(primary=True),
        Column(version_id, UUID, nullable=False),
        Column("updated_by_sub", Text, nullable=False),
        Column("updated_at", UtcTime, nullable=False),
        Column("revision", BigInteger, nullable=False, server_default="0"),
        ForeignKeyConstraint(["tenant_id", version_id], [f"{versions}.tenant_id", f"{versions}.id"]),
    )
    return DocumentTables(version_table, current_table, version_table.c[body], current_table.c[version_id])


DOCUMENTS = {
    "config": _document_tables(
        body="config",
        versions="tenant_config_versions",
        current="tenant_configs_current",
        version_id="config_version_id",
        per_surface=False,
    ),
    "rules": _document_tables(
        body="rules",
        versions="tenant_rule_versions",
        current="tenant_rules_current",
        version_id="rules_version_id",
        per_surface=False,
    ),
    "manifest": _document_tables(
        body="manifest",
        versions="tenant_manifest_versions",
        current="tenant_manifests_current",
        version_id="manifest_version_id",
        per_surface=True,
    ),
}


def tables_of(ref: DocumentRef) -> DocumentTables:
    """The tables of a document's kind."""
    return DOCUMENTS[ref.kind_name]


ledger = Table(
    "tenant_revisions",
    metadata,
    _tenant(primary=True),
    Column("revision", BigInteger, primary_key=True),
    Column("occurred_at", UtcTime, nullable=False),
    Column("actor_sub", Text, nullable=False),
    Column("actor_type", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("reason", Text),
    Column("request_id", Text),
    Column("config_version", String(64)),
    Column("rules_version", String(64)),
    Column("manifest_versions", Text, nullable=False),
    Index("ix_tenant_revisions_occurred_at", "tenant_id", "occurred_at"),
)

labels = Table(
    "tenant_revision_labels",
    metadata,
    Column("tenant_id", UUID, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by_sub", Text, nullable=False),
    ForeignKeyConstraint(["tenant_id", "revision"], ["tenant_revisions.tenant_id", "tenant_revisions.revision"]),
)

idempotency_keys = Table(
    "tenant_idempotency_keys",
    metadata,
    _tenant(primary=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("occurred_at", UtcTime, nullable=False),
    Column("tenant_id", UUID, ForeignKey("tenants.id")),
    Column("actor_sub", Text, nullable=False),
    Column("actor_type", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("revision", BigInteger),
    Column("request_id", Text),
    Column("ip", Text),
    Column("user_agent", Text),
    Column("before_state", Text),
    Column("after_state", Text),
    Column("extra", Text, nullable=False),
    Index("ix_audit_log_newest", "tenant_id", "occurred_at", "id"),
    sqlite_autoincrement=True,
)

invalidations = Table(
    "cache_invalidation_events",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    _tenant(),
    Column("created_at", UtcTime, nullable=False),
    Column("targets", Text, nullable=False),
    Column("surface", Text),
    Column("status", Text, nullable=False),
    Column("requested_by_sub", Text, nullable=False),
    Column("number", BigInteger, nullable=False, server_default="0"),
    Column("applied_at", UtcTime),
    sqlite_autoincrement=True,
)

replicas = Table(
    "replicas",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("heartbeat_at", UtcTime, nullable=False),
    Column("synced_through", UtcTime),
    Column("tenants", Text, nullable=False),
)

quarantined = Table(
    "tenant_quarantined_versions",
    metadata,
    _tenant(primary=True),
    Column("document", Text, primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by_sub", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

api_keys = Table(
    "tenant_api_keys",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("tenant_id", UUID, ForeignKey("tenants.id"), index=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by_sub", Text, nullable=False),
    Column("revoked_at", UtcTime),
)

surfaces = Table(
    "tenant_surfaces",
    metadata,
    _tenant(primary=True),
    Column("namespace", Text, primary_key=True),
    Column("data_revision", BigInteger, nullable=False),
    Column("load_id", UUID),
)

items = Table(
    "item_tags",
    metadata,
    _tenant(primary=True),
    Column("namespace", Text, primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("tags", Text, nullable=False),
    Column("price", Double),
    Column("created_at", UtcTime),
    Column("title", Text),
    Column("attributes", Text),
)

popularity = Table(
    "item_popularity_daily",
    metadata,
    _tenant(primary=True),
    Column("namespace", Text, primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("score", Double, nullable=False),
)

covisits = Table(
    "item_covisit_daily",
    metadata,
    _tenant(primary=True),
    Column("namespace", Text, primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("neighbor_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("score", Double, nullable=False),
)

DATASETS = {"items": items, "popularity": popularity, "cooc": covisits}
