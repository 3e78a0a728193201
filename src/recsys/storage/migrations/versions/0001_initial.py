"""The control plane: tenants, documents, ledger, audit log, keys, signals."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from recsys.storage.migrations import initial_postgresql, initial_sqlite
from recsys.storage.schema import UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENTS = (
    ("tenant_config_versions", "config", "tenant_configs_current", "config_version_id", False),
    ("tenant_rule_versions", "rules", "tenant_rules_current", "rules_version_id", False),
    ("tenant_manifest_versions", "manifest", "tenant_manifests_current", "manifest_version_id", True),
)


def upgrade() -> None:
    """Create everything."""
    _create_tenants()
    for versions, body, current, version_id, per_surface in DOCUMENTS:
        _create_document(versions, body, current, version_id, per_surface=per_surface)
    _create_ledger()
    _create_audit_log()
    _create_access()
    _create_signals()
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        statements = initial_postgresql.statements(connection.scalar(sa.text("select quote_ident(current_schema())")))
    else:
        statements = initial_sqlite.statements()
    for statement in statements:
        connection.exec_driver_sql(statement)


def _column(name: str, type_: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=options.pop("nullable", False), **options)


def _table(name: str, *parts: sa.Column[Any] | sa.Constraint, primary_key: tuple[str, ...], **options: Any) -> None:
    op.create_table(name, *parts, sa.PrimaryKeyConstraint(*primary_key, name=f"pk_{name}"), **options)


def _to_tenant(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=f"fk_{table}_tenant_id")


def _create_tenants() -> None:
    _table(
        "tenants",
        _column("id", UUID),
        _column("external_id", sa.Text),
        _column("name", sa.Text),
        _column("status", sa.Text),
        _column("frozen", sa.Boolean),
        _column("require_if_match", sa.Boolean),
        _column("revision", sa.BigInteger),
        _column("data_revision", sa.BigInteger),
        _column("invalidations", sa.BigInteger),
        _column("created_at", UtcTime),
        sa.UniqueConstraint("external_id", name="uq_tenants_external_id"),
        sa.CheckConstraint("status in ('active', 'suspended')", name="ck_tenants_status"),
        primary_key=("id",),
    )


def _create_document(versions: str, body: str, current: str, version_id: str, *, per_surface: bool) -> None:
    surface = ("surface",) if per_surface else ()
    _table(
        versions,
        _column("id", UUID),
        _column("tenant_id", UUID),
        *(_column(name, sa.Text) for name in surface),
        _column(body, sa.Text),
        _column("etag", sa.String(64)),
        _column("created_at", UtcTime),
        _column("created_by_sub", sa.Text),
        _column("comment", sa.Text, nullable=True),
        _to_tenant(versions),
        sa.UniqueConstraint("tenant_id", "etag", name=f"uq_{versions}_tenant_id_etag"),
        sa.UniqueConstraint("tenant_id", "id", name=f"uq_{versions}_tenant_id_id"),
        primary_key=("id",),
    )
    target = [f"{versions}.tenant_id", f"{versions}.id"]
    _table(
        current,
        _column("tenant_id", UUID),
        *(_column(name, sa.Text) for name in surface),
        _column(version_id, UUID),
        _column("updated_by_sub", sa.Text),
        _column("updated_at", UtcTime),
        _column("revision", sa.BigInteger, server_default="0"),
        _to_tenant(current),
        sa.ForeignKeyConstraint(["tenant_id", version_id], target, name=f"fk_{current}_{version_id}"),
        primary_key=("tenant_id", *surface),
    )


def _create_ledger() -> None:
    _table(
        "tenant_revisions",
        _column("tenant_id", UUID),
        _column("revision", sa.BigInteger),
        _column("occurred_at", UtcTime),
        _column("actor_sub", sa.Text),
        _column("actor_type", sa.Text),
        _column("action", sa.Text),
        _column("reason", sa.Text, nullable=True),
        _column("request_id", sa.Text, nullable=True),
        _column("config_version", sa.String(64), nullable=True),
        _column("rules_version", sa.String(64), nullable=True),
        _column("manifest_versions", sa.Text),
        _to_tenant("tenant_revisions"),
        primary_key=("tenant_id", "revision"),
    )
    op.create_index("ix_tenant_revisions_occurred_at", "tenant_revisions", ["tenant_id", "occurred_at"])
    _table(
        "tenant_revision_labels",
        _column("tenant_id", UUID),
        _column("revision", sa.BigInteger),
        _column("label", sa.Text),
        _column("created_at", UtcTime),
        _column("created_by_sub", sa.Text),
        sa.ForeignKeyConstraint(
            ["tenant_id", "revision"],
            ["tenant_revisions.tenant_id", "tenant_revisions.revision"],
            name="fk_tenant_revision_labels_tenant_id",
        ),
        primary_key=("tenant_id", "revision", "label"),
    )

    _table(
        "tenant_idempotency_keys",
        _column("tenant_id", UUID),
        _column("key", sa.Text),
        _column("fingerprint", sa.String(64)),
        _column("revision", sa.BigInteger),
        _column("created_at", UtcTime),
        _to_tenant("tenant_idempotency_keys"),
        primary_key=("tenant_id", "key"),
    )


def _create_audit_log() -> None:
    _table(
        "audit_log",
        _column("id", SERIAL, autoincrement=True),
        _column("occurred_at", UtcTime),
        _column("tenant_id", UUID, nullable=True),
        _column("actor_sub", sa.Text),
        _column("actor_type", sa.Text),
        _column("action", sa.Text),
        _column("entity_type", sa.Text),
        _column("entity_id", sa.Text),
        _column("revision", sa.BigInteger, nullable=True),
        *(_column(name, sa.Text, nullable=True) for name in ("request_id", "ip", "user_agent")),
        _column("before_state", sa.Text, nullable=True),
        _column("after_state", sa.Text, nullable=True),
        _column("extra", sa.Text),
        _to_tenant("audit_log"),
        primary_key=("id",),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_newest", "audit_log", ["tenant_id", "occurred_at", "id"])


def _create_access() -> None:
    _table(
        "cache_invalidation_events",
        _column("id", SERIAL, autoincrement=True),
        _column("tenant_id", UUID),
        _column("created_at", UtcTime),
        _column("targets", sa.Text),
        _column("surface", sa.Text, nullable=True),
        _column("status", sa.Text),
        _column("requested_by_sub", sa.Text),
        _to_tenant("cache_invalidation_events"),
        primary_key=("id",),
        sqlite_autoincrement=True,
    )
    _table(
        "tenant_api_keys",
        _column("id", UUID),
        _column("tenant_id", UUID, nullable=True),
        _column("name", sa.Text),
        _column("role", sa.Text),
        _column("hint", sa.Text),
        _column("key_hash", sa.String(64)),
        _column("created_at", UtcTime),
        _column("created_by_sub", sa.Text),
        _column("revoked_at", UtcTime, nullable=True),
        _to_tenant("tenant_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_tenant_api_keys_key_hash"),
        primary_key=("id",),
    )
    op.create_index("ix_tenant_api_keys_tenant_id", "tenant_api_keys", ["tenant_id"])


def _create_signals() -> None:
    def of_surface(table: str, *columns: sa.Column[Any], key: tuple[str, ...] = ()) -> None:
        address = (_column("tenant_id", UUID), _column("namespace", sa.Text))
        _table(table, *address, *columns, _to_tenant(table), primary_key=("tenant_id", "namespace", *key))

    of_surface("tenant_surfaces", _column("data_revision", sa.BigInteger))
    of_surface(
        "item_tags",
        _column("item_id", sa.Text),
        _column("tags", sa.Text),
        _column("price", sa.Double, nullable=True),
        _column("created_at", UtcTime, nullable=True),
        _column("title", sa.Text, nullable=True),
        _column("attributes", sa.Text, nullable=True),
        key=("item_id",),
    )
    day, score = ("day", sa.Date), ("score", sa.Double)
    of_surface(
        "item_popularity_daily",
        _column("item_id", sa.Text),
        _column(*day),
        _column(*score),
        key=("item_id", "day"),
    )
    of_surface(
        "item_covisit_daily",
        _column("item_id", sa.Text),
        _column("neighbor_id", sa.Text),
        _column(*day),
        _column(*score),
        key=("item_id", "neighbor_id", "day"),
    )
