"""A serving store that keeps a copy of what replicas read, and offers it when a start finds no database."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from recsys.domain.errors import NotReady
from recsys.domain.last_good import LastGood, LastGoodRefused, advance
from recsys.domain.ports import Overview, SignalKey, TenantHead
from recsys.ranking.signal_arrays import LAYOUT
from recsys.serving.snapshot import is_readable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from recsys.domain.catalogue import SurfaceRows
    from recsys.domain.last_good import KeptDocuments, LastGoodCopy
    from recsys.domain.ports import Clock, ServingStore, SignalFiles, TenantDocuments
    from recsys.serving.health import ReplicaObserver

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS: Final = 8.0
_PACE_SECONDS: Final = 1.0
_TIDY_SECONDS: Final = 3_600.0


class RememberingServingStore:
    """Passes everything through, and has what was read written to ``copy``, off the event loop, once a second at most.

    Only until the database has answered for the first time does it answer from the copy, and marks that. From then on
    the replica remembers more than the copy does. Rows are never answered from a copy: signals come from ``files``.
    """

    def __init__(
        self, store: ServingStore, copy: LastGoodCopy, files: SignalFiles, clock: Clock, observer: ReplicaObserver
    ) -> None:
        self._store = store
        self._copy = copy
        self._files = files
        self._clock = clock
        self._observer = observer
        self._opened = False
        self._offer: Overview | None = None
        self._kept: dict[str, KeptDocuments] = {}
        self._heard: tuple[datetime, Overview] | None = None
        self._written: tuple[datetime, Overview] | None = None
        self._seen: dict[str, tuple[datetime, TenantDocuments]] = {}
        self._tidied_at: float | None = None
        self._complained = False
        self._closing = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def overview(self) -> Overview:
        """What the database says; until it has said anything, what the copy says. Raises NotReady without either."""
        if not self._opened:
            self._opened = True
            await asyncio.to_thread(self._open)
        read_at = self._clock.now()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS if self._offer is not None else None):
                overview = await self._store.overview()
        except (NotReady, TimeoutError):
            if self._offer is None:
                raise
            return self._offer
        self._offer, self._heard = None, (read_at, overview)
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_forever(), name="last known good")
        return overview

    async def documents(self, tenant_id: str) -> TenantDocuments:
        """The current documents, and behind them what the copy has from before. Raises TenantNotFound."""
        kept = self._kept.get(tenant_id)
        if self._offer is not None and kept is not None:
            return kept.documents()
        read_at = self._clock.now()
        documents = await self._store.documents(tenant_id)
        self._seen[tenant_id] = (read_at, documents)
        return replace(documents, earlier=kept.documents()) if kept is not None else documents

    async def surface_rows(self, tenant_id: str, surface: str, *, items_only: bool = False) -> SurfaceRows:
        """The rows of a surface, from the database."""
        if self._offer is not None:
            raise NotReady(f"The signals of surface {surface} are not on this host.")
        return await self._store.surface_rows(tenant_id, surface, items_only=items_only)

    async def close(self) -> None:
        """Write what was read since the last time, and end."""
        self._closing.set()
        if self._keeping is not None:
            await self._keeping

    def _open(self) -> None:
        """Read the copy; one that is not what was written is as good as none, and said to be there."""
        try:
            found = self._copy.read()
        except (LastGoodRefused, OSError) as error:
            _log.error("the last known good is refused, and not served: %s", error)
            self._observer.copy_refused()
            return
        if found is not None:
            self._kept = {each.tenant_id: each for each in found.documents}
            self._offer = self._offered(found)

    def _offered(self, found: LastGood) -> Overview:
        """The overview of a copy, every tenant as of the documents and signals that are on this host."""
        heads = [
            self._on_this_host(head, self._kept[head.tenant.id])
            for head in found.overview.heads
            if head.tenant.id in self._kept
        ]
        return replace(found.overview, heads=heads, copied_at=found.read_at)

    def _on_this_host(self, head: TenantHead, documents: KeptDocuments) -> TenantHead:
        """Signals are kept apart from the copy, so a crash between the two leaves them a load apart."""
        surfaces, loads = dict(head.surfaces), dict(head.load_ids)
        for surface in head.surfaces:
            version = documents.current.manifests.get(surface)
            kept = self._files.kept(head.tenant.id, surface, LAYOUT)
            key = next((each for each in kept if each.manifest_version == version), None)
            if key is not None and key.data_revision > 0:  # 0: no rows took part, so it says nothing about them
                surfaces[surface], loads[surface] = key.data_revision, key.load_id
        tenant = replace(head.tenant, revision=documents.revision)
        moved_at = head.moved_at if documents.revision == head.tenant.revision else None
        return replace(head, tenant=tenant, surfaces=surfaces, load_ids=loads, moved_at=moved_at)

    async def _keep_forever(self) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _PACE_SECONDS)
            try:
                await self._keep()
            except Exception as error:  # noqa: BLE001 - whatever it is, serving goes on, and so does this
                self._complain(error)

    async def _keep(self) -> None:
        heard = self._heard
        if heard is None or heard is self._written:
            return
        seen, self._seen = self._seen, {}
        self._kept = await asyncio.to_thread(_advanced, self._kept, seen)
        known = [self._kept[head.tenant.id] for head in heard[1].heads if head.tenant.id in self._kept]
        # When the database was read is of no use to who reads the copy, and would make each look like a change.
        copied = replace(heard[1], read_at=None)
        await asyncio.to_thread(self._copy.keep, LastGood(read_at=heard[0], overview=copied, documents=known))
        self._written, self._complained = heard, False
        if self._tidied_at is None or monotonic() - self._tidied_at > _TIDY_SECONDS:
            self._tidied_at = monotonic()
            await asyncio.to_thread(self._files.remove_others, _keys(heard[1], self._kept))

    def _complain(self, error: Exception) -> None:
        if not self._closing.is_set():  # nobody counts any more
            self._observer.copy_failed()
        if not self._complained:
            self._complained = True
            words = "the last known good cannot be kept for a restart without the database: %s"
            _log.error(words, error, exc_info=not isinstance(error, OSError))


def _advanced(
    kept: Mapping[str, KeptDocuments], seen: Mapping[str, tuple[datetime, TenantDocuments]]
) -> dict[str, KeptDocuments]:
    newer = {
        tenant_id: advance(kept.get(tenant_id), documents, read_at, is_readable)
        for tenant_id, (read_at, documents) in seen.items()
    }
    return {**kept, **newer}


def _keys(overview: Overview, kept: Mapping[str, KeptDocuments]) -> set[SignalKey]:
    """What the signals of all surfaces may be kept under: of their loads, and of their manifests."""
    keys = set()
    for head in overview.heads:
        documents = kept.get(head.tenant.id)
        manifests = documents.current.manifests if documents is not None else {}
        for surface in {*head.load_ids, *manifests}:
            of_load = SignalKey(
                tenant_id=head.tenant.id,
                surface=surface,
                data_revision=head.surfaces.get(surface, 0),
                load_id=head.load_ids.get(surface, ""),
                layout=LAYOUT,
            )
            keys |= {of_load, replace(of_load, manifest_version=manifests.get(surface))}
    return keys
