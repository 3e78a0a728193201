"""Whether a manifest can be served: every artifact that it names is there, whole, and in a format that is known."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from recsys.domain.artifact import Address, address_of
from recsys.domain.canonical import parse
from recsys.domain.document import MANIFEST, CanonicalDocument
from recsys.domain.errors import ArtifactIncompatible, Fault, InvalidRequest, NotFound, NotReady
from recsys.domain.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from recsys.domain.document import DocumentRef
    from recsys.domain.ports import BlobStore, ControlStore, Move
    from recsys.domain.tenant import Tenant

_log = logging.getLogger(__name__)


async def check_manifest(
    store: ControlStore, blobs: BlobStore | None, tenant: Tenant, ref: DocumentRef, data: bytes
) -> None:
    """Refuse a manifest that names an artifact which is missing or cannot be read, before it is made current.

    What it names is put out of a collection's reach for a while. Nothing is refused without a store, nor what is no
    manifest, which is for others to judge, nor what is current already.

    Raises:
        ArtifactIncompatible: naming every kind at fault.
        NotReady: the artifact store cannot be reached.
    """
    if blobs is None or ref.kind is not MANIFEST:
        return
    try:
        await _check_each(tenant.id, ref.surface, data, lambda address: _check_content(blobs, address))
    except ArtifactIncompatible:
        async with store.reading() as reader:
            pointer = await reader.pointer(tenant.id, ref)
        if pointer is None or pointer.version.etag != CanonicalDocument.read(data).etag:
            raise


async def require_artifacts(blobs: BlobStore | None, tenant_id: str, moves: Iterable[Move]) -> None:
    """Refuse to go back to a manifest of which an artifact is missing. An unreachable store keeps nobody from it.

    Raises:
        ArtifactIncompatible: naming every kind that is missing.
    """
    if blobs is None:
        return
    for move in moves:
        if move.ref.kind is MANIFEST and move.after is not None:
            data = move.after.text.encode()
            await _check_each(tenant_id, move.ref.surface, data, lambda address: _require(blobs, address))


async def _check_each(tenant_id: str, surface: str, data: bytes, check: Callable[[Address], Awaitable[None]]) -> None:
    try:
        manifest = read_manifest(parse(data))
    except InvalidRequest:
        return
    faults = []
    for kind, uri in manifest.current.items():
        try:
            await check(address_of(tenant_id, surface, kind, uri))
        except ArtifactIncompatible as refusal:
            faults.append(Fault(f"/current/{kind}", refusal.detail))
    if faults:
        raise ArtifactIncompatible(faults=faults)


async def _check_content(blobs: BlobStore, address: Address) -> None:
    await _refresh(blobs, address)
    try:
        content = await blobs.get(address.blob)
    except NotFound as missing:
        raise ArtifactIncompatible(missing.detail) from None
    await asyncio.to_thread(_decode, address, content)


def _decode(address: Address, content: memoryview) -> None:
    try:
        from recsys.artifacts.codec import decode  # noqa: PLC0415 - an extra: who does without it serves from tables
    except ModuleNotFoundError:
        return
    decode(address.kind, content)


async def _require(blobs: BlobStore, address: Address) -> None:
    await _refresh(blobs, address)
    try:
        if await blobs.find(address.blob) is None:
            raise ArtifactIncompatible(f"The artifact store has no {address.blob}.")
    except NotReady as error:
        # At 3 a.m. it may be the store that is down, and replicas may well have what they need.
        _log.warning("going back without knowing whether %s is there: %s", address.blob, error.detail)


async def _refresh(blobs: BlobStore, address: Address) -> None:
    """Put the record again, as it is: what is young is not collected, even before the pointer has moved."""
    try:
        await blobs.put(address.record, bytes(await blobs.get(address.record)))
    except (NotFound, NotReady) as error:  # it has none, or may only be read here: then nothing protects it meanwhile
        _log.warning("the record of %s stays as old as it is: %s", address.blob, error.detail)
