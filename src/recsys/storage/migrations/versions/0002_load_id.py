"""A name for every bulk load, so that two loads of one data revision can be told apart after a restore."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")


def upgrade() -> None:
    """Null for what was loaded before: such signals are compiled by every worker for itself."""
    op.add_column("tenant_surfaces", sa.Column("load_id", UUID, nullable=True))
