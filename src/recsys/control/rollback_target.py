"""What a rollback goes back to: the version of one document, or every pointer of a tenant, as they once were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from recsys.control.known_good import find_known_good
from recsys.control.read_document import stored_version
from recsys.domain.errors import Fault, Unprocessable, VersionNotFound
from recsys.domain.history import KNOWN_GOOD, Pointers

if TYPE_CHECKING:
    from recsys.control.roll_back import RollbackRequest
    from recsys.domain.document import DocumentRef, Lint, Version
    from recsys.domain.history import LedgerEntry
    from recsys.domain.ports import TenantTransaction

_AHEAD: Final = timedelta(seconds=60)
"""How far the clock of whoever asks may be ahead of ours."""


async def find_target(
    transaction: TenantTransaction, ref: DocumentRef, request: RollbackRequest
) -> tuple[Version | None, list[Lint]]:
    """The version a document is to go back to (None when it had none then), and warnings about the choice."""
    warnings: list[Lint] = []
    if request.audit_id is not None:
        etag = await _before_entry(transaction, ref, request.audit_id)
    elif request.steps is not None:
        etag = await _steps_ago(transaction, ref, request.steps)
    elif request.to is not None and request.to != KNOWN_GOOD:
        etag = request.to.strip().strip('"').lower()
    else:
        pointers, warnings = await find_pointers(transaction, request, ref)
        etag = pointers.of(ref)
    return await find_version(transaction, ref, etag), warnings


async def find_version(transaction: TenantTransaction, ref: DocumentRef, etag: str | None) -> Version | None:
    """The stored version ``etag``; None stands for none. Raises VersionNotFound."""
    return None if etag is None else await stored_version(transaction, transaction.locked.id, ref, etag)


async def find_pointers(
    transaction: TenantTransaction, request: RollbackRequest, ref: DocumentRef | None = None
) -> tuple[Pointers, list[Lint]]:
    """Every pointer at a revision, at a time, or at the revision that is known good (for ``ref``, None: for all)."""
    tenant_id = transaction.locked.id
    if request.revision is not None:
        if request.revision == 0:
            return Pointers(), []
        found = await transaction.ledger_entry(tenant_id, request.revision)
        if found is None:
            raise VersionNotFound(f"This tenant has no revision {request.revision}.")
        return found.pointers, []
    if request.at is not None:
        _check_past(request.at, transaction)
        # Before the first entry nothing was current: that is a state too.
        then = await transaction.ledger_at(tenant_id, request.at)
        await _check_what_followed(transaction, then)
        return then.pointers if then else Pointers(), []
    if request.to != KNOWN_GOOD:
        raise Unprocessable(faults=[Fault("/to", f"A tenant-wide rollback goes to {KNOWN_GOOD!r}, not to a version.")])
    return await find_known_good(transaction, ref)


def _check_past(at: datetime, transaction: TenantTransaction) -> None:
    """Refuse a time at which nothing stood: with zones mixed up it would seem that everything is there already."""
    if at < transaction.locked.created_at:
        detail = f"The tenant exists since {transaction.locked.created_at.isoformat()}; to clear all: revision 0."
        raise Unprocessable(faults=[Fault("/at", detail)])
    if at > transaction.now + _AHEAD:
        understood, now = (time.astimezone(UTC).isoformat(timespec="seconds") for time in (at, transaction.now))
        detail = f"Understood as {understood}, which is in the future: here it is {now}. Is the zone right?"
        raise Unprocessable(faults=[Fault("/at", detail)])


async def _check_what_followed(transaction: TenantTransaction, then: LedgerEntry | None) -> None:
    """Refuse a time when the entry after the one that stood ``then`` is in the future: some clock was ahead.

    It was written before now, but perhaps before the time that is asked for: then it is what stood at that time.
    """
    tenant_id = transaction.locked.id
    following = await transaction.ledger_entry(tenant_id, then.revision + 1 if then else 1)
    if following is not None and following.occurred_at > transaction.now + _AHEAD:
        newest = (await transaction.ledger(tenant_id, 1, None))[0]
        until = newest.occurred_at.astimezone(UTC).isoformat(timespec="seconds")
        detail = (
            f"A clock was ahead when revision {following.revision} was made, so that times in the history run ahead "
            f"until {until}, and what stood then is not known. Give the revision or the version instead."
        )
        raise Unprocessable(faults=[Fault("/at", detail)])


async def _before_entry(transaction: TenantTransaction, ref: DocumentRef, audit_id: int) -> str | None:
    entry = await transaction.audit_entry(transaction.locked.id, audit_id)
    if entry is None:
        raise VersionNotFound(f"This tenant has no audit entry {audit_id}.")
    extra: dict[str, Any] = msgspec.json.decode(entry.extra)
    if (entry.entity_type, entry.entity_id) != (ref.kind_name, ref.surface or ref.kind_name):
        about = " ".join(dict.fromkeys((entry.entity_type, entry.entity_id)))
        detail = f"Audit entry {audit_id} is about {about}, not about {ref}."
        raise Unprocessable(faults=[Fault("/audit_id", detail)])
    before: str | None = extra["before_version"]
    return before


async def _steps_ago(transaction: TenantTransaction, ref: DocumentRef, steps: int) -> str | None:
    moves = await transaction.moves_of(transaction.locked.id, ref, steps)
    if len(moves) < steps:
        raise VersionNotFound(f"This document has moved {len(moves)} times, so there is no going back {steps} steps.")
    before = await transaction.ledger_entry(transaction.locked.id, moves[-1].revision - 1)
    return before.pointers.of(ref) if before else None
