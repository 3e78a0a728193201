"""One tenant in memory: reads what is newer, composes, swaps, and keeps the last good snapshot when it cannot."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from recsys.domain.document import MANIFEST, DocumentRef
from recsys.domain.errors import NotReady
from recsys.domain.replica import NEWS_S, SyncedTenant
from recsys.serving.artifact_reader import ManifestRefused
from recsys.serving.background import aside
from recsys.serving.composition import Composition
from recsys.serving.failures import Failures
from recsys.serving.health import TenantHealth
from recsys.serving.signal_source import SignalSource
from recsys.serving.snapshot import (
    SignalPart,
    Snapshot,
    UnreadableDocument,
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


class Keeper:
    """Keeps the snapshot of one tenant current. Reading is done by jobs, at most one per document set and surface.

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
        self.incompatible: str | None = None
        self._failures = Failures()
        self._served = Composition(head, clock, observer, self._failures)
        self._store = store
        self._signals = signals
        self._observer = observer
        self._moved = moved
        self._moved_at = -inf
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._behind = 0
        self._told = 0
        self._documents_at = -inf
        self._unreachable = False
        self._unreadable: list[str] = []
        self._refused = (0, -1)
        self._invalidations = head.tenant.invalidations
        self._settled = (0, -1, self._invalidations)

    @property
    def head(self) -> TenantHead:
        """The tenant as it was last looked at."""
        return self._served.head

    @property
    def snapshot(self) -> Snapshot | None:
        """What is served; None before all of it is there."""
        return self._served.snapshot

    @property
    def parts(self) -> Mapping[str, SignalPart]:
        """The signals in memory by surface."""
        return self._served.parts

    def observe(self, head: TenantHead, asked_at: float) -> None:
        """Take note of the tenant's revisions and start to read whatever they say is newer.

        ``asked_at``: when somebody began to read them, by the monotonic clock.
        """
        if self._is_behind(head):
            if asked_at < self._documents_at:  # documents that were read meanwhile may well be of a later moment
                return
            self._behind += 1
            if self._behind < _CONFIRMED:
                return
            revisions = (self.head.tenant.revision, head.tenant.revision)
            _log.error("the database was restored: tenant %s went from revision %d to %d", head.tenant.id, *revisions)
            self._served.begin_epoch()
            self._invalidations = head.tenant.invalidations
            self._told = 0
            self._observer.restored(head.tenant.id)
        self._behind = 0
        self._served.head = head
        if self._wants_documents():
            self._start(_DOCUMENTS, self._wants_documents, self.load_documents)
        self._start_signals()
        self._served.tidy()

    def tell(self, revision: int | None = None) -> None:
        """Take note that a revision (None: the next) is there, before a poll finds it: documents are read at once."""
        revision = self._read_revision() + 1 if revision is None else revision
        if revision > max(self._told, self._read_revision()):
            self._told = revision
            self._start(_DOCUMENTS, self._wants_documents, self.load_documents)

    def jobs(self, *, loads: bool) -> list[asyncio.Task[None]]:
        """What is being read; ``loads``: the signals too."""
        return [job for name, job in self._jobs.items() if (loads or name == _DOCUMENTS) and not job.done()]

    async def load_documents(self) -> None:
        """Read the documents and serve them, unless something newer is served already. Raises NotReady."""
        epoch, invalidations, told = self._served.epoch, self.head.tenant.invalidations, self._told
        documents = await self._store.documents(self.head.tenant.id)
        if told == self._told:
            self._told = 0  # whatever was said, this is how it is
        if self._served.is_past(epoch, documents.revision):
            return
        try:
            size, before = sum(map(len, documents.texts.values())), self._served.documents_of_epoch
            part = await aside(size, read_documents, documents, before)
            self._documents_at = monotonic()
            await self._served.fill(epoch, documents=part)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, trying again every second would not help
            self._refused = (epoch, documents.revision)
            refusals: Sequence[Exception] = [error]
        else:
            refusals = part.unreadable
        if epoch != self._served.epoch:  # restored meanwhile: what was read says nothing about the database as it is
            return
        self._note_unreadable(documents.revision, refusals)
        self._invalidations = max(self._invalidations, invalidations)
        self._start_signals()
        self._note_moved()

    async def load_signals(self, surface: str) -> None:
        """Get a surface's signals and serve them, unless something newer is served already. Raises NotReady."""
        epoch, source = self._served.epoch, self._served.sources.get(surface)
        if source is None:
            return
        try:
            part: SignalPart | None
            part = await self._signals.read(self.head.tenant.id, surface, source, self.parts.get(surface))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a manifest, trying again at once is no use
            part = await self._fall_back(surface, source, error)
        else:
            self._failures.forget(surface)
        if part is not None:
            documents = self._served.documents
            await self._signals.rank_popularity(part, documents.config if documents else None)
        await self._served.fill(epoch, signals=part)
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
            surface in (None, name) and self._served.has(name, source)
            for name, source in self._served.sources.items()
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
        if self.snapshot is not None and not unsettled and monotonic() - self._moved_at > NEWS_S:
            return None
        # Neither of these says anything about a database that was restored meanwhile.
        known = self.snapshot is not None or self.incompatible is not None
        # A manifest counts when its signals are served; until then all is as of when that was last so.
        epoch, revision, invalidations = self._settled
        if not lags:
            revision, invalidations = self._read_revision(), self._invalidations
        elif epoch != self._served.epoch:
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
        held = self._served.documents_of_epoch
        known = max(seen.revision, held.revision if held else 0)
        same = head.tenant.revision == seen.revision and None not in (head.moved_at, self.head.moved_at)
        return (
            head.tenant.revision < known
            or head.tenant.data_revision < seen.data_revision
            or (same and head.moved_at != self.head.moved_at)  # restored, and changed as often since
        )

    def _read_revision(self) -> int:
        """The highest revision whose documents were read in this epoch, understood or not; -1: none."""
        held = self._served.documents_of_epoch
        return max(held.revision if held else -1, self._refused[1] if self._refused[0] == self._served.epoch else -1)

    def _wants_documents(self) -> bool:
        tenant = self.head.tenant
        return max(tenant.revision, self._told) > self._read_revision() or tenant.invalidations > self._invalidations

    def _wants_signals(self, surface: str) -> bool:
        source = self._served.sources.get(surface)
        if source is None or self._failures.rest(surface, source):
            return False
        return not self._served.has(surface, source)

    def _lags(self) -> bool:
        """Whether a surface is not served from the manifest that it is to be served from, and may be soon."""
        return any(self._lags_behind(surface, source) for surface, source in self._served.sources.items())

    def _lags_behind(self, surface: str, source: SignalSource) -> bool:
        if self._failures.is_refused(surface, source):
            return False
        held = self.parts.get(surface)
        return not source.same_artifacts(held.source) if held else source.manifest_version is not None

    def _start_signals(self) -> None:
        """Start to read the signals that are wanted. The documents say where from, so they come first."""
        for surface in self._served.sources:
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
        part = None if surface in self.parts else await self._signals.last_good(tenant_id, surface)
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
                known = (self.head, self._told, self._read_revision())
                await load()
                self._unreachable = False
                if not wanted() or (self.head, self._told, self._read_revision()) == known:
                    return
        except NotReady as error:
            self._unreachable = True
            _log.warning("tenant %s goes on with what it has: %s", self.head.tenant.id, error)
        except Exception:  # noqa: BLE001 - a defect in one tenant's data must not reach the others
            _log.exception("tenant %s goes on with what it has", self.head.tenant.id)

    def _note_moved(self) -> None:
        if not self._lags():
            self._settled = (self._served.epoch, self._read_revision(), self._invalidations)
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
        self._failures.forget_others(self._served.sources)
        refused = [str(DocumentRef(MANIFEST.name, surface)) for surface in self._failures.refused]
        names = list(dict.fromkeys([*self._unreadable, *refused]))
        found = ", ".join(names) or None
        if found != self.incompatible:
            self.incompatible = found
            self._observer.incompatible(self.head.tenant.id, len(names))
