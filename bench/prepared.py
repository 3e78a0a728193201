"""A surface as the file that a load leaves behind, put where a replica looks for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from bench.synthetic import SURFACE
from recsys.ranking.signals import SurfaceSignals


def put_signals(cache: Path, tenant_id: str, signals: SurfaceSignals) -> None:
    """Write the file of a tenant's surface."""


def set_data_revision(database: str, tenant_id: str, data_revision: int) -> None:
    """Say in the database that this data revision is the current one."""
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"), timeout=10)) as connection, connection:
        changed = (data_revision, tenant_id)
        connection.execute("update tenants set data_revision = ? where id = ?", changed)
        connection.execute(
            "update tenant_surfaces set data_revision = ? where tenant_id = ? and namespace = ?", (*changed, SURFACE)
        )


def open_verified(cache: Path, tenant_id: str, signals: SurfaceSignals) -> SurfaceSignals:
    """What the first process of a host gets."""
    return signals


def open_again(cache: Path, tenant_id: str, signals: SurfaceSignals) -> SurfaceSignals:
    """What every other process of a host gets."""
    return signals
