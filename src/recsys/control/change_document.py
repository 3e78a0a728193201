"""Changing a document: compare, set, record; all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.control.check_artifacts import check_manifest, require_artifacts
from recsys.control.move_documents import move_documents
from recsys.control.outcome import DocumentOutcome
from recsys.control.read_document import naming_differences
from recsys.domain.document import MANIFEST, CanonicalDocument, Draft, check_addressed
from recsys.domain.ports import Move
from recsys.domain.precondition import judge
from recsys.serving.background import aside

if TYPE_CHECKING:
    from recsys.domain.access import Actor
    from recsys.domain.document import DocumentRef, Pointer
    from recsys.domain.ports import BlobStore, ControlStore
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
    *,
    blobs: BlobStore | None = None,
) -> DocumentOutcome:
    """Make ``data`` the current version of a document. ``override``: why, though that version is under quarantine.

    With ``blobs``, a manifest is taken only when all that it names is there.

    Raises:
        InvalidRequest, Unprocessable: the document is structurally wrong, and is not a version stored before.
        PreconditionRequired, PreconditionFailed, VersionMismatch: see ``judge``; a mismatch names what differs.
        Frozen: the tenant takes no changes.
        ArtifactIncompatible: an artifact that a manifest names is missing.
        VersionQuarantined: this version is under quarantine, and there is no ``override``.
    """
    document = await aside(len(data), CanonicalDocument.read, data)
    async with naming_differences(ref) as sides, store.changing(tenant_id, actor) as transaction:
        tenant = transaction.locked
        current, stored = await transaction.standing(ref, document.etag)
        sides.current, sides.wanted = current, document.text
        if not _must_move(tenant, preconditions, current, document):
            return DocumentOutcome(tenant=tenant, ref=ref, pointer=current, changed=False)
        move = Move(
            ref=ref,
            before=current.version if current else None,
            # What is stored is always re-appliable, whatever today's validation says.
            after=stored or await _draft(tenant, ref, document, actor),
        )
        await require_artifacts(blobs, tenant.id, [move])
        await move_documents(transaction, [move], action=f"{ref.kind_name}.update", verb="update", override=override)
        pointer = await transaction.pointer(tenant.id, ref)
        return DocumentOutcome(tenant=transaction.locked, ref=ref, pointer=pointer, changed=True)


async def inspect_artifacts(
    store: ControlStore,
    blobs: BlobStore | None,
    tenant_id: str,
    ref: DocumentRef,
    data: bytes,
    preconditions: Preconditions,
) -> None:
    """Refuse a manifest whose artifacts cannot be read: for :func:`change_document` by others than who has made them.

    They are read for seconds, so not under its lock; nor for what will be refused or changes nothing.

    Raises:
        InvalidRequest, PreconditionRequired, PreconditionFailed, VersionMismatch, Frozen: as :func:`change_document`.
        ArtifactIncompatible, NotReady: see :func:`check_manifest`.
    """
    if blobs is None or ref.kind is not MANIFEST:
        return
    document = await aside(len(data), CanonicalDocument.read, data)
    async with naming_differences(ref) as sides, store.reading() as reader:
        tenant = await reader.tenant(tenant_id)
        current = await reader.pointer(tenant.id, ref)
        sides.current, sides.wanted = current, document.text
        moves = _must_move(tenant, preconditions, current, document)
    if moves:
        await check_manifest(blobs, tenant.id, ref.surface, document.value)


def _must_move(
    tenant: Tenant, preconditions: Preconditions, current: Pointer | None, document: CanonicalDocument
) -> bool:
    """Whether the pointer has to move, and may. Raises what ``judge`` raises, then Frozen."""
    moves = judge(preconditions, current, document.etag, required=tenant.require_if_match)
    if moves:
        tenant.check_not_frozen()
    return moves


async def _draft(tenant: Tenant, ref: DocumentRef, document: CanonicalDocument, actor: Actor) -> Draft:
    """A version that was never stored, checked."""
    await aside(len(document.text), ref.kind.check, document.value)
    check_addressed(ref, tenant, document.value)
    return Draft(etag=document.etag, text=document.text, comment=actor.reason)
