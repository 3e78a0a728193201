"""The replica: every tenant's snapshot in memory, kept current by a poll, answering on when the database is gone."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from recsys.domain.errors import NotReady, TenantNotFound
from recsys.domain.replica import ReplicaReport
from recsys.serving.background import end
from recsys.serving.directory import Directory
from recsys.serving.health import Health
from recsys.serving.keeper import Keeper
from recsys.serving.signal_reader import SignalReader
from recsys.serving.snapshot import Snapshot, SnapshotCatalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from recsys.domain.ports import BlobStore, ChangeFeed, Clock, Overview, ServingStore, SignalFiles
    from recsys.serving.health import ReplicaObserver
    from recsys.serving.presence import Presence

_log = logging.getLogger(__name__)
_POLL_TIMEOUT_SECONDS = 10.0
_MISSED_POLLS = 3
_STALE_SECONDS = 3.0
_CONFIRMED = 2
_LISTENING_SECONDS = 1.0
_BREATH, _LONGEST_BREATH_SECONDS = 4, 0.1


class Replica:
    """Serves from memory. ``directory`` and the snapshots are immutable and swapped, so reading them needs no lock.

    ``signal_files``: where the replicas of a host share signals; None: each keeps its own in memory. ``blobs``: where
    artifacts are; None: only what the host keeps of them is served.
    ``feed``: who tells of changes; the database is asked only once a second while that works, else every ``poll_ms``.
    ``presence``: how others learn how far this replica is; None: they do not. ``jitter_s``: see :class:`SignalReader`.

    Keys are read with every poll: platform keys belong to no tenant, so no revision tells of them.
    """

    def __init__(  # noqa: PLR0913 - one by one, by name, from the only place that wires them
        self,
        store: ServingStore,
        clock: Clock,
        observer: ReplicaObserver,
        *,
        poll_ms: float,
        signal_files: SignalFiles | None = None,
        blobs: BlobStore | None = None,
        feed: ChangeFeed | None = None,
        presence: Presence | None = None,
        jitter_s: Callable[[], float] = float,
    ) -> None:
        self.directory = Directory()
        self.synced = False
        self._store = store
        self._signals = SignalReader(store, signal_files, jitter_s, blobs)
        self._clock = clock
        self._observer = observer
        self._poll_seconds = poll_ms / 1_000
        self._feed = feed
        self._presence = presence
        self._heard = False
        self._stopping = False
        self._synced_through: datetime | None = None
        self._keepers: dict[str, Keeper] = {}
        self._missing: dict[str, int] = {}
        self._failed = False
        self._polled_at: float | None = None
        self._copied_at: datetime | None = None
        self._loop: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._next_poll: asyncio.Future[None] | None = None

    @property
    def stale(self) -> bool:
        """Whether the last poll failed, or is longer ago than three polls should take."""
        age = self._poll_age()
        return self._failed or (age is not None and age > max(_STALE_SECONDS, _MISSED_POLLS * self._poll_seconds))

    def snapshot(self, tenant_id: str) -> Snapshot | None:
        """What is served for a tenant; None before its first snapshot."""
        keeper = self._keepers.get(tenant_id)
        return keeper.snapshot if keeper else None

    def catalogue(self, tenant_id: str) -> SnapshotCatalogue | None:
        """A tenant's items, for lint; None before its first snapshot."""
        snapshot = self.snapshot(tenant_id)
        return SnapshotCatalogue(snapshot.parts) if snapshot else None

    async def start(self) -> None:
        """Sync once and keep synced. Without the database: start all the same, not ready, and keep trying."""
        self._next_poll = asyncio.get_running_loop().create_future()
        self._stopping = False
        self._loop = asyncio.create_task(self._poll_forever(), name="replica")
        if self._feed is not None:
            self._feed.start(self._hear)
        await self.catch_up()
        if self._presence is not None:
            await self._presence.start(self.report)

    async def stop(self) -> None:
        """Stop polling and reading, and say so."""
        if self._feed is not None:
            await self._feed.stop()
        if self._presence is not None:
            await self._presence.stop()
        if self._loop is not None:
            self._stopping = True
            self._wake.set()
            await end(self._loop)
            self._loop = None
        jobs = self._jobs(loads=True)
        for job in jobs:
            job.cancel()
        if self._next_poll is not None and not self._next_poll.done():
            self._next_poll.set_result(None)  # nobody waits for a poll that will not come
        await asyncio.gather(*jobs, return_exceptions=True)
        self._signals.close()

    async def catch_up(self, tenant_id: str | None = None, *, loads: bool = True) -> None:
        """Return when a poll that began after this call is done, and what it found newer is served.

        Calls at the same time share a poll. ``tenant_id``: what was found newer of others is not waited for.
        ``loads=False`` does not wait for signals, which take longer.
        """
        if self._loop is None or self._next_poll is None:
            await self._poll()
        else:
            self._wake.set()
            await asyncio.shield(self._next_poll)
        for signals_too in (False, True) if loads else (False,):  # documents say where signals come from
            if jobs := self._jobs(tenant_id, loads=signals_too):
                await asyncio.wait(jobs)
        self._note_synced()

    async def follow(self, tenant_id: str, revision: int) -> None:
        """Return when a committed revision of a tenant's documents, or a later one, is served as far as it can be.

        After failed polls a new one is waited for, too: who has just committed a change has reached the database, and
        the answers that serve it should no longer say that it cannot be reached.
        """
        keeper = self._keepers.get(tenant_id)
        if keeper is not None:
            keeper.tell(revision)
            if jobs := keeper.jobs(loads=False):
                await asyncio.wait(jobs)
        if keeper is None or self._failed:  # a poll has to find the tenant first
            await self.catch_up(tenant_id, loads=False)

    async def invalidate(self, tenant_id: str, targets: Sequence[str], surface: str | None) -> dict[str, int]:
        """Read what is named again and serve it; what cannot be read again is kept.

        Returns:
            How many documents of each target were read again; for popularity, how many surfaces are served from
            artifacts that were. Loaded rows have no cache beside them: they follow the data revision.

        Raises:
            TenantNotFound: no such tenant.
            NotReady: the database cannot be reached.
        """
        keeper = self._keepers.get(tenant_id)
        if keeper is None:
            raise TenantNotFound
        counts = dict.fromkeys(targets, 0)
        if counts.keys() & {"config", "rules"}:
            await keeper.load_documents()
        if "popularity" in counts:
            counts["popularity"] = await keeper.load_artifacts(surface)
        if counts.keys() & {"config", "rules"}:
            counts.update({target: count for target, count in keeper.count_documents().items() if target in counts})
        return counts

    def health(self) -> Health:
        """Whether this replica is ready and current, and what it serves."""
        tenants = {tenant_id: keeper.health() for tenant_id, keeper in self._keepers.items()}
        age = self._poll_age()
        return Health(
            id=self._presence.identity.id if self._presence else None,
            listening=self._feed.healthy if self._feed else None,
            ready=self.synced,
            stale=self.stale,
            poll_age_seconds=age,
            copy_age_seconds=age if self._copied_at is not None else None,
            tenants=tenants,
        )

    def report(self) -> ReplicaReport:
        """How far this replica is: through which database time, but for the tenants that are named."""
        found = ((tenant_id, keeper.synced()) for tenant_id, keeper in self._keepers.items())
        named = {tenant_id: synced for tenant_id, synced in found if synced is not None}
        return ReplicaReport(synced_through=self._synced_through, tenants=named)

    async def _poll_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began = loop.time()
            this_poll, self._next_poll = self._next_poll, loop.create_future()
            self._wake.clear()
            heard, self._heard = self._heard, False
            try:
                await self._poll()
            finally:
                if this_poll is not None and not this_poll.done():
                    this_poll.set_result(None)
            self._note_synced()
            if heard and not self._jobs(loads=False):
                self._moved()  # even if there was nothing new: somebody waits to hear that this replica has looked
            # However many changes are heard of, most of the time is for requests, and for reading documents.
            await asyncio.sleep(min(_BREATH * (loop.time() - began), _LONGEST_BREATH_SECONDS))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._pause())

    def _pause(self) -> float:
        """How long to wait for the next poll, in seconds. What is in doubt is looked at again soon."""
        in_doubt = self._missing or any(keeper.in_doubt for keeper in self._keepers.values())
        return _LISTENING_SECONDS if self._feed and self._feed.healthy and not in_doubt else self._poll_seconds

    def _hear(self, tenant_id: str) -> None:
        """Documents can be read at once; what else may have changed, a poll finds."""
        self._heard = True
        self._wake.set()
        if keeper := self._keepers.get(tenant_id):
            keeper.tell()

    def _moved(self) -> None:
        if self._presence is not None:
            self._presence.moved()

    async def _poll(self) -> None:
        """Read the revisions and keys and start to read what is newer; never raises but for cancellation."""
        began = monotonic()
        try:
            async with asyncio.timeout(_POLL_TIMEOUT_SECONDS):
                overview = await self._store.overview()
            if overview.copied_at is not None:
                self._take_copy(overview, overview.copied_at, began)
                return
            self._take_note(overview, began)
            self._synced_through = overview.read_at or self._synced_through
            self._failed, self._polled_at, self._copied_at = False, began, None
            self._observer.polled()
        except (NotReady, TimeoutError) as error:
            if not self._failed:
                _log.warning("the database cannot be reached, serving goes on with what is in memory: %s", error)
            self._failed = True
        except Exception:  # noqa: BLE001 - logged with its traceback, and the loop goes on
            _log.exception("the poll failed, serving goes on with what is in memory")
            self._failed = True

    def _take_copy(self, overview: Overview, copied_at: datetime, asked_at: float) -> None:
        """Serve what the host's copy says, as the stale view that it is, until the database answers."""
        self._failed = True
        if self._copied_at == copied_at:
            return
        age = max(0.0, (self._clock.now() - copied_at).total_seconds())
        _log.warning("the database cannot be reached, serving from the local copy, %.0f s old", age)
        self._take_note(overview, asked_at)
        self._polled_at, self._copied_at = monotonic() - age, copied_at
        self._observer.copied(copied_at)

    def _take_note(self, overview: Overview, asked_at: float) -> None:
        found = {head.tenant.id: head for head in overview.heads}
        for tenant_id in self._keepers.keys() - found.keys():
            self._miss(tenant_id)
        for tenant_id, head in found.items():
            self._missing.pop(tenant_id, None)
            keeper = self._keepers.get(tenant_id)
            if keeper is None:
                keeper = self._keepers[tenant_id] = Keeper(
                    head, self._store, self._signals, self._clock, self._observer, self._moved
                )
            keeper.observe(head, asked_at)
        kept = [self._keepers[tenant_id].head.tenant for tenant_id in self._missing]
        self.directory = Directory.of([*kept, *(head.tenant for head in overview.heads)], overview.keys)

    def _miss(self, tenant_id: str) -> None:
        """Tenants are never deleted, so one that is missing twice means that the database was restored."""
        self._missing[tenant_id] = self._missing.get(tenant_id, 0) + 1
        if self._missing[tenant_id] >= _CONFIRMED:
            _log.error("the database was restored: tenant %s is gone", tenant_id)
            self._observer.restored(tenant_id)
            self._keepers.pop(tenant_id).stop()
            del self._missing[tenant_id]

    def _note_synced(self) -> None:
        if not self.synced and self._polled_at is not None and not self._jobs(loads=True):
            keepers = self._keepers.values()
            # From a copy, waiting for a tenant whose signals are not on this host would keep the others waiting too.
            served = self._copied_at is not None and any(keeper.snapshot for keeper in keepers)
            self.synced = served or not any(keeper.unreachable for keeper in keepers)

    def _jobs(self, tenant_id: str | None = None, *, loads: bool) -> list[asyncio.Task[None]]:
        """What is being read, of one tenant or of all."""
        keepers = [keeper for each, keeper in self._keepers.items() if tenant_id in (None, each)]
        return [job for keeper in keepers for job in keeper.jobs(loads=loads)]

    def _poll_age(self) -> float | None:
        return None if self._polled_at is None else monotonic() - self._polled_at
