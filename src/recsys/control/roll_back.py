"""Going back: one document, or all of a tenant's together, to any earlier state.

A rollback is a change like any other: it raises the revision, and can itself be rolled back.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from recsys.control.check_artifacts import require_artifacts
from recsys.control.move_documents import move_documents
from recsys.control.outcome import DocumentOutcome, MovedDocument, TenantOutcome
from recsys.control.quarantine import quarantine_left
from recsys.control.read_document import naming_differences
from recsys.control.rollback_target import find_pointers, find_target, find_version
from recsys.domain.canonical import content_hash
from recsys.domain.document import KINDS, DocumentRef, Lint, Pointer
from recsys.domain.errors import (
    Fault,
    InvalidRequest,
    PreconditionRequired,
    Unprocessable,
    VersionMismatch,
)
from recsys.domain.history import LedgerEntry, Pointers, UsedKey
from recsys.domain.ports import Move
from recsys.domain.precondition import Preconditions, judge
from recsys.domain.validation import check_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys.domain.access import Actor
    from recsys.domain.ports import BlobStore, ControlStore, TenantTransaction

TARGETS = ("to", "revision", "at", "audit_id", "steps")


class RollbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where to go back to: exactly one of the targets.

    ``to``: a version, or ``known_good``; ``revision``, ``at``: as it was then; ``audit_id``: that entry's
    ``before_state``; ``steps``: as it was so many moves of this document ago.
    ``quarantine``: what is moved away from is bad; put it under quarantine, so that nobody brings it back by accident.
    """

    to: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    revision: Annotated[int, Meta(ge=0)] | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None
    audit_id: Annotated[int, Meta(ge=1)] | None = None
    steps: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    reason: Annotated[str, Meta(max_length=1_000)] | None = None
    quarantine: bool = False

    def check(self, allowed: Iterable[str] = TARGETS) -> None:
        """Insist on exactly one target, of those allowed.

        Raises:
            Unprocessable: none, several, or one that this rollback does not take.
        """
        given = [name for name in TARGETS if getattr(self, name) is not None]
        if len(given) != 1 or given[0] not in allowed:
            detail = f"Give exactly one of {', '.join(allowed)}; got {', '.join(given) or 'none'}."
            raise Unprocessable(faults=[Fault(f"/{given[0]}" if given else "", detail)])
        if self.at is not None:
            check_time(self.at, "/at")


async def roll_back_document(  # noqa: PLR0913 - the last one is where artifacts are, not what is wished
    store: ControlStore,
    actor: Actor,
    tenant_id: str,
    ref: DocumentRef,
    request: RollbackRequest,
    preconditions: Preconditions,
    idempotency_key: str | None = None,
    override: str | None = None,
    *,
    blobs: BlobStore | None = None,
) -> DocumentOutcome:
    """Move one document's pointer back; a pointer that did not exist then is cleared.

    A frozen tenant allows it. A repeated request with the same ``idempotency_key`` changes nothing and is answered as
    of the revision that the first one made. ``override``: why a version under quarantine is to come back.

    Raises:
        Unprocessable: not exactly one target.
        PreconditionRequired: ``steps`` without one version, a revision or a key (a blind retry would go back twice).
        VersionMismatch: see ``judge``.
        VersionNotFound: there is no such version, revision or audit entry.
        VersionQuarantined: the target is under quarantine, and there is no ``override``.
        ArtifactIncompatible: it is a manifest, and an artifact that it names is gone from ``blobs``.
    """
    request.check()
    if request.steps and not (preconditions.name_one_state or idempotency_key):
        detail = "steps needs If-Match with one version, If-Revision or Idempotency-Key: a retry would go back twice."
        raise PreconditionRequired(detail)
    actor = _with_reason(actor, request)
    async with naming_differences(ref) as sides, store.changing(tenant_id, actor) as transaction:
        tenant = transaction.locked
        key = _key(idempotency_key, ref, request)
        if key is not None and (used := await _used(transaction, key)):
            pointer = await _pointer_at(transaction, ref, used.revision)
            live = _etag(pointer) == _etag(await transaction.pointer(tenant.id, ref))
            return DocumentOutcome(tenant=tenant, ref=ref, pointer=pointer, changed=False, live=live)
        current = await transaction.pointer(tenant.id, ref)
        target, warnings = await find_target(transaction, ref, request)
        sides.current, sides.wanted = current, target.text if target else None
        changed = judge(preconditions, current, target.etag if target else None, required=False)
        moves = [Move(ref=ref, before=current.version if current else None, after=target)] if changed else []
        await require_artifacts(blobs, tenant.id, moves)
        action = f"{ref.kind_name}.rollback"
        warnings += await _make(transaction, actor, moves, request, key, action, override)
        return DocumentOutcome(
            tenant=transaction.locked,
            ref=ref,
            pointer=await transaction.pointer(tenant.id, ref),
            changed=changed,
            warnings=warnings,
        )


