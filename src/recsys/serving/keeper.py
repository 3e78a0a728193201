"""One tenant in memory: reads what is newer, composes, swaps, and keeps the last good snapshot when it cannot."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from recsys.domain.document import MANIFEST, DocumentRef
from recsys.domain.errors import NotReady
from recsys.domain.replica import SyncedTenant
from recsys.serving.artifact_reader import ManifestRefused
from recsys.serving.background import aside
from recsys.serving.failures import Failures
from recsys.serving.health import TenantHealth
from recsys.serving.signal_source import SignalSource, find_sources
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
_A_RULE = 100
"""Characters of JSON, roughly."""


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
        self._earlier: dict[str, SignalPart] = {}
        self._failures = Failures()
        self._unreachable = False
        self._unreadable: list[str] = []
        self._refused = (0, -1)
        self._invalidations = head.tenant.invalidations
        self._settled = (0, -1, self._invalidations)
        self._wanted: tuple[TenantHead, DocumentPart, dict[str, SignalSource]] | None = None

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
            self._earlier.clear()
            self._observer.restored(head.tenant.id)
        self._behind = 0
        self.head = head
        if self._wants_documents():
            self._start(_DOCUMENTS, self._wants_documents, self.load_documents)
        self._start_signals()
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
            part = await aside(sum(map(len, documents.texts.values())), read_documents, documents, previous)
            await self._fill(epoch, documents=part)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, trying again every second would not help
            self._refused = (epoch, documents.revision)
            self._note_unreadable(documents.revision, [error])
        else:
            self._note_unreadable(documents.revision, part.unreadable)
        self._invalidations = max(self._invalidations, invalidations)
        self._start_signals()
        self._note_moved()

    async def load_signals(self, surface: str) -> None:
        """Get a surface's signals and serve them, unless something newer is served already. Raises NotReady."""
        epoch, held, source = self._epoch, self._parts.get(surface), self._sources().get(surface)
        if source is None:
            return
        try:
            part: SignalPart | None
            part = await self._signals.read(self.head.tenant.id, surface, source, held[1] if held else None)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a manifest, trying again at once is no use
            part = await self._fall_back(surface, source, error)
        else:
            self._failures.forget(surface)
        if part is not None:
            await self._signals.rank_popularity(part, self._documents[1].config if self._documents else None)
        await self._fill(epoch, signals=part)
        self._tell_incompatible()
        self._note_moved()

    async def load_artifacts(self, surface: str | None) -> int:
        """Have the artifacts of a surface (None: of all) read as the documents now say, and wait for it.

        Returns:
            How many of these surfaces are served from the artifacts that they are to be served from.

        Raises:
            NotReady: the database cannot be reached.
        """
        await self.load_documents()
        for _ in range(2):  # a job that ran already may have read what was wanted before
            if jobs := self.jobs(loads=True):
                await asyncio.wait(jobs)
            self._start_signals()
        return sum(
            surface in (None, name) and name in self._parts and source.is_served_by(self._parts[name][1].source)
            for name, source in self._sources().items()
            if source.manifest is not None
        )

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

    @property
    def unreachable(self) -> bool:
        """Whether something could not be reached: the database, or the artifacts of a first snapshot."""
        return self._unreachable or (self.snapshot is None and self._failures.waiting)

    def synced(self) -> SyncedTenant | None:
        """How far this tenant is, when that is worth telling: it moved a moment ago, or is not where its head is."""
        lags = self._lags()
        unsettled = lags or self.in_doubt or self.incompatible or self._wants_documents()
        if self.snapshot is not None and not unsettled and monotonic() - self._moved_at > _NEWS_S:
            return None
        # Neither of these says anything about a database that was restored meanwhile.
        known = self.snapshot is not None or self.incompatible is not None
        # A manifest counts when its signals are served; until then all is as of when that was last so.
        epoch, revision, invalidations = self._settled
        if not lags:
            revision, invalidations = self._read_revision(), self._invalidations
        elif epoch != self._epoch:
            revision = -1
        return SyncedTenant(
            revision=revision if known and not self.in_doubt else None,
            data_revision=self.snapshot.data_revision if self.snapshot else None,
            invalidations=invalidations,
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
        held, source = self._parts.get(surface), self._sources().get(surface)
        if source is None or self._failures.rest(surface, source):
            return False
        return held is None or held[0] < self._epoch or not source.is_served_by(held[1].source)

    def _sources(self) -> Mapping[str, SignalSource]:
        """What each surface is to be served from; none as long as the documents are not known, which say so."""
        if self._documents is None:
            return {}
        head, documents = self.head, self._documents[1]
        if self._wanted is None or self._wanted[0] is not head or self._wanted[1] is not documents:
            self._wanted = (head, documents, find_sources(head, documents))
        return self._wanted[2]

    def _lags(self) -> bool:
        """Whether a surface is not served from the manifest that it is to be served from, and may be soon."""
        return any(self._lags_behind(surface, source) for surface, source in self._sources().items())

    def _lags_behind(self, surface: str, source: SignalSource) -> bool:
        if self._failures.is_refused(surface, source):
            return False
        held = self._parts.get(surface)
        return not source.same_artifacts(held[1].source) if held else source.manifest_version is not None

    def _start_signals(self) -> None:
        """Start to read the signals that are wanted. The documents say where from, so they come first."""
        for surface in self._sources():
            if self._wants_signals(surface):
                self._start(surface, partial(self._wants_signals, surface), partial(self.load_signals, surface))

    async def _fall_back(self, surface: str, source: SignalSource, error: Exception) -> SignalPart | None:
        """What to serve when a source cannot be: what is served (None), else what the host has of the surface.

        Raises:
            NotReady, Exception: rows cannot be read; nor can artifacts, and there is nothing else to serve.
        """
        if source.manifest is None:
            raise error
        tenant_id = self.head.tenant.id
        known = isinstance(error, ManifestRefused | NotReady)
        words = "tenant %s, surface %s: its manifest cannot be served: %s"
        _log.error(words, tenant_id, surface, error, exc_info=None if known else error)
        self._failures.note(surface, source, error)
        if isinstance(error, ManifestRefused):
            self._observer.artifact_refused(tenant_id)
        part = None if surface in self._parts else await self._signals.last_good(tenant_id, surface)
        if part is None and self.snapshot is None and not isinstance(error, ManifestRefused):
            raise error
        return part

    def _start(self, name: str, wanted: Callable[[], bool], load: Callable[[], Coroutine[Any, Any, None]]) -> None:
        running = self._jobs.get(name)
        if running is None or running.done():
            self._jobs[name] = asyncio.create_task(self._read(wanted, load), name=f"{self.head.tenant.id}/{name}")

    async def _read(self, wanted: Callable[[], bool], load: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Load until nothing newer was heard of meanwhile. What fails is tried again at the next poll."""
        try:
            while True:
                head, revision = self.head, self._read_revision()
                await load()
                self._unreachable = False
                if (self.head is head and self._read_revision() == revision) or not wanted():
                    return
        except NotReady as error:
            self._unreachable = True
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
                parts |= self._go_back(documents, parts)
            if signals is not None:
                name = signals.signals.surface
                before, source = parts.get(name), self._sources().get(name)
                if source is not None and (before is None or _takes_place(source, signals, before, epoch)):
                    parts[name] = (epoch, signals)
            await self._compose(held, parts)

    def _go_back(
        self, documents: DocumentPart, parts: Mapping[str, tuple[int, SignalPart]]
    ) -> dict[str, tuple[int, SignalPart]]:
        """The surfaces whose manifest went back to the one before, of which the signals are still in memory."""
        found: dict[str, tuple[int, SignalPart]] = {}
        sources = find_sources(self.head, documents)
        for surface, earlier in self._earlier.items():
            source = sources.get(surface)
            if source and surface in parts and not source.same_artifacts(parts[surface][1].source):
                found |= {surface: (self._epoch, earlier)} if source.is_served_by(earlier.source) else {}
        return found

    async def _compose(self, held: tuple[int, DocumentPart] | None, parts: dict[str, tuple[int, SignalPart]]) -> None:
        """Swap documents, signals and snapshot together; nothing changes when composing fails."""
        # Half of a tenant is not served: the first snapshot waits until every surface is there.
        sources = find_sources(self.head, held[1]) if held is not None else {}
        parts = {name: part for name, part in parts.items() if name in sources}
        awaited = sources.keys() - parts.keys() - set(self._failures.refused)
        if held is not None and (self.snapshot is not None or not awaited):
            shown = {name: part for name, (_, part) in parts.items()}
            now, tenant = self._clock.now(), self.head.tenant
            revision = self._data_revision(parts, sources)
            size = _A_RULE * len(held[1].rules) + sum(len(part.signals.ids) for part in shown.values())
            self.snapshot = await aside(
                size, compose, tenant, held[1], shown, self.snapshot, data_revision=revision, now=now
            )
            self._observer.serving(tenant.id, self.snapshot.revision, revision)
        for surface, (_, part) in self._parts.items():
            version = part.source.manifest_version
            if version and surface in parts and parts[surface][1].source.manifest_version != version:
                self._earlier[surface] = part
        self._tell_ages(self._documents, held)
        self._documents, self._parts = held, parts

    def _data_revision(self, parts: Mapping[str, tuple[int, SignalPart]], sources: Mapping[str, SignalSource]) -> int:
        """The tenant's data revision once all that it covers is loaded; until then the one that was served."""
        loaded = max((part.data_revision for _, part in parts.values()), default=0)
        wanted = {surface: source.data_revision for surface, source in sources.items() if source.reads_rows}
        if all(s in parts and parts[s][0] == self._epoch and parts[s][1].data_revision >= wanted[s] for s in wanted):
            return max(self.head.tenant.data_revision, loaded)
        return self.snapshot.data_revision if self.snapshot else loaded

    def _tidy(self) -> None:
        """Follow what needs no reading: surfaces that are gone, and data revisions raised by keys or status."""
        if self._swap.locked():
            return
        gone = self._parts.keys() - self._sources().keys()
        self._parts = {name: part for name, part in self._parts.items() if name not in gone}
        if self.snapshot is None:
            return
        revision = self._data_revision(self._parts, self._sources())
        if gone or revision != self.snapshot.data_revision:
            surfaces = {name: state for name, state in self.snapshot.surfaces.items() if name not in gone}
            self.snapshot = replace(self.snapshot, data_revision=revision, parts=self.parts, surfaces=surfaces)
            self._observer.serving(self.head.tenant.id, self.snapshot.revision, revision)

    def _tell_ages(self, before: tuple[int, DocumentPart] | None, now: tuple[int, DocumentPart] | None) -> None:
        """Tell since when each manifest is current, and which surfaces have none any more."""
        known, found = ({} if each is None else each[1].manifests_moved_at for each in (before, now))
        for surface in known.keys() | found.keys():
            if known.get(surface) != found.get(surface):
                self._observer.manifest_moved(self.head.tenant.id, surface, found.get(surface))

    def _note_moved(self) -> None:
        if not self._lags():
            self._settled = (self._epoch, self._read_revision(), self._invalidations)
        self._moved_at = monotonic()
        self._moved()

    def _note_unreadable(self, revision: int, refusals: Sequence[Exception]) -> None:
        """Say which documents are not served as they are. What is in them is for the log, not for health pages."""
        for refusal in refusals:
            _log.error("tenant %s, revision %d: a document cannot be read: %s", self.head.tenant.id, revision, refusal)
        self._unreadable = [
            str(each.ref) if isinstance(each, UnreadableDocument) else type(each).__name__ for each in refusals
        ]
        self._tell_incompatible()

    def _tell_incompatible(self) -> None:
        """Name what is not served as it is stored: documents that cannot be read, and manifests that are refused."""
        self._failures.forget_others(self._sources())
        refused = [str(DocumentRef(MANIFEST.name, surface)) for surface in self._failures.refused]
        names = list(dict.fromkeys([*self._unreadable, *refused]))
        found = ", ".join(names) or None
        if found != self.incompatible:
            self.incompatible = found
            self._observer.incompatible(self.head.tenant.id, len(names))


def _takes_place(wanted: SignalSource, new: SignalPart, before: tuple[int, SignalPart], epoch: int) -> bool:
    """Whether new signals take the place of those from before: what is wanted meanwhile, and not older."""
    if not wanted.same_artifacts(new.source):
        return False
    comparable = before[0] == epoch and new.source.same_artifacts(before[1].source)
    return not (comparable and new.data_revision < before[1].data_revision)
