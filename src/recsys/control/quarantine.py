"""Quarantine: marking a version as bad, so that nobody brings it back by accident, and lifting that again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from recsys.control.known_good import latest_known_good
from recsys.control.read_document import stored_version
from recsys.domain.audit import AuditRecord
from recsys.domain.document import Lint
from recsys.domain.errors import Fault, InvalidRequest
from recsys.domain.history import KNOWN_GOOD
from recsys.domain.quarantine import Quarantine, QuarantinedVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.domain.access import Actor
    from recsys.domain.document import DocumentRef, Version
    from recsys.domain.ports import ControlStore, Move, TenantTransaction

NO_REASON = "moved away from by a rollback"
STILL_LIVE = Lint(
    code="CURRENT_QUARANTINED",
    detail="The current version is under quarantine and still live; POST …/rollback moves away from it.",
)
NOTHING_QUARANTINED = Lint(
    code="NOTHING_QUARANTINED",
    detail="Nothing moved, so no version was put under quarantine; POST …/versions/{version}/quarantine does it.",
)


class QuarantineRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a version is bad: whoever wants it back will be told."""

    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]


class QuarantineOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Where a version stands after a request; ``changed`` False: it stood there before.

    ``quarantined`` is null after lifting; ``current``: this version is live.
    """

    document: str
    surface: str | None
    version: str
    quarantined: Quarantine | None
    current: bool
    changed: bool
    warnings: list[Lint] = []


async def quarantine_version(
    store: ControlStore, actor: Actor, tenant_id: str, ref: DocumentRef, etag: str, request: QuarantineRequest
) -> QuarantineOutcome:
    """Put a stored version under quarantine. One that is there already stays as it is, with its first reason.

    The current version may be put there too: it stays live, and the outcome warns of that.

    Raises:
        InvalidRequest: the reason is blank.
        VersionNotFound: this document has no such version.
    """
    reason = request.reason.strip()
    if not reason:
        raise InvalidRequest(faults=[Fault("/reason", "Say why: whoever wants this version back will be told.")])
    async with store.changing(tenant_id, msgspec.structs.replace(actor, reason=reason)) as transaction:
        version = await stored_version(transaction, transaction.locked.id, ref, etag)
        if version.quarantined is None:
            await _put_under_quarantine(transaction, ref, version, reason)
        return await _outcome(transaction, ref, etag, changed=version.quarantined is None)


async def lift_quarantine(
    store: ControlStore, actor: Actor, tenant_id: str, ref: DocumentRef, etag: str
) -> QuarantineOutcome:
    """Take a version out of quarantine; it is good again. Lifting twice changes nothing the second time.

    Raises:
        VersionNotFound: this document has no such version.
    """
    async with store.changing(tenant_id, actor) as transaction:
        version = await stored_version(transaction, transaction.locked.id, ref, etag)
        if version.quarantined is not None:
            before = msgspec.json.encode(version.quarantined).decode()
            record = _record(ref, etag, "quarantine_lift", before_state=before)
            await transaction.lift_quarantine(ref, etag, record)
        return await _outcome(transaction, ref, etag, changed=version.quarantined is not None)


async def list_quarantined(store: ControlStore, tenant_id: str) -> list[QuarantinedVersion]:
    """Every version of a tenant that is under quarantine, latest first."""
    async with store.reading() as reader:
        return await reader.quarantined(tenant_id)


async def quarantine_left(transaction: TenantTransaction, moves: Sequence[Move], reason: str | None) -> list[Lint]:
    """Put every version that these moves left under quarantine, in the transaction that made them, and say which."""
    left = [(move.ref, move.before) for move in moves if move.before is not None]
    for ref, version in left:
        if version.quarantined is None:
            await _put_under_quarantine(transaction, ref, version, reason or NO_REASON)
    said = [f"The {ref} version {version.etag} that was moved away from is under quarantine." for ref, version in left]
    found = [Lint(code="QUARANTINED", detail=detail) for detail in said] or [NOTHING_QUARANTINED]
    return found + await _known_good(transaction, left)


async def _known_good(transaction: TenantTransaction, left: Sequence[tuple[DocumentRef, Version]]) -> list[Lint]:
    """Warnings about what was called good before: somebody may have gone back one step too far."""
    entries = await latest_known_good(transaction) if left else []
    found = []
    for ref, version in left:
        entry = next((each for each in entries if each.pointers.of(ref) == version.etag), None)
        if entry is not None:
            known = f"The {ref} version {version.etag} is the one of revision {entry.revision}, which is labelled"
            lift = f"If it is good: DELETE …/versions/{version.etag}/quarantine lifts it."
            found.append(Lint(code="KNOWN_GOOD_QUARANTINED", detail=f"{known} {KNOWN_GOOD}. {lift}"))
    return found


async def _put_under_quarantine(
    transaction: TenantTransaction, ref: DocumentRef, version: Version, reason: str
) -> None:
    after = msgspec.json.encode({"reason": reason}).decode()
    record = _record(ref, version.etag, "quarantine", after_state=after)
    await transaction.quarantine(ref, version.etag, reason, record)


async def _outcome(transaction: TenantTransaction, ref: DocumentRef, etag: str, *, changed: bool) -> QuarantineOutcome:
    quarantined = (await stored_version(transaction, transaction.locked.id, ref, etag)).quarantined
    pointer = await transaction.pointer(transaction.locked.id, ref)
    current = pointer is not None and pointer.version.etag == etag
    return QuarantineOutcome(
        document=ref.kind_name,
        surface=ref.surface or None,
        version=etag,
        quarantined=quarantined,
        current=current,
        changed=changed,
        warnings=[STILL_LIVE] if current and quarantined else [],
    )


def _record(
    ref: DocumentRef, etag: str, verb: str, *, before_state: str | None = None, after_state: str | None = None
) -> AuditRecord:
    """About the version, not its document: that one did not change."""
    return AuditRecord(
        action=f"{ref.kind_name}.{verb}",
        entity_type=f"{ref.kind_name}_version",
        entity_id=etag,
        before_state=before_state,
        after_state=after_state,
        extra={"surface": ref.surface} if ref.surface else {},
    )
