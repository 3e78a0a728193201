"""Replicas that say how far they are, notifications of every change, quarantined versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from recsys.storage.schema import UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

# Whoever moves a tenant's revisions, an operator's statement and its trigger among them, tells every listening replica
# which tenant it was, and nothing more: they read the rest. An empty payload: a key changed.
NOTIFY = (
    """
create function recsys_notify_tenant() returns trigger language plpgsql as $body$
begin
  perform pg_notify('recsys', new.id::text);
  return null;
end
$body$
""",
    """
create function recsys_notify_keys() returns trigger language plpgsql as $body$
begin
  perform pg_notify('recsys', '');
  return null;
end
$body$
""",
    (
        "create trigger tenants_notify after insert or update on tenants "
        "for each row execute function recsys_notify_tenant()"
    ),
    (
        "create trigger tenant_api_keys_notify after insert or update or delete on tenant_api_keys "
        "for each statement execute function recsys_notify_keys()"
    ),
)


def upgrade() -> None:
    op.create_table(
        "replicas",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("code_version", sa.Text, nullable=False),
        sa.Column("started_at", UtcTime, nullable=False),
        sa.Column("heartbeat_at", UtcTime, nullable=False),
        sa.Column("synced_through", UtcTime),
        sa.Column("tenants", sa.Text, nullable=False),
    )
    op.create_table(
        "tenant_quarantined_versions",
        sa.Column("tenant_id", UUID, sa.ForeignKey("tenants.id"), primary_key=True),
        sa.Column("document", sa.Text, primary_key=True),
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("created_by_sub", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.add_column(
        "cache_invalidation_events",
        sa.Column("number", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.add_column("cache_invalidation_events", sa.Column("applied_at", UtcTime))
    if op.get_bind().dialect.name == "postgresql":
        for statement in NOTIFY:
            op.execute(sa.text(statement))
