"""Reading documents: the current version, stored versions, and what differs between two."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from recsys.domain.canonical import parse
from recsys.domain.diff import Difference
from recsys.domain.errors import VersionMismatch, VersionNotFound
from recsys.serving.background import aside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from recsys.domain.document import DocumentRef, Pointer, Version, VersionInfo
    from recsys.domain.ports import ControlStore, Reader

CURRENT = "current"
MOST_DIFFERENCES = 1_000
"""Of two versions that are compared. Whoever wants to see more of them than that has the documents themselves."""
MOST_POINTERS = 50
"""Of those that a refusal names."""


class DocumentDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two versions of a document: the first of ``total`` differences."""

    from_version: str
    to_version: str
    differences: list[Difference]
    total: int


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
    """The first thousand of what differs between two versions; ``current`` names the one in force.

    Raises:
        VersionNotFound: there is no such version.
    """
    async with store.reading() as reader:
        before = await _version(reader, tenant_id, ref, from_)
        after = await _version(reader, tenant_id, ref, to)
    return await aside(len(before.text) + len(after.text), _compare, ref, before, after)


@dataclass
class Sides:
    """What a refused change is about: where the pointer stands, and the text that is wanted there (None: none)."""

    current: Pointer | None = None
    wanted: str | None = None


@asynccontextmanager
async def naming_differences(ref: DocumentRef) -> AsyncIterator[Sides]:
    """Have a VersionMismatch in this block name the first pointers at which the two sides differ.

    They are worked out when the block has been left, and with it the lock that is taken there.
    """
    sides = Sides()
    try:
        yield sides
    except VersionMismatch as mismatch:
        if sides.current is not None:
            current, wanted = sides.current.version.text, sides.wanted or "null"
            mismatch.extra["differs"] = await aside(len(current) + len(wanted), _pointers, ref, current, wanted)
        raise


async def stored_version(reader: Reader, tenant_id: str, ref: DocumentRef, etag: str) -> Version:
    """A stored version of a document. Raises VersionNotFound."""
    version = await reader.version(tenant_id, ref, etag)
    if version is None:
        raise VersionNotFound(f"This tenant has no {ref} version {etag!r}.")
    return version


def _compare(ref: DocumentRef, before: Version, after: Version) -> DocumentDiff:
    found = ref.kind.compare(parse(before.text.encode()), parse(after.text.encode()))
    first = list(islice(found, MOST_DIFFERENCES))
    total = len(first) + sum(1 for _ in found)
    return DocumentDiff(from_version=before.etag, to_version=after.etag, differences=first, total=total)


def _pointers(ref: DocumentRef, before: str, after: str) -> list[str]:
    found = ref.kind.compare(parse(before.encode()), parse(after.encode()))
    return [each.pointer for each in islice(found, MOST_POINTERS)]


async def _current(reader: Reader, tenant_id: str, ref: DocumentRef) -> Pointer:
    pointer = await reader.pointer(tenant_id, ref)
    if pointer is None:
        raise ref.kind.not_found
    return pointer


async def _version(reader: Reader, tenant_id: str, ref: DocumentRef, name: str) -> Version:
    if name == CURRENT:
        return (await _current(reader, tenant_id, ref)).version
    return await stored_version(reader, tenant_id, ref, name)
