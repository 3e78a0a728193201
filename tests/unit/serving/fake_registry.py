"""A table of replicas in memory, with a clock that a test moves, and claims of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from recsys.domain.errors import NotReady
from recsys.domain.ports import OpenInvalidation
from recsys.domain.replica import ReplicaIdentity, ReplicaReport, ReplicaRow, Roster


def identity(replica_id: str) -> ReplicaIdentity:
    return ReplicaIdentity(id=replica_id, host="here", pid=1, code_version="1")


class FakeRegistry:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.rows: dict[str, ReplicaRow] = {}
        self.open: list[OpenInvalidation] = []
        self.closed: list[int] = []
        self.nudged: list[str] = []
        self.writes = 0
        self.gone = False
        self.hangs = False
        self.slow_s = 0.0
        self.on_roster: Callable[[], object] = bool

    async def roster(self) -> Roster:
        await self._reach()
        self.on_roster()
        self.now += timedelta(milliseconds=1)
        return Roster(read_at=self.now, replicas=list(self.rows.values()))

    async def write(self, replica: ReplicaIdentity, report: ReplicaReport) -> None:
        await self._reach()
        self.writes += 1
        self.rows[replica.id] = ReplicaRow(
            id=replica.id, host=replica.host, pid=replica.pid, code_version="1", started_at=self.now,
            heartbeat_at=self.now, synced_through=report.synced_through, tenants=report.tenants,
        )  # fmt: skip

    async def remove(self, replica_ids: Collection[str]) -> None:
        await self._reach()
        for replica_id in replica_ids:
            self.rows.pop(replica_id, None)

    async def nudge(self, tenant_id: str) -> None:
        self.nudged.append(tenant_id)

    async def open_invalidations(self) -> list[OpenInvalidation]:
        await self._reach()
        return [event for event in self.open if event.event_id not in self.closed]

    async def close_invalidation(self, event_id: int) -> None:
        self.closed.append(event_id)

    async def _reach(self) -> None:
        if self.hangs:
            await asyncio.sleep(60)
        await asyncio.sleep(self.slow_s)
        if self.gone:
            raise NotReady


class FakeClaims:
    def __init__(self, *dead: str) -> None:
        self.held: str | None = None
        self.dead = set(dead)

    def take(self, replica_id: str) -> None:
        self.held = replica_id

    def orphans(self) -> list[str]:
        return sorted(self.dead)

    def forget(self, replica_ids: Collection[str]) -> None:
        self.dead -= set(replica_ids)

    def release(self) -> None:
        self.held = None
