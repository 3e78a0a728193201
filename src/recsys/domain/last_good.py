"""What a host keeps of the control plane, so that its replicas can start and answer without the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from recsys.domain.history import Pointers
from recsys.domain.ports import Overview, TenantDocuments

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.domain.document import DocumentRef

_CLOCK_SET_BACK = timedelta(minutes=1)
_ANY_TIME = datetime.min.replace(tzinfo=UTC)


class KeptDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's documents as of ``revision``, and what was good before them.

    ``before``: the pointers that were replaced by ``current``, each on a version that could be read; None: not known.
    ``texts``: the documents of both by their version. ``manifests_moved_at``, ``read_again``: as in
    :class:`TenantDocuments`.
    """

    tenant_id: str
    revision: int
    read_at: datetime
    current: Pointers
    before: Pointers | None = None
    texts: dict[str, str]
    manifests_moved_at: dict[str, datetime] = {}
    read_again: dict[str, int] = {}

    def documents(self) -> TenantDocuments:
        """The documents as a store gives them, marked as copied; those from before stand behind them."""
        earlier = self._of(self.before, None) if self.before is not None else None
        return self._of(self.current, earlier)

    def _of(self, pointers: Pointers, earlier: TenantDocuments | None) -> TenantDocuments:
        texts = {ref: self.texts[version] for ref, version in pointers.by_document().items()}
        return TenantDocuments(
            tenant_id=self.tenant_id,
            revision=self.revision,
            pointers=pointers,
            texts=texts,
            manifests_moved_at=self.manifests_moved_at,
            read_again=self.read_again,
            copied=True,
            earlier=earlier,
        )


class LastGood(msgspec.Struct, frozen=True, kw_only=True):
    """The overview as it was read from the database at ``read_at``, and the documents of its tenants that are known."""

    read_at: datetime
    overview: Overview
    documents: list[KeptDocuments]


class LastGoodRefused(Exception):
    """A copy that is not what was written: damaged, cut short, of another layout or of another database."""


class LastGoodCopy(Protocol):
    """Where a host keeps its last known good; its methods read and write files, so not for the event loop."""

    def read(self) -> LastGood | None:
        """What is kept; None when there is nothing.

        Raises:
            LastGoodRefused: there is something that must not be served; says where and why.
            OSError: it cannot be read.
        """

    def keep(self, state: LastGood) -> None:
        """Keep this, unless another replica of the host has kept what is newer: per tenant the later read stays.

        Raises:
            OSError: it cannot be written.
        """


def advance(
    kept: KeptDocuments | None,
    seen: TenantDocuments,
    read_at: datetime,
    is_readable: Callable[[DocumentRef, str], bool],
) -> KeptDocuments:
    """What to keep once these documents were seen: they, and what of the replaced ones could be read."""
    before = kept.before if kept is not None else None
    texts = kept.texts if kept is not None else {}
    if kept is not None and kept.current != seen.pointers:
        before = _readable(kept, is_readable)
    known = texts | {version: seen.texts[ref] for ref, version in seen.pointers.by_document().items()}
    wanted = {*seen.pointers.by_document().values(), *(before.by_document().values() if before is not None else ())}
    return KeptDocuments(
        tenant_id=seen.tenant_id,
        revision=seen.revision,
        read_at=read_at,
        current=seen.pointers,
        before=before,
        texts={version: known[version] for version in sorted(wanted)},
        manifests_moved_at=seen.manifests_moved_at,
        read_again=seen.read_again,
    )


def newest(mine: LastGood, theirs: LastGood) -> LastGood:
    """Of two states that replicas of one host read, what was read later, tenant by tenant.

    What was read later is what counts even at a lower revision: the database was restored. ``theirs`` from far ahead
    was dated by a clock that has been set back since, and does not count.
    """
    if theirs.read_at - mine.read_at > _CLOCK_SET_BACK:
        return mine
    later = mine if mine.read_at >= theirs.read_at else theirs
    documents = {each.tenant_id: each for each in theirs.documents}
    for each in mine.documents:
        other = documents.get(each.tenant_id)
        documents[each.tenant_id] = _later(each, other) if other is not None else each
    present = [head.tenant.id for head in later.overview.heads]
    return LastGood(
        read_at=later.read_at,
        overview=later.overview,
        documents=[documents[tenant_id] for tenant_id in present if tenant_id in documents],
    )


def says_the_same(one: LastGood, other: LastGood) -> bool:
    """Whether two states differ in nothing but when they were read."""
    return one.overview == other.overview and _content(one) == _content(other)


def _readable(kept: KeptDocuments, is_readable: Callable[[DocumentRef, str], bool]) -> Pointers | None:
    """What is kept with every document on a version that can be read; None when there is none for one of them."""
    pointers = kept.current
    for ref, version in kept.current.by_document().items():
        if not is_readable(ref, kept.texts[version]):
            if kept.before is None:
                return None
            pointers = pointers.moved(ref, kept.before.of(ref))
    return pointers


def _later(mine: KeptDocuments, theirs: KeptDocuments) -> KeptDocuments:
    later = mine if mine.read_at > theirs.read_at else theirs
    if mine.current != theirs.current:
        return later
    # Two that agree on what is current may know different ones from before: one of them stays, or both write in turn.
    good = theirs if theirs.before is not None else mine
    return msgspec.structs.replace(later, before=good.before, texts=good.texts)


def _content(state: LastGood) -> list[KeptDocuments]:
    return [msgspec.structs.replace(each, read_at=_ANY_TIME, texts={}) for each in state.documents]
