"""Reading documents: the current version, stored versions, and what differs between two."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from recsys.domain.canonical import parse
from recsys.domain.diff import Difference
from recsys.domain.errors import VersionMismatch, VersionNotFound

if TYPE_CHECKING:
    from datetime import datetime

    from recsys.domain.canonical import Json
    from recsys.domain.document import DocumentRef, Pointer, Version, VersionInfo
    from recsys.domain.ports import ControlStore, Reader

CURRENT = "current"
MOST_DIFFERENCES = 50


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
    found = ref.kind.compare(parse(before.text.encode()), parse(after.text.encode()))
    return DocumentDiff(from_version=before.etag, to_version=after.etag, differences=list(found))


def with_differences(
    mismatch: VersionMismatch, ref: DocumentRef, current: Pointer | None, wanted: Json
) -> VersionMismatch:
    """A refusal with the pointers at which what is ``wanted`` differs from what is current."""
    if current is not None:
        found = ref.kind.compare(parse(current.version.text.encode()), wanted)
        mismatch.extra["differs"] = [each.pointer for each in islice(found, MOST_DIFFERENCES)]
    return mismatch


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
