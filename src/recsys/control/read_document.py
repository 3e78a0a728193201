"""Reading documents: the current version, stored versions, and what differs between two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from recsys.domain.canonical import parse
from recsys.domain.diff import Difference, differences
from recsys.domain.errors import VersionNotFound

if TYPE_CHECKING:
    from datetime import datetime

    from recsys.domain.document import DocumentRef, Pointer, Version, VersionInfo
    from recsys.domain.ports import ControlStore, Reader

CURRENT = "current"


class DocumentDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two versions of a document."""

    from_version: str
    to_version: str
    differences: list[Difference]


async def read_document(store: ControlStore, tenant_id: str, ref: DocumentRef) -> Pointer:
    """The current version of a document. Raises the kind's ``not_found`` when it has none."""
    async with store.reading() as reader:
        return await _current(reader, tenant_id, ref)


async def read_version(store: ControlStore, tenant_id: str, ref: DocumentRef, etag: str) -> Version:
    """A stored version, or the one that is ``current``. Raises VersionNotFound."""
    async with store.reading() as reader:
        return await _version(reader, tenant_id, ref, etag)


async def list_versions(
    store: ControlStore, tenant_id: str, ref: DocumentRef, limit: int, before: datetime | None
) -> list[VersionInfo]:
    """Stored versions, newest first."""
    async with store.reading() as reader:
        return await reader.versions(tenant_id, ref, limit, before)


async def diff_versions(store: ControlStore, tenant_id: str, ref: DocumentRef, from_: str, to: str) -> DocumentDiff:
    """What differs between two versions; ``current`` names the one in force. Raises VersionNotFound."""
    async with store.reading() as reader:
        before = await _version(reader, tenant_id, ref, from_)
        after = await _version(reader, tenant_id, ref, to)
    # Earlier releases stored rules in their envelope as well, which is no difference.
    old, new = (ref.kind.plain(parse(version.text.encode())) for version in (before, after))
    found = differences(old, new)
    return DocumentDiff(from_version=before.etag, to_version=after.etag, differences=list(found))


async def stored_version(reader: Reader, tenant_id: str, ref: DocumentRef, etag: str) -> Version:
    """A stored version of a document. Raises VersionNotFound."""
    version = await reader.version(tenant_id, ref, etag)
    if version is None:
        raise VersionNotFound(f"This tenant has no {ref} version {etag!r}.")
    return version


async def _current(reader: Reader, tenant_id: str, ref: DocumentRef) -> Pointer:
    pointer = await reader.pointer(tenant_id, ref)
    if pointer is None:
        raise ref.kind.not_found
    return pointer


async def _version(reader: Reader, tenant_id: str, ref: DocumentRef, name: str) -> Version:
    if name == CURRENT:
        return (await _current(reader, tenant_id, ref)).version
    return await stored_version(reader, tenant_id, ref, name)
