"""Changing a document: compare, set, record; all or nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from recsys.control.move_documents import move_documents
from recsys.control.outcome import DocumentOutcome
from recsys.domain.canonical import parse
from recsys.domain.diff import differences
from recsys.domain.document import CanonicalDocument, Draft, check_addressed
from recsys.domain.errors import Frozen, VersionMismatch
from recsys.domain.ports import Move
from recsys.domain.precondition import judge

if TYPE_CHECKING:
    from recsys.domain.access import Actor
    from recsys.domain.document import DocumentRef, Pointer, Version
    from recsys.domain.ports import ControlStore, TenantTransaction
    from recsys.domain.precondition import Preconditions

MOST_DIFFERENCES = 50


async def change_document(
    store: ControlStore,
    actor: Actor,
    tenant_id: str,
    ref: DocumentRef,
    data: bytes,
    preconditions: Preconditions,
    override: str | None = None,
) -> DocumentOutcome:
    """Make ``data`` the current version of a document. ``override``: why, though that version is under quarantine.

    Raises:
        InvalidRequest, Unprocessable: the document is structurally wrong, and is not a version stored before.
        PreconditionRequired, PreconditionFailed, VersionMismatch: see ``judge``; a mismatch names what differs.
        Frozen: the tenant takes no changes.
        VersionQuarantined: this version is under quarantine, and there is no ``override``.
    """
    document = await asyncio.to_thread(CanonicalDocument.read, data)  # a long one must not hold others up
    async with store.changing(tenant_id, actor) as transaction:
        tenant = transaction.locked
        current = await transaction.pointer(tenant.id, ref)
        try:
            moves = judge(preconditions, current, document.etag, required=tenant.require_if_match)
        except VersionMismatch as mismatch:
            raise _with_differences(mismatch, current, document) from None
        if not moves:
            return DocumentOutcome(tenant=tenant, ref=ref, pointer=current, changed=False)
        if tenant.frozen:
            raise Frozen
        move = Move(
            ref=ref,
            before=current.version if current else None,
            after=await _version(transaction, ref, document, actor),
        )
        await move_documents(transaction, [move], action=f"{ref.kind_name}.update", verb="update", override=override)
        pointer = await transaction.pointer(tenant.id, ref)
        return DocumentOutcome(tenant=transaction.locked, ref=ref, pointer=pointer, changed=True)


async def _version(
    transaction: TenantTransaction, ref: DocumentRef, document: CanonicalDocument, actor: Actor
) -> Version | Draft:
    """The version to move to. One that is stored is always re-appliable, whatever today's validation says."""
    stored = await transaction.version(transaction.locked.id, ref, document.etag)
    if stored is not None:
        return stored
    await asyncio.to_thread(ref.kind.check, document.value)
    check_addressed(ref, transaction.locked, document.value)
    return Draft(etag=document.etag, text=document.text, comment=actor.reason)


def _with_differences(
    mismatch: VersionMismatch, current: Pointer | None, document: CanonicalDocument
) -> VersionMismatch:
    if current is not None:
        found = differences(parse(current.version.text.encode()), document.value)
        mismatch.extra["differs"] = [each.pointer for each, _ in zip(found, range(MOST_DIFFERENCES), strict=False)]
    return mismatch
