"""Publishing artifacts: first the blobs, then their records, last the manifest, which is changed like any document.

Until that last step nothing of a publish shows, so one that fails, or is killed, leaves what is served as it was.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from recsys.control.change_document import change_document
from recsys.domain.artifact import Address, ArtifactRecord, Lineage, hash_content
from recsys.domain.canonical import parse
from recsys.domain.document import MANIFEST, DocumentRef
from recsys.domain.errors import ArtifactIncompatible, PreconditionFailed, VersionMismatch
from recsys.domain.manifest import make_manifest, read_manifest
from recsys.domain.precondition import Preconditions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.control.outcome import DocumentOutcome
    from recsys.domain.access import Actor
    from recsys.domain.document import Pointer
    from recsys.domain.manifest import ArtifactKind
    from recsys.domain.ports import BlobStore, ControlStore

_ATTEMPTS: Final = 10
"""How often somebody else may move the manifest between reading it and changing it."""


@dataclass(frozen=True)
class NewArtifact:
    """The bytes of an artifact, as ``encode`` made them (or pages of a file of them), and where they come from."""

    content: bytes | memoryview
    lineage: Lineage


async def publish(
    store: ControlStore,
    blobs: BlobStore,
    actor: Actor,
    tenant_id: str,
    surface: str,
    artifacts: Mapping[ArtifactKind, NewArtifact],
    *,
    only: bool = False,
) -> DocumentOutcome:
    """Store artifacts and serve a surface from them. Kinds that are not among them stay, unless ``only``.

    Raises:
        TenantNotFound, Frozen, NotReady: nothing that is served has changed.
        VersionMismatch, PreconditionFailed: others moved the manifest again and again.
        ArtifactIncompatible: a kind that is not among them and stays is missing in the store.
    """
    async with store.reading() as reader:
        tenant = await reader.tenant(tenant_id)

    async def attempt() -> DocumentOutcome:
        uris: dict[ArtifactKind, str] = {}
        for kind, artifact in artifacts.items():
            uris[kind] = await store_artifact(blobs, tenant.id, surface, kind, artifact)
        return await _point_to(store, blobs, actor, tenant.id, surface, uris, only=only)

    try:
        return await attempt()
    except ArtifactIncompatible:  # a collection was about to take an old one: what is stored again is too young for it
        return await attempt()


async def store_artifact(
    blobs: BlobStore, tenant_id: str, surface: str, kind: ArtifactKind, artifact: NewArtifact
) -> str:
    """Put an artifact and its record where they belong, and give its URI. Nothing is served from it yet.

    Raises:
        NotReady: the store cannot be reached, or does not take it.
    """
    sha256 = await asyncio.to_thread(hash_content, artifact.content)
    address = Address(tenant_id, surface, kind, sha256)
    await blobs.put(address.blob, artifact.content)
    await blobs.put(address.record, _record(address, artifact))
    return address.uri


async def _point_to(
    store: ControlStore,
    blobs: BlobStore,
    actor: Actor,
    tenant_id: str,
    surface: str,
    uris: Mapping[ArtifactKind, str],
    *,
    only: bool,
) -> DocumentOutcome:
    """Serve a surface from stored artifacts; its other kinds stay, unless ``only``. Other publishes are not lost."""
    ref = DocumentRef(MANIFEST.name, surface)
    for attempt in range(_ATTEMPTS):
        async with store.reading() as reader:
            tenant = await reader.tenant(tenant_id)
            pointer = await reader.pointer(tenant.id, ref)
        current = read_manifest(parse(pointer.version.text.encode())) if pointer else None
        document = make_manifest(current, tenant.external_id, surface, uris, only=only)
        try:
            data = msgspec.json.encode(document)
            return await change_document(store, actor, tenant.id, ref, data, _seen(pointer), blobs=blobs)
        except (VersionMismatch, PreconditionFailed):
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _seen(pointer: Pointer | None) -> Preconditions:
    """That the pointer has not moved since it was read."""
    if pointer is None:
        return Preconditions(if_none_match=True)
    return Preconditions(if_match=frozenset({pointer.version.etag}), if_revision=pointer.revision)


def _record(address: Address, artifact: NewArtifact) -> bytes:
    record = ArtifactRecord(
        tenant_id=address.tenant_id,
        surface=address.surface,
        kind=address.kind,
        sha256=address.sha256,
        size_bytes=len(artifact.content),
        lineage=artifact.lineage,
    )
    return msgspec.json.encode(record)
