"""How a replica makes itself known: a row in the database, written when something moved and every second."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from recsys.domain.replica import Change, judge_replica
from recsys.serving.background import end

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.domain.ports import OpenInvalidation, ReplicaClaims, ReplicaRegistry
    from recsys.domain.replica import ReplicaIdentity, ReplicaReport

_log = logging.getLogger(__name__)
_HEARTBEAT_S = 1.0
_REST_S, _LONGEST_REST_S = 0.02, 0.25
_REST_SHARE = 4
"""Between two rows, in times that the last one took: what moves meanwhile is told of together. Who moves alone is told
of at once."""
_PATIENCE_S = 5.0
_FAREWELL_S = 2.0


class PresenceObserver(Protocol):
    """Who is told when a replica cannot make itself known. Must not block."""

    def heartbeat_failed(self) -> None:
        """The row could not be written."""


class Presence:
    """Writes this replica's row, on a task of its own: no request waits for it, and a failure harms nobody.

    ``claims``: what the replicas of a run know each other's deaths by; None: they find out when a lease runs out.
    """

    def __init__(
        self,
        identity: ReplicaIdentity,
        registry: ReplicaRegistry,
        observer: PresenceObserver,
        claims: ReplicaClaims | None = None,
    ) -> None:
        self.identity = identity
        self._registry = registry
        self._observer = observer
        self._claims = claims
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failed = False
        self._stopping = False
        self._asked: dict[int, Change] = {}

    async def start(self, report: Callable[[], ReplicaReport]) -> None:
        """Write the row and keep writing it; ``report`` says what is true at the moment."""
        self._stopping = False
        if self._claims is not None:
            await asyncio.to_thread(self._claims.take, self.identity.id)
        if report().synced_through is not None:  # else the database is not there, and the start does not wait for it
            await self._attempt(report)
        self._task = asyncio.create_task(self._write_forever(report), name="presence")

    def moved(self) -> None:
        """Something is served that the row does not tell of yet."""
        self._moved.set()

    async def stop(self) -> None:
        """Take the row away, if that is possible without delay."""
        if self._task is None:
            return
        self._stopping = True
        self._moved.set()
        await end(self._task)
        self._task = None
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await self._registry.remove([self.identity.id])
        except Exception:  # noqa: BLE001 - its lease runs out by itself
            _log.warning("replica %s could not take its row away", self.identity.id)
        if self._claims is not None:
            await asyncio.to_thread(self._claims.release)

    async def _write_forever(self, report: Callable[[], ReplicaReport]) -> None:
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + _HEARTBEAT_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(beat_at):
                    await self._moved.wait()
            if self._stopping:
                return
            self._moved.clear()
            began = loop.time()
            await self._attempt(report)
            await asyncio.sleep(max(_REST_S, min(_REST_SHARE * (loop.time() - began), _LONGEST_REST_S)))
            if loop.time() >= beat_at:
                await self._look_after_others()
                beat_at = loop.time() + _HEARTBEAT_S

    async def _attempt(self, report: Callable[[], ReplicaReport]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._registry.write(self.identity, report())
            self._failed = False
        except Exception as error:  # noqa: BLE001 - whatever it is, serving goes on and the next second tries again
            if not self._failed:
                _log.warning("replica %s cannot say how far it is: %r", self.identity.id, error)
            self._failed = True
            self._observer.heartbeat_failed()

    async def _look_after_others(self) -> None:
        """Delete the rows of the dead, and record which invalidations everybody has followed by now."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                orphans = await asyncio.to_thread(self._claims.orphans) if self._claims else []
                await self._registry.remove(orphans)
                if self._claims and orphans:
                    await asyncio.to_thread(self._claims.forget, orphans)
                await self._close_invalidations(await self._registry.open_invalidations())
        except Exception as error:  # noqa: BLE001 - the next second tries again
            _log.debug("could not look after other replicas: %r", error)

    async def _close_invalidations(self, events: list[OpenInvalidation]) -> None:
        """Record what every live replica has followed. A request that is seen was committed by the time it is seen."""
        if not events:
            self._asked.clear()
            return
        roster = await self._registry.roster()
        self._asked = {
            event.event_id: self._asked.get(event.event_id)
            or Change(tenant_id=event.tenant_id, committed_by=roster.read_at, invalidations=event.number)
            for event in events
        }
        for event_id, change in self._asked.items():
            if all(judge_replica(each, roster, change) == "converged" for each in roster.replicas):
                await self._registry.close_invalidation(event_id)
