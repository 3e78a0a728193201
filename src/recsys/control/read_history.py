"""The ledger: reading it, and marking a revision as known to be good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from recsys.domain.audit import AuditRecord
from recsys.domain.errors import Fault, InvalidRequest, VersionNotFound
from recsys.domain.history import KNOWN_GOOD

if TYPE_CHECKING:
    from recsys.domain.access import Actor
    from recsys.domain.history import LedgerEntry
    from recsys.domain.ports import ControlStore, Reader


async def read_history(
    store: ControlStore, tenant_id: str, limit: int, before_revision: int | None
) -> list[LedgerEntry]:
    """Ledger entries, newest first, each with the documents whose version then is under quarantine now."""
    async with store.reading() as reader:
        return await _marked(reader, tenant_id, await reader.ledger(tenant_id, limit, before_revision))


async def label_revision(
    store: ControlStore, actor: Actor, tenant_id: str, revision: int, label: str, *, present: bool = True
) -> LedgerEntry:
    """Put the label ``known_good`` on a revision, where ``{"to": "known_good"}`` finds it, or take it off again.

    Raises:
        InvalidRequest: another label.
        VersionNotFound: no such revision.
    """
    if label != KNOWN_GOOD:
        raise InvalidRequest(faults=[Fault("/label", f"The one label there is: {KNOWN_GOOD}.")])
    action = "revision.label" if present else "revision.unlabel"
    record = AuditRecord(action=action, entity_type="revision", entity_id=str(revision), extra={"label": label})
    async with store.changing(tenant_id, actor) as transaction:
        change = transaction.label if present else transaction.unlabel
        await change(revision, label, record)
        entry = await transaction.ledger_entry(transaction.locked.id, revision)
        if entry is None:
            raise VersionNotFound(f"This tenant has no revision {revision}.")
        return (await _marked(transaction, transaction.locked.id, [entry]))[0]


async def _marked(reader: Reader, tenant_id: str, entries: list[LedgerEntry]) -> list[LedgerEntry]:
    bad = await reader.quarantined(tenant_id)
    marks = (sorted(each.name for each in bad if entry.pointers.lead_to(each)) for entry in entries)
    return [msgspec.structs.replace(entry, quarantined=names) for entry, names in zip(entries, marks, strict=True)]
