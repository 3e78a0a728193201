"""A surface as the file that a load leaves behind, put where a replica looks for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

from bench.synthetic import SURFACE
from recsys.domain.ports import Arrays, SignalKey
from recsys.ranking.signal_arrays import LAYOUT, from_arrays, to_arrays
from recsys.ranking.signals import SurfaceSignals
from recsys.storage.signal_files import MappedSignalFiles

LOAD_ID = str(UUID(int=1))


class Prepared:
    """The file of a tenant's surface in a cache directory; ``marks``: where it is noted that its hash was verified."""

    def __init__(self, cache: Path, tenant_id: str, data_revision: int, marks: Path | None = None) -> None:
        self._files = MappedSignalFiles(cache, marks)
        self._key = SignalKey(
            tenant_id=tenant_id, surface=SURFACE, data_revision=data_revision, load_id=LOAD_ID, layout=LAYOUT
        )

    def put(self, signals: SurfaceSignals) -> None:
        """Write the file; files of lower data revisions go."""
        _there(self._files.keep(self._key, to_arrays(signals)))

    def open(self, *, verify: bool) -> SurfaceSignals:
        """Map the file; ``verify``: unless it is noted that its hash is right, read all of it and compare."""
        return from_arrays(_there(self._files.find(self._key, verify=verify)))


def set_data_revision(database: str, tenant_id: str, data_revision: int) -> None:
    """Say in the database that this data revision is the current one, and came with the load of the file."""
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"), timeout=10)) as connection, connection:
        connection.execute("update tenants set data_revision = ? where id = ?", (data_revision, tenant_id))
        connection.execute(
            "update tenant_surfaces set data_revision = ?, load_id = ? where tenant_id = ? and namespace = ?",
            (data_revision, LOAD_ID, tenant_id, SURFACE),
        )


def _there(arrays: Arrays | None) -> Arrays:
    if arrays is None:
        raise RuntimeError("The file cannot be written or read; the log above says why.")
    return arrays
