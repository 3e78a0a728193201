"""Collecting artifacts that no manifest needs any more, without ever taking one that might be needed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from recsys.control.check_artifacts import STORE_ANSWER_S
from recsys.domain.artifact import Address, address_of, read_name
from recsys.domain.canonical import parse
from recsys.domain.document import MANIFEST, DocumentRef
from recsys.domain.errors import ArtifactIncompatible, ArtifactStoreNotReady
from recsys.domain.history import KNOWN_GOOD
from recsys.domain.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from recsys.domain.access import Actor
    from recsys.domain.history import LedgerEntry
    from recsys.domain.ports import BlobInfo, BlobStore, Clock, ControlStore, Reader

GRACE: Final = timedelta(hours=24)
"""A publish stores first and points later: what was put so lately may be about to be pointed to."""

_PAGE: Final = 200


@dataclass(frozen=True)
class Stored:
    """An artifact in the store: its blob and its record, or what there is of them."""

    address: Address
    size: int
    modified_at: datetime
    names: tuple[str, ...]


@dataclass(frozen=True)
class Collection:
    """What a collection found for a tenant: what is referenced, what is too young to judge, what went or may go."""

    referenced: list[Stored]
    young: list[Stored]
    collected: list[Stored]


async def collect_garbage(
    store: ControlStore,
    blobs: BlobStore,
    clock: Clock,
    actor: Actor,
    tenant_id: str,
    *,
    keep_days: float,
    grace: timedelta = GRACE,
    delete: bool = False,
) -> Collection:
    """Find the artifacts of a tenant that no version of a manifest references, and remove them if ``delete``.

    A version counts when it is current, was current at any time in the last ``keep_days``, or at a revision that is
    labelled known good. What nobody needed so far is looked at once more, and goes, while the tenant is locked, each by
    itself: a rollback or publish that needs it comes before, and it stays, or after, and finds that it is gone.

    Raises:
        TenantNotFound: nothing was removed.
        InvalidRequest: a version that counts cannot be read, so that nobody knows what it needs.
        NotReady, Overloaded: store or database do not answer, or others hold the tenant. What was removed until then is
            gone, and what the store was just told to remove may go later, when the tenant is locked no more.
    """
    now = clock.now()
    async with store.reading() as reader:
        tenant = await reader.tenant(tenant_id)
    stored = await find_stored(blobs, tenant.id)
    manifests = Manifests(tenant.id)
    async with store.reading() as reader:
        needed = await manifests.needed(reader, now - timedelta(days=keep_days))
    found = Collection([], [], [])
    for each in stored:
        if each.address in needed:
            found.referenced.append(each)
        elif each.modified_at > now - grace:
            found.young.append(each)
        elif not delete:
            found.collected.append(each)
        else:
            async with store.changing(tenant.id, actor) as transaction:
                if each.address in await manifests.needed(transaction, now):
                    found.referenced.append(each)
                else:
                    removed = await _remove(blobs, each, now - grace)
                    (found.collected if removed else found.young).append(each)
    return found


async def find_stored(blobs: BlobStore, tenant_id: str, surface: str | None = None) -> list[Stored]:
    """What the store has of a tenant or one of its surfaces, in order. Foreign names are passed over."""
    prefix = f"{tenant_id}/{surface}/" if surface else f"{tenant_id}/"
    parts: dict[Address, list[BlobInfo]] = {}
    for info in await blobs.list_below(prefix):
        if known := read_name(info.name):
            parts.setdefault(known[0], []).append(info)
    return [_stored(address, infos) for address, infos in sorted(parts.items())]


def _stored(address: Address, infos: list[BlobInfo]) -> Stored:
    return Stored(
        address=address,
        size=sum(info.size for info in infos),
        modified_at=max(info.modified_at for info in infos),
        names=tuple(info.name for info in infos),
    )


async def _remove(blobs: BlobStore, stored: Stored, before: datetime) -> bool:
    """Remove an artifact, blob first, unless some of it was put again; whether it went."""
    try:
        async with asyncio.timeout(STORE_ANSWER_S):
            infos = [await blobs.find(name) for name in (stored.address.blob, stored.address.record)]
            if any(info is not None and info.modified_at > before for info in infos):
                return False
            await blobs.delete(stored.address.blob)
            await blobs.delete(stored.address.record)
            return True
    except TimeoutError:
        raise ArtifactStoreNotReady("The artifact store takes too long; collect again when it is quicker.") from None


class Manifests:
    """What the manifests of a tenant name. Each is read once: a version never changes."""

    def __init__(self, tenant_id: str) -> None:
        self._tenant_id = tenant_id
        self._named: dict[tuple[str, str], set[Address]] = {}

    async def needed(self, reader: Reader, since: datetime) -> set[Address]:
        """What the versions name that count from a time on."""
        needed: set[Address] = set()
        async for entry in _entries_that_count(reader, self._tenant_id, since):
            for surface, etag in entry.pointers.manifests.items():
                needed |= await self._named_in(reader, surface, etag)
        return needed

    async def _named_in(self, reader: Reader, surface: str, etag: str) -> set[Address]:
        named = self._named.get((surface, etag))
        if named is None:
            version = await reader.version(self._tenant_id, DocumentRef(MANIFEST.name, surface), etag)
            named = set() if version is None else _named_by(self._tenant_id, surface, version.text)
            self._named[surface, etag] = named
        return named


async def _entries_that_count(reader: Reader, tenant_id: str, since: datetime) -> AsyncIterator[LedgerEntry]:
    """The ledger entries that were in force at ``since`` or later, and older ones that are labelled known good."""
    before: int | None = None
    in_force = True
    while in_force and (page := await reader.ledger(tenant_id, _PAGE, before)):
        for entry in page:
            if in_force:
                yield entry
                before, in_force = entry.revision, entry.occurred_at > since
    while labelled := await reader.ledger_labelled(tenant_id, KNOWN_GOOD, before):
        yield labelled
        before = labelled.revision


def _named_by(tenant_id: str, surface: str, text: str) -> set[Address]:
    named = set()
    for kind, uri in read_manifest(parse(text.encode())).current.items():
        try:
            named.add(address_of(tenant_id, surface, kind, uri))
        except ArtifactIncompatible:  # it was stored before there were artifacts, and names none
            continue
    return named
