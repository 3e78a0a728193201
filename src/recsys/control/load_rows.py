"""Bulk loads: check the whole file, name every fault with its line, then write all or nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from recsys.control.row_file import RowFile
from recsys.domain.audit import AuditRecord
from recsys.domain.errors import Fault, Unprocessable
from recsys.domain.event import AHEAD

if TYPE_CHECKING:
    from recsys.control.row_file import LoadFormat
    from recsys.domain.access import Actor
    from recsys.domain.catalogue import Dataset, LoadMode
    from recsys.domain.ports import Clock, ControlStore

_EMPTY = (
    "There are no rows: a replace would remove all {dataset} of surface {surface}, which no rollback brings back. "
    "If that is meant: query parameter allow_empty=true."
)


class LoadOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a bulk load wrote, and the data revision that it made."""

    dataset: str
    surface: str
    mode: str
    rows: int
    data_revision: int


@dataclass(frozen=True)
class Load:
    """What a bulk load is about.

    ``allow_empty``: a file without rows may take the place of what is there; data of tables has no rollback.
    """

    surface: str
    dataset: Dataset
    format_: LoadFormat
    mode: LoadMode = "upsert"
    allow_empty: bool = False


async def load_rows(
    store: ControlStore, clock: Clock, actor: Actor, tenant_id: str, load: Load, spool: BinaryIO
) -> LoadOutcome:
    """Write the rows of a file into one surface of a tenant.

    Raises:
        InvalidRequest: naming faults with their lines, at most 1,000; nothing was written.
        Unprocessable: nothing would be left, and that is not allowed.
        Frozen: the tenant takes no loads, at the moment of the commit.
    """
    # Scores fade from the newest day of the data: one mistyped year would flatten all of a surface.
    latest_day = (clock.now() + AHEAD).date()
    rows = RowFile(spool, load.dataset, load.format_, latest_day=latest_day)
    count = await asyncio.to_thread(rows.check)
    if load.mode == "replace" and not count and not load.allow_empty:
        raise Unprocessable(faults=[Fault("", _EMPTY.format(dataset=load.dataset, surface=load.surface))])
    record = AuditRecord(
        action=f"{load.dataset}.load",
        entity_type=load.dataset,
        entity_id=load.surface,
        extra={"rows": count, "surface": load.surface, "mode": load.mode},
    )
    data_revision = await store.load(tenant_id, load.surface, load.dataset, rows, load.mode, actor, record)
    return LoadOutcome(
        dataset=load.dataset, surface=load.surface, mode=load.mode, rows=count, data_revision=data_revision
    )
