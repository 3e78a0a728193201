"""What one tenant is served: documents and signals as they were read, composed into a snapshot and swapped as one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from recsys.serving.background import aside
from recsys.serving.signal_source import SignalSource, find_sources
from recsys.serving.snapshot import DocumentPart, SignalPart, Snapshot, compose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.domain.ports import Clock, TenantHead
    from recsys.serving.failures import Failures
    from recsys.serving.health import ReplicaObserver

_COPIED: Final = -1
_A_RULE, _AN_ITEM = 15, 0.1
"""What composing takes for one, in the characters of JSON that could be read meanwhile."""

_Parts = dict[str, tuple[int, SignalPart]]


class Composition:
    """Takes what was read, in whatever order it comes, and composes from the newest of each.

    An *epoch* is the time between two restores of the database: within one, a higher revision wins whatever arrives
    first, and what was read in an earlier one is never applied.

    ``head``: the tenant as it was last looked at; ``snapshot``: what is served, None before all of it is there.
    """

    def __init__(self, head: TenantHead, clock: Clock, observer: ReplicaObserver, failures: Failures) -> None:
        self.head = head
        self.epoch = 0
        self.snapshot: Snapshot | None = None
        self._clock = clock
        self._observer = observer
        self._failures = failures
        self._swap = asyncio.Lock()
        self._documents: tuple[int, DocumentPart] | None = None
        self._parts: _Parts = {}
        self._earlier: dict[str, SignalPart] = {}
        self._wanted: tuple[TenantHead, DocumentPart, dict[str, SignalSource]] | None = None

    @property
    def parts(self) -> Mapping[str, SignalPart]:
        """The signals in memory by surface."""
        return {surface: part for surface, (_, part) in self._parts.items()}

    @property
    def documents(self) -> DocumentPart | None:
        """The documents in memory, of whatever epoch."""
        return self._documents[1] if self._documents else None

    @property
    def documents_of_epoch(self) -> DocumentPart | None:
        """The documents in memory, if they were read since the last restore."""
        return self._documents[1] if self._documents and self._documents[0] == self.epoch else None

    @property
    def sources(self) -> Mapping[str, SignalSource]:
        """What each surface is to be served from; none as long as the documents are not known, which say so."""
        if self._documents is None:
            return {}
        head, documents = self.head, self._documents[1]
        if self._wanted is None or self._wanted[0] is not head or self._wanted[1] is not documents:
            self._wanted = (head, documents, find_sources(head, documents))
        return self._wanted[2]

    def begin_epoch(self) -> None:
        """The database was restored: what is served stays until it was read anew, whatever its revision is now."""
        self.epoch += 1
        self._earlier.clear()

    def is_past(self, epoch: int, revision: int) -> bool:
        """Whether documents of a revision, read in ``epoch``, are older than those in memory."""
        held = self.documents_of_epoch
        return epoch != self.epoch or (held is not None and revision < held.revision)

    def has(self, surface: str, source: SignalSource) -> bool:
        """Whether a surface's signals in memory are what ``source`` asks for, or newer."""
        held = self._parts.get(surface)
        return held is not None and held[0] >= self.epoch and source.is_served_by(held[1].source)

    async def fill(
        self, epoch: int, *, documents: DocumentPart | None = None, signals: SignalPart | None = None
    ) -> None:
        """Apply what was read in ``epoch`` if it is not older than what is there, and compose anew."""
        async with self._swap:
            if epoch != self.epoch:
                return
            held, parts = self._documents, dict(self._parts)
            if documents is not None and not self.is_past(epoch, documents.revision):
                # Of no epoch, so that it is read again, whatever its revision, as soon as the database is heard of.
                held = (_COPIED if documents.copied else epoch, documents)
                parts |= self._go_back(documents, parts)
            if signals is not None:
                name = signals.signals.surface
                before, source = parts.get(name), self.sources.get(name)
                if source is not None and (before is None or _takes_place(source, signals, before, epoch)):
                    parts[name] = (epoch, signals)
            await self._compose(held, parts)

    def tidy(self) -> None:
        """Follow what needs no reading: surfaces that are gone, and data revisions raised by keys or status."""
        if self._swap.locked():
            return
        gone = self._parts.keys() - self.sources.keys()
        self._parts = {name: part for name, part in self._parts.items() if name not in gone}
        if self.snapshot is None:
            return
        revision = self._data_revision(self._parts, self.sources)
        if gone or revision != self.snapshot.data_revision:
            surfaces = {name: state for name, state in self.snapshot.surfaces.items() if name not in gone}
            self.snapshot = replace(self.snapshot, data_revision=revision, parts=self.parts, surfaces=surfaces)
            self._observer.serving(self.head.tenant.id, self.snapshot.revision, revision)

    def _go_back(self, documents: DocumentPart, parts: _Parts) -> _Parts:
        """The surfaces whose manifest went back to the one before, of which the signals are still in memory."""
        found: _Parts = {}
        sources = find_sources(self.head, documents)
        for surface, earlier in self._earlier.items():
            source = sources.get(surface)
            if source and surface in parts and not source.same_artifacts(parts[surface][1].source):
                found |= {surface: (self.epoch, earlier)} if source.is_served_by(earlier.source) else {}
        return found

    async def _compose(self, held: tuple[int, DocumentPart] | None, parts: _Parts) -> None:
        """Swap documents, signals and snapshot together; nothing changes when composing fails."""
        # Half of a tenant is not served: the first snapshot waits until every surface is there.
        sources = find_sources(self.head, held[1]) if held is not None else {}
        parts = {name: part for name, part in parts.items() if name in sources}
        awaited = sources.keys() - parts.keys() - set(self._failures.refused)
        if held is not None and (self.snapshot is not None or not awaited):
            shown = {name: part for name, (_, part) in parts.items()}
            now, tenant = self._clock.now(), self.head.tenant
            revision = self._data_revision(parts, sources)
            size = _A_RULE * len(held[1].rules) + _AN_ITEM * sum(len(part.signals.ids) for part in shown.values())
            self.snapshot = await aside(
                round(size), compose, tenant, held[1], shown, self.snapshot, data_revision=revision, now=now
            )
            self._observer.serving(tenant.id, self.snapshot.revision, revision)
        for surface, (_, part) in self._parts.items():
            version = part.source.manifest_version
            if version and surface in parts and parts[surface][1].source.manifest_version != version:
                self._earlier[surface] = part
        self._tell_ages(self._documents, held)
        self._documents, self._parts = held, parts

    def _data_revision(self, parts: _Parts, sources: Mapping[str, SignalSource]) -> int:
        """The tenant's data revision once all that it covers is loaded; until then the one that was served."""
        loaded = max((part.data_revision for _, part in parts.values()), default=0)
        wanted = {surface: source.data_revision for surface, source in sources.items() if source.reads_rows}
        if all(s in parts and parts[s][0] == self.epoch and parts[s][1].data_revision >= wanted[s] for s in wanted):
            return max(self.head.tenant.data_revision, loaded)
        return self.snapshot.data_revision if self.snapshot else loaded

    def _tell_ages(self, before: tuple[int, DocumentPart] | None, now: tuple[int, DocumentPart] | None) -> None:
        """Tell since when each manifest is current, and which surfaces have none any more."""
        known, found = ({} if each is None else each[1].manifests_moved_at for each in (before, now))
        for surface in known.keys() | found.keys():
            if known.get(surface) != found.get(surface):
                self._observer.manifest_moved(self.head.tenant.id, surface, found.get(surface))


def _takes_place(wanted: SignalSource, new: SignalPart, before: tuple[int, SignalPart], epoch: int) -> bool:
    """Whether new signals take the place of those from before: what is wanted meanwhile, and not older."""
    if not wanted.same_artifacts(new.source):
        return False
    comparable = before[0] == epoch and new.source.same_artifacts(before[1].source)
    return not (comparable and new.data_revision < before[1].data_revision)
