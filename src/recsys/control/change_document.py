"""Changing a document: compare, set, record; all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.control.move_documents import move_documents
from recsys.control.outcome import DocumentOutcome
from recsys.control.read_document import with_differences
from recsys.domain.document import CanonicalDocument, Draft, check_addressed
from recsys.domain.errors import Frozen, VersionMismatch
from recsys.domain.ports import Move
from recsys.domain.precondition import judge
from recsys.serving.background import aside

if TYPE_CHECKING:
    from recsys.domain.access import Actor
    from recsys.domain.document import DocumentRef
    from recsys.domain.ports import ControlStore
    from recsys.domain.precondition import Preconditions
    from recsys.domain.tenant import Tenant


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
    document = await aside(len(data), CanonicalDocument.read, data)
    async with store.changing(tenant_id, actor) as transaction:
        tenant = transaction.locked
        current, stored = await transaction.standing(ref, document.etag)
        try:
            moves = judge(preconditions, current, document.etag, required=tenant.require_if_match)
        except VersionMismatch as mismatch:
            raise with_differences(mismatch, ref, current, document.value) from None
        if not moves:
            return DocumentOutcome(tenant=tenant, ref=ref, pointer=current, changed=False)
        if tenant.frozen:
            raise Frozen
        move = Move(
            ref=ref,
            before=current.version if current else None,
            # What is stored is always re-appliable, whatever today's validation says.
            after=stored or await _draft(tenant, ref, document, actor),
        )
        await move_documents(transaction, [move], action=f"{ref.kind_name}.update", verb="update", override=override)
        pointer = await transaction.pointer(tenant.id, ref)
        return DocumentOutcome(tenant=transaction.locked, ref=ref, pointer=pointer, changed=True)


async def _draft(tenant: Tenant, ref: DocumentRef, document: CanonicalDocument, actor: Actor) -> Draft:
    """A version that was never stored, checked."""
    await aside(len(document.text), ref.kind.check, document.value)
    check_addressed(ref, tenant, document.value)
    return Draft(etag=document.etag, text=document.text, comment=actor.reason)
