"""One tenant in memory: reads what is newer, composes, swaps, and keeps the last good snapshot when it cannot."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from recsys.domain.errors import NotReady
from recsys.domain.replica import SyncedTenant
from recsys.serving.health import TenantHealth
from recsys.serving.snapshot import (
    DocumentPart,
    SignalPart,
    Snapshot,
    UnreadableDocument,
    compose,
    read_documents,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any

    from recsys.domain.ports import Clock, ServingStore, TenantHead
    from recsys.serving.health import ReplicaObserver
    from recsys.serving.signal_reader import SignalReader

_log = logging.getLogger(__name__)
_DOCUMENTS = ""  # the name of the job that reads documents; the jobs that read signals are named by their surface
_CONFIRMED = 2
_COPIED = -1
_NEWS_S = 10.0
"""For so long after it moved, a tenant is worth telling of."""


class Keeper:
    """Keeps the snapshot of one tenant current. Reading is done by jobs, at most one per document set and surface.

    An *epoch* is the time between two restores of the database: within one, a higher revision wins whatever arrives
    first, and what was read in an earlier one is never applied.

    ``moved`` is called whenever what :meth:`synced` says may have changed.
    """

    def __init__(
        self,
        head: TenantHead,
        store: ServingStore,
        signals: SignalReader,
        clock: Clock,
        observer: ReplicaObserver,
        moved: Callable[[], None],
    ) -> None:
        self.head = head
        self.snapshot: Snapshot | None = None
        self.incompatible: str | None = None
        self.unreachable = False
        self._store = store
        self._signals = signals
        self._clock = clock
        self._observer = observer
        self._moved = moved
        self._moved_at = -inf
        self._swap = asyncio.Lock()
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._epoch = 0
        self._behind = 0
        self._documents: tuple[int, DocumentPart] | None = None
        self._parts: dict[str, tuple[int, SignalPart]] = {}
        self._refused = (0, -1)
        self._invalidations = head.tenant.invalidations

    @property
    def parts(self) -> Mapping[str, SignalPart]:
        """The signals in memory by surface."""
        return {surface: part for surface, (_, part) in self._parts.items()}

    def observe(self, head: TenantHead) -> None:
        """Take note of the tenant's revisions and start to read whatever they say is newer."""
        if self._is_behind(head):
            self._behind += 1
            if self._behind < _CONFIRMED:
                return
            _log.error("the database was restored: tenant %s fell to revision %d", head.tenant.id, head.tenant.revision)
            self._epoch += 1
            self._invalidations = head.tenant.invalidations
            self._observer.restored(head.tenant.id)
        self._behind = 0
        self.head = head
        if self._wants_documents():
            self._start(_DOCUMENTS, self._wants_documents, self.load_documents)
        for surface in head.surfaces:
            if self._wants_signals(surface):
                self._start(surface, partial(self._wants_signals, surface), partial(self.load_signals, surface))
        self._tidy()

    def jobs(self, *, loads: bool) -> list[asyncio.Task[None]]:
        """What is being read; ``loads``: the signals too."""
        return [job for name, job in self._jobs.items() if (loads or name == _DOCUMENTS) and not job.done()]

    async def load_documents(self) -> None:
        """Read the documents and serve them, unless something newer is served already. Raises NotReady."""
        epoch, invalidations = self._epoch, self.head.tenant.invalidations
        documents = await self._store.documents(self.head.tenant.id)
        held = self._documents
        if epoch != self._epoch or (held and held[0] == epoch and documents.revision < held[1].revision):
            return
        try:
            previous = held[1] if held and held[0] == epoch else None
            part = await asyncio.to_thread(read_documents, documents, previous)
            await self._fill(epoch, documents=part)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, trying again every second would not help
            self._refused = (epoch, documents.revision)
            self._note_unreadable(documents.revision, [error])
        else:
            self._note_unreadable(documents.revision, part.unreadable)
        self._invalidations = max(self._invalidations, invalidations)
        self._note_moved()

    async def load_signals(self, surface: str) -> None:
        """Get a surface's signals and serve them, unless something newer is served already. Raises NotReady."""
        epoch = self._epoch
        held = self._parts.get(surface)
        part = await self._signals.read(self.head, surface, held[1] if held else None)
        await self._signals.rank_popularity(part, self._documents[1].config if self._documents else None)
        await self._fill(epoch, signals=part)
        self._note_moved()

    def health(self) -> TenantHealth:
        """What is served."""
        return TenantHealth(
            external_id=self.head.tenant.external_id,
            revision=self.snapshot.revision if self.snapshot else None,
            data_revision=self.snapshot.data_revision if self.snapshot else None,
            incompatible=self.incompatible,
        )

    def count_documents(self) -> dict[str, int]:
        """How many documents of each kind are served just as they are stored: none that cannot be read."""
        if self.snapshot is None:
            return {}
        documents = self.snapshot.documents
        stale = {each.ref.kind_name for each in documents.unreadable}
        held = {"config": documents.pointers.config, "rules": documents.pointers.rules}
        return {name: int(etag is not None and name not in stale) for name, etag in held.items()}

    @property
    def in_doubt(self) -> bool:
        """Whether the database seemed to be restored when it was last looked at."""
        return self._behind > 0

    def synced(self) -> SyncedTenant | None:
        """How far this tenant is, when that is worth telling: it moved a moment ago, or is not where its head is."""
        settled = self.snapshot is not None and not (self.in_doubt or self.incompatible or self._wants_documents())
        if settled and monotonic() - self._moved_at > _NEWS_S:
            return None
        # Neither of these says anything about a database that was restored meanwhile.
        known = self.snapshot is not None or self.incompatible is not None
        return SyncedTenant(
            revision=self._read_revision() if known and not self.in_doubt else None,
            data_revision=self.snapshot.data_revision if self.snapshot else None,
            invalidations=self._invalidations,
            incompatible=self.incompatible,
        )

    def stop(self) -> None:
        """Stop reading."""
        for job in self._jobs.values():
            job.cancel()

    def _is_behind(self, head: TenantHead) -> bool:
        seen = self.head.tenant
        held = self._documents[1].revision if self._documents and self._documents[0] == self._epoch else 0
        return head.tenant.revision < max(seen.revision, held) or head.tenant.data_revision < seen.data_revision

    def _read_revision(self) -> int:
        """The highest revision whose documents were read in this epoch, understood or not; -1: none."""
        held = self._documents[1].revision if self._documents and self._documents[0] == self._epoch else -1
        return max(held, self._refused[1] if self._refused[0] == self._epoch else -1)

    def _wants_documents(self) -> bool:
        tenant = self.head.tenant
        return tenant.revision > self._read_revision() or tenant.invalidations > self._invalidations

    def _wants_signals(self, surface: str) -> bool:
        held, wanted = self._parts.get(surface), self.head.surfaces.get(surface, 0)
        if held is None or held[0] < self._epoch or held[1].data_revision < wanted:
            return True
        # A restored database can come back to the same data revision by another load.
        return held[1].data_revision == wanted and held[1].load_id != self.head.load_ids.get(surface)

    def _start(self, name: str, wanted: Callable[[], bool], load: Callable[[], Coroutine[Any, Any, None]]) -> None:
        running = self._jobs.get(name)
        if running is None or running.done():
            self._jobs[name] = asyncio.create_task(self._read(wanted, load), name=f"{self.head.tenant.id}/{name}")

    async def _read(self, wanted: Callable[[], bool], load: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Load until nothing newer was heard of meanwhile. What fails is tried again at the next poll."""
        try:
            while True:
                head = self.head
                await load()
                self.unreachable = False
                if self.head is head or not wanted():
                    return
        except NotReady as error:
            self.unreachable = True
            _log.warning("tenant %s goes on with what it has: %s", self.head.tenant.id, error)
        except Exception:  # noqa: BLE001 - a defect in one tenant's data must not reach the others
            _log.exception("tenant %s goes on with what it has", self.head.tenant.id)

    async def _fill(
        self, epoch: int, *, documents: DocumentPart | None = None, signals: SignalPart | None = None
    ) -> None:
        """Apply what was read if it is not older than what is there, and compose anew."""
        async with self._swap:
            if epoch != self._epoch:
                return
            held, parts = self._documents, dict(self._parts)
            if documents is not None and not (held and held[0] == epoch and documents.revision < held[1].revision):
                # Of no epoch, so that it is read again, whatever its revision, as soon as the database is heard of.
                held = (_COPIED if documents.copied else epoch, documents)
            if signals is not None:
                name = signals.signals.surface
                before = parts.get(name)
                if not (before and before[0] == epoch and signals.data_revision < before[1].data_revision):
                    parts[name] = (epoch, signals)
            await self._compose(held, parts)

    async def _compose(self, held: tuple[int, DocumentPart] | None, parts: dict[str, tuple[int, SignalPart]]) -> None:
        """Swap documents, signals and snapshot together; nothing changes when composing fails."""
        # Half of a tenant is not served: the first snapshot waits until every surface is there.
        if held is not None and (self.snapshot is not None or self.head.surfaces.keys() <= parts.keys()):
            shown = {name: part for name, (_, part) in parts.items()}
            now, tenant = self._clock.now(), self.head.tenant
            revision = self._data_revision(parts)
            self.snapshot = await asyncio.to_thread(
                compose, tenant, held[1], shown, self.snapshot, data_revision=revision, now=now
            )
            self._observer.serving(tenant.id, self.snapshot.revision, revision)
        self._documents, self._parts = held, parts

    def _data_revision(self, parts: Mapping[str, tuple[int, SignalPart]]) -> int:
        """The tenant's data revision once all that it covers is loaded; until then the one that was served."""
        loaded = max((part.data_revision for _, part in parts.values()), default=0)
        wanted = self.head.surfaces
        if all(s in parts and parts[s][0] == self._epoch and parts[s][1].data_revision >= wanted[s] for s in wanted):
            return max(self.head.tenant.data_revision, loaded)
        return self.snapshot.data_revision if self.snapshot else loaded

    def _tidy(self) -> None:
        """Follow what needs no reading: surfaces that are gone, and data revisions raised by keys or status."""
        if self._swap.locked():
            return
        gone = self._parts.keys() - self.head.surfaces.keys()
        self._parts = {name: part for name, part in self._parts.items() if name not in gone}
        if self.snapshot is None:
            return
        revision = self._data_revision(self._parts)
        if gone or revision != self.snapshot.data_revision:
            surfaces = {name: state for name, state in self.snapshot.surfaces.items() if name not in gone}
            self.snapshot = replace(self.snapshot, data_revision=revision, parts=self.parts, surfaces=surfaces)
            self._observer.serving(self.head.tenant.id, self.snapshot.revision, revision)

    def _note_moved(self) -> None:
        self._moved_at = monotonic()
        self._moved()

    def _note_unreadable(self, revision: int, refusals: Sequence[Exception]) -> None:
        """Say which documents are not served as they are. What is in them is for the log, not for health pages."""
        for refusal in refusals:
            _log.error("tenant %s, revision %d: a document cannot be read: %s", self.head.tenant.id, revision, refusal)
        names = [str(each.ref) if isinstance(each, UnreadableDocument) else type(each).__name__ for each in refusals]
        found = ", ".join(names) or None
        if found != self.incompatible:
            self.incompatible = found
            self._observer.incompatible(self.head.tenant.id, len(names))