async def roll_back_tenant(
    store: ControlStore,
    actor: Actor,
    tenant_id: str,
    request: RollbackRequest,
    preconditions: Preconditions,
    idempotency_key: str | None = None,
    override: str | None = None,
    *,
    blobs: BlobStore | None = None,
) -> TenantOutcome:
    """Move all documents of a tenant to where they stood together, at one new revision.

    ``If-Revision`` is compared with the tenant's revision. Raises what :func:`roll_back_document` raises.
    """
    request.check(("to", "revision", "at"))
    if preconditions.if_match or preconditions.if_none_match:
        detail = "A tenant-wide rollback moves several documents: send If-Revision with the tenant's revision instead."
        raise InvalidRequest(faults=[Fault("", detail)])
    actor = _with_reason(actor, request)
    async with store.changing(tenant_id, actor) as transaction:
        tenant = transaction.locked
        key = _key(idempotency_key, None, request)
        if key is not None and (used := await _used(transaction, key)):
            return TenantOutcome(tenant_id=tenant.id, revision=used.revision, changed=False, moved=[])
        wanted, warnings = await find_pointers(transaction, request)
        moves = await _moves(transaction, wanted)
        _judge_tenant(preconditions, await transaction.ledger(tenant.id, 1, None), moves)
        await require_artifacts(blobs, tenant.id, moves)
        warnings += await _make(transaction, actor, moves, request, key, "tenant.rollback", override)
        return TenantOutcome(
            tenant_id=tenant.id,
            revision=transaction.locked.revision,
            changed=bool(moves),
            moved=[_moved(move) for move in moves],
            warnings=warnings,
        )


def _with_reason(actor: Actor, request: RollbackRequest) -> Actor:
    return msgspec.structs.replace(actor, reason=request.reason) if request.reason else actor


async def _make(
    transaction: TenantTransaction,
    actor: Actor,
    moves: list[Move],
    request: RollbackRequest,
    key: UsedKey | None,
    action: str,
    override: str | None,
) -> list[Lint]:
    """Move the pointers and remember the key; what was moved away from goes under quarantine if that was asked for.

    Returns:
        Warnings about what was put under quarantine.
    """
    if moves:
        await move_documents(transaction, moves, action=action, verb="rollback", override=override)
    warnings = await quarantine_left(transaction, moves, actor.reason) if request.quarantine else []
    if key is not None:
        await transaction.use_key(msgspec.structs.replace(key, revision=transaction.locked.revision))
    return warnings


def _key(key: str | None, ref: DocumentRef | None, request: RollbackRequest) -> UsedKey | None:
    """The key with what it stands for: this very request. The revision is not known yet."""
    if key is None:
        return None
    said = msgspec.json.encode((str(ref) if ref else None, request), order="sorted").decode()
    return UsedKey(key=key, fingerprint=content_hash(said), revision=0)


async def _used(transaction: TenantTransaction, key: UsedKey) -> UsedKey | None:
    """The earlier use of a key by the same request.

    Raises:
        Unprocessable: another request used it; answering that one's success would hide that nothing was done.
    """
    used = await transaction.used_key(transaction.locked.id, key.key)
    if used is not None and used.fingerprint != key.fingerprint:
        detail = f"Idempotency-Key {key.key!r} was used for another request; each request needs a key of its own."
        raise Unprocessable(faults=[Fault("", detail)])
    return used


async def _pointer_at(transaction: TenantTransaction, ref: DocumentRef, revision: int) -> Pointer | None:
    """Where a document's pointer stood after a revision, and who had moved it there: perhaps long before."""
    for moved in await transaction.moves_of(transaction.locked.id, ref, 1, revision + 1):
        version = await find_version(transaction, ref, moved.pointers.of(ref))
        if version is not None:
            return Pointer(
                version=version, revision=moved.revision, updated_at=moved.occurred_at, updated_by_sub=moved.actor_sub
            )
    return None


def _etag(pointer: Pointer | None) -> str | None:
    return pointer.version.etag if pointer else None


async def _moves(transaction: TenantTransaction, wanted: Pointers) -> list[Move]:
    """The moves that bring every document of the tenant to where it is wanted, in a fixed order."""
    latest = await transaction.ledger(transaction.locked.id, 1, None)
    surfaces = {*wanted.manifests, *(latest[0].pointers.manifests if latest else ())}
    moves = []
    for kind in KINDS.values():
        for surface in sorted(surfaces) if kind.per_surface else [""]:
            ref = DocumentRef(kind.name, surface)
            current = await transaction.pointer(transaction.locked.id, ref)
            before = current.version if current else None
            after = await find_version(transaction, ref, wanted.of(ref))
            if (before.etag if before else None) != (after.etag if after else None):
                moves.append(Move(ref=ref, before=before, after=after))
    return moves


def _judge_tenant(preconditions: Preconditions, latest: list[LedgerEntry], moves: list[Move]) -> None:
    last = latest[0] if latest else None
    revision = last.revision if last else 0
    if moves and preconditions.if_revision not in (None, revision):
        raise VersionMismatch(
            current_version=None,
            current_revision=revision,
            updated_by=last.actor_sub if last else None,
            updated_at=last.occurred_at if last else None,
            detail=f"The tenant is at revision {revision}, and If-Revision says {preconditions.if_revision}. "
            "Read the history again and repeat.",
        )


def _moved(move: Move) -> MovedDocument:
    return MovedDocument(
        document=move.ref.kind_name,
        surface=move.ref.surface or None,
        from_version=move.before.etag if move.before else None,
        to_version=move.after.etag if move.after else None,
    )
